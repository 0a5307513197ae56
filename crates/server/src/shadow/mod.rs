//! Copies of requests that another server is asked too (`--shadow`), and how many of the answers are the same. A
//! request only leaves a copy of its head, if there is room, and never waits. The number of copies in a second is
//! bounded, and so is their memory. `commands/shadow_worker.rs` compares the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::counterpart::is_failing;
use crate::logging::Throttle;
use crate::metrics::{Kind, Metrics, Reading, number_of_u64};
use crate::request::header_names;
use crate::request::incoming::{Copied, Incoming};

/// How many copies wait at most, and how large each may be, in bytes. Together they take less than 5 MB.
const QUEUE: usize = 256;
const MOST_COPIED: usize = 16 * 1024;

/// How many requests without good credentials are looked at in a second. Anybody can send these.
const STRANGERS_PER_SECOND: u32 = 1;

/// The headers that a copy has.
const COPIED_HEADERS: [&str; 11] = [
    "accept",
    "accept-language",
    "authorization",
    "if-match",
    "if-none-match",
    "origin",
    "x-auth-account-id",
    "x-auth-token",
    "x-forwarded-for",
    "x-pretty-print",
    "x-request-id",
];

/// What is known of a request when it is answered.
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// Whether its credentials are good.
    pub(crate) is_known: bool,
}

/// Takes copies of requests.
pub(crate) struct Shadow {
    queue: Sender<Copied>,
    all: Throttle,
    strangers: Throttle,
    counts: Arc<Counts>,
}

/// The copies that wait to be looked at.
pub(crate) type Copies = Receiver<Copied>;

impl Shadow {
    /// Compares at most this many requests in a second.
    pub(crate) fn new(per_second: u32, counts: Arc<Counts>) -> (Self, Copies) {
        let (queue, copies) = mpsc::channel(QUEUE);
        let (all, strangers) = (Throttle::new(per_second), Throttle::new(STRANGERS_PER_SECOND));
        (Self { queue, all, strangers, counts }, copies)
    }

    /// How many requests had each outcome.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes a copy of a GET of groups, if it is to be compared and there is room.
    pub(crate) fn note(&self, incoming: &Incoming<'_>, answered: &Answered) {
        if !is_wanted(incoming, answered) {
            return;
        }
        let now = Instant::now();
        let may_pass =
            (answered.is_known || self.strangers.admit(now).is_some()) && self.all.admit(now).is_some();
        let size = incoming.path.len().saturating_add(incoming.query.len());
        let copied = (may_pass && size <= MOST_COPIED)
            .then(|| Copied::with_headers(incoming, &COPIED_HEADERS))
            .filter(|copied| copied.headers_size() <= MOST_COPIED);
        if copied.is_none_or(|copied| self.queue.try_send(copied).is_err()) {
            self.counts.note(Outcome::Dropped);
        }
    }
}

/// Whether an answer says something about both servers.
fn is_wanted(incoming: &Incoming<'_>, answered: &Answered) -> bool {
    let Incoming { path, query, headers, .. } = incoming;
    // The other server's own question, or one of a server that shadows this one: it would go round for ever.
    if headers.contains_key(&header_names::X_SHADOW) {
        return false;
    }
    // A password that is shown again counts as one more guess.
    let is_token = !headers.contains_key(&header_names::AUTHORIZATION) && !query.contains("authorization");
    !is_failing(answered.status)
        && (answered.is_known || is_token)
        && comparison::is_comparable(&target_of(path, query))
}

/// The path and the query of a request.
pub(crate) fn target_of(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// What became of a request that might be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Same,
    Differs,
    /// One of the servers gave no answer that could be compared, or the answers differ in another place each time.
    Unanswered,
    /// There was no room, or the rate was reached.
    Dropped,
}

/// How many requests had each outcome.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    same: AtomicU64,
    differs: AtomicU64,
    unanswered: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// Counts a request.
    pub(crate) fn note(&self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Same => &self.same,
            Outcome::Differs => &self.differs,
            Outcome::Unanswered => &self.unanswered,
            Outcome::Dropped => &self.dropped,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Each outcome and its count.
    fn all(&self) -> [(&'static str, u64); 4] {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("same", count(&self.same)),
            ("differs", count(&self.differs)),
            ("unanswered", count(&self.unanswered)),
            ("dropped", count(&self.dropped)),
        ]
    }

    /// The counts as the health check shows them.
    pub(crate) fn shown(&self) -> Value {
        self.all().into_iter().map(|(outcome, count)| (outcome, Value::from(count))).collect()
    }

    /// Shows the counts as a metric.
    pub(crate) fn register(self: &Arc<Self>, metrics: &Metrics) {
        let counts = Arc::clone(self);
        metrics.read(Reading {
            name: "shadow_requests",
            help: "Reads that might be compared with the other server's answers",
            kind: Kind::Counter,
            label: "outcome",
            values: Box::new(move || {
                let all = counts.all().into_iter();
                all.map(|(outcome, count)| (outcome.to_owned(), number_of_u64(count))).collect()
            }),
        });
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
