//! The budget for reads of unknown ids in `system_auth`. A client can make up ids of keys and of bearer
//! documents. The first few ids are read one by one, so that a new key works at once. When the budget is used
//! up, the ids in the database are listed at most every few seconds, and only listed ids are read.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use datastore::{Backend, Deadline, DocId, Result, ViewQuery, if_found};
use futures::TryStreamExt as _;
use kazoo::SystemDb;

use crate::limits::{Bucket, Capacity};

/// How many ids are kept. Kazoo stores its keys in this database, and links to accounts at other services.
const MAX_IDS: u64 = 10_000;

/// The budget. All clients share one bucket, since one attacker can have many addresses.
pub(super) struct UnknownIds(Mutex<Bucket>);

impl UnknownIds {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Bucket::full(Capacity::DEFAULT, Instant::now())))
    }

    /// Takes one read out of the budget. False if the budget is used up.
    pub(super) fn allow(&self) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(1, Capacity::DEFAULT, Instant::now())
    }
}

/// Lists the ids in `system_auth`. `None` if there are more than [`MAX_IDS`].
pub(super) async fn load_ids(store: &dyn Backend, deadline: Deadline) -> Result<Option<HashSet<DocId>>> {
    let query = ViewQuery { limit: Some(MAX_IDS + 1), ..ViewQuery::all_docs() };
    let Some(rows) = if_found(store.query(SystemDb::SystemAuth.name(), query, deadline).await)? else {
        return Ok(Some(HashSet::new()));
    };
    let ids: HashSet<_> = rows.map_ok(|row| row.id).try_collect().await?;
    Ok(u64::try_from(ids.len()).is_ok_and(|count| count <= MAX_IDS).then_some(ids))
}
