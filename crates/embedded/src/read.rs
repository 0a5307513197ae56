//! Reads documents and attachments. A read of a small document by id takes microseconds, so it runs on the caller's
//! thread with a connection borrowed from a pool. Longer reads run on the reader threads, each with its own connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore::{Cause, Deadline, DocId, Document, Rev, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::draft::StoredRevision;
use crate::error::SqliteResult;
use crate::file::StoreFile;
use crate::write::{deleted, missing};

/// How many idle connections are kept. When more threads read at once, more are opened.
const KEPT_CONNECTIONS: usize = 16;

/// How many steps SQLite takes between two checks of the deadline.
const STEPS_PER_DEADLINE_CHECK: i32 = 4_000;

/// How long a read waits for another one's connection if no further connection can be opened. Reads by id take
/// microseconds.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(1);

/// A pool of connections for reads by id. It always has one, so reads go on when no further connection can be
/// opened: the file was moved away, or too many files are open.
pub(crate) struct Readers {
    file: Arc<StoreFile>,
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

impl Readers {
    pub(crate) fn new(file: Arc<StoreFile>) -> Result<Self, StoreError> {
        let idle = Mutex::new(vec![file.reader()?]);
        Ok(Self { file, idle, returned: Condvar::new() })
    }

    /// Runs `work` with a connection, on the caller's thread.
    pub(crate) fn with<R>(
        &self,
        work: impl FnOnce(&Connection) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let connection = self.take()?;
        let outcome = work(&connection);
        let mut idle = self.idle();
        if idle.len() < KEPT_CONNECTIONS {
            idle.push(connection);
            drop(idle);
            self.returned.notify_one();
        }
        outcome
    }

    fn take(&self) -> Result<Connection, StoreError> {
        let kept = self.idle().pop();
        if let Some(connection) = kept {
            return Ok(connection);
        }
        self.file.reader().or_else(|error| {
            let returned =
                self.returned.wait_timeout_while(self.idle(), CONNECTION_PATIENCE, |idle| idle.is_empty());
            returned.unwrap_or_else(PoisonError::into_inner).0.pop().ok_or(error)
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection of a reader thread, for reads that can take long.
pub(crate) struct Scanner {
    file: Arc<StoreFile>,
    connection: Option<Connection>,
    closing: Arc<AtomicBool>,
}

impl Scanner {
    /// A scanner with this connection. Without one, it opens a connection when it first needs one.
    pub(crate) fn new(
        file: Arc<StoreFile>,
        connection: Option<Connection>,
        closing: Arc<AtomicBool>,
    ) -> Self {
        Self { file, connection, closing }
    }

    /// The connection. SQLite interrupts its statements when the deadline passes or the store closes.
    pub(crate) fn until(&mut self, deadline: Deadline) -> Result<&Connection, StoreError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.file.reader()?),
        };
        let closing = Arc::clone(&self.closing);
        connection
            .progress_handler(
                STEPS_PER_DEADLINE_CHECK,
                Some(move || deadline.is_over() || closing.load(Ordering::Relaxed)),
            )
            .during("setting a deadline")?;
        Ok(connection)
    }
}

/// The newest revision of a document, which may be a tombstone. `None` if the id was never used. Its text may be large,
/// so it is read only if it is needed.
pub(crate) fn newest(
    connection: &Connection,
    db: i64,
    id: &DocId,
    needs_text: bool,
) -> Result<Option<StoredRevision>, StoreError> {
    let sql = "SELECT rev, text IS NULL, CASE WHEN ?3 THEN text END FROM doc WHERE db = ?1 AND id = ?2";
    let found = connection
        .prepare_cached(sql)
        .and_then(|mut s| {
            s.query_row(params![db, id.as_str(), needs_text], |row| {
                let text = row.get_ref(2)?.as_str_or_null()?.map(Arc::from);
                Ok((row.get::<_, String>(0)?, row.get(1)?, text))
            })
            .optional()
        })
        .during("reading a document")?;
    let revision = |(rev, is_tombstone, text): (String, _, _)| {
        Ok(StoredRevision { rev: stored_rev(&rev)?, is_tombstone, text })
    };
    found.map(revision).transpose()
}

/// A document, or how large it is.
pub(crate) enum Found {
    /// The document.
    Document(Document),
    /// It has this many bytes, which is more than the caller wants to read. It has not been read.
    Large(usize),
}

/// The newest revision of a document, if it has at most `most` bytes.
///
/// # Errors
/// `Missing` or `Deleted` if there is no such document.
pub(crate) fn document(
    connection: &Connection,
    db: i64,
    id: &DocId,
    most: usize,
) -> Result<Found, StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    // SQLite knows the length without reading the text.
    let found = connection
        .prepare_cached(
            "SELECT rev, octet_length(text), CASE WHEN octet_length(text) <= ?3 THEN text END FROM doc
             WHERE db = ?1 AND id = ?2",
        )
        .and_then(|mut s| {
            s.query_row(params![db, id.as_str(), most], |row| {
                let text = row.get_ref(2)?.as_str_or_null()?.map(Arc::<str>::from);
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?, text))
            })
            .optional()
        })
        .during("reading a document")?;
    match found {
        None => Err(missing(id)),
        Some((_, None, _)) => Err(deleted(id)),
        Some((_, Some(length), None)) => Ok(Found::Large(usize::try_from(length).unwrap_or(usize::MAX))),
        Some((rev, _, Some(text))) => Ok(Found::Document(Document::new(id.clone(), stored_rev(&rev)?, text))),
    }
}

/// The bytes of an attachment.
///
/// # Errors
/// `Missing` or `Deleted` if there is no such document or attachment.
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

/// Parses a revision from the file.
pub(crate) fn stored_rev(text: &str) -> Result<Rev, StoreError> {
    Rev::parse(text)
        .map_err(|error| StoreError::Corrupt(Cause::with_source("a stored revision is malformed", error)))
}
