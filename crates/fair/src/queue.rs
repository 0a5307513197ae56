//! A queue that serves its owners in turn. An owner with many waiting jobs delays only its own.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Waiting jobs. The jobs of one owner, such as a database or an account, leave in the order in which they came.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    waiting: HashMap<K, VecDeque<T>>,
    /// The owners with waiting jobs. The first one is next.
    turns: VecDeque<K>,
}

impl<K, T> Default for FairQueue<K, T> {
    fn default() -> Self {
        Self { waiting: HashMap::new(), turns: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, T> FairQueue<K, T> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no job waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Adds a job behind the other jobs of its owner.
    pub fn push(&mut self, owner: K, job: T) {
        if let Some(jobs) = self.waiting.get_mut(&owner) {
            jobs.push_back(job);
        } else {
            self.turns.push_back(owner.clone());
            self.waiting.insert(owner, VecDeque::from([job]));
        }
    }

    /// Takes the oldest job of the next owner, and moves that owner to the end of the line. An owner whose oldest
    /// job may not run keeps its place.
    pub fn pop_if(&mut self, may_run: impl Fn(&K, &T) -> bool) -> Option<(K, T)> {
        let oldest = |owner: &K| self.waiting.get(owner).and_then(VecDeque::front);
        let at = self.turns.iter().position(|owner| oldest(owner).is_some_and(|job| may_run(owner, job)))?;
        let owner = self.turns.remove(at)?;
        let jobs = self.waiting.get_mut(&owner)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            self.waiting.remove(&owner);
        } else {
            self.turns.push_back(owner.clone());
        }
        Some((owner, job))
    }
}

#[cfg(test)]
mod tests {
    use super::FairQueue;

    #[test]
    fn owners_take_turns_and_keep_their_own_order() {
        let mut queue = FairQueue::new();
        for job in ["a1", "a2", "a3", "b1", "c1", "c2"] {
            queue.push(job.as_bytes()[0], job);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop_if(|_, _| true)).map(|(_, job)| job).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "c2", "a3"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn an_owner_that_must_wait_keeps_its_place() {
        let mut queue = FairQueue::new();
        for (owner, job) in [(1, "a1"), (2, "b1"), (2, "b2")] {
            queue.push(owner, job);
        }
        assert_eq!(queue.pop_if(|owner, _| *owner != 1), Some((2, "b1")));
        assert_eq!(queue.pop_if(|owner, _| *owner > 2), None);
        assert_eq!(queue.pop_if(|_, _| true), Some((1, "a1")));
        assert_eq!(queue.pop_if(|_, _| true), Some((2, "b2")));
    }
}
