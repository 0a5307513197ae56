//! The turns for large bodies and rows. Many calls may run at once, and all of them may have large answers. A client
//! reads few of these at once, so they take little memory, and the server is not asked for more than the client can
//! take. Databases take turns: those of one database never hold all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body or a row with more bytes than this is large.
pub(crate) const LARGE: usize = 256 * 1024;

/// How many large bodies and rows a client reads at once, and how many of one database.
const MOST: usize = 3;
const MOST_OF_DB: usize = 2;

/// The turns of a client. All its answers share them.
#[derive(Clone, Debug)]
pub(crate) struct LargeTurns(Arc<Turns>);

#[derive(Debug)]
struct Turns {
    all: Arc<Semaphore>,
    /// The databases that have or want a turn.
    of_dbs: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// The turns for the answers about one database.
#[derive(Debug)]
pub(crate) struct LargeOfDb {
    turns: LargeTurns,
    db: String,
}

/// The turn to read one large body or row. Dropping it lets another one be read.
#[derive(Debug)]
pub(crate) struct LargeTurn {
    /// `None` if the semaphore was closed, which never happens.
    _permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Default for LargeTurns {
    fn default() -> Self {
        Self(Arc::new(Turns { all: Arc::new(Semaphore::new(MOST)), of_dbs: Mutex::default() }))
    }
}

impl LargeTurns {
    /// The turns for answers about `db`. Answers about no database share the empty name.
    pub(crate) fn of_db(&self, db: &str) -> LargeOfDb {
        LargeOfDb { turns: self.clone(), db: db.to_owned() }
    }
}

impl LargeOfDb {
    /// Waits for a turn. A database waits for its own turns first, so that it never has more than two answers
    /// in the queue for the turns of all.
    pub(crate) async fn turn(&self) -> LargeTurn {
        let of_db = self.of_db().acquire_owned().await.ok();
        let of_all = Arc::clone(&self.turns.0.all).acquire_owned().await.ok();
        LargeTurn { _permits: of_db.zip(of_all) }
    }

    fn of_db(&self) -> Arc<Semaphore> {
        let mut of_dbs = self.turns.0.of_dbs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = of_dbs.get(&self.db).and_then(Weak::upgrade) {
            return known;
        }
        of_dbs.retain(|_, known| known.strong_count() > 0);
        let new = Arc::new(Semaphore::new(MOST_OF_DB));
        of_dbs.insert(self.db.clone(), Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::{LargeTurns, MOST, MOST_OF_DB};
    use futures::FutureExt as _;

    #[tokio::test]
    async fn a_database_leaves_a_turn_to_the_others() {
        let turns = LargeTurns::default();
        let (greedy, other) = (turns.of_db("a"), turns.of_db("b"));
        let held: Vec<_> = (0..MOST_OF_DB).map(|_| greedy.turn().now_or_never().unwrap()).collect();
        let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(greedy.turn())).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        let _others: Vec<_> = (0..MOST - MOST_OF_DB).map(|_| other.turn().now_or_never().unwrap()).collect();
        assert!(other.turn().now_or_never().is_none());
        drop(waiting);
        drop(held);
        assert!(greedy.turn().now_or_never().is_some());
        drop(turns.of_db("c").of_db());
        assert!(turns.0.of_dbs.lock().unwrap().len() <= 3);
    }
}
