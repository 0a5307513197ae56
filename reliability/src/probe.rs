//! Clients of another tenant. Each sends one small request every five milliseconds on a kept connection, mostly the
//! read of a small group. The slowest answer counts. There is one for each worker of the server, which get connections in turn.

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
/// How many clients there are.
const CLIENTS: usize = 2;
const PAUSE: Duration = Duration::from_millis(5);

/// The reads of a phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    pub(crate) count: u64,
    pub(crate) slowest: Duration,
    /// The answers other than the group, and how often each came.
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

    /// The faults in the answers.
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

/// The read of an account's small group.
pub(crate) fn read_one(account: &Account) -> Request {
    Request::new("GET", account.groups(&format!("/{GROUP}"))).token(&account.token)
}

/// The clients at work.
pub(crate) struct Probe {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    /// The reads of this phase, and since when each client waits.
    reads: Mutex<(Reads, [Option<Instant>; CLIENTS])>,
    stop: AtomicBool,
}

impl Probe {
    /// Begins to read a small group.
    pub(crate) fn begin(address: SocketAddr, account: &Account) -> Self {
        Self::asking(address, read_one(account))
    }

    /// Begins to send this request.
    pub(crate) fn asking(address: SocketAddr, request: Request) -> Self {
        let shared = Arc::new(Shared { reads: Mutex::default(), stop: AtomicBool::new(false) });
        let client = |number| {
            let (shared, request) = (Arc::clone(&shared), request.clone());
            thread::spawn(move || shared.read(number, address, &request))
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { shared, clients }
    }

    /// Ends a phase and answers its reads. A read that still waits belongs to the next phase, and its wait so
    /// far to this one.
    pub(crate) fn next_phase(&self) -> Reads {
        let Ok(mut reads) = self.shared.reads.lock() else { return Reads::default() };
        let mut ended = std::mem::take(&mut reads.0);
        for since in reads.1.iter().flatten() {
            ended.slowest = ended.slowest.max(since.elapsed());
        }
        ended
    }

    /// Ends the clients after their last reads.
    pub(crate) fn end(self) -> Reads {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            let _ = client.join();
        }
        self.shared.reads.lock().map(|reads| reads.0.clone()).unwrap_or_default()
    }
}

impl Shared {
    /// Reads until `stop` is set.
    fn read(&self, number: usize, address: SocketAddr, request: &Request) {
        let mut connection = Kept::new(address, PATIENCE);
        while !self.stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            self.set_waiting(number, begun);
            let answer = connection.ask(request);
            let took = begun.elapsed();
            let other = match answer {
                Ok(answer) if answer.status == 200 => None,
                Ok(answer) => Some(answer.status.to_string()),
                Err(error) => Some(format!("no answer ({:?})", error.kind())),
            };
            // A server that is gone would be asked in a tight loop.
            let pause = if other.is_some() { PAUSE * 4 } else { PAUSE };
            if let Ok(mut reads) = self.reads.lock() {
                reads.0.add(took, other);
                reads.1[number] = None;
            }
            thread::sleep(pause);
        }
    }

    fn set_waiting(&self, number: usize, since: Instant) {
        if let Ok(mut reads) = self.reads.lock() {
            reads.1[number] = Some(since);
        }
    }
}
