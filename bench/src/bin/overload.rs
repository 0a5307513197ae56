//! Listings of 50 groups when more of them are asked for than the store can give: on a CouchDB, or on a stand-in
//! for one that has a fixed number of slots. See `README.md` for what is measured and what the bounds are.
//!
//! In an open loop every request has a time at which it is due, whether or not earlier ones were answered.
//! Its time counts from then, so that a stall shows in all the requests that it holds up.

use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use bench::client::{Connection, get};
use bench::server::{Account, Served, export};
use bench::{binary, report, standin};

/// The stand-in answers 500 requests a second.
const SLOTS: usize = 2;
const SERVICE_TIME: Duration = Duration::from_millis(4);

/// The account has as many groups as a page.
const GROUPS: usize = 50;

/// How long each load lasts.
const LOAD: Duration = Duration::from_secs(15);

/// How many connections the open loop has. Each sends a few requests a second.
const OPEN_CONNECTIONS: u32 = 600;

/// How often the quiet client asks.
const QUIET_RATE: f64 = 20.0;

/// The capacity is the number of requests that 64 clients get served. At least this part of it must be served.
const LEAST_GOODPUT: f64 = 0.9;
/// The 99th percentile of what is served.
const MOST_P99: Duration = Duration::from_millis(250);
/// How many connections to the store there may be: those of 64 calls, of 32 long ones, and a few unused ones.
const MOST_CONNECTIONS: usize = 100;

fn main() -> ExitCode {
    let is_good = match std::env::var("COUCHDB_URL") {
        Ok(url) => on_couchdb(&url),
        Err(_) => on_standin(),
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn on_couchdb(url: &str) -> bool {
    println!("CouchDB, listings of {GROUPS} groups");
    let accounts = Tenants::fill(url);
    let is_good = measure(url, &accounts);
    accounts.loud.remove(url);
    accounts.quiet.remove(url);
    is_good
}

fn on_standin() -> bool {
    println!("stand-in with {SLOTS} slots of {SERVICE_TIME:?}, listings of {GROUPS} groups");
    let folder = std::env::temp_dir().join(format!("bench-overload-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = format!("sqlite:{}", folder.join("store.db").display());
    let accounts = Tenants::fill(&file);
    let address = standin::serve(&export(&binary(), &file), SLOTS, SERVICE_TIME);
    std::fs::remove_dir_all(&folder).expect("the folder is gone");
    measure(&format!("http://{address}"), &accounts)
}

/// Two accounts of one store.
struct Tenants {
    loud: Account,
    quiet: Account,
}

impl Tenants {
    fn fill(store: &str) -> Self {
        let fill = |name| Account::fill(&binary(), store, name, GROUPS);
        Self { loud: fill("loud"), quiet: fill("quiet") }
    }
}

fn measure(store: &str, Tenants { loud, quiet }: &Tenants) -> bool {
    let served = Served::start(&binary(), store);
    for account in [loud, quiet] {
        // The first query builds the view.
        let deadline = Instant::now() + Duration::from_secs(60);
        while get(served.address, &account.path(""), &account.token).status != 200 {
            assert!(Instant::now() < deadline, "the view is there within a minute");
        }
    }
    let port = store.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
    let connections = Connections::count(served.id(), port.expect("a port"));

    closed(&served, loud, 64, Duration::from_secs(3));
    let few = closed(&served, loud, 64, LOAD);
    println!("  64 clients: {few}");
    let many = closed(&served, loud, 3_000, LOAD);
    println!("  3,000 clients: {many}");
    let share = many.goodput / few.goodput;
    let mut is_good = report(
        share >= LEAST_GOODPUT,
        &format!("3,000 clients: {share:.2} of what 64 clients get (at least {LEAST_GOODPUT})"),
    );

    let capacity = few.goodput;
    let overload = Offered::new(&served, loud, 5.0 * capacity).send(LOAD);
    println!("  5 times as much as can be served: {overload}");
    let share = overload.goodput / capacity;
    is_good &= report(
        share >= LEAST_GOODPUT,
        &format!("overload: {share:.2} of the capacity (at least {LEAST_GOODPUT})"),
    );
    is_good &= report(
        overload.p99 < MOST_P99,
        &format!("overload: the 99th percentile is {:.0?} (under {MOST_P99:?})", overload.p99),
    );

    let alone = Offered::new(&served, quiet, QUIET_RATE).send(LOAD);
    println!("  quiet account alone: {alone}");
    let beside = thread::scope(|scope| {
        // With two accounts, the share of each is half of the capacity.
        let burst = scope.spawn(|| Offered::new(&served, loud, 10.0 * capacity / 2.0).send(LOAD));
        let beside = Offered::new(&served, quiet, QUIET_RATE).send(LOAD);
        println!("  loud account at 10 times its share: {}", burst.join().expect("the burst ends"));
        beside
    });
    println!("  quiet account beside it: {beside}");
    let most = alone.p99 * 2 + Duration::from_millis(10);
    is_good &= report(
        beside.p99 <= most && beside.refused == 0,
        &format!("quiet account: the 99th percentile is {:.0?} (at most {most:.0?})", beside.p99),
    );
    let most_connections = connections.most();
    is_good &= report(
        most_connections <= MOST_CONNECTIONS,
        &format!("{most_connections} connections to the store (at most {MOST_CONNECTIONS})"),
    );
    served.stop();
    is_good
}

/// The result of a load.
struct Outcome {
    /// Answers with 200, a second.
    goodput: f64,
    /// Answers with 503, a second.
    refused: u64,
    p50: Duration,
    p99: Duration,
    refused_p50: Duration,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { goodput, refused, p50, p99, refused_p50 } = self;
        write!(f, "{goodput:.0}/s served (p50 {p50:.0?}, p99 {p99:.0?}), {refused}/s refused")?;
        if *refused > 0 { write!(f, " (p50 {refused_p50:.0?})") } else { Ok(()) }
    }
}

impl Outcome {
    fn of(answers: &[(u16, Duration)], took: Duration) -> Self {
        let times = |status| {
            let mut times: Vec<_> = answers.iter().filter(|(s, _)| *s == status).map(|(_, t)| *t).collect();
            times.sort();
            times
        };
        let (served, refused) = (times(200), times(503));
        assert_eq!(served.len() + refused.len(), answers.len(), "only 200 and 503");
        let part = |times: &[Duration], percent: usize| {
            times.get(times.len() * percent / 100).copied().unwrap_or_default()
        };
        Self {
            goodput: served.len() as f64 / took.as_secs_f64(),
            refused: (refused.len() as f64 / took.as_secs_f64()) as u64,
            p50: part(&served, 50),
            p99: part(&served, 99),
            refused_p50: part(&refused, 50),
        }
    }
}

/// A load at a fixed rate.
struct Offered<'a> {
    address: SocketAddr,
    request: String,
    rate: f64,
    connections: u32,
    account: &'a Account,
}

impl<'a> Offered<'a> {
    fn new(served: &Served, account: &'a Account, rate: f64) -> Self {
        let (path, token) = (account.path(""), &account.token);
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\n\r\n");
        let connections = (rate as u32).clamp(1, OPEN_CONNECTIONS);
        Self { address: served.address, request, rate, connections, account }
    }

    fn send(&self, duration: Duration) -> Outcome {
        let begin = Instant::now() + Duration::from_millis(200);
        let answers = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for number in 0..self.connections {
                let answers = &answers;
                let client = move || {
                    let mut connection = Connection::open(self.address);
                    let mut own = Vec::new();
                    for sent in 0_u32.. {
                        let after = f64::from(number + sent * self.connections) / self.rate;
                        if after >= duration.as_secs_f64() {
                            break;
                        }
                        let due = begin + Duration::from_secs_f64(after);
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        own.push((connection.ask(&self.request), due.elapsed()));
                    }
                    answers.lock().expect("no panic").extend(own);
                };
                thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, client).expect("a thread");
            }
        });
        let answers = answers.into_inner().expect("no panic");
        assert!(!answers.is_empty(), "{} is asked", self.account.id);
        Outcome::of(&answers, begin.elapsed().max(duration))
    }
}

/// The result of `wrk` with this many clients. Each asks again as soon as it is answered.
fn closed(served: &Served, account: &Account, clients: usize, duration: Duration) -> Closed {
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", &clients.to_string(), "--timeout", "30s"]);
    wrk.args(["--duration", &format!("{}s", duration.as_secs())]);
    wrk.args(["--header", &format!("X-Auth-Token: {}", account.token)]);
    wrk.arg(format!("http://{}{}", served.address, account.path("")));
    let output = wrk.output().expect("wrk is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<f64>().ok());
    let all = text.lines().find_map(|line| number(line.split(" requests in").next()));
    let refused = text.lines().find_map(|line| number(line.trim().strip_prefix("Non-2xx or 3xx responses:")));
    assert!(output.status.success() && !text.contains("Socket errors"), "{text}");
    let rate = |answers: f64| answers / duration.as_secs_f64();
    let refused = refused.unwrap_or(0.0);
    Closed { goodput: rate(all.expect("wrk tells the number") - refused), refused: rate(refused) }
}

/// The answers to clients that ask again at once.
struct Closed {
    goodput: f64,
    refused: f64,
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0}/s served, {:.0}/s refused", self.goodput, self.refused)
    }
}

/// Counts the server's connections to the store, ten times a second.
struct Connections(std::sync::Arc<Mutex<usize>>);

impl Connections {
    fn count(process: u32, port: u16) -> Self {
        let most = std::sync::Arc::new(Mutex::new(0));
        let counted = std::sync::Arc::clone(&most);
        // The third column is the other end, the fourth the state: 01 is established.
        let (port, path) = (format!(":{port:04X}"), format!("/proc/{process}/net/tcp"));
        thread::spawn(move || {
            while let Ok(table) = std::fs::read_to_string(&path) {
                let is_to_store = |line: &&str| {
                    let columns: Vec<_> = line.split_whitespace().collect();
                    columns.get(2).is_some_and(|to| to.ends_with(&port)) && columns.get(3) == Some(&"01")
                };
                let now = table.lines().filter(is_to_store).count();
                let mut most = counted.lock().expect("no panic");
                *most = now.max(*most);
                drop(most);
                thread::sleep(Duration::from_millis(100));
            }
        });
        Self(most)
    }

    fn most(&self) -> usize {
        *self.0.lock().expect("no panic")
    }
}
