//! The layer of a store that sees every write. It marks the database before the write. When the store has acknowledged
//! the write, it puts the notice into the queue.

use std::sync::Arc;

use datastore::{Backend, DbName, Deadline, DocId, Draft, Layer, Result, Rev, StoreError, if_found};
use futures::future::BoxFuture;

use crate::marked_db::OwnHold;
use crate::notice::{DocKey, Facts};
use crate::queue::Slot;
use crate::teller::{Attempt, AttemptKind, Stamp, Teller};

/// A store whose writes have notices.
pub(crate) struct ToldWrites {
    pub(crate) inner: Arc<dyn Backend>,
    pub(crate) teller: Arc<Teller>,
}

/// A write that is being made. If it is dropped before its end, nobody knows whether it was done.
struct OpenWrite {
    teller: Arc<Teller>,
    open: Option<(Slot, OwnHold, Attempt)>,
}

impl OpenWrite {
    fn end(mut self, ended: std::result::Result<&Rev, &StoreError>) {
        match ended {
            Ok(rev) => {
                if let Some((slot, hold, attempt)) = self.open.take() {
                    // The slot goes last, so that no later revision leaves first.
                    self.teller.tell(hold, Arc::clone(slot.key()), &attempt, rev.clone());
                }
            }
            Err(error) if leaves_open(error) => {}
            Err(_) => self.open = None,
        }
    }
}

impl Drop for OpenWrite {
    fn drop(&mut self) {
        if let Some((slot, hold, attempt)) = self.open.take() {
            self.teller.doubt(hold, Arc::clone(slot.key()), attempt);
        }
    }
}

/// Whether a write may have been done although it failed.
fn leaves_open(error: &StoreError) -> bool {
    (error.is_retryable() && !error.is_busy()) || matches!(error, StoreError::Corrupt(_))
}

impl ToldWrites {
    fn open(&self, hold: OwnHold, key: DocKey, attempt: Attempt) -> OpenWrite {
        let slot = self.teller.queue.open(Arc::new(key));
        OpenWrite { teller: Arc::clone(&self.teller), open: Some((slot, hold, attempt)) }
    }

    /// Prepares the notice of a save. `None` if the document has no notices.
    async fn open_save(&self, db: &DbName, draft: &Draft, deadline: Deadline) -> Result<Option<OpenWrite>> {
        if !self.teller.tells_of(db, &draft.id) {
            return Ok(None);
        }
        self.teller.prepare(deadline).await?;
        let facts = Facts::of(&draft.body);
        if !self.teller.tells_kind(facts.kind()) {
            return Ok(None);
        }
        let kind = AttemptKind::Save(Stamp::of(&draft.body));
        let attempt = Attempt { kind, base: draft.base.clone(), facts };
        let hold = self.teller.marks.begin(db, deadline).await?;
        Ok(Some(self.open(hold, DocKey { db: db.clone(), id: draft.id.clone() }, attempt)))
    }

    /// Prepares the notice of a deletion. The store keeps nothing of the document, so the document is read before.
    async fn open_delete(
        &self,
        db: &DbName,
        id: &DocId,
        base: &Rev,
        deadline: Deadline,
    ) -> Result<Option<OpenWrite>> {
        if !self.teller.tells_of(db, id) {
            return Ok(None);
        }
        self.teller.prepare(deadline).await?;
        // The deletion of a document that is missing will fail for the same reason.
        let Some(document) = if_found(self.inner.fetch(db, id, deadline).await)? else { return Ok(None) };
        let facts = Facts::of_document(&document)?;
        if !self.teller.tells_kind(facts.kind()) {
            return Ok(None);
        }
        let mut hold = self.teller.marks.begin(db, deadline).await?;
        self.teller.marks.note_deletion(&mut hold, id, &facts, deadline).await?;
        let attempt = Attempt { kind: AttemptKind::Delete, base: Some(base.clone()), facts };
        Ok(Some(self.open(hold, DocKey { db: db.clone(), id: id.clone() }, attempt)))
    }
}

impl Layer for ToldWrites {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move {
            let write = self.open_save(db, &draft, deadline).await?;
            let saved = self.inner.save(db, draft, deadline).await;
            if let Some(write) = write {
                write.end(saved.as_ref());
            }
            saved
        })
    }

    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        Box::pin(async move {
            let mut writes = Vec::with_capacity(drafts.len());
            for draft in &drafts {
                writes.push(self.open_save(db, draft, deadline).await?);
            }
            let saved = self.inner.save_many(db, drafts, deadline).await;
            for (number, write) in writes.into_iter().enumerate() {
                let Some(write) = write else { continue };
                match &saved {
                    Ok(each) => match each.get(number) {
                        Some(saved) => write.end(saved.as_ref()),
                        // The store has answered too few outcomes, so nobody knows this one.
                        None => drop(write),
                    },
                    Err(error) => write.end(Err(error)),
                }
            }
            saved
        })
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move {
            let write = self.open_delete(db, id, base, deadline).await?;
            let deleted = self.inner.delete(db, id, base, deadline).await;
            if let Some(write) = write {
                write.end(deleted.as_ref());
            }
            deleted
        })
    }
}
