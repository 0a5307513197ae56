//! The nodes of a cluster, and which of them gets the next request: the first one that is well. It knows neither
//! connections nor requests.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore::Backoff;
use hyper::Uri;
use reqwest::header::HeaderValue;
use tokio::time::Instant;

use crate::error::{Call, Error};
use crate::login::{Login, Turn};
use crate::server_url::ServerUrl;

/// The pauses between two questions whether a node that is down is well again.
const PROBES: Backoff = Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(5) };

/// How many questions in a row a node leaves unanswered before it counts as down.
const PATIENCE: u32 = 2;

/// The nodes, in the order of preference.
#[derive(Debug)]
pub(crate) struct Nodes {
    first: Node,
    further: Vec<Node>,
}

/// One node.
pub(crate) struct Node {
    pub(crate) url: ServerUrl,
    /// Its root for requests over plain HTTP. `None` if it wants TLS.
    pub(crate) plain: Option<Uri>,
    pub(crate) authorization: Option<HeaderValue>,
    login: Login,
    is_down: AtomicBool,
    /// Answers with 202: not every copy had the write.
    accepted: AtomicU64,
    health: Mutex<Health>,
}

/// Whether a node answers requests.
#[derive(Default)]
struct Health {
    /// How many in a row it has not answered.
    unanswered: u32,
    /// When it may be asked again.
    next: Option<Instant>,
}

impl Nodes {
    pub(crate) fn new(first: &ServerUrl, further: &[ServerUrl]) -> Self {
        let node = |url: &ServerUrl| Node {
            url: url.clone(),
            plain: url.plain(),
            authorization: url.authorization(),
            login: Login::default(),
            is_down: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            health: Mutex::default(),
        };
        Self { first: node(first), further: further.iter().map(node).collect() }
    }

    /// Whether there is no other node to go to.
    pub(crate) fn is_alone(&self) -> bool {
        self.further.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.first).chain(&self.further)
    }

    /// The node for the next attempt of a request: the first one that is well and was not tried, else the first one
    /// that was not tried. `None` if all were.
    pub(crate) fn choose(&self, tried: &Tried) -> Option<(usize, &Node)> {
        let mut untried = self.iter().enumerate().filter(|(number, _)| !tried.0.contains(number));
        let first = untried.next()?;
        if !first.1.is_down() {
            return Some(first);
        }
        Some(untried.find(|(_, node)| !node.is_down()).unwrap_or(first))
    }

    /// The node for the first attempt of a request.
    pub(crate) fn preferred(&self) -> (usize, &Node) {
        self.choose(&Tried::default()).unwrap_or((0, &self.first))
    }

    /// The nodes that are down and may be asked now whether they are well.
    pub(crate) fn due(&self) -> impl Iterator<Item = usize> {
        let nodes = self.iter().enumerate();
        nodes.filter(|(_, node)| node.is_down() && node.may_be_asked()).map(|(number, _)| number)
    }

    pub(crate) fn get(&self, number: usize) -> Option<&Node> {
        self.iter().nth(number)
    }
}

/// The nodes that a request has been sent to.
#[derive(Debug, Default)]
pub(crate) struct Tried(Vec<usize>);

impl Tried {
    pub(crate) fn add(&mut self, number: usize) {
        self.0.push(number);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Node {
    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Notes an answer with 202 to writes of so many documents.
    pub(crate) fn note_accepted(&self, documents: u64) {
        self.accepted.fetch_add(documents, Ordering::Relaxed);
    }

    /// Waits until the password may be sent. `None` if there is none.
    pub(crate) async fn login_turn(&self, call: &Call) -> Result<Option<Turn<'_>>, Error> {
        match self.authorization {
            Some(_) => self.login.turn(call).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether the node may be asked now if it is well. Then nobody else may for a while.
    pub(crate) fn may_be_asked(&self) -> bool {
        let mut health = self.health();
        let now = Instant::now();
        if health.next.is_some_and(|next| now < next) {
            return false;
        }
        health.next = Some(now + PROBES.delay(health.unanswered.max(1)));
        true
    }

    /// The node has answered.
    pub(crate) fn note_well(&self) {
        let mut health = self.health();
        health.unanswered = 0;
        if self.is_down.swap(false, Ordering::AcqRel) {
            health.next = None;
            log::info!(node:% = self.url; "a CouchDB node answers again and is used");
        }
    }

    /// The node has not answered a question.
    pub(crate) fn note_unanswered(&self, why: &dyn fmt::Display) {
        let mut health = self.health();
        health.unanswered = health.unanswered.saturating_add(1);
        if health.unanswered >= PATIENCE {
            self.put_down(why);
        }
    }

    /// The node takes no connections.
    pub(crate) fn note_down(&self, why: &dyn fmt::Display) {
        let mut health = self.health();
        health.unanswered = health.unanswered.max(PATIENCE);
        self.put_down(why);
    }

    /// The caller holds the lock, so that nobody says the opposite meanwhile.
    fn put_down(&self, why: &dyn fmt::Display) {
        if !self.is_down.swap(true, Ordering::AcqRel) {
            log::warn!(node:% = self.url; "a CouchDB node does not answer and is left out: {why}");
        }
    }

    /// Nothing panics while it holds this lock.
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("url", &self.url)
            .field("is_down", &self.is_down())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::{Nodes, Tried};
    use crate::server_url::ServerUrl;

    fn nodes() -> Nodes {
        let urls: [ServerUrl; 3] = ["http://a", "http://b", "http://c"].map(|url| url.parse().unwrap());
        Nodes::new(&urls[0], &urls[1..])
    }

    fn check(nodes: &Nodes, tried: &[usize], expected: Option<usize>) {
        let chosen = nodes.choose(&Tried(tried.to_vec())).map(|(number, _)| number);
        assert_eq!(chosen, expected, "{tried:?}");
    }

    #[test]
    fn the_first_node_that_is_well_is_chosen() {
        let nodes = nodes();
        check(&nodes, &[], Some(0));
        check(&nodes, &[0], Some(1));
        check(&nodes, &[0, 1, 2], None);
        nodes.first.note_down(&"x");
        check(&nodes, &[], Some(1));
        check(&nodes, &[1], Some(2));
        check(&nodes, &[1, 2], Some(0));
        for node in nodes.iter() {
            node.note_down(&"x");
        }
        check(&nodes, &[], Some(0));
        check(&nodes, &[0], Some(1));
        nodes.further[1].note_well();
        check(&nodes, &[], Some(2));
        nodes.first.note_well();
        check(&nodes, &[], Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_down_after_two_unanswered_questions_and_is_asked_with_pauses() {
        let nodes = nodes();
        let node = &nodes.first;
        node.note_unanswered(&"x");
        assert!(!node.is_down());
        node.note_well();
        node.note_unanswered(&"x");
        assert!(!node.is_down());
        node.note_unanswered(&"x");
        assert!(node.is_down());
        let mut asked = 0;
        for _ in 0..600 {
            let due: Vec<_> = nodes.due().collect();
            if !due.is_empty() {
                asked += 1;
                node.note_unanswered(&"x");
            }
            advance(Duration::from_millis(100)).await;
        }
        assert!((10..=20).contains(&asked), "{asked} in a minute");
        node.note_well();
        assert_eq!(nodes.due().count(), 0);
    }
}
