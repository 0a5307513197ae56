//! A queue that serves databases in turn. A database with many waiting jobs delays only its own.

use std::collections::{HashMap, VecDeque};

/// Waiting jobs. The jobs of one database leave in the order in which they came.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    waiting: HashMap<i64, VecDeque<T>>,
    /// The databases with waiting jobs. The first one is next.
    turns: VecDeque<i64>,
}

impl<T> FairQueue<T> {
    pub(crate) fn new() -> Self {
        Self { waiting: HashMap::new(), turns: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Adds a job behind the other jobs of its database.
    pub(crate) fn push(&mut self, db: i64, job: T) {
        let jobs = self.waiting.entry(db).or_default();
        if jobs.is_empty() {
            self.turns.push_back(db);
        }
        jobs.push_back(job);
    }

    /// Takes the oldest job of the next database, and moves that database to the end of the line. A
    /// database whose oldest job may not run keeps its place.
    pub(crate) fn pop_if(&mut self, may_run: impl Fn(i64, &T) -> bool) -> Option<(i64, T)> {
        let oldest = |db: &i64| self.waiting.get(db).and_then(VecDeque::front);
        let at = self.turns.iter().position(|db| oldest(db).is_some_and(|job| may_run(*db, job)))?;
        let db = self.turns.remove(at)?;
        let jobs = self.waiting.get_mut(&db)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            self.waiting.remove(&db);
        } else {
            self.turns.push_back(db);
        }
        Some((db, job))
    }
}

#[cfg(test)]
mod tests {
    use super::FairQueue;

    #[test]
    fn databases_take_turns_and_keep_their_own_order() {
        let mut queue = FairQueue::new();
        for job in ["a1", "a2", "a3", "b1", "c1", "c2"] {
            queue.push(i64::from(job.as_bytes()[0]), job);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop_if(|_, _| true)).map(|(_, job)| job).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "c2", "a3"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_database_that_must_wait_keeps_its_place() {
        let mut queue = FairQueue::new();
        for (db, job) in [(1, "a1"), (2, "b1"), (2, "b2")] {
            queue.push(db, job);
        }
        assert_eq!(queue.pop_if(|db, _| db != 1), Some((2, "b1")));
        assert_eq!(queue.pop_if(|db, _| db > 2), None);
        assert_eq!(queue.pop_if(|_, _| true), Some((1, "a1")));
        assert_eq!(queue.pop_if(|_, _| true), Some((2, "b2")));
    }
}
