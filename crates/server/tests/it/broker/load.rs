//! Clients that write groups all the time, and what they were told.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::rabbit::Heard;
use crate::account::Account;
use crate::http_client::try_send;

/// Running clients. Each has a few groups of its own, which it creates and then saves again and again.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Written>>,
}

/// What was acknowledged.
#[derive(Default)]
pub(crate) struct Written {
    /// The last acknowledged revision of each group.
    pub(crate) last: HashMap<String, String>,
    pub(crate) acknowledged: usize,
    /// Requests that got an answer other than success.
    pub(crate) failed: usize,
    pub(crate) slowest: Duration,
    /// When each revision was acknowledged, since 1970, and how long the request took.
    pub(crate) times: Vec<(String, Duration, Duration)>,
}

impl Load {
    /// Starts clients. Each pauses between two requests.
    pub(crate) fn start(account: &Account, clients: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let start = |_| {
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            let (address, id, token) = (account.server().address, account.id.clone(), account.token.clone());
            std::thread::spawn(move || write(address, &id, &token, pause, (&stop, &acknowledged)))
        };
        let clients = (0..clients).map(start).collect();
        Self { stop, acknowledged, clients }
    }

    pub(crate) fn run_for(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// Waits until this many writes are acknowledged.
    pub(crate) fn wait_for(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.acknowledged.load(Ordering::SeqCst) < count {
            assert!(Instant::now() < deadline, "the server acknowledges nothing");
            std::thread::yield_now();
        }
    }

    /// Stops the clients, and answers what was acknowledged.
    pub(crate) fn stop(self) -> Written {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Written::default();
        for client in self.clients {
            let written = client.join().unwrap();
            all.last.extend(written.last);
            all.times.extend(written.times);
            all.acknowledged += written.acknowledged;
            all.failed += written.failed;
            all.slowest = all.slowest.max(written.slowest);
        }
        all
    }
}

fn write(
    address: SocketAddr,
    account: &str,
    token: &str,
    pause: Duration,
    (stop, acknowledged): (&AtomicBool, &AtomicUsize),
) -> Written {
    let mut written = Written::default();
    let ids: Vec<String> = (0..5).map(|_| datastore::random_hex()).collect();
    let headers = [
        ("X-Auth-Token".to_owned(), token.to_owned()),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    let mut next = Instant::now();
    for number in 0_usize.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        next += pause;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let id = &ids[number % ids.len()];
        let (method, target) = if number < ids.len() {
            ("PUT", format!("/v2/accounts/{account}/groups"))
        } else {
            ("POST", format!("/v2/accounts/{account}/groups/{id}"))
        };
        let body = json!({"data": {"id": id, "name": format!("group {number}")}}).to_string();
        let begun = Instant::now();
        let Ok(answer) = try_send(address, method, &target, &headers, body.as_bytes()) else {
            // The server was killed.
            break;
        };
        let took = begun.elapsed();
        written.slowest = written.slowest.max(took);
        if !(200..300).contains(&answer.status) {
            written.failed += 1;
            continue;
        }
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let Ok(envelope) = serde_json::from_slice::<Value>(&answer.body) else { break };
        let rev = envelope["revision"].as_str().unwrap().to_owned();
        written.times.push((rev.clone(), at, took));
        written.last.insert(id.clone(), rev);
        written.acknowledged += 1;
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    written
}

fn generation(rev: &str) -> u64 {
    rev.split('-').next().unwrap().parse().unwrap()
}

impl Written {
    /// The groups whose last acknowledged revision, or a later one, was not told.
    pub(crate) fn missing(&self, heard: &[Heard]) -> Vec<String> {
        let mut newest: HashMap<&str, u64> = HashMap::new();
        for heard in heard {
            let seen = newest.entry(heard.says("ID")).or_default();
            *seen = (*seen).max(generation(heard.says("Rev")));
        }
        let is_missing = |(id, rev): &(&String, &String)| {
            newest.get(id.as_str()).is_none_or(|newest| *newest < generation(rev))
        };
        self.last.iter().filter(is_missing).map(|(id, _)| id.clone()).collect()
    }

    /// Checks that the revisions of each group came in order, though some came twice, and the last one last.
    pub(crate) fn check_order(&self, heard: &[Heard]) {
        for (id, last) in &self.last {
            let revs: Vec<_> =
                heard.iter().filter(|heard| heard.says("ID") == id).map(|heard| heard.says("Rev")).collect();
            let generations: Vec<_> = revs.iter().map(|rev| generation(rev)).collect();
            assert!(generations.is_sorted(), "{id}: {generations:?}");
            assert_eq!(revs.last(), Some(&last.as_str()), "{id}");
        }
    }

    /// How many acknowledged revisions were never told.
    pub(crate) fn untold(&self, heard: &[Heard]) -> usize {
        let told: HashSet<_> =
            heard.iter().map(|heard| (heard.says("ID"), generation(heard.says("Rev")))).collect();
        let of_group = |(id, last): (&String, &String)| {
            (1..=generation(last)).filter(|generation| !told.contains(&(id.as_str(), *generation))).count()
        };
        self.last.iter().map(of_group).sum()
    }
}
