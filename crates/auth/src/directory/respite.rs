//! Short times in which conclusions from cached documents count without another look at each of them.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datastore::DbName;

use super::memory::Lifetimes;

/// The longest respite.
const LONGEST: Duration = Duration::from_secs(1);

/// How many counters there are. Databases share them, so a respite may end although another database was concerned.
const STRIPES: usize = 256;

/// A time in which a conclusion from the documents of some databases counts. It ends early if the cache reads or
/// forgets a document of these databases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Respite {
    until: Instant,
    /// The sum of the databases' counters. They only grow.
    since: u64,
}

/// Gives respites, and counts what ends them.
pub(super) struct Respites {
    length: Duration,
    hasher: RandomState,
    stripes: Box<[AtomicU64]>,
}

impl Respites {
    /// Respites beside a cache with these lifetimes, and the lifetimes that are left to the cache. A conclusion is
    /// drawn while its documents are in the cache, so none counts for longer than a document alone would.
    pub(super) fn beside(lifetimes: Lifetimes) -> (Self, Lifetimes) {
        let Lifetimes { present, absent } = lifetimes;
        let length = (present.min(absent) / 5).min(LONGEST);
        let stripes = (0..STRIPES).map(|_| AtomicU64::new(0)).collect();
        let left =
            Lifetimes { present: present.saturating_sub(length), absent: absent.saturating_sub(length) };
        (Self { length, hasher: RandomState::new(), stripes }, left)
    }

    /// A respite for a conclusion from documents of these databases that are looked up after this call.
    pub(super) fn begin(&self, databases: &[&DbName]) -> Respite {
        Respite { until: Instant::now() + self.length, since: self.count(databases) }
    }

    /// Whether a respite that began with these databases lasts.
    pub(super) fn lasts(&self, respite: Respite, databases: &[&DbName]) -> bool {
        Instant::now() < respite.until && respite.since == self.count(databases)
    }

    /// Ends the respites of a database: one of its documents was read, or forgotten.
    pub(super) fn end(&self, db: &DbName) {
        if let Some(stripe) = self.stripes.get(self.number(db)) {
            stripe.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn count(&self, databases: &[&DbName]) -> u64 {
        let stripes = databases.iter().filter_map(|db| self.stripes.get(self.number(db)));
        stripes.fold(0, |sum, stripe| sum.wrapping_add(stripe.load(Ordering::Acquire)))
    }

    fn number(&self, db: &DbName) -> usize {
        usize::try_from(self.hasher.hash_one(db)).unwrap_or_default() % STRIPES
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datastore::DbName;

    use super::Respites;
    use crate::directory::memory::Lifetimes;

    fn respites(present: u64, absent: u64) -> (Respites, Lifetimes) {
        let (present, absent) = (Duration::from_millis(present), Duration::from_millis(absent));
        Respites::beside(Lifetimes { present, absent })
    }

    #[test]
    fn a_respite_and_a_document_together_do_not_count_longer_than_the_document_did() {
        for (present, absent, length) in [(60_000, 5_000, 1_000), (20, 5_000, 4), (60_000, 0, 0), (0, 0, 0)] {
            let (respites, left) = respites(present, absent);
            let length = Duration::from_millis(length);
            assert_eq!(respites.length, length);
            assert_eq!(left.present + length, Duration::from_millis(present));
            assert_eq!(left.absent + length, Duration::from_millis(absent));
        }
    }

    #[test]
    fn a_respite_ends_with_its_time_or_with_news_of_its_databases() {
        let [a, b, c] = ["a", "b", "c"].map(|name| DbName::parse(name).unwrap());
        let (long, short) = (respites(60_000, 60_000).0, respites(5, 5).0);
        let respite = short.begin(&[&a]);
        std::thread::sleep(Duration::from_millis(3));
        assert!(!short.lasts(respite, &[&a]));

        let respite = long.begin(&[&a, &b]);
        // With bad luck, two databases share a counter.
        if [&a, &b].iter().all(|db| long.number(db) != long.number(&c)) {
            long.end(&c);
        }
        assert!(long.lasts(respite, &[&a, &b]));
        for db in [&a, &b] {
            let respite = long.begin(&[&a, &b]);
            long.end(db);
            assert!(!long.lasts(respite, &[&a, &b]));
        }
    }
}
