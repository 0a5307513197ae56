//! The newest changes of a database that somebody watches. A feed that has read everything before takes the next
//! changes from here, and not from the file.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use datastore::{DocId, Rev};

/// How many changes of a database are kept: more than come while a watching feed rests.
const KEPT: usize = 64;

/// A change that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) seq: i64,
    pub(crate) id: DocId,
    pub(crate) rev: Rev,
    pub(crate) deleted: bool,
}

/// The newest changes of a database.
#[derive(Debug)]
pub(crate) struct Recent(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    /// All changes after this sequence are here.
    after: i64,
    changes: VecDeque<Committed>,
}

impl Recent {
    /// Nothing has changed after `seq` yet.
    pub(crate) fn new(seq: i64) -> Self {
        Self(Mutex::new(Kept { after: seq, changes: VecDeque::new() }))
    }

    /// Adds the changes of a commit that ends at `head`, if somebody watches the database.
    pub(crate) fn add(&self, changes: Vec<Committed>, head: i64, is_watched: bool) {
        let mut kept = self.lock();
        if !is_watched {
            *kept = Kept { after: head, changes: VecDeque::new() };
            return;
        }
        for change in changes {
            if kept.changes.len() >= KEPT
                && let Some(oldest) = kept.changes.pop_front()
            {
                kept.after = oldest.seq;
            }
            kept.changes.push_back(change);
        }
    }

    /// The changes after `from`, up to and including `head`: of each document the newest. `None` if some of them
    /// are not kept.
    pub(crate) fn between(&self, from: i64, head: i64) -> Option<Vec<Committed>> {
        let kept = self.lock();
        if kept.after > from {
            return None;
        }
        let (mut seen, mut wanted) = (HashSet::new(), Vec::new());
        for change in kept.changes.iter().rev().take_while(|change| change.seq > from) {
            if seen.insert(&change.id) && change.seq <= head {
                wanted.push(change.clone());
            }
        }
        wanted.reverse();
        Some(wanted)
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use datastore::{DocId, Rev};

    use super::{Committed, KEPT, Recent};

    fn change(seq: i64) -> Committed {
        change_of(&format!("doc{seq}"), seq)
    }

    fn change_of(id: &str, seq: i64) -> Committed {
        let rev = Rev::parse(&format!("{seq}-a")).unwrap();
        Committed { seq, id: DocId::parse(id).unwrap(), rev, deleted: false }
    }

    fn seqs(recent: &Recent, from: i64, head: i64) -> Option<Vec<i64>> {
        let changes = recent.between(from, head)?;
        Some(changes.into_iter().map(|change| change.seq).collect())
    }

    #[test]
    fn only_what_is_kept_whole_is_answered() {
        let recent = Recent::new(10);
        recent.add(vec![change(11), change(12)], 12, true);
        assert_eq!(seqs(&recent, 9, 12), None, "what came before is in the file alone");
        assert_eq!(seqs(&recent, 10, 12), Some(vec![11, 12]));
        assert_eq!(seqs(&recent, 10, 11), Some(vec![11]));
        assert_eq!(seqs(&recent, 12, 12), Some(vec![]));
        recent.add(vec![change(13)], 13, false);
        assert_eq!(seqs(&recent, 12, 13), None, "nobody watched");
        assert_eq!(seqs(&recent, 13, 13), Some(vec![]));
    }

    #[test]
    fn a_document_is_told_once() {
        let recent = Recent::new(0);
        recent.add(vec![change_of("a", 1), change_of("b", 2), change_of("a", 3)], 3, true);
        assert_eq!(seqs(&recent, 0, 3), Some(vec![2, 3]));
        assert_eq!(seqs(&recent, 0, 2), Some(vec![2]), "the other one comes with its newest change");
    }

    #[test]
    fn the_oldest_changes_give_way() {
        let (recent, most) = (Recent::new(0), i64::try_from(KEPT).unwrap());
        recent.add((1..=most + 2).map(change).collect(), most + 2, true);
        assert_eq!(seqs(&recent, 1, most + 2), None);
        assert_eq!(seqs(&recent, 2, most + 2), Some((3..=most + 2).collect()));
    }
}
