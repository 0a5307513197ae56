//! Listings of a large account against those of a small one, on a server that this program starts.
//! See `README.md` for what is measured and what the bounds are.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench::client::get;
use bench::server::{Accounts, Served};
use bench::{binary, id, report};

/// How many times as long a page of the large account may take as one of the small account.
const MOST_TIMES: f64 = 1.5;
/// Memory above that at rest, in kilobytes.
const MOST_KB_WHOLE: u64 = 100_000;
const MOST_KB_CHUNKED: u64 = 16_000;

/// Rounds of measuring a page; each asks both accounts in turn.
const ROUNDS: usize = 400;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let binary = binary();
    let groups = arguments.next().map_or(100_000, |groups| groups.parse().expect("a number of groups"));
    let mut is_good = true;
    let folder = std::env::temp_dir().join(format!("bench-listing-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    is_good &= measure("embedded", &binary, &format!("sqlite:{}", folder.join("store.db").display()), groups);
    std::fs::remove_dir_all(&folder).expect("the folder is gone");
    if let Ok(url) = std::env::var("COUCHDB_URL") {
        is_good &= measure("CouchDB", &binary, &url, groups);
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(name: &str, binary: &str, store: &str, groups: usize) -> bool {
    println!("{name}: {groups} groups against 100");
    let begun = Instant::now();
    let accounts = Accounts::fill(binary, store, groups);
    println!("  filled in {:.1} s", begun.elapsed().as_secs_f64());
    let served = Served::start(binary, store);
    let is_good = measure_served(&served, &accounts, groups);
    served.stop();
    accounts.remove(store);
    is_good
}

fn measure_served(served: &Served, accounts: &Accounts, groups: usize) -> bool {
    let begun = Instant::now();
    wait_for_view(served, accounts);
    println!("  view ready after {:.1} s", begun.elapsed().as_secs_f64());
    let mut is_good = true;
    for (what, small, large) in [
        ("first page", String::new(), String::new()),
        ("page from the middle", format!("?start_key={}", id(50)), format!("?start_key={}", id(groups / 2))),
        ("page of the user's groups", "/by-user".to_owned(), "/by-user".to_owned()),
    ] {
        let (small, large) = pages(served, accounts, &small, &large);
        let times = large.as_secs_f64() / small.as_secs_f64();
        is_good &=
            report(times <= MOST_TIMES, &format!("{what}: {small:.0?} and {large:.0?}, {times:.2} times"));
    }
    let rest = served.resident_kb();
    for (what, query, most) in [
        ("chunked", "?is_chunked=true&paginate=false", MOST_KB_CHUNKED),
        ("in one answer", "?paginate=false", MOST_KB_WHOLE),
    ] {
        served.reset_peak();
        let begun = Instant::now();
        let answer = get(served.address, &accounts.large.path(query), &accounts.large.token);
        let took = begun.elapsed();
        let rows = answer.body.windows(6).filter(|window| window == b"{\"id\":").count();
        assert_eq!((answer.status, rows), (200, groups), "{what}");
        let more = served.peak_kb().saturating_sub(rest);
        let size = answer.body.len() / 1000;
        let text = format!("all {what}: {size} kB in {took:.1?}, {more} kB above {rest} kB at rest");
        is_good &= report(more < most, &text);
    }
    is_good
}

/// The median time of a page of each account, asked in turn so that both see the same machine.
fn pages(served: &Served, accounts: &Accounts, small: &str, large: &str) -> (Duration, Duration) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (times, (account, query)) in
            times.iter_mut().zip([(&accounts.small, small), (&accounts.large, large)])
        {
            let begun = Instant::now();
            let answer = get(served.address, &account.path(query), &account.token);
            times.push(begun.elapsed());
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        }
    }
    let [small, large] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    (small, large)
}

/// A view over many documents may still be being built: 503 and 500 until it is there.
fn wait_for_view(served: &Served, accounts: &Accounts) {
    let deadline = Instant::now() + Duration::from_secs(600);
    for account in [&accounts.small, &accounts.large] {
        for query in ["", "/by-user"] {
            while get(served.address, &account.path(query), &account.token).status != 200 {
                assert!(Instant::now() < deadline, "the view is there within ten minutes");
            }
        }
    }
}
