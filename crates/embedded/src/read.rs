//! Reading documents: by id on a few connections that any thread may borrow, which takes microseconds
//! and is done where it is asked for; everything longer on threads of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datastore::{Cause, Deadline, DocId, Document, Rev, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::draft::Parent;
use crate::error::SqliteResult;
use crate::file::StoreFile;
use crate::write::{deleted, missing};

/// Idle connections that are kept; more are opened when more threads read at once.
const KEPT_CONNECTIONS: usize = 16;

/// SQLite's steps between two looks at the clock.
const STEPS_PER_LOOK: i32 = 4_000;

/// Connections for point reads.
pub(crate) struct Readers {
    file: Arc<StoreFile>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(file: Arc<StoreFile>) -> Self {
        Self { file, idle: Mutex::new(Vec::new()) }
    }

    /// Lends a connection to `work`, on the caller's own thread.
    pub(crate) fn with<R>(
        &self,
        work: impl FnOnce(&Connection) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.file.reader().during("opening a connection")?,
        };
        let outcome = work(&connection);
        let mut idle = idle();
        if idle.len() < KEPT_CONNECTIONS {
            idle.push(connection);
        }
        outcome
    }
}

/// A thread's own connection for reads that may be long.
pub(crate) struct Scanner {
    file: Arc<StoreFile>,
    connection: Option<Connection>,
    closing: Arc<AtomicBool>,
}

impl Scanner {
    pub(crate) fn new(file: Arc<StoreFile>, closing: Arc<AtomicBool>) -> Self {
        Self { file, connection: None, closing }
    }

    /// The connection, which stops what it does at the deadline.
    pub(crate) fn until(&mut self, deadline: Deadline) -> Result<&Connection, StoreError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.file.reader().during("opening a connection")?),
        };
        let closing = Arc::clone(&self.closing);
        connection
            .progress_handler(
                STEPS_PER_LOOK,
                Some(move || deadline.is_over() || closing.load(Ordering::Relaxed)),
            )
            .during("setting a deadline")?;
        Ok(connection)
    }
}

/// What an id stands at; `None` where nothing was ever there.
pub(crate) fn newest(connection: &Connection, db: i64, id: &DocId) -> Result<Option<Parent>, StoreError> {
    let found = connection
        .prepare_cached("SELECT rev, text FROM doc WHERE db = ?1 AND id = ?2")
        .and_then(|mut s| {
            s.query_row(params![db, id.as_str()], |row| {
                let text = row.get_ref(1)?.as_str_or_null()?.map(Arc::from);
                Ok((row.get::<_, String>(0)?, text))
            })
            .optional()
        })
        .during("reading a document")?;
    found.map(|(rev, text)| Ok(Parent { rev: stored_rev(&rev)?, text })).transpose()
}

/// The newest revision of a document that is there.
pub(crate) fn document(connection: &Connection, db: i64, id: &DocId) -> Result<Document, StoreError> {
    match newest(connection, db, id)? {
        None => Err(missing(id)),
        Some(Parent { text: None, .. }) => Err(deleted(id)),
        Some(Parent { rev, text: Some(text) }) => Ok(Document::new(id.clone(), rev, text)),
    }
}

/// The bytes of an attachment of a document that is there.
pub(crate) fn attachment(
    connection: &Connection,
    db: i64,
    id: &DocId,
    name: &str,
) -> Result<Vec<u8>, StoreError> {
    let found: Option<(bool, Option<Vec<u8>>)> = connection
        .prepare_cached(
            "SELECT doc.text IS NULL, attachment.bytes FROM doc
             LEFT JOIN attachment ON attachment.doc = doc.doc AND attachment.name = ?3
             WHERE doc.db = ?1 AND doc.id = ?2",
        )
        .and_then(|mut s| {
            s.query_row(params![db, id.as_str(), name], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .during("reading an attachment")?;
    match found {
        None => Err(missing(id)),
        Some((true, _)) => Err(deleted(id)),
        Some((false, None)) => {
            Err(StoreError::Missing(Cause::new(format!("document {id} has no attachment {name}"))))
        }
        Some((false, Some(bytes))) => Ok(bytes),
    }
}

/// A revision that we wrote.
pub(crate) fn stored_rev(text: &str) -> Result<Rev, StoreError> {
    Rev::parse(text).map_err(|error| StoreError::Corrupt(Cause::with_source("a stored revision", error)))
}
