//! Finishes the work of a server that was killed: its own earlier run, or another server. The group documents
//! that changed since a mark are told once more, whoever wrote them.

use std::collections::HashMap;
use std::sync::Arc;

use datastore::{Change, ChangesQuery, DbName, Deadline, DocId, Result, Since};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kazoo::{AccountId, SystemDb};
use tokio::sync::mpsc;

use crate::left_behind::{LeftBehind, PREFIX};
use crate::marks::{AT_ONCE, Hold, MarkedDb, PATIENCE};
use crate::notice::{DocKey, Event, Facts, Notice};
use crate::teller::Teller;

/// How many changes are read at once.
const PAGE: u64 = 500;

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

/// Does something for each database, some at once. One that fails holds up no other one; the first failure is answered.
async fn all_of<T, F: Future<Output = Result<T>>>(
    dbs: Vec<DbName>,
    work: impl Fn(DbName) -> F,
) -> Result<Vec<T>> {
    let outcomes: Vec<_> = stream::iter(dbs).map(work).buffer_unordered(AT_ONCE).collect().await;
    outcomes.into_iter().collect()
}

impl Teller {
    /// Tells what an earlier run of this server has left, if it was killed.
    pub(crate) async fn recover(&self) -> Result<()> {
        self.prepare(soon()).await?;
        if !self.marks.must_recover() {
            return Ok(());
        }
        log::info!("an earlier run of this server has left writes untold: they are told now");
        let dbs = self.account_dbs().await?;
        let marked = all_of(dbs, |db| self.recover_db(db)).await?.into_iter().filter(|found| *found).count();
        self.marks.end_recovery();
        log::info!(accounts = marked; "the writes that an earlier run has left are told");
        Ok(())
    }

    async fn account_dbs(&self) -> Result<Vec<DbName>> {
        let dbs = self.marks.store.list_dbs(soon()).await?;
        Ok(dbs.into_iter().filter(|db| AccountId::of_db(db).is_some()).collect())
    }

    /// Answers whether there was a mark.
    async fn recover_db(&self, db: DbName) -> Result<bool> {
        let hold = self.marks.hold(&db);
        let left = match self.marks.adopt(&hold.db, soon()).await {
            Ok(Some(left)) => left,
            Ok(None) => return Ok(false),
            // It was deleted meanwhile.
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error),
        };
        // The notes go with the notices of their deletions, or with this hold.
        let holds = |note: Option<String>| {
            let mut hold = self.marks.hold(&db);
            hold.note = note;
            Hold::Own(hold)
        };
        let mut unused = self.replay(&hold.db, left, &holds).await?;
        for (_, (note, _)) in unused.drain() {
            drop(holds(Some(note)));
        }
        self.marks.recovered(&hold.db).await;
        Ok(true)
    }

    /// Finishes the work of another server that is gone.
    pub(crate) async fn take_over(&self, node: String) -> Result<()> {
        log::warn!(node = node.as_str(); "another server is gone and has left writes untold: they are told now");
        let dbs = self.account_dbs().await?;
        all_of(dbs, |db| self.take_over_db(db, &node)).await?;
        let entry = format!("{PREFIX}{node}");
        self.marks.store.delete_local(SystemDb::SystemConfig.name(), &entry, soon()).await?;
        log::info!(node = node.as_str(); "the writes of the server that is gone are told");
        Ok(())
    }

    async fn take_over_db(&self, db: DbName, node: &str) -> Result<()> {
        let store = &self.marks.store;
        let left = match LeftBehind::read(&**store, &db, node, soon()).await {
            Ok(left) => left,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        if left.seq.is_none() {
            return Ok(());
        }
        let notes: Vec<String> = left.deletions.values().map(|(note, _)| note.clone()).collect();
        let (keeps, mut all_gone) = mpsc::channel(1);
        {
            let hold = self.marks.hold(&db);
            self.replay(&hold.db, left, &|_| Hold::Other(keeps.clone())).await?;
        }
        drop(keeps);
        // Nothing is ever sent: the end of the channel is the end of the last notice.
        let _ = all_gone.recv().await;
        for name in notes.into_iter().chain([format!("{PREFIX}{node}")]) {
            store.delete_local(&db, &name, soon()).await?;
        }
        Ok(())
    }

    /// Tells the changes of a database since a mark. Answers the deletions that were not made.
    async fn replay(
        &self,
        db: &Arc<MarkedDb>,
        left: LeftBehind,
        hold: &(dyn Fn(Option<String>) -> Hold + Sync),
    ) -> Result<HashMap<DocId, (String, Facts)>> {
        let LeftBehind { seq, mut deletions } = left;
        let Some(mut seq) = seq else { return Ok(deletions) };
        let _recovering = db.recovering();
        loop {
            self.queue.wait_for_room().await;
            let since = Since::Seq(seq.clone());
            let query =
                ChangesQuery { since, limit: Some(PAGE), include_docs: true, ..ChangesQuery::default() };
            let mut changes = self.marks.store.changes(&db.name, query);
            let mut count = 0;
            while let Some(change) = changes.try_next().await? {
                count += 1;
                seq.clone_from(&change.seq);
                let deletion = deletions.remove(&change.id);
                let (note, facts) = deletion.map_or((None, None), |(note, facts)| (Some(note), Some(facts)));
                // The note ends with this hold, whether there is a notice or not.
                let hold = hold(note);
                let key = DocKey { db: db.name.clone(), id: change.id.clone() };
                if let Some(notice) = self.judge(&key, change, facts)? {
                    self.tell_found(db, hold, Arc::new(key), notice);
                }
            }
            if count < PAGE {
                return Ok(deletions);
            }
        }
    }

    /// The notice of a change, if it is one of a group. `was` are the facts of a document that this server, or
    /// the one whose work it finishes, was about to delete.
    fn judge(&self, key: &DocKey, change: Change, was: Option<Facts>) -> Result<Option<Notice>> {
        if !self.tells_of(&key.db, &key.id) {
            return Ok(None);
        }
        let (event, facts) = match (change.deleted, &change.doc) {
            (true, _) => match was {
                Some(facts) => (Event::Deleted, facts),
                // Whoever has deleted it has told of it.
                None => return Ok(None),
            },
            (false, Some(document)) => {
                let facts = Facts::of_document(document)?;
                (Event::of_save(change.rev.generation() == 1, &facts), facts)
            }
            (false, None) => return Ok(None),
        };
        if !facts.may_be_of_group() || !self.tells_kind(facts.kind()) {
            return Ok(None);
        }
        Ok(Some(Notice::new(key, change.rev, event, &facts)))
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
