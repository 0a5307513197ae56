//! Keeps the marks: removes those that nobody needs, shows in the roster that this server lives, and finishes
//! the work of servers that do not.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use datastore::{Backoff, Deadline, LocalDocument, Result};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, sleep, timeout_at};

use crate::log_throttle::LogThrottle;
use crate::marks::{LINGER, PATIENCE};
use crate::teller::Teller;
use crate::turns::Turns;

/// How often this server shows that it lives, and looks for others.
const BEAT: Duration = Duration::from_secs(20);

/// The pause after an attempt that failed. Other servers should see soon that this one lives.
const BEAT_AGAIN: Duration = Duration::from_secs(1);

/// After a longer time without a look, the others have their whole time again.
const LONGEST_GAP: Duration = Duration::from_secs(45);

/// How often the log repeats that the roster cannot be read or written.
const LOG_PAUSE: Duration = Duration::from_secs(20);

/// A server whose entry has not changed for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// How often marks are looked through.
const SWEEP: Duration = Duration::from_secs(2);

/// The pauses between two attempts of a recovery.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(60) };

/// How long the server may take to stop, with the last notices.
const LAST_PATIENCE: Duration = Duration::from_millis(850);

/// How many calls are made at once when the server stops. No request waits for the store then.
const LAST_AT_ONCE: usize = 32;

/// How often marks are looked through while the last notices leave.
const LAST_SWEEP: Duration = Duration::from_millis(20);

/// What this server has seen of the others.
#[derive(Default)]
struct Watch {
    /// The last entry of each node, and since when it is the last.
    beats: HashMap<String, (LocalDocument, Instant)>,
    /// The nodes whose work is being finished.
    taken: HashSet<String>,
    looked_at: Option<Instant>,
}

impl Watch {
    /// Takes note of the roster, and answers the nodes that are gone, with their last entries.
    fn look(&mut self, entries: &[(String, LocalDocument)], now: Instant) -> Vec<(String, LocalDocument)> {
        // While this server did not look, perhaps because its machine stood still, so may have the others.
        if self.looked_at.replace(now).is_some_and(|at| now.duration_since(at) > LONGEST_GAP) {
            self.miss();
        }
        self.beats.retain(|node, _| entries.iter().any(|(other, _)| other == node));
        let mut gone = Vec::new();
        for (node, entry) in entries {
            let seen = self.beats.entry(node.clone()).or_insert_with(|| (entry.clone(), now));
            if seen.0 != *entry {
                *seen = (entry.clone(), now);
            } else if now.duration_since(seen.1) >= GONE_AFTER && self.taken.insert(node.clone()) {
                gone.push((node.clone(), entry.clone()));
            }
        }
        gone
    }

    /// The roster could not be read. Perhaps the others could not write it either, so they have their whole time again.
    fn miss(&mut self) {
        self.beats.clear();
    }
}

/// Keeps the marks until `stop` ends.
pub(crate) async fn run(teller: &Teller, stop: impl Future<Output = ()>) {
    tokio::select! {
        () = stop => {}
        () = keep(teller) => {}
    }
}

/// The three run side by side, so that none holds up the others.
async fn keep(teller: &Teller) {
    futures::join!(recover(teller), sweep(teller), watch(teller));
}

/// Removes marks that nobody needs, and finds out about doubtful writes.
async fn sweep(teller: &Teller) {
    let turns = &teller.marks.turns;
    loop {
        turns.call(async { teller.settle_doubts(Deadline::after(PATIENCE)).await }).await;
        teller.marks.sweep(LINGER, turns, Deadline::after(PATIENCE)).await;
        sleep(SWEEP).await;
    }
}

/// Shows that this server lives, and finishes the work of others that do not.
async fn watch(teller: &Teller) {
    let (mut watch, failures) = (Watch::default(), LogThrottle::new(LOG_PAUSE));
    let mut takeovers: FuturesUnordered<BoxFuture<'_, (String, Result<()>)>> = FuturesUnordered::new();
    let mut next_beat = beat(teller).boxed();
    loop {
        tokio::select! {
            others = &mut next_beat => {
                let pause = match others {
                    Ok(others) => {
                        for (node, entry) in watch.look(&others, Instant::now()) {
                            let taken = teller.take_over(node.clone(), entry);
                            takeovers.push(taken.map(|outcome| (node, outcome)).boxed());
                        }
                        BEAT
                    }
                    Err(error) => {
                        watch.miss();
                        if failures.is_time() {
                            log::warn!("the roster of servers was not read or written: {error}");
                        }
                        BEAT_AGAIN
                    }
                };
                next_beat = sleep(pause).then(|()| beat(teller)).boxed();
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

/// Removes the marks of databases whose notices have left. It goes on until `sent` ends: then no more notices leave.
pub(crate) async fn clear(teller: &Teller, sent: impl Future<Output = ()>) {
    let turns = Turns::new(LAST_AT_ONCE);
    let clear = async {
        loop {
            teller.marks.sweep(Duration::ZERO, &turns, Deadline::after(PATIENCE)).await;
            sleep(LAST_SWEEP).await;
        }
    };
    tokio::select! {
        () = sent => {}
        () = clear => {}
    }
}

/// Removes the marks and the entry of a server that stops, as far as they are not needed. It began to stop at `began`.
pub(crate) async fn end(teller: &Teller, began: Instant) {
    let deadline = Deadline::after(LAST_PATIENCE.saturating_sub(began.elapsed()));
    let marks = &teller.marks;
    let is_done = teller.doubt_count() == 0 && marks.are_needless();
    // This comes first: if there is no time to remove the marks, the entry says that they mean nothing.
    let has_marks = || marks.len() > 0 || marks.must_recover();
    let mut ended = if is_done && has_marks() { marks.roster.finish(deadline).await } else { Ok(()) };
    let turns = Turns::new(LAST_AT_ONCE);
    let swept = marks.sweep(Duration::ZERO, &turns, deadline);
    // What is not removed in time is counted below.
    let _ = timeout_at(deadline.instant().into(), swept).await;
    let accounts = marks.len();
    if is_done && accounts > 0 {
        log::info!(accounts; "all change notices are sent; the next start removes the marks that are left");
    } else if accounts > 0 {
        log::warn!(accounts; "marks are left: the next start sends the notices of these accounts once more");
    }
    if is_done && !has_marks() && ended.is_ok() {
        ended = marks.roster.sign_off(deadline).await;
    }
    if let Err(error) = ended {
        log::warn!("this server stays in the roster, and its next start looks for marks: {error}");
    }
}

/// Finishes the work of an earlier run, as often as it takes.
async fn recover(teller: &Teller) {
    let mut failures: u32 = 0;
    while let Err(error) = teller.recover().await {
        failures = failures.saturating_add(1);
        log::warn!("the notices of an earlier run are not sent yet: {error}");
        sleep(BACKOFF.delay(failures)).await;
    }
}

/// Shows that this server lives, reads the configuration, and answers the entries of the others. It waits for no turn:
/// if it were late, others would take this server for dead.
pub(crate) async fn beat(teller: &Teller) -> Result<Vec<(String, LocalDocument)>> {
    let deadline = Deadline::after(PATIENCE);
    teller.prepare(deadline).await?;
    teller.read_configuration(deadline).await?;
    teller.marks.beat(deadline).await?;
    teller.marks.roster.others(deadline).await
}

#[cfg(test)]
mod tests {
    use datastore::LocalDocument;
    use serde_json::{Map, json};
    use tokio::time::Instant;

    use super::{GONE_AFTER, Watch};

    fn entry(node: &str, beat: u64) -> (String, LocalDocument) {
        let body = Map::from_iter([("write".to_owned(), json!(beat))]);
        (node.to_owned(), LocalDocument { name: node.to_owned(), body })
    }

    #[test]
    fn a_server_whose_entry_stays_the_same_for_a_minute_is_gone() {
        let (mut watch, began) = (Watch::default(), Instant::now());
        let entries = |one: u64, other: u64| vec![entry("a", one), entry("b", other)];
        assert!(watch.look(&entries(1, 1), began).is_empty());
        assert!(watch.look(&entries(2, 1), began + GONE_AFTER / 2).is_empty());
        assert_eq!(watch.look(&entries(2, 1), began + GONE_AFTER), [entry("b", 1)]);
        assert!(watch.look(&entries(3, 1), began + GONE_AFTER * 2).is_empty(), "its work is being finished");
        // It came back, and its entry was removed or not: it is looked at anew.
        watch.taken.clear();
        assert!(watch.look(&entries(4, 2), began + GONE_AFTER * 3).is_empty());
        assert!(watch.look(&[], began + GONE_AFTER * 9).is_empty());
        assert!(watch.look(&entries(4, 2), began + GONE_AFTER * 10).is_empty());
    }

    /// While the store is away, no server can write its entry.
    #[test]
    fn the_time_in_which_the_roster_could_not_be_read_does_not_count() {
        let (mut watch, began) = (Watch::default(), Instant::now());
        let entries = [entry("a", 1)];
        assert!(watch.look(&entries, began).is_empty());
        watch.miss();
        let back = began + GONE_AFTER * 2;
        assert!(watch.look(&entries, back).is_empty(), "it had no time to write its entry again");
        assert!(watch.look(&entries, back + GONE_AFTER / 2).is_empty());
        assert_eq!(watch.look(&entries, back + GONE_AFTER), entries);
        // Nor does a time in which it was not even tried.
        let (mut watch, entries) = (Watch::default(), [entry("a", 1)]);
        assert!(watch.look(&entries, began).is_empty());
        assert!(watch.look(&entries, began + GONE_AFTER * 2).is_empty());
    }
}
