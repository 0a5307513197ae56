//! A client of another tenant that reads one small group every five milliseconds on a kept connection, and
//! remembers its slowest read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::wire::{Kept, Request};
use crate::world::{Account, GROUP};

/// How long one read may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// The reads of a phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    pub(crate) count: u64,
    pub(crate) slowest: Duration,
    /// What came in place of the group, and how often.
    pub(crate) others: BTreeMap<String, u64>,
}

impl Reads {
    /// These reads and others.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.count += other.count;
        self.slowest = self.slowest.max(other.slowest);
        for (what, count) in &other.others {
            *self.others.entry(what.clone()).or_insert(0) += count;
        }
        self
    }

    /// What was wrong with the answers.
    pub(crate) fn faults(&self, who: &str) -> Vec<String> {
        let mut faults: Vec<_> =
            self.others.iter().map(|(what, count)| format!("{who} got {what} {count} times")).collect();
        if self.count == 0 {
            faults.push(format!("{who} read nothing"));
        }
        faults
    }

    fn add(&mut self, took: Duration, other: Option<String>) {
        self.count += 1;
        self.slowest = self.slowest.max(took);
        if let Some(other) = other {
            *self.others.entry(other).or_insert(0) += 1;
        }
    }
}

/// The client at work.
pub(crate) struct Probe {
    shared: Arc<Shared>,
    client: JoinHandle<()>,
}

struct Shared {
    reads: Mutex<(Reads, Option<Instant>)>,
    stop: AtomicBool,
}

impl Probe {
    /// Begins to read.
    pub(crate) fn begin(address: SocketAddr, account: &Account) -> Self {
        let request = Request::new("GET", account.groups(&format!("/{GROUP}"))).token(&account.token);
        let shared = Arc::new(Shared { reads: Mutex::default(), stop: AtomicBool::new(false) });
        let ours = Arc::clone(&shared);
        let client = thread::spawn(move || {
            let mut connection = Kept::new(address, PATIENCE);
            while !ours.stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                ours.set_waiting(Some(begun));
                let answer = connection.ask(&request);
                let took = begun.elapsed();
                let other = match answer {
                    Ok(answer) if answer.status == 200 => None,
                    Ok(answer) => Some(answer.status.to_string()),
                    Err(error) => Some(format!("no answer ({:?})", error.kind())),
                };
                let was_refused = other.is_some();
                if let Ok(mut reads) = ours.reads.lock() {
                    reads.0.add(took, other);
                    reads.1 = None;
                }
                // A server that is gone would be asked in a tight loop.
                thread::sleep(if was_refused { PAUSE * 4 } else { PAUSE });
            }
        });
        Self { shared, client }
    }

    /// Ends a phase and answers its reads. A read that still waits belongs to the next phase, and its wait so
    /// far to this one.
    pub(crate) fn next_phase(&self) -> Reads {
        let Ok(mut reads) = self.shared.reads.lock() else { return Reads::default() };
        let mut ended = std::mem::take(&mut reads.0);
        if let Some(since) = reads.1 {
            ended.slowest = ended.slowest.max(since.elapsed());
        }
        ended
    }

    /// Ends the client after its last read.
    pub(crate) fn end(self) -> Reads {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = self.client.join();
        self.shared.reads.lock().map(|reads| reads.0.clone()).unwrap_or_default()
    }
}

impl Shared {
    fn set_waiting(&self, since: Option<Instant>) {
        if let Ok(mut reads) = self.reads.lock() {
            reads.1 = since;
        }
    }
}
