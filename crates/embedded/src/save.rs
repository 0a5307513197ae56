//! How a document is written. The caller's side reads the stored revision and computes the new text and
//! view rows. The writer commits them if neither the document nor the views have changed since; otherwise
//! everything is computed again.

use std::sync::Arc;

use datastore::{DbName, Deadline, Draft, Result, Rev, StoreError};
use futures::future::try_join_all;
use rusqlite::Connection;

use crate::catalogue::Db;
use crate::design;
use crate::draft::{self, NewRevision};
use crate::embedded::Inner;
use crate::error::closed;
use crate::index;
use crate::maps::{MapInput, RowsByMap};
use crate::read;
use crate::settings::Settings;
use crate::write::{self, SaveOutcome, Write};
use crate::writer::Batching;

/// How many documents of a bulk write are computed and committed together.
const BULK: usize = 250;

impl Inner {
    /// Writes one document.
    pub(crate) async fn save(&self, name: &DbName, draft: &Draft, deadline: Deadline) -> Result<Rev> {
        loop {
            self.begin(deadline)?;
            let db = self.catalogue.load(name)?;
            let prepared = self.readers.with(|connection| prepare(connection, &db, draft, &self.settings))?;
            let outcome = match draft.id.design_name() {
                Some(_) => self.save_design(&db, draft, prepared, deadline).await?,
                None => self.save_document(&db, prepared, deadline).await?,
            };
            if let SaveOutcome::Saved(rev) = outcome {
                return Ok(rev);
            }
        }
    }

    async fn save_document(&self, db: &Arc<Db>, doc: NewRevision, deadline: Deadline) -> Result<SaveOutcome> {
        let mut rows = self.rows(db, std::slice::from_ref(&doc), deadline).await?;
        let write = Write { rows: by_view(db, rows.pop().unwrap_or_default()), doc };
        let db = Arc::clone(db);
        self.writer
            .run(deadline, Batching::Shared, move |transaction| {
                if write::is_current(transaction, &db)? {
                    write::save(transaction, &db, &write)
                } else {
                    Ok(SaveOutcome::Stale)
                }
            })
            .await
    }

    async fn save_design(
        &self,
        db: &Arc<Db>,
        draft: &Draft,
        doc: NewRevision,
        deadline: Deadline,
    ) -> Result<SaveOutcome> {
        let views = self.maps.check(design::views(&draft.body)?, deadline).await?;
        let (db, chores) = (Arc::clone(db), self.chores.clone());
        self.writer
            .run(deadline, Batching::Alone, move |transaction| {
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
                revs.push(each(self.save(name, &draft, deadline).await)?);
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
        let prepared: Vec<Result<NewRevision>> = {
            let (db, drafts, settings) = (Arc::clone(&db), Arc::clone(&drafts), self.settings.clone());
            let prepare_all = move |scanner: &mut read::Scanner| {
                let connection = scanner.until(deadline)?;
                Ok(drafts.iter().map(|draft| prepare(connection, &db, draft, &settings)).collect())
            };
            self.scanners.run(deadline, prepare_all).await?
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
        let writes: Vec<Write> = docs
            .into_iter()
            .zip(rows.into_iter().flatten())
            .map(|(doc, rows)| Write { doc, rows: by_view(&db, rows) })
            .collect();
        let saved: Vec<Result<SaveOutcome>> =
            self.writer
                .run(deadline, Batching::Shared, move |transaction| {
                    let current = write::is_current(transaction, &db)?;
                    Ok(writes
                        .iter()
                        .map(|write| {
                            if current {
                                write::save(transaction, &db, write)
                            } else {
                                Ok(SaveOutcome::Stale)
                            }
                        })
                        .collect())
                })
                .await?;
        let mut saved = saved.into_iter();
        let mut revs = Vec::with_capacity(outcomes.len());
        for (draft, outcome) in drafts.iter().zip(outcomes) {
            let rev = match outcome {
                Some(refused) => refused,
                None => match saved.next().ok_or_else(closed)? {
                    Ok(SaveOutcome::Saved(rev)) => Ok(rev),
                    Ok(SaveOutcome::Stale) => self.save(name, draft, deadline).await,
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
        let maps = db.views.iter().map(|view| Arc::clone(&view.map)).collect();
        let docs = docs
            .iter()
            .map(|doc| MapInput { id: doc.id.as_str().to_owned(), text: Arc::clone(&doc.text) })
            .collect();
        self.maps.rows(docs, maps, deadline).await
    }
}

/// Builds the new revision for a draft, on top of the stored one.
fn prepare(connection: &Connection, db: &Db, draft: &Draft, settings: &Settings) -> Result<NewRevision> {
    let parent = read::newest(connection, db.id, &draft.id)?;
    draft::prepare(draft, parent.as_ref(), settings)
}

fn by_view(db: &Db, rows: RowsByMap) -> Vec<(i64, Vec<crate::maps::EmittedRow>)> {
    db.views.iter().map(|view| view.id).zip(rows).collect()
}

/// Splits errors of a bulk write. An error that affects all documents fails the whole call; any other stays
/// the result of its own document.
fn each(rev: Result<Rev>) -> Result<Result<Rev>> {
    match rev {
        Err(
            error @ (StoreError::DeadlineExceeded(_)
            | StoreError::DatabaseMissing(_)
            | StoreError::Unavailable(_)
            | StoreError::Corrupt(_)),
        ) => Err(error),
        rev => Ok(rev),
    }
}
