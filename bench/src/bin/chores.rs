//! What an operator's chores cost on the embedded store: an import of 100,000 documents, backups beside clients that
//! write, the access log and a scrape of the metrics each second. See `README.md` for the bounds.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench::client::{get, request};
use bench::herd::Herd;
use bench::load::{Get, Tools, at_fixed_times};
use bench::server::{Account, Served, backup};
use bench::{binary, id, median, report};

const ACCOUNTS: usize = 100;
const GROUPS: usize = 1_000;
const MOST_SECONDS: f64 = 20.0;
const MOST_KB: u64 = 128 * 1024;

/// How often the two sides of a comparison are measured, in turn.
const PAIRS: usize = 5;

/// Together the clients write this many groups a second.
const WRITES_A_SECOND: u32 = 100;
const WRITERS: u32 = 4;
/// How many times as long the 99th percentile of writes may be while backups are made.
const MOST_TIMES: f64 = 2.0;

/// The connections that ask for one group.
const READERS: usize = 16;
/// What is left at least of the rate without an access log.
const LEAST_RATE: f64 = 0.9;

fn main() -> ExitCode {
    let binary = binary();
    let folder = std::env::temp_dir().join(format!("bench-chores-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let store = format!("sqlite:{}", folder.join("store.db").display());
    let mut herd = Herd::new(&binary, &store, &folder);
    let is_good = [import(&mut herd, &binary, &store), backups(&herd, &binary, &store, &folder)];
    let is_good = is_good.into_iter().all(|good| good) & access_log(&herd, &binary, &store, &folder);
    fs::remove_dir_all(&folder).expect("the folder is gone");
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn import(herd: &mut Herd, binary: &str, store: &str) -> bool {
    println!("import of {} groups in {ACCOUNTS} accounts", ACCOUNTS * GROUPS);
    let begun = Instant::now();
    let peak_kb = herd.grow_to(ACCOUNTS, GROUPS, binary, store);
    let seconds = begun.elapsed().as_secs_f64();
    let is_fast = report(seconds < MOST_SECONDS, &format!("time: {seconds:.1} s"));
    report(peak_kb < MOST_KB, &format!("memory: {peak_kb} kB")) && is_fast
}

/// Backups one after another, against the same time without one.
fn backups(herd: &Herd, binary: &str, store: &str, folder: &Path) -> bool {
    println!("backups, one after another, beside {WRITES_A_SECOND} writes a second");
    let (served, account) = (Served::start(binary, store), &herd.accounts[0]);
    let file = folder.join("backup.db");
    let phase = Duration::from_secs(8);
    writes(served.address, account, Duration::from_secs(3));
    let (mut ratios, mut times) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let normal = writes(served.address, account, phase);
        let is_over = AtomicBool::new(false);
        let during = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let begun = Instant::now();
                    backup(binary, store, &file.display().to_string());
                    times.push(begun.elapsed().as_secs_f64());
                    fs::remove_file(&file).expect("the backup is there");
                }
            });
            let during = writes(served.address, account, phase);
            is_over.store(true, Ordering::SeqCst);
            during
        });
        println!("  writes' 99th percentile: {normal:.1?}, with backups {during:.1?}");
        ratios.push(during.as_secs_f64() / normal.as_secs_f64());
    }
    served.stop();
    let backup = median(times).expect("a backup was made");
    let ratio = median(ratios).expect("pairs");
    report(ratio <= MOST_TIMES, &format!("{ratio:.2} times (median); a backup takes {backup:.1} s"))
}

/// The 99th percentile of the clients' writes.
fn writes(address: SocketAddr, account: &Account, duration: Duration) -> Duration {
    let header = format!("X-Auth-Token: {}", account.token);
    let ask = request("PUT", &account.path(""), &header, r#"{"data":{"name":"written"}}"#);
    let interval = Duration::from_secs(1) * WRITERS / WRITES_A_SECOND;
    at_fixed_times(address, &ask, 201, (WRITERS, interval), duration)
}

/// The default settings with a scrape each second, against no access log and no scrape.
fn access_log(herd: &Herd, binary: &str, store: &str, folder: &Path) -> bool {
    println!("access log in a file, and a scrape of the metrics each second");
    let (tools, account) = (Tools::find(folder), &herd.accounts[0]);
    let path = account.path(&format!("/{}", id(7)));
    let header = format!("X-Auth-Token: {}", account.token);
    let rate = |served: &Served| {
        let url = format!("http://{}{path}", served.address);
        tools.wrk(&Get { url, header: header.clone() }, READERS, Duration::from_secs(3)).rate
    };
    let mut ratios = Vec::new();
    for _ in 0..PAIRS {
        let served = Served::start_without_access_log(binary, store);
        let silent = rate(&served);
        served.stop();
        let served = Served::start(binary, store);
        let is_over = AtomicBool::new(false);
        let telling = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    assert_eq!(
                        get(served.admin_address, "/metrics", "").status,
                        200,
                        "the metrics are there"
                    );
                    thread::sleep(Duration::from_secs(1));
                }
            });
            let telling = rate(&served);
            is_over.store(true, Ordering::SeqCst);
            telling
        });
        served.stop();
        println!("  GET one: {telling:.0}/s, without {silent:.0}/s");
        ratios.push(telling / silent);
    }
    let ratio = median(ratios).expect("pairs");
    report(ratio >= LEAST_RATE, &format!("{ratio:.2} of the rate (median)"))
}
