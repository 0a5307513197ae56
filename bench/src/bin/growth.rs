//! What one request costs as the accounts of a store grow from 10 to 10,000, with 100 groups each: what is
//! remembered, and what is read from the store, each by itself. See `README.md` for how it is measured.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench::client::{Connection, request};
use bench::herd::Herd;
use bench::server::{Account, Served};
use bench::{binary, id, report};

/// The numbers of accounts that are measured.
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const GROUPS: usize = 100;
/// How many times as long a request may take in a large store as in the smallest one.
const MOST_TIMES: f64 = 1.5;
/// How often each request is measured.
const REPEATS: usize = 2_000;

/// The requests, as the path of an account and the number of one of its groups make them.
type Ask = fn(&Account, usize) -> String;
const REQUESTS: [(&str, Ask); 3] = [
    ("GET one", |account, group| account.path(&format!("/{}", id(group)))),
    ("list of 50", |account, _| account.path("")),
    ("a user's groups", |account, _| account.path("/by-user")),
];

fn main() -> ExitCode {
    let most = std::env::args().nth(1).map_or(usize::MAX, |most| most.parse().expect("a number of accounts"));
    let binary = binary();
    let folder = std::env::temp_dir().join(format!("bench-growth-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let mut stores = vec![("embedded", format!("sqlite:{}", folder.join("store.db").display()))];
    stores.extend(std::env::var("COUCHDB_URL").ok().map(|url| ("CouchDB", url)));
    let mut is_good = true;
    for (name, store) in &stores {
        let mut herd = Herd::new(&binary, store, &folder);
        let mut smallest = None;
        for accounts in SIZES.into_iter().filter(|accounts| *accounts <= most) {
            let begun = Instant::now();
            herd.grow_to(accounts, GROUPS, &binary, store);
            println!("{name}: {accounts} accounts, filled in {:.0} s", begun.elapsed().as_secs_f64());
            let times = measure(&binary, store, &herd.accounts);
            let smallest = smallest.get_or_insert_with(|| times.clone());
            for ((what, time), (_, least)) in times.iter().zip(smallest) {
                let ratio = time.as_secs_f64() / least.as_secs_f64();
                is_good &= report(ratio <= MOST_TIMES, &format!("{what}: {time:.0?}, {ratio:.2} times"));
            }
        }
        herd.remove(store);
    }
    fs::remove_dir_all(&folder).expect("the folder is gone");
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The median time of each request, remembered and not.
fn measure(binary: &str, store: &str, accounts: &[Account]) -> Vec<(String, Duration)> {
    let mut times = Vec::new();
    for (name, settings) in [("remembered", &[] as &[&str]), ("read from the store", &["--cache", "off"])] {
        let served = Served::start_with(binary, store, settings);
        let mut connection = Connection::open(served.address);
        for (what, ask) in REQUESTS {
            // Accounts and groups in an order without a pattern. What is remembered is one account's.
            let place = |count: usize| {
                let random = (count as u32).wrapping_mul(0x9e37_79b1) as usize;
                let account = if name == "remembered" { 0 } else { random % accounts.len() };
                (&accounts[account], 1 + random / accounts.len() % GROUPS)
            };
            let mut asked = (0..REPEATS + GROUPS).map(|count| {
                let (account, group) = place(count);
                let path = ask(account, group);
                let text = request("GET", &path, &format!("X-Auth-Token: {}", account.token), "");
                let begun = Instant::now();
                let mut status = connection.ask(&text);
                // A view that is asked for the first time may be built first.
                while status == 503 && begun.elapsed() < Duration::from_secs(60) {
                    std::thread::sleep(Duration::from_millis(50));
                    status = connection.ask(&text);
                }
                assert_eq!(status, 200, "{path}");
                begun.elapsed()
            });
            // The first ones are slow once: connections, statements, views.
            asked.by_ref().take(GROUPS).for_each(drop);
            let mut each: Vec<Duration> = asked.collect();
            each.sort();
            times.push((format!("{what}, {name}"), each[each.len() / 2]));
        }
        served.stop();
    }
    times
}
