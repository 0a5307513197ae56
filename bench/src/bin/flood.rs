//! A flood of garbage tokens beside clients whose tokens are good, on a server that this program starts.
//! See `README.md` for what is measured and what the bounds are.
//!
//! Everything is sent at a fixed rate: a client's time counts from when its request was due, so that a
//! stall shows in all the requests that it holds up. The flood comes from a process of its own, which
//! yields the processors to the server and to the clients.

use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench::client::Connection;
use bench::load::at_fixed_times;
use bench::server::{Account, Accounts, Served};
use bench::{binary, report};

/// How many times as long the clients' 99th percentile may become.
const MOST_TIMES: f64 = 2.0;
/// By how many kilobytes memory may grow.
const MOST_KB: u64 = 32 * 1024;

/// How many addresses the flood comes from.
const ADDRESSES: u64 = 10_000;
/// How many connections it comes over.
const FLOODING: u64 = 8;
/// How many garbage requests there are a second, all told.
const FLOOD_RATE: u64 = 4_000;

/// How many clients there are.
const CLIENTS: u32 = 4;
/// How many requests each sends a second. A CouchDB on the same machine takes milliseconds of processor
/// time for each: it must not be busy already without a flood.
const CLIENT_RATE: u32 = 50;
const CLIENT_RATE_COUCHDB: u32 = 10;
/// How long they are measured without a flood.
const QUIET: Duration = Duration::from_secs(40);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [mode, address, account, token, requests] = arguments.as_slice()
        && mode == "--flood"
    {
        flood(address.parse().expect("an address"), account, token, requests.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let requests = arguments.first().map_or(1_000_000, |requests| requests.parse().expect("a number"));
    let folder = std::env::temp_dir().join(format!("bench-flood-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = format!("sqlite:{}", folder.join("store.db").display());
    let is_good = measure("embedded", &file, requests, CLIENT_RATE);
    std::fs::remove_dir_all(&folder).expect("the folder is gone");
    let is_good = match std::env::var("COUCHDB_URL") {
        Ok(url) => measure("CouchDB", &url, requests, CLIENT_RATE_COUCHDB) && is_good,
        Err(_) => is_good,
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(name: &str, store: &str, requests: u64, client_rate: u32) -> bool {
    println!("{name}: {requests} garbage tokens from {ADDRESSES} addresses, {FLOOD_RATE} a second");
    let binary = binary();
    let accounts = Accounts::fill(&binary, store, 100);
    let served = Served::start(&binary, store);
    // What is slow only once is no part of it.
    let clients = |duration| clients(&served, &accounts.small, client_rate, duration);
    clients(Duration::from_secs(5));
    let quiet = clients(QUIET);
    let before = served.resident_kb();

    let me = std::env::current_exe().expect("this program");
    let Account { id, token, .. } = &accounts.small;
    let address = served.address.to_string();
    let mut flooding = Command::new("nice");
    flooding.args(["-n", "19"]).arg(me).args(["--flood", &address, id, token, &requests.to_string()]);
    let mut flooding = flooding.spawn().expect("the flood begins");
    let begun = Instant::now();
    let during = clients(Duration::from_secs(requests / FLOOD_RATE));
    assert!(flooding.wait().expect("the flood ends").success(), "the flood was not answered as it should");
    let rate = requests / begun.elapsed().as_secs().max(1);
    let growth = served.peak_kb().saturating_sub(before);
    served.stop();
    accounts.remove(store);

    println!("  the flood came at {rate} a second");
    let times = during.as_secs_f64() / quiet.as_secs_f64();
    let text = format!("clients' 99th percentile: {quiet:.2?} quiet, {during:.2?} flooded, {times:.2} times");
    let is_calm = report(times <= MOST_TIMES, &text);
    report(growth < MOST_KB, &format!("memory: {growth} kB above {before} kB")) && is_calm
}

/// The 99th percentile of the clients' times: each lists an account's groups at a fixed rate.
fn clients(served: &Served, account: &Account, rate: u32, duration: Duration) -> Duration {
    let (path, token) = (account.path(""), &account.token);
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\n\r\n");
    at_fixed_times(served.address, &request, 200, (CLIENTS, Duration::from_secs(1) / rate), duration)
}

/// Sends garbage at a fixed rate, each connection its share.
fn flood(address: SocketAddr, account: &str, token: &str, requests: u64) {
    thread::scope(|scope| {
        for number in 0..FLOODING {
            scope.spawn(move || {
                let mut connection = Connection::open(address);
                let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (number + 1));
                let begin = Instant::now();
                for sent in 0..requests / FLOODING {
                    let due = begin + Duration::from_nanos(sent * FLOODING * 1_000_000_000 / FLOOD_RATE);
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let garbage = random.garbage(token);
                    let [.., second, third] = (random.next() % ADDRESSES).to_be_bytes();
                    let request = format!(
                        "GET /v2/accounts/{account}/groups HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {garbage}\r\n\
                         X-Forwarded-For: 10.0.{second}.{third}\r\n\r\n"
                    );
                    let status = connection.ask(&request);
                    assert!(matches!(status, 401 | 429), "{status} for {garbage}");
                }
            });
        }
    });
}

/// A sequence that looks random enough for garbage (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn word(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..length).map(|_| char::from(LETTERS[(self.next() >> 58) as usize])).collect()
    }

    /// No good token: a word, three words, one of a key that nobody knows, one with another signature,
    /// one with other claims.
    fn garbage(&mut self, good: &str) -> String {
        let parts: Vec<_> = good.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else { panic!("a token has three parts") };
        match self.next() % 5 {
            0 => self.word(32),
            1 => format!("{}.{}.{}", self.word(80), self.word(300), self.word(342)),
            2 => {
                let header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{:016x}"}}"#, self.next());
                format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(header.as_bytes()))
            }
            // 341 letters, and a last one whose spare bits are zero.
            3 => format!("{header}.{claims}.{}A", self.word(341)),
            _ => {
                let claims = format!(r#"{{"iss":"kazoo","account_id":"{:032x}"}}"#, self.next());
                format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.as_bytes()))
            }
        }
    }
}
