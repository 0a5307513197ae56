//! How many requests a second the server answers, against a limit that is measured in the same run: the
//! banner of the same server, or the same CouchDB asked directly. `wrk` sends the requests. See `README.md`
//! for the bounds.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench::client::get;
use bench::server::{Account, Served};
use bench::{binary, id, report};

/// How many rounds are measured. Each round measures every request once, so that all of them meet the same
/// machine.
const ROUNDS: usize = 5;
/// How many seconds each request is measured in a round.
const SECONDS: u32 = 2;
/// The account has as many groups as a page.
const GROUPS: usize = 50;

/// A GET request.
struct Request {
    url: String,
    header: String,
}

/// A request that is measured, and the least share of the limit that it must reach.
struct Measured {
    name: &'static str,
    request: Request,
    limit: Request,
    least: f64,
}

fn main() -> ExitCode {
    let binary = binary();
    let folder = std::env::temp_dir().join(format!("bench-throughput-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut is_good = on_embedded(&binary, &format!("sqlite:{}", folder.join("store.db").display()));
    std::fs::remove_dir_all(&folder).expect("the folder is gone");
    if let Ok(url) = std::env::var("COUCHDB_URL") {
        is_good &= on_couchdb(&binary, &url);
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn on_embedded(binary: &str, store: &str) -> bool {
    println!("embedded, 16 connections: requests a second, and their share of the banner's");
    let account = Account::fill(binary, store, "throughput", GROUPS);
    let served = Served::start(binary, store);
    let measured = paths(&account).map(|(name, path)| Measured {
        name,
        request: request(&served, &account, &path),
        limit: request(&served, &account, "/"),
        least: match name {
            "GET one" => 0.32,
            "list of 50" => 0.16,
            _ => 0.0,
        },
    });
    let is_good = measure(&measured, 16);
    served.stop();
    is_good
}

fn on_couchdb(binary: &str, url: &str) -> bool {
    println!("CouchDB, 1 connection: requests a second, and their share of CouchDB asked directly");
    let account = Account::fill(binary, url, "throughput", GROUPS);
    let served = Served::start(binary, url);
    let (couchdb, authorization) = couchdb(url);
    let (db, user_id) = (account.db_path(), &account.user_id);
    let view = format!("{db}/_design/groups/_view");
    let measured = paths(&account).map(|(name, path)| {
        // The views are queried as the server queries them: one row more than a page has.
        let (direct, least) = match name {
            "GET one" => (format!("{db}/{}", id(7)), 0.85),
            "list of 50" => (format!("{view}/crossbar_listing?descending=true&limit=51"), 0.85),
            _ => {
                let key = format!("start_key=%22{user_id}%22&end_key=%22{user_id}%22");
                (format!("{view}/crossbar_listing_by_user?{key}&descending=true&limit=51"), 0.8)
            }
        };
        let limit = Request { url: format!("{couchdb}{direct}"), header: authorization.clone() };
        Measured { name, request: request(&served, &account, &path), limit, least }
    });
    // The first query builds the view.
    for (_, path) in paths(&account) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while get(served.address, &path, &account.token).status != 200 {
            assert!(Instant::now() < deadline, "the view is there within a minute");
        }
    }
    let is_good = measure(&measured, 1);
    served.stop();
    account.remove(url);
    is_good
}

fn paths(account: &Account) -> [(&'static str, String); 3] {
    [
        ("GET one", account.path(&format!("/{}", id(7)))),
        ("list of 50", account.path("")),
        ("a user's groups", account.path("/by-user")),
    ]
}

fn request(served: &Served, account: &Account, path: &str) -> Request {
    let header = format!("X-Auth-Token: {}", account.token);
    Request { url: format!("http://{}{path}", served.address), header }
}

/// The URL of a CouchDB without the credentials, and the header with them.
fn couchdb(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").expect("an http URL").trim_end_matches('/');
    let (credentials, host) = rest.rsplit_once('@').unwrap_or(("", rest));
    (format!("http://{host}"), format!("Authorization: Basic {}", STANDARD.encode(credentials)))
}

/// Measures the requests and their limits in turn, and compares the medians.
fn measure(measured: &[Measured], connections: usize) -> bool {
    let mut rates: Vec<[Vec<f64>; 2]> = measured.iter().map(|_| Default::default()).collect();
    for _ in 0..ROUNDS {
        for (one, rates) in measured.iter().zip(&mut rates) {
            let [own, limit] = rates;
            limit.push(rate(&one.limit, connections));
            own.push(rate(&one.request, connections));
        }
    }
    let mut is_good = true;
    for (one, [own, limit]) in measured.iter().zip(rates) {
        let (own, limit) = (median(own), median(limit));
        let share = own / limit;
        let text =
            format!("{}: {own:.0}/s of {limit:.0}/s, {share:.2} (at least {:.2})", one.name, one.least);
        is_good &= report(share >= one.least, &text);
    }
    is_good
}

/// How many requests a second are answered on so many connections.
fn rate(Request { url, header }: &Request, connections: usize) -> f64 {
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", &connections.to_string()]);
    wrk.args(["--duration", &format!("{SECONDS}s"), "--header", header, url]);
    let output = wrk.output().expect("wrk is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains("Non-2xx"), "{text}");
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok()).expect("wrk tells the rate")
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
