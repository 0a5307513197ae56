//! The budget for ids of `system_auth` that nobody has seen yet. A client can make up ids of keys and of
//! bearer documents. The first few are read one by one, so that a new key counts at once. Beyond that, only
//! ids that were in the database a moment ago are read, so that made-up ids cost next to nothing.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use datastore::{Backend, Deadline, DocId, Result, ViewQuery};
use futures::TryStreamExt as _;
use kazoo::SystemDb;

use super::found::if_found;
use crate::limits::{Bucket, Capacity};

/// How many ids are held. Kazoo keeps its keys in this database, and the accounts that people have linked.
const MAX_IDS: u64 = 10_000;

/// One bucket for all clients, since one attacker can have many addresses.
pub(super) struct Guesses(Mutex<Bucket>);

impl Guesses {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Bucket::full(Capacity::DEFAULT, Instant::now())))
    }

    /// Whether the budget still allows a read of an id that may be made up.
    pub(super) fn allow(&self) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(1, Capacity::DEFAULT, Instant::now())
    }
}

/// The ids in `system_auth`; none if there are more than [`MAX_IDS`].
pub(super) async fn load_ids(store: &dyn Backend, deadline: Deadline) -> Result<Option<HashSet<DocId>>> {
    let query = ViewQuery { limit: Some(MAX_IDS + 1), ..ViewQuery::all_docs() };
    let Some(rows) = if_found(store.query(SystemDb::SystemAuth.name(), query, deadline).await)? else {
        return Ok(Some(HashSet::new()));
    };
    let ids: HashSet<_> = rows.map_ok(|row| row.id).try_collect().await?;
    Ok(u64::try_from(ids.len()).is_ok_and(|count| count <= MAX_IDS).then_some(ids))
}
