//! Keeps the marks: removes those that nobody needs, shows in the roster that this server lives, and finishes
//! the work of servers that do not.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use datastore::{Backoff, Deadline, Result};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::left_behind::node_of;
use crate::marks::{LINGER, PATIENCE};
use crate::teller::Teller;

/// How often this server shows that it lives, and looks for others.
const BEAT: Duration = Duration::from_secs(20);

/// A server whose entry has not changed for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// How often marks are looked through.
const SWEEP: Duration = Duration::from_secs(2);

/// The pauses between two attempts of a recovery.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(60) };

/// How long the last removal of marks may take when the server stops.
const LAST_PATIENCE: Duration = Duration::from_millis(250);

/// What this server has seen of the others.
#[derive(Default)]
struct Watch {
    /// The last beat of each node, and since when it is the last.
    beats: HashMap<String, (Value, Instant)>,
    /// The nodes whose work is being finished.
    taken: HashSet<String>,
}

impl Watch {
    /// Takes note of the roster, and answers the nodes that are gone.
    fn look(&mut self, entries: &[(String, Value)], now: Instant) -> Vec<String> {
        self.beats.retain(|node, _| entries.iter().any(|(other, _)| other == node));
        let mut gone = Vec::new();
        for (node, beat) in entries {
            let seen = self.beats.entry(node.clone()).or_insert_with(|| (beat.clone(), now));
            if seen.0 != *beat {
                *seen = (beat.clone(), now);
            } else if now.duration_since(seen.1) >= GONE_AFTER && self.taken.insert(node.clone()) {
                gone.push(node.clone());
            }
        }
        gone
    }
}

/// Keeps the marks until `stop` ends.
pub(crate) async fn run(teller: &Teller, stop: impl Future<Output = ()>) {
    tokio::select! {
        () = stop => {}
        () = keep(teller) => {}
    }
}

/// The three go on side by side: a select that waited in one of its branches would hold up the others.
async fn keep(teller: &Teller) {
    futures::join!(recover(teller), sweep(teller), watch(teller));
}

/// Removes marks that nobody needs, and finds out about doubtful writes.
async fn sweep(teller: &Teller) {
    loop {
        let deadline = Deadline::after(PATIENCE);
        teller.settle_doubts(deadline).await;
        teller.marks.sweep(LINGER, deadline).await;
        sleep(SWEEP).await;
    }
}

/// Shows that this server lives, and finishes the work of others that do not.
async fn watch(teller: &Teller) {
    let mut watch = Watch::default();
    let mut takeovers: FuturesUnordered<BoxFuture<'_, (String, Result<()>)>> = FuturesUnordered::new();
    let mut next_beat = beat(teller).boxed();
    loop {
        tokio::select! {
            others = &mut next_beat => {
                match others {
                    Ok(others) => {
                        for node in watch.look(&others, Instant::now()) {
                            let taken = teller.take_over(node.clone());
                            takeovers.push(taken.map(|outcome| (node, outcome)).boxed());
                        }
                    }
                    Err(error) => log::warn!("the roster of servers was not read or written: {error}"),
                }
                next_beat = sleep(BEAT).then(|()| beat(teller)).boxed();
            }
            Some((node, outcome)) = takeovers.next() => {
                watch.taken.remove(&node);
                match outcome {
                    Ok(()) => drop(watch.beats.remove(&node)),
                    Err(error) => {
                        log::warn!(node = node.as_str(); "the work of a server that is gone was not finished: {error}");
                    }
                }
            }
        }
    }
}

/// Removes what may be removed when the server stops.
pub(crate) async fn end(teller: &Teller) {
    let deadline = Deadline::after(LAST_PATIENCE);
    teller.marks.sweep(Duration::ZERO, deadline).await;
    if !teller.has_doubts()
        && let Err(error) = teller.marks.sign_off(deadline).await
    {
        log::warn!("this server stays in the roster, and its next start looks for marks: {error}");
    }
}

/// Finishes the work of an earlier run, as often as it takes.
async fn recover(teller: &Teller) {
    let mut failures: u32 = 0;
    while let Err(error) = teller.recover().await {
        failures = failures.saturating_add(1);
        log::warn!("the writes of an earlier run are not told yet: {error}");
        sleep(BACKOFF.delay(failures)).await;
    }
}

/// Shows that this server lives, reads the configuration, and answers the beats of the others.
async fn beat(teller: &Teller) -> Result<Vec<(String, Value)>> {
    let deadline = Deadline::after(PATIENCE);
    let marks = &teller.marks;
    teller.prepare(deadline).await?;
    teller.read_configuration(deadline).await?;
    let (own, others): (Vec<_>, Vec<_>) =
        marks.roster(deadline).await?.into_iter().partition(|entry| entry.name == marks.name());
    marks.beat(deadline).await?;
    if own.is_empty() {
        log::warn!("another server assumed that this one was dead; the marks are written again");
        marks.set_again(deadline).await?;
    }
    let beat_of = |entry: datastore::LocalDocument| {
        let node = node_of(&entry)?.to_owned();
        Some((node, entry.body.get("beat").cloned().unwrap_or_default()))
    };
    Ok(others.into_iter().filter_map(beat_of).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::{GONE_AFTER, Watch};

    #[test]
    fn a_server_whose_entry_stays_the_same_for_a_minute_is_gone() {
        let (mut watch, began) = (Watch::default(), Instant::now());
        let entries =
            |one: u64, other: u64| vec![("a".to_owned(), json!(one)), ("b".to_owned(), json!(other))];
        assert!(watch.look(&entries(1, 1), began).is_empty());
        assert!(watch.look(&entries(2, 1), began + GONE_AFTER / 2).is_empty());
        assert_eq!(watch.look(&entries(2, 1), began + GONE_AFTER), ["b"]);
        assert!(watch.look(&entries(3, 1), began + GONE_AFTER * 2).is_empty(), "its work is being finished");
        // It came back, and its entry was removed or not: it is looked at anew.
        watch.taken.clear();
        assert!(watch.look(&entries(4, 2), began + GONE_AFTER * 3).is_empty());
        assert!(watch.look(&[], began + GONE_AFTER * 9).is_empty());
        assert!(watch.look(&entries(4, 2), began + GONE_AFTER * 10).is_empty());
    }
}
