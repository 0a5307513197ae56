//! Reads beside another program that writes straight into CouchDB: 500 accounts, 2,000 reads and 100 writes a
//! second. How soon a change shows, whether a read ever goes back in time, and how long reads take.
//! See `README.md` for what is measured and what the bounds are.

use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bench::client::{Connection, request};
use bench::direct::Direct;
use bench::herd::Herd;
use bench::server::{Account, Served};
use bench::{binary, id, report};
use serde_json::{Value, json};

const ACCOUNTS: usize = 500;
const GROUPS: usize = 4;
const READERS: usize = 16;
const READS_A_SECOND: usize = 2_000;
const WRITERS: usize = 4;
const WRITES_A_SECOND: usize = 100;

/// The longest time from a write's answer until a read shows it, for 999 of 1,000 writes.
const MOST_LAG: Duration = Duration::from_millis(100);
/// The longest time of a read, for 99 of 100.
const MOST_READ: Duration = Duration::from_millis(10);
/// A read that begins so long after a write's answer and does not show it is stale.
const GRACE: Duration = Duration::from_secs(1);

/// A group that is written and read.
#[derive(Default)]
struct Group {
    /// The number that the newest answered write put into it, and when it was answered, in microseconds.
    written: AtomicU64,
    answered: AtomicU64,
}

/// What all threads share.
struct Run<'a> {
    served: &'a Served,
    direct: &'a Direct,
    accounts: &'a [Account],
    groups: Vec<Group>,
    begun: Instant,
    is_over: AtomicBool,
    stale: AtomicUsize,
    went_back: AtomicUsize,
    lags: Mutex<Vec<Duration>>,
    reads: Mutex<Vec<Duration>>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(30, |seconds| seconds.parse().expect("a number of seconds"));
    let Ok(url) = std::env::var("COUCHDB_URL") else {
        println!("COUCHDB_URL is not set: freshness beside another writer was NOT measured");
        return ExitCode::SUCCESS;
    };
    let binary = binary();
    let folder = std::env::temp_dir().join(format!("bench-fresh-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let mut herd = Herd::new(&binary, &url, &folder);
    fs::remove_dir_all(&folder).expect("the folder is gone");
    herd.grow_to(ACCOUNTS, GROUPS, &binary, &url);
    let served = Served::start(&binary, &url);
    let direct = Direct::new(&url);
    warm(&served, &herd.accounts);
    let run = Run {
        served: &served,
        direct: &direct,
        accounts: &herd.accounts,
        groups: (0..ACCOUNTS * GROUPS).map(|_| Group::default()).collect(),
        begun: Instant::now(),
        is_over: AtomicBool::new(false),
        stale: AtomicUsize::new(0),
        went_back: AtomicUsize::new(0),
        lags: Mutex::default(),
        reads: Mutex::default(),
    };
    let before = served.processor_seconds();
    thread::scope(|scope| {
        let run = &run;
        (0..READERS).for_each(|reader| drop(scope.spawn(move || read(run, reader))));
        (0..WRITERS).for_each(|writer| drop(scope.spawn(move || write(run, writer))));
        thread::sleep(Duration::from_secs(seconds));
        run.is_over.store(true, Ordering::Relaxed);
    });
    println!("the server used {:.1} s of processor time", served.processor_seconds() - before);
    let is_good = tell(run, seconds);
    served.stop();
    herd.remove(&url);
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads each account until its database is watched and its groups are remembered.
fn warm(served: &Served, accounts: &[Account]) {
    let mut connection = Connection::open(served.address);
    for _ in 0..3 {
        for account in accounts {
            for group in 0..GROUPS {
                assert_eq!(connection.ask(&get(account, group)), 200);
            }
        }
        thread::sleep(Duration::from_secs(2));
    }
}

fn get(account: &Account, group: usize) -> String {
    let path = account.path(&format!("/{}", id(group + 1)));
    request("GET", &path, &format!("X-Auth-Token: {}", account.token), "")
}

impl Run<'_> {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).expect("a short run")
    }

    /// The number in a group, as the server answers it. 0 before the first write.
    fn number(&self, connection: &mut Connection, place: usize) -> u64 {
        let answer = connection.answer(&get(&self.accounts[place / GROUPS], place % GROUPS));
        assert_eq!(answer.status, 200, "{answer:?}");
        let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
        told["data"]["n"].as_u64().unwrap_or(0)
    }
}

/// Calls `step` at a steady rate, whether or not the one before took long, until the run is over. `step` gets
/// the time when it should have begun.
fn at_rate(run: &Run<'_>, rate: f64, first: f64, mut step: impl FnMut(Instant)) {
    for count in 0.. {
        let due = run.begun + Duration::from_secs_f64((f64::from(count) + first) / rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if run.is_over.load(Ordering::Relaxed) {
            return;
        }
        step(due);
    }
}

fn read(run: &Run<'_>, reader: usize) {
    let mut connection = Connection::open(run.served.address);
    let mut seen = vec![0; run.groups.len()];
    let mut own = Vec::new();
    let mut random = reader as u64 + 1;
    let share = reader as f64 / READERS as f64;
    at_rate(run, (READS_A_SECOND / READERS) as f64, share, |due| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = (random >> 33) as usize % run.groups.len();
        let group = &run.groups[place];
        // In this order: if a write is answered in between, the time is too new, and the read is not judged.
        let written = group.written.load(Ordering::SeqCst);
        let is_late = run.now() > group.answered.load(Ordering::SeqCst) + GRACE.as_micros() as u64;
        let number = run.number(&mut connection, place);
        own.push(due.elapsed());
        run.stale.fetch_add(usize::from(is_late && number < written), Ordering::Relaxed);
        run.went_back.fetch_add(usize::from(number < seen[place]), Ordering::Relaxed);
        seen[place] = number;
    });
    run.reads.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
}

/// Writes groups that no other writer writes, and then reads until the write shows.
fn write(run: &Run<'_>, writer: usize) {
    let (mut couch, mut connection) = (run.direct.open(), Connection::open(run.served.address));
    let mut own = Vec::new();
    let mut next = writer;
    let share = writer as f64 / WRITERS as f64;
    at_rate(run, (WRITES_A_SECOND / WRITERS) as f64, share, |_| {
        let place = next % run.groups.len();
        // No pattern of accounts: 37 and the number of groups have no common divisor.
        next += WRITERS * 37;
        let path = format!("{}/{}", run.accounts[place / GROUPS].db_path(), id(place % GROUPS + 1));
        let stored = couch.answer(&request("GET", &path, &run.direct.authorization, ""));
        let mut doc: Value = serde_json::from_slice(&stored.body).expect("JSON");
        let number = doc["n"].as_u64().unwrap_or(0) + 1;
        doc["n"] = json!(number);
        let put = request("PUT", &path, &run.direct.authorization, &doc.to_string());
        assert!(matches!(couch.ask(&put), 201 | 202), "{path}");
        let answered = Instant::now();
        let group = &run.groups[place];
        group.answered.store(run.now(), Ordering::SeqCst);
        group.written.store(number, Ordering::SeqCst);
        while run.number(&mut connection, place) < number {
            thread::sleep(Duration::from_micros(500));
        }
        own.push(answered.elapsed());
    });
    run.lags.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
}

fn tell(run: Run<'_>, seconds: u64) -> bool {
    let sorted = |times: Mutex<Vec<Duration>>| {
        let mut times = times.into_inner().unwrap_or_else(PoisonError::into_inner);
        times.sort();
        times
    };
    let at = |times: &[Duration], share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (lags, reads) = (sorted(run.lags), sorted(run.reads));
    println!("{} reads and {} writes in {seconds} s, {ACCOUNTS} accounts", reads.len(), lags.len());
    let (stale, went_back) = (run.stale.into_inner(), run.went_back.into_inner());
    let lag = at(&lags, 0.999);
    let read = at(&reads, 0.99);
    let all = [
        report(stale == 0, &format!("stale reads: {stale}")),
        report(went_back == 0, &format!("reads that went back in time: {went_back}")),
        report(lag <= MOST_LAG, &format!("a write shows after {:.1?}, p99.9 {lag:.1?}", at(&lags, 0.5))),
        report(read <= MOST_READ, &format!("a read takes {:.1?}, p99 {read:.1?}", at(&reads, 0.5))),
    ];
    all.into_iter().all(|is_good| is_good)
}
