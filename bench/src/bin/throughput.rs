//! How many requests a second the server answers, against a limit that is measured in the same run: the
//! banner of the same server, or the same CouchDB asked directly. See `README.md` for the bounds.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench::client::{Connection, get};
use bench::server::{Account, Served};
use bench::{binary, id, report};

/// How many rounds are measured. Each round measures every request once, so that all of them meet the same
/// machine.
const ROUNDS: usize = 7;
/// How long each request is measured in a round.
const SLICE: Duration = Duration::from_millis(1_500);
/// The account has as many groups as a page.
const GROUPS: usize = 50;

/// A request that is measured, and the least share of the limit that it must reach.
struct Measured {
    name: &'static str,
    request: String,
    address: SocketAddr,
    limit: Limit,
    least: f64,
}

/// What a request is compared with.
struct Limit {
    request: String,
    address: SocketAddr,
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
    let limit = || Limit { request: request("/", None), address: served.address };
    let measured = paths(&account).map(|(name, path)| Measured {
        name,
        request: request(&path, Some(&account.token)),
        address: served.address,
        limit: limit(),
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
    let couchdb = CouchDb::of(url);
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
        let limit = Limit { request: couchdb.request(&direct), address: couchdb.address };
        let request = request(&path, Some(&account.token));
        Measured { name, request, address: served.address, limit, least }
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

fn request(path: &str, token: Option<&str>) -> String {
    let token = token.map(|token| format!("X-Auth-Token: {token}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{token}\r\n")
}

/// A CouchDB, and the header with its credentials.
struct CouchDb {
    address: SocketAddr,
    authorization: String,
}

impl CouchDb {
    /// Reads `http://USER:PASSWORD@HOST:PORT`.
    fn of(url: &str) -> Self {
        let rest = url.strip_prefix("http://").expect("an http URL").trim_end_matches('/');
        let (credentials, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        let encoded = STANDARD.encode(credentials);
        let address = host.to_socket_addrs().ok().and_then(|mut found| found.next());
        Self {
            address: address.expect("the URL has a host and a port"),
            authorization: format!("Authorization: Basic {encoded}\r\n"),
        }
    }

    fn request(&self, path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n{}\r\n", self.authorization)
    }
}

/// Measures the requests and their limits in turn, and compares the medians.
fn measure(measured: &[Measured], connections: usize) -> bool {
    let mut rates: Vec<[Vec<f64>; 2]> = measured.iter().map(|_| Default::default()).collect();
    for _ in 0..ROUNDS {
        for (one, rates) in measured.iter().zip(&mut rates) {
            let [own, limit] = rates;
            limit.push(rate(one.limit.address, &one.limit.request, connections));
            own.push(rate(one.address, &one.request, connections));
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
fn rate(address: SocketAddr, request: &str, connections: usize) -> f64 {
    let begun = Instant::now();
    let clients = (0..connections).map(|_| {
        let request = request.to_owned();
        std::thread::spawn(move || {
            let mut connection = Connection::open(address);
            let mut answered = 0_u32;
            while begun.elapsed() < SLICE {
                connection.skim(&request);
                answered += 1;
            }
            answered
        })
    });
    let clients: Vec<_> = clients.collect();
    let answered: u32 = clients.into_iter().map(|client| client.join().expect("a client")).sum();
    f64::from(answered) / begun.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
