//! What is measured once or a few times: clients that change the same group, the memory for many groups that
//! were read, and an account with 10,000 groups.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use bench::client::{Connection, get, request};
use bench::id;
use bench::server::{Account, Served};
use serde_json::{Value, json};

use crate::cells::Subject;
use crate::couch::Couch;

/// Clients change the same group for so long, each a member of its own.
pub const RACE: Duration = Duration::from_secs(10);
pub const RACERS: usize = 16;

/// How many answers of each status they got, and how many of them find their last change in the group.
pub struct Raced {
    pub statuses: BTreeMap<u16, usize>,
    pub kept: usize,
}

pub fn race(served: &Served, account: &Account) -> Raced {
    let path = account.path(&format!("/{}", id(1)));
    let header = format!("X-Auth-Token: {}", account.token);
    let (statuses, last) = (Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let end = Instant::now() + RACE;
    thread::scope(|scope| {
        for client in 0..RACERS {
            let (path, header, statuses, last) = (&path, &header, &statuses, &last);
            scope.spawn(move || {
                let mut connection = Connection::open(served.address);
                let (member, mut done) = (format!("m{client}"), Value::Null);
                for count in 0.. {
                    if Instant::now() >= end {
                        break;
                    }
                    let data = json!({"data": {(member.as_str()): count}});
                    let status = connection.ask(&request("PATCH", path, header, &data.to_string()));
                    *statuses.lock().expect("no panic").entry(status).or_insert(0) += 1;
                    if status == 200 {
                        done = json!(count);
                    }
                }
                last.lock().expect("no panic").push((member, done));
            });
        }
    });
    let stored: Value =
        serde_json::from_slice(&get(served.address, &path, &account.token).body).expect("JSON");
    let last = last.into_inner().expect("no panic");
    let kept = last.iter().filter(|(member, done)| stored["data"][member] == *done).count();
    Raced { statuses: statuses.into_inner().expect("no panic"), kept }
}

/// How many accounts there are, and how many groups in each, when memory is measured.
pub const ACCOUNTS: usize = 50;
pub const GROUPS_OF_EACH: usize = 200;

/// The memory of a new server on this store after it has answered with each group of these accounts, in kB.
pub fn memory(binary: &str, store: &str) -> u64 {
    let fill = |number| Account::fill(binary, store, &format!("memory {number}"), GROUPS_OF_EACH);
    let accounts: Vec<_> = (0..ACCOUNTS).map(fill).collect();
    let served = Served::start(binary, store);
    // Twice, because a cache may keep only what is asked for again.
    for _ in 0..2 {
        for account in &accounts {
            let (mut connection, header) =
                (Connection::open(served.address), format!("X-Auth-Token: {}", account.token));
            for number in 1..=GROUPS_OF_EACH {
                let path = account.path(&format!("/{}", id(number)));
                assert_eq!(connection.ask(&request("GET", &path, &header, "")), 200);
            }
        }
    }
    let resident = served.resident_kb();
    served.stop();
    accounts.iter().for_each(|account| account.remove(store));
    resident
}

/// An account with this many groups, and how often each request about it is measured.
pub const MANY: usize = 10_000;
const REPEATS: usize = 7;

/// The times of requests about an account with many groups, in milliseconds.
#[derive(Default)]
pub struct Many {
    /// One filter, asked again and again of the server with its default settings.
    pub filter_again: f64,
    /// One filter, without a cache.
    pub filter: f64,
    /// The view with its documents, from CouchDB directly.
    pub view_with_documents: Option<f64>,
    /// All groups in one answer, without a cache.
    pub all: f64,
    /// Until the first byte of that answer.
    pub first_byte: f64,
    /// The view, from CouchDB directly.
    pub view: Option<f64>,
}

/// Measures in turn, so that all meet the same machine, and takes the medians.
pub fn many(default: &Subject, without_cache: &Subject, couch: Option<&Couch>) -> Many {
    let (filter, all) = ("?filter_name=group%20777", "?paginate=false");
    let view = format!("{}/_design/groups/_view/crossbar_listing?descending=true", default.many.db_path());
    let ask = |Subject { served, many: account, .. }: &Subject, query: &str| {
        let header = format!("X-Auth-Token: {}", account.token);
        let (mut connection, path) = (Connection::open(served.address), account.path(query));
        let begun = Instant::now();
        connection.send(&request("GET", &path, &header, ""));
        connection.wait();
        let first = begun.elapsed();
        let answer = connection.receive();
        assert_eq!(answer.status, 200, "{path}");
        [begun.elapsed(), first]
    };
    let direct = |path: &str| {
        let couch = couch?;
        let begun = Instant::now();
        assert_eq!(couch.get(path).status, 200, "{path}");
        Some(begun.elapsed())
    };
    ask(default, filter);
    let mut times: [Vec<f64>; 6] = Default::default();
    for _ in 0..REPEATS {
        let [whole, first] = ask(without_cache, all);
        let measured = [
            Some(ask(default, filter)[0]),
            Some(ask(without_cache, filter)[0]),
            direct(&format!("{view}&include_docs=true")),
            Some(whole),
            Some(first),
            direct(&view),
        ];
        for (times, time) in times.iter_mut().zip(measured) {
            times.extend(time.map(|time| time.as_secs_f64() * 1e3));
        }
    }
    let [filter_again, filter, view_with_documents, all, first_byte, view] = times.map(crate::median);
    let some = |time: Option<f64>| time.expect("it was measured");
    Many {
        filter_again: some(filter_again),
        filter: some(filter),
        view_with_documents,
        all: some(all),
        first_byte: some(first_byte),
        view,
    }
}

/// Asks until the answer is good: a view of many documents takes a while to be built.
pub fn wait_for(served: &Served, path: &str, account: &Account) {
    let deadline = Instant::now() + Duration::from_secs(600);
    while get(served.address, path, &account.token).status != 200 {
        assert!(Instant::now() < deadline, "{path} is served within ten minutes");
    }
}
