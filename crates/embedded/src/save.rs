//! How a document is written. The caller's side reads the stored revision and computes the new text and
//! view rows. The writer commits them if neither the document nor the views have changed since; otherwise
//! everything is computed again.

use std::sync::Arc;

use datastore::{Cause, DbName, Deadline, Draft, Result, Rev, StoreError, json};
use futures::future::try_join_all;
use rusqlite::Connection;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::catalogue::{Db, MapSource};
use crate::design;
use crate::draft::{self, NewRevision, StoredRevision};
use crate::embedded::Inner;
use crate::error::{closed, deadline_exceeded, in_time};
use crate::index;
use crate::maps::{LimitReached, MapInput, RowsByMap};
use crate::put;
use crate::read;
use crate::rows::Rows;
use crate::settings::Settings;
use crate::staging::{Progress, Staging};
use crate::transaction::Transaction;
use crate::workers::{Claim, Size};
use crate::write::{self, NewRows, SaveOutcome, Write};
use crate::write_queue::Turn;

/// How many documents of a bulk write are computed and committed together.
const BULK: usize = 250;

/// How far the write of a document is after its maps have run.
enum MapOutcome {
    /// The map thread has queued the write, and the writer has done it.
    Saved(SaveOutcome),
    /// The caller has to queue the write: rows are large or missing, or there was no place in the queue.
    Mapped(NewRevision, RowsByMap),
}

impl Inner {
    /// Writes one document.
    pub(crate) async fn save(&self, name: &DbName, mut draft: Draft, deadline: Deadline) -> Result<Rev> {
        // Without a base, it is nearly always a new document, and the writer will notice if it is not.
        let mut is_new = draft.base.is_none()
            && draft.id.design_name().is_none()
            && !draft.body.contains_key("_attachments");
        loop {
            self.begin(deadline)?;
            let db = self.catalogue.load(name)?;
            let prepared = if is_new {
                draft::prepare(&draft, None, &self.settings)
            } else {
                self.readers.with(|connection| prepare(connection, &db, &draft, &self.settings))
            };
            let prepared = match prepared {
                // A conflict is told before anything else.
                Err(_) if is_new => {
                    is_new = false;
                    continue;
                }
                prepared => prepared?,
            };
            let outcome = if draft.id.design_name().is_some() {
                self.save_design(&db, &draft, prepared, deadline).await?
            } else {
                // The text says the same as the members, and takes far less memory. Only the bytes of new
                // attachments are not in it.
                let text = prepared.attachments.new.is_empty().then(|| Arc::clone(&prepared.text));
                if text.is_some() {
                    draft.body = Map::new();
                }
                let outcome = match self.save_document(&db, prepared, deadline).await {
                    Err(error @ StoreError::TooLarge(_)) if is_new => {
                        let taken = self
                            .readers
                            .with(|connection| read::newest(connection, db.id, &draft.id, false))?;
                        return Err(match taken {
                            Some(StoredRevision { is_tombstone: false, .. }) => draft::conflict(&draft.id),
                            _ => error,
                        });
                    }
                    outcome => outcome?,
                };
                if let (SaveOutcome::Stale, Some(text)) = (&outcome, text) {
                    draft.body = members(&text)?;
                }
                outcome
            };
            if let SaveOutcome::Saved(rev) = outcome {
                return Ok(rev);
            }
            is_new = false;
        }
    }

    async fn save_document(&self, db: &Arc<Db>, doc: NewRevision, deadline: Deadline) -> Result<SaveOutcome> {
        let (doc, rows) = match self.map_and_save(db, doc, deadline).await? {
            MapOutcome::Saved(outcome) => return Ok(outcome),
            MapOutcome::Mapped(doc, rows) => (doc, rows),
        };
        let write = self.stage(db, doc, rows, deadline).await?;
        let turn = Turn::of(db.id).writing(write.bytes());
        let db = Arc::clone(db);
        let save = move |transaction: &mut Transaction<'_>| write::save_if_current(transaction, &db, &write);
        self.writer.run(turn, deadline, save).await
    }

    /// Computes the rows of a document. If there are few, the map thread queues the write itself: the way over the
    /// caller's thread takes longer than most maps.
    async fn map_and_save(&self, db: &Arc<Db>, doc: NewRevision, deadline: Deadline) -> Result<MapOutcome> {
        if db.views.is_empty() {
            return Ok(MapOutcome::Mapped(doc, RowsByMap::new()));
        }
        in_time(deadline)?;
        let (reply, answer) = oneshot::channel::<Result<MapOutcome>>();
        let (input, maps) = (input(&doc), maps(db));
        let (id, db, writer) = (db.id, Arc::clone(db), Arc::clone(&self.writer));
        let save = move |rows: RowsByMap, reply: oneshot::Sender<Result<MapOutcome>>| {
            let is_small = rows.iter().all(|rows| rows.as_ref().is_ok_and(|rows| !rows.is_large()));
            // The callers wait for a place in the queue, so that no map thread has to.
            let Some(place) = is_small.then(|| writer.free_place()).flatten() else {
                return drop(reply.send(Ok(MapOutcome::Mapped(doc, rows))));
            };
            let rows = rows.into_iter().flatten().map(NewRows::Put);
            let write = Write { rows: db.views.iter().map(|view| view.id).zip(rows).collect(), doc };
            let turn = Turn::of(db.id).writing(write.bytes());
            // A store that is closed drops the reply, which tells the caller.
            let _ = writer.push(Some(place), turn, reply, move |transaction| {
                in_time(deadline)?;
                write::save_if_current(transaction, &db, &write).map(MapOutcome::Saved)
            });
        };
        self.maps.hand_over((id, input), maps, deadline, reply, save)?;
        let answer = tokio::time::timeout_at(deadline.instant().into(), answer).await;
        answer.map_err(|_| deadline_exceeded())?.map_err(|_| closed())?
    }

    async fn save_design(
        &self,
        db: &Arc<Db>,
        draft: &Draft,
        doc: NewRevision,
        deadline: Deadline,
    ) -> Result<SaveOutcome> {
        let views = self.maps.check(db.id, design::views(&draft.body)?, deadline).await?;
        let turn = Turn::of(db.id).alone();
        let (db, chores) = (Arc::clone(db), self.chores.clone());
        self.writer
            .run(turn, deadline, move |transaction| {
                if write::is_current(transaction, &db)? {
                    index::save_design(transaction, &db, doc, &views, &chores)
                } else {
                    Ok(SaveOutcome::Stale)
                }
            })
            .await
    }

    /// Writes several documents. One can fail without affecting the others.
    pub(crate) async fn save_many(
        &self,
        name: &DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> Result<Vec<Result<Rev>>> {
        self.begin(deadline)?;
        self.catalogue.load(name)?;
        let mut revs = Vec::with_capacity(drafts.len());
        let mut drafts = drafts.into_iter().peekable();
        while let Some(next) = drafts.peek() {
            if next.id.design_name().is_some() {
                let Some(draft) = drafts.next() else { break };
                revs.push(each(self.save(name, draft, deadline).await)?);
                continue;
            }
            let mut bulk = Vec::new();
            while let Some(draft) =
                drafts.next_if(|draft| bulk.len() < BULK && draft.id.design_name().is_none())
            {
                bulk.push(draft);
            }
            revs.extend(self.save_bulk(name, bulk, deadline).await?);
        }
        Ok(revs)
    }

    async fn save_bulk(
        &self,
        name: &DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> Result<Vec<Result<Rev>>> {
        let db = self.catalogue.load(name)?;
        let drafts = Arc::new(drafts);
        let claim = Claim { db: db.id, size: Size::Large };
        let prepared: Vec<Result<NewRevision>> = {
            let (db, drafts, settings) = (Arc::clone(&db), Arc::clone(&drafts), self.settings.clone());
            let prepare_all = move |scanner: &mut read::Scanner| {
                let connection = scanner.until(deadline)?;
                Ok(drafts.iter().map(|draft| prepare(connection, &db, draft, &settings)).collect())
            };
            self.scanners.run(claim, deadline, prepare_all).await?
        };
        let (mut docs, mut outcomes) = (Vec::new(), Vec::with_capacity(prepared.len()));
        for doc in prepared {
            match doc {
                Ok(doc) => {
                    docs.push(doc);
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Err(error))),
            }
        }
        let part = docs.len().div_ceil(self.settings.map_threads.max(1)).max(1);
        let rows = try_join_all(docs.chunks(part).map(|docs| self.rows(&db, docs, deadline))).await?;
        let mut writes = Vec::with_capacity(docs.len());
        for (doc, rows) in docs.into_iter().zip(rows.into_iter().flatten()) {
            writes.push(each(self.stage(&db, doc, rows, deadline).await)?);
        }
        let bytes = writes.iter().flatten().map(Write::bytes).fold(0, usize::saturating_add);
        let saved: Vec<Result<SaveOutcome>> = self
            .writer
            .run(Turn::of(db.id).writing(bytes), deadline, move |transaction| {
                let current = write::is_current(transaction, &db)?;
                let save = |write: Result<Write>| match write {
                    Ok(write) if current => write::save(transaction, &db, &write),
                    Ok(_) => Ok(SaveOutcome::Stale),
                    Err(error) => Err(error),
                };
                Ok(writes.into_iter().map(save).collect())
            })
            .await?;
        let mut saved = saved.into_iter();
        let mut revs = Vec::with_capacity(outcomes.len());
        for (draft, outcome) in drafts.iter().zip(outcomes) {
            let rev = match outcome {
                Some(refused) => refused,
                None => match saved.next().ok_or_else(closed)? {
                    Ok(SaveOutcome::Saved(rev)) => Ok(rev),
                    Ok(SaveOutcome::Stale) => self.save(name, draft.clone(), deadline).await,
                    Err(error) => Err(error),
                },
            };
            revs.push(each(rev)?);
        }
        Ok(revs)
    }

    /// Computes the rows of the documents for every view of their database. Callers leave out design
    /// documents, which have no rows.
    async fn rows(&self, db: &Db, docs: &[NewRevision], deadline: Deadline) -> Result<Vec<RowsByMap>> {
        self.maps.rows(db.id, docs.iter().map(input).collect(), maps(db), deadline).await
    }

    /// Prepares a write. Large rows are written at once, invisible until the document is written.
    ///
    /// # Errors
    /// `TooLarge` if a map reached a limit: the document would be missing from that view.
    async fn stage(&self, db: &Db, doc: NewRevision, rows: RowsByMap, deadline: Deadline) -> Result<Write> {
        let mut new = Vec::with_capacity(rows.len());
        for (view, rows) in db.views.iter().zip(rows) {
            let rows = rows.map_err(|LimitReached(reason)| {
                StoreError::TooLarge(Cause::new(format!(
                    "document {} would be missing from the view {}: {reason}",
                    doc.id, view.name
                )))
            })?;
            let rows = if rows.is_large() {
                self.stage_rows((db.id, view.id), &doc, Arc::new(rows), deadline).await?
            } else {
                NewRows::Put(rows)
            };
            new.push((view.id, rows));
        }
        Ok(Write { doc, rows: new })
    }

    async fn stage_rows(
        &self,
        (db, view): (i64, i64),
        doc: &NewRevision,
        rows: Arc<Rows>,
        deadline: Deadline,
    ) -> Result<NewRows> {
        let (id, digest) = (doc.id.as_str(), rows.digest());
        if self.readers.with(|connection| put::has_large(connection, view, id, &digest))? {
            return Ok(NewRows::Unchanged(digest));
        }
        let mut staging = Staging::new((db, view), id, rows, digest, &self.in_use);
        loop {
            let turn = staging.turn();
            match self.writer.run(turn, deadline, move |transaction| staging.write(transaction)).await? {
                Progress::More(more) => staging = more,
                Progress::Done(staged) => return Ok(NewRows::Staged(staged)),
                // The views have changed, so the writer will refuse the write as stale.
                Progress::ViewGone => return Ok(NewRows::Put(Rows::default())),
            }
        }
    }
}

/// The maps of a database's views.
fn maps(db: &Db) -> Vec<Arc<MapSource>> {
    db.views.iter().map(|view| Arc::clone(&view.map)).collect()
}

fn input(doc: &NewRevision) -> MapInput {
    MapInput { id: doc.id.as_str().to_owned(), text: Arc::clone(&doc.text) }
}

/// Builds the new revision for a draft, on top of the stored one.
fn prepare(connection: &Connection, db: &Db, draft: &Draft, settings: &Settings) -> Result<NewRevision> {
    let parent = read::newest(connection, db.id, &draft.id, draft.body.contains_key("_attachments"))?;
    draft::prepare(draft, parent.as_ref(), settings)
}

/// The members of a prepared text.
fn members(text: &str) -> Result<Map<String, Value>> {
    json::parse_stored_object(text)
        .map_err(|error| StoreError::Corrupt(Cause::with_source("a document that is being saved", error)))
}

/// Splits errors of a bulk write. An error that affects all documents fails the whole call; any other stays
/// the result of its own document.
fn each<T>(outcome: Result<T>) -> Result<Result<T>> {
    match outcome {
        Err(
            error @ (StoreError::DeadlineExceeded(_)
            | StoreError::DatabaseMissing(_)
            | StoreError::Unavailable(_)
            | StoreError::CannotWrite(_)),
        ) => Err(error),
        outcome => Ok(outcome),
    }
}
