//! Writes and deletes documents and databases. Each function runs inside the writer's transaction.

use std::sync::Arc;

use datastore::{Cause, Created, DbName, DocId, Rev, StoreError};
use rusqlite::{Connection, OptionalExtension, named_params, params};

use crate::catalogue::{Db, Phase, database_missing};
use crate::draft::{self, AttachmentChanges, NewRevision, conflict};
use crate::error::SqliteResult;
use crate::put::{self, Leftover};
use crate::recent::Committed;
use crate::rows::Rows;
use crate::staging::StagedRows;
use crate::transaction::Transaction;

/// A new revision of a document, with its view rows.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) doc: NewRevision,
    /// The id of each view, with the document's rows in it.
    pub(crate) rows: Vec<(i64, NewRows)>,
}

impl Write {
    /// How many bytes are still to be written, about.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.rows.iter().map(|(_, rows)| match rows {
            NewRows::Put(rows) => rows.bytes(),
            NewRows::Staged(_) | NewRows::Unchanged(_) => 0,
        });
        rows.fold(self.doc.text.len(), usize::saturating_add)
    }
}

/// The rows of a document in a view after a write.
#[derive(Debug)]
pub(crate) enum NewRows {
    Put(Rows),
    /// The rows are large, and written already.
    Staged(StagedRows),
    /// The rows are large, and were stored with this digest when the write was prepared.
    Unchanged([u8; 16]),
}

impl NewRows {
    /// Replaces the document's rows.
    pub(crate) fn put(
        &self,
        connection: &Connection,
        view: i64,
        id: &str,
        may_have_rows: bool,
    ) -> Result<Leftover, StoreError> {
        match self {
            Self::Put(rows) => put::put(connection, view, id, rows, may_have_rows),
            Self::Staged(staged) => put::put_prepared(connection, view, id, staged.emissions()),
            Self::Unchanged(_) => Ok(Leftover::Nothing),
        }
    }
}

/// What happened to a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SaveOutcome {
    /// The document was written with this revision.
    Saved(Rev),
    /// The database, its views or the stored tombstone changed after the write was computed. This is not a
    /// conflict for the caller, so the write must be computed again.
    Stale,
}

/// The stored row of a document.
struct Current {
    doc: i64,
    rev: String,
    deleted: bool,
}

/// Whether `db` is still the newest catalogue entry for its name, so that its list of views is current.
pub(crate) fn is_current(transaction: &Transaction<'_>, db: &Arc<Db>) -> Result<bool, StoreError> {
    Ok(Arc::ptr_eq(&transaction.catalogue.load(&db.name)?, db))
}

/// Writes a document and its view rows, if neither its parent nor the views of the database have changed.
pub(crate) fn save_if_current(
    transaction: &mut Transaction<'_>,
    db: &Arc<Db>,
    write: &Write,
) -> Result<SaveOutcome, StoreError> {
    transaction.writes_once();
    if is_current(transaction, db)? { save(transaction, db, write) } else { Ok(SaveOutcome::Stale) }
}

/// Writes a document and its view rows, if its parent is still the newest revision.
pub(crate) fn save(
    transaction: &mut Transaction<'_>,
    db: &Arc<Db>,
    write: &Write,
) -> Result<SaveOutcome, StoreError> {
    let doc = &write.doc;
    let current = current(transaction, db, &doc.id)?;
    let parent = doc.parent.as_ref().map(Rev::as_str);
    // A write cannot name a tombstone as its base. As in CouchDB, a deleted document is created again
    // without a base.
    if doc.has_base && current.as_ref().is_some_and(|current| current.deleted) {
        return Err(conflict(&doc.id));
    }
    if current.as_ref().map(|current| current.rev.as_str()) != parent {
        let taken = current.is_some_and(|current| !current.deleted);
        return if doc.has_base || taken { Err(conflict(&doc.id)) } else { Ok(SaveOutcome::Stale) };
    }
    // Look before anything is written: rows that were to stay may have been replaced meanwhile.
    for (view, rows) in &write.rows {
        if let NewRows::Unchanged(digest) = rows
            && !put::has_large(transaction.connection, *view, doc.id.as_str(), digest)?
        {
            return Ok(SaveOutcome::Stale);
        }
    }
    transaction.whole(|transaction| {
        let seq = transaction.next_seq(db);
        let connection = transaction.connection;
        let (number, was_live) = match current {
            Some(current) => {
                connection
                    .prepare_cached("UPDATE doc SET seq = ?2, rev = ?3, text = ?4 WHERE doc = ?1")
                    .and_then(|mut s| s.execute(params![current.doc, seq, doc.rev.as_str(), &*doc.text]))
                    .during("updating a document")?;
                (current.doc, !current.deleted)
            }
            None => connection
                .prepare_cached("INSERT INTO doc (db, seq, id, rev, text) VALUES (?1, ?2, ?3, ?4, ?5)")
                .and_then(|mut s| {
                    s.insert(params![db.id, seq, doc.id.as_str(), doc.rev.as_str(), &*doc.text])
                })
                .during("creating a document")
                .map(|number| (number, false))?,
        };
        attach(transaction, number, was_live, &doc.attachments)?;
        for (view, rows) in &write.rows {
            let leftover = rows.put(connection, *view, doc.id.as_str(), was_live)?;
            transaction.leave(leftover);
        }
        let (id, rev) = (doc.id.clone(), doc.rev.clone());
        transaction.note(db, Committed { seq, id, rev: rev.clone(), deleted: false });
        Ok(SaveOutcome::Saved(rev))
    })
}

/// Replaces a document by a tombstone.
pub(crate) fn delete(
    transaction: &mut Transaction<'_>,
    db: &Arc<Db>,
    id: &DocId,
    base: &Rev,
) -> Result<Rev, StoreError> {
    let current = match current(transaction, db, id)? {
        None => return Err(missing(id)),
        Some(current) if current.deleted => return Err(deleted(id)),
        Some(current) if current.rev != base.as_str() => return Err(conflict(id)),
        Some(current) => current,
    };
    let rev = draft::tombstone(base)?;
    transaction.whole(|transaction| {
        let seq = transaction.next_seq(db);
        transaction
            .connection
            .prepare_cached("UPDATE doc SET seq = ?2, rev = ?3, text = NULL WHERE doc = ?1")
            .and_then(|mut s| s.execute(params![current.doc, seq, rev.as_str()]))
            .during("deleting a document")?;
        attach(transaction, current.doc, true, &AttachmentChanges::default())?;
        for view in &db.views {
            let leftover = put::put(transaction.connection, view.id, id.as_str(), &Rows::default(), true)?;
            transaction.leave(leftover);
        }
        transaction.note(db, Committed { seq, id: id.clone(), rev: rev.clone(), deleted: true });
        Ok(rev)
    })
}

/// Removes attachments that the write does not keep, and adds the new ones.
fn attach(
    transaction: &Transaction<'_>,
    doc: i64,
    was_live: bool,
    attached: &AttachmentChanges,
) -> Result<(), StoreError> {
    let connection = transaction.connection;
    if was_live {
        let there: Vec<String> = connection
            .prepare_cached("SELECT name FROM attachment WHERE doc = ?1")
            .and_then(|mut s| s.query_map([doc], |row| row.get(0))?.collect())
            .during("listing attachments")?;
        for name in there.iter().filter(|name| !attached.kept.contains(*name)) {
            connection
                .prepare_cached("DELETE FROM attachment WHERE doc = ?1 AND name = ?2")
                .and_then(|mut s| s.execute(params![doc, name]))
                .during("removing an attachment")?;
        }
    }
    for (name, bytes) in &attached.new {
        connection
            .prepare_cached("INSERT INTO attachment (doc, name, bytes) VALUES (?1, ?2, ?3)")
            .and_then(|mut s| s.execute(params![doc, name, bytes]))
            .during("writing an attachment")?;
    }
    Ok(())
}

fn current(transaction: &Transaction<'_>, db: &Db, id: &DocId) -> Result<Option<Current>, StoreError> {
    transaction
        .connection
        .prepare_cached("SELECT doc, rev, text IS NULL FROM doc WHERE db = :db AND id = :id")
        .and_then(|mut s| {
            s.query_row(named_params! {":db": db.id, ":id": id.as_str()}, |row| {
                Ok(Current { doc: row.get(0)?, rev: row.get(1)?, deleted: row.get(2)? })
            })
            .optional()
        })
        .during("looking at a document")
}

/// Creates a database, unless it exists.
pub(crate) fn create_db(transaction: &mut Transaction<'_>, name: &DbName) -> Result<Created, StoreError> {
    if transaction.catalogue.find(name).is_some() {
        return Ok(Created::Before);
    }
    let id = transaction
        .connection
        .prepare_cached("INSERT INTO db (name) VALUES (?1)")
        .and_then(|mut s| s.insert([name.as_str()]))
        .during("creating a database")?;
    let (catalogue, name) = (Arc::clone(transaction.catalogue), name.clone());
    transaction.after_commit(move || catalogue.publish(Db::new(id, name, 0, Vec::new())));
    Ok(Created::Now)
}

/// Deletes a database. Its name is free at once; the housekeeper removes its documents and rows later.
pub(crate) fn delete_db(transaction: &mut Transaction<'_>, name: &DbName) -> Result<(), StoreError> {
    let db = transaction.catalogue.find(name).ok_or_else(|| database_missing(name))?;
    transaction.whole(|transaction| {
        for sql in [
            "INSERT INTO garbage (kind, number) SELECT 'view', view FROM view WHERE db = ?1",
            "DELETE FROM view WHERE db = ?1",
            "INSERT INTO garbage (kind, number) VALUES ('db', ?1)",
            "DELETE FROM local WHERE db = ?1",
            "DELETE FROM db WHERE db = ?1",
        ] {
            transaction
                .connection
                .prepare_cached(sql)
                .and_then(|mut s| s.execute([db.id]))
                .during("deleting a database")?;
        }
        Ok(())
    })?;
    let catalogue = Arc::clone(transaction.catalogue);
    transaction.after_commit(move || {
        catalogue.remove(&db.name);
        db.progress.send_modify(|progress| progress.gone = true);
        for view in &db.views {
            view.phase.send_replace(Phase::Gone);
        }
    });
    transaction.leave(Leftover::Garbage);
    Ok(())
}

pub(crate) fn missing(id: &DocId) -> StoreError {
    StoreError::Missing(Cause::new(format!("there is no document {id}")))
}

pub(crate) fn deleted(id: &DocId) -> StoreError {
    StoreError::Deleted(Cause::new(format!("document {id} is deleted")))
}
