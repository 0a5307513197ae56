//! Clients that behave: a mix of reads, listings and writes at a fixed rate. A request's time counts from when
//! it was due, so that a stall shows in all the requests that it holds up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::wire::{Kept, Request};
use crate::world::{Account, GROUP};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the clients saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    times: Vec<Duration>,
    /// What came in place of a success, and how often.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Served {
    pub(crate) fn count(&self) -> usize {
        self.times.len()
    }

    /// The share of requests that succeeded, in thousandths.
    pub(crate) fn thousandths(&self) -> u64 {
        let failed: u64 = self.failures.values().sum();
        let all = u64::try_from(self.times.len()).unwrap_or(0);
        if all == 0 { 0 } else { all.saturating_sub(failed) * 1000 / all }
    }

    /// The time that so many hundredths of the requests stayed below.
    pub(crate) fn percentile(&self, hundredths: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        let place = (times.len() * hundredths / 100).min(times.len().saturating_sub(1));
        times.get(place).copied().unwrap_or_default()
    }

    fn merge(mut self, other: Self) -> Self {
        self.times.extend(other.times);
        for (what, count) in other.failures {
            *self.failures.entry(what).or_insert(0) += count;
        }
        self
    }
}

/// Runs so many clients until they are told to stop. `interval` is the time between two requests of one
/// client; without one, each sends as fast as it is answered.
pub(crate) fn run(
    address: SocketAddr,
    account: &Account,
    clients: usize,
    interval: Option<Duration>,
    stop: &AtomicBool,
) -> Served {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| scope.spawn(move || client(address, account, number, interval, stop)))
            .collect();
        let served = clients.into_iter().map(|client| client.join().unwrap_or_default());
        served.fold(Served::default(), Served::merge)
    })
}

fn client(
    address: SocketAddr,
    account: &Account,
    number: usize,
    interval: Option<Duration>,
    stop: &AtomicBool,
) -> Served {
    let mut connection = Kept::new(address, PATIENCE);
    let mut served = Served::default();
    let begin = Instant::now();
    let mut due = begin;
    for sent in 0_usize.. {
        if let Some(interval) = interval {
            due += interval;
            while Instant::now() < due && !stop.load(Ordering::Relaxed) {
                thread::sleep(due.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)));
            }
        } else {
            due = Instant::now();
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let answer = connection.ask(&request(account, number, sent));
        served.times.push(due.elapsed());
        let failure = match answer {
            Ok(answer) if matches!(answer.status, 200 | 201) => continue,
            Ok(answer) => answer.status.to_string(),
            Err(error) => format!("no answer ({:?})", error.kind()),
        };
        *served.failures.entry(failure).or_insert(0) += 1;
        // A server that is gone would be asked in a tight loop.
        thread::sleep(Duration::from_millis(20));
    }
    served
}

/// The groups that the clients change, as lines for `import`.
pub(crate) fn seed(account: &Account, clients: usize) -> Vec<String> {
    (0..clients).map(|number| account.line(&format!("crowd{number}"), &json!({"name": "crowd"}))).collect()
}

/// Of ten requests, six read a group, two list, and two write. Each client changes a group of its own, so
/// that nothing grows and nothing conflicts.
fn request(account: &Account, number: usize, sent: usize) -> Request {
    let own = account.groups(&format!("/crowd{number}"));
    let change = |body: serde_json::Value| json!({"data": body}).to_string();
    let request = match sent % 10 {
        2 => Request::new("POST", own).json(change(json!({"name": "crowd", "sent": sent}))),
        7 => Request::new("PATCH", own).json(change(json!({"sent": sent}))),
        4 => Request::new("GET", account.groups("")),
        9 => Request::new("GET", account.groups_of_user("")),
        _ => Request::new("GET", account.groups(&format!("/{GROUP}"))),
    };
    request.token(&account.token)
}
