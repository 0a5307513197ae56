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

/// The answers that the clients got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    /// How long each success took.
    times: Vec<Duration>,
    /// The failures, and how often each came.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Served {
    /// The number of requests.
    pub(crate) fn count(&self) -> usize {
        self.times.len() + usize::try_from(self.failures.values().sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// The number of requests that succeeded.
    pub(crate) fn successes(&self) -> usize {
        self.times.len()
    }

    /// The share of requests that succeeded, in thousandths.
    pub(crate) fn thousandths(&self) -> u64 {
        u64::try_from(self.times.len() * 1000 / self.count().max(1)).unwrap_or(0)
    }

    /// The time below which this many hundredths of the successes stayed.
    pub(crate) fn percentile(&self, hundredths: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        let place = (times.len() * hundredths / 100).min(times.len().saturating_sub(1));
        times.get(place).copied().unwrap_or_default()
    }

    /// Counts a success.
    pub(crate) fn succeeded(&mut self, after: Duration) {
        self.times.push(after);
    }

    /// Counts a failure.
    pub(crate) fn failed(&mut self, what: String) {
        *self.failures.entry(what).or_insert(0) += 1;
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.times.extend(other.times);
        for (what, count) in other.failures {
            *self.failures.entry(what).or_insert(0) += count;
        }
        self
    }
}

/// The requests of each client, and their rate.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Makes a request from the client's number and the number of its request.
    pub(crate) request: fn(&Account, usize, usize) -> Request,
    /// The time between two requests. Without it, a client sends as fast as it is answered.
    pub(crate) interval: Option<Duration>,
}

/// Runs `clients` clients until `stop` is set.
pub(crate) fn run(
    address: SocketAddr,
    account: &Account,
    clients: usize,
    pace: Pace,
    stop: &AtomicBool,
) -> Served {
    thread::scope(|scope| {
        let begin = |number| {
            let work = move || client(address, account, number, pace, stop);
            thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, work).ok()
        };
        let clients: Vec<_> = (0..clients).filter_map(begin).collect();
        let served = clients.into_iter().map(|client| client.join().unwrap_or_default());
        served.fold(Served::default(), Served::merge)
    })
}

fn client(address: SocketAddr, account: &Account, number: usize, pace: Pace, stop: &AtomicBool) -> Served {
    let mut connection = Kept::new(address, PATIENCE);
    let mut served = Served::default();
    let mut due = Instant::now();
    if let Some(interval) = pace.interval {
        // Not all at once.
        due += interval * u32::try_from(number % 1000).unwrap_or(0) / 1000;
    }
    for sent in 0_usize.. {
        if let Some(interval) = pace.interval {
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
        let answer = connection.ask(&(pace.request)(account, number, sent));
        let failure = match answer {
            Ok(answer) if matches!(answer.status, 200 | 201) => {
                served.succeeded(due.elapsed());
                continue;
            }
            Ok(answer) => answer.status.to_string(),
            Err(error) => format!("no answer ({:?})", error.kind()),
        };
        served.failed(failure);
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
pub(crate) fn mix(account: &Account, number: usize, sent: usize) -> Request {
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
