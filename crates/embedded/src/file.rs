//! The file: who may open it, what must be in it, and how connections to it are set up.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::settings::Durability;

/// «KZGR»: the file is ours.
const APPLICATION_ID: i32 = 0x4B5A_4752;

/// The version of the tables below. A change of them is a new version and a step that upgrades.
const VERSION: i32 = 1;

/// Everything else about the tables follows from these lines:
/// a document is a row that is never removed but with its database (a tombstone has no text); `seq`
/// counts the writes of a database, so the newest is its greatest; a view's rows are sorted by `sort`,
/// which holds key, document id and a counter as bytes; what is to be removed in the background is
/// named in `garbage` by the same commit that makes it so.
const TABLES: &str = "
CREATE TABLE db (
    db INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE doc (
    doc INTEGER PRIMARY KEY,
    db INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    rev TEXT NOT NULL,
    text TEXT
) STRICT;
CREATE UNIQUE INDEX doc_by_id ON doc (db, id);
CREATE UNIQUE INDEX doc_by_seq ON doc (db, seq);
CREATE TABLE attachment (
    doc INTEGER NOT NULL,
    name TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX attachment_by_name ON attachment (doc, name);
CREATE TABLE map (
    hash BLOB PRIMARY KEY,
    source TEXT NOT NULL
) STRICT;
CREATE TABLE view (
    view INTEGER PRIMARY KEY AUTOINCREMENT,
    db INTEGER NOT NULL,
    design TEXT NOT NULL,
    name TEXT NOT NULL,
    map BLOB NOT NULL,
    ready INTEGER NOT NULL,
    built_seq INTEGER NOT NULL,
    until_seq INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX view_by_name ON view (db, design, name);
CREATE TABLE view_row (
    view INTEGER NOT NULL,
    sort BLOB NOT NULL,
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (view, sort)
) STRICT, WITHOUT ROWID;
CREATE INDEX view_row_by_id ON view_row (view, id);
CREATE TABLE garbage (
    kind TEXT NOT NULL CHECK (kind IN ('db', 'view')),
    number INTEGER NOT NULL
) STRICT;
";

/// How long a connection waits for an outside process (a backup, `sqlite3`).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pages that the writer keeps: it goes over the inner ones of every index with every write.
const WRITER_CACHE_KIB: i64 = 32 * 1024;

/// Prepared statements that a connection keeps; all of ours are fewer.
const STATEMENTS: usize = 64;

/// Why a store could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "{path} is in use by another process (it holds the lock on {lock}): \
         stop that process, or give this one another file"
    )]
    InUse {
        /// The store's file.
        path: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
    },
    /// A directory, a device.
    #[error("{path} is not a regular file: name a file that exists or can be created")]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// It is not a database, or not one of ours.
    #[error("{path} is not a store of crossbar-groups ({reason}): it has been left alone, name another file")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// A newer crossbar-groups has written it.
    #[error(
        "{path} was written by a newer crossbar-groups (format {found}, this one knows {known}): \
         it has been left alone, use the newer program"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: i32,
        /// The newest version known.
        known: i32,
    },
    /// The operating system refuses.
    #[error("{path} cannot be opened for writing: {source}")]
    Io {
        /// The file, or the folder around it.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// SQLite refuses.
    #[error("{path} cannot be opened: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The refusal.
        source: rusqlite::Error,
    },
    /// What lies in it contradicts itself.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The file, held against other processes for as long as this lives.
#[derive(Debug)]
pub(crate) struct StoreFile {
    path: PathBuf,
    durability: Durability,
    lock: File,
}

impl StoreFile {
    /// Takes the file for this process, and creates it where it is missing.
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<(Self, Connection), OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            return Err(OpenError::NotAFile { path: path.to_owned() });
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        let lock = lock(path)?;
        if fs::metadata(path).is_ok_and(|data| data.len() > 0) {
            check_before_writing(path)?;
        }
        // SQLite would open for reading alone without a word.
        for_the_owner().open(path).map_err(io)?;
        let file = Self { path: path.to_owned(), durability, lock };
        let writer = file.writer()?;
        Ok((file, writer))
    }

    fn writer(&self) -> Result<Connection, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let set_up = || -> rusqlite::Result<Connection> {
            let writer = Connection::open_with_flags(&self.path, flags)?;
            writer.busy_timeout(BUSY_TIMEOUT)?;
            writer.set_prepared_statement_cache_capacity(STATEMENTS);
            writer.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
            let level = match self.durability {
                Durability::Full => "FULL",
                Durability::Normal => "NORMAL",
            };
            writer.pragma_update(None, "synchronous", level)?;
            writer.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
            // After a burst the log gives its space back.
            writer.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
            if pragma(&writer, "application_id")? != APPLICATION_ID {
                writer.execute_batch(&format!(
                    "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; \
                     PRAGMA user_version = {VERSION}; COMMIT;"
                ))?;
            }
            Ok(writer)
        };
        let writer = set_up().map_err(|source| self.refused(source))?;
        // These two are what durability rests on: never believe that setting them worked.
        let wanted = match self.durability {
            Durability::Full => 2,
            Durability::Normal => 1,
        };
        let level = pragma(&writer, "synchronous").map_err(|source| self.refused(source))?;
        let journal: String = writer
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .map_err(|source| self.refused(source))?;
        if (level, journal.as_str()) != (wanted, "wal") {
            let reason = format!("synchronous is {level} and the journal {journal}, against what was set");
            return Err(OpenError::Damaged { path: self.path.clone(), reason });
        }
        Ok(writer)
    }

    /// A further connection, for reading.
    pub(crate) fn reader(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.path, flags)?;
        reader.busy_timeout(BUSY_TIMEOUT)?;
        reader.set_prepared_statement_cache_capacity(STATEMENTS);
        reader.pragma_update(None, "query_only", true)?;
        Ok(reader)
    }

    pub(crate) fn refused(&self, source: rusqlite::Error) -> OpenError {
        OpenError::Sqlite { path: self.path.clone(), source }
    }

    pub(crate) fn damaged(&self, reason: impl Into<String>) -> OpenError {
        OpenError::Damaged { path: self.path.clone(), reason: reason.into() }
    }
}

impl Drop for StoreFile {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a child process that is being started just now.
        if let Err(error) = self.lock.unlock() {
            log::warn!("{} stays locked until this process ends: {error}", self.path.display());
        }
    }
}

/// A lock beside the file: SQLite's own locks are per connection, and the file itself may be copied.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = PathBuf::from(name);
    let refused = |source| OpenError::Io { path: lock.clone(), source };
    let file = for_the_owner().open(&lock).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned(), lock }),
        Err(TryLockError::Error(source)) => Err(refused(source)),
    }
}

/// How a file is made that only its owner may read: a store holds keys and digests of passwords.
/// SQLite gives the files beside it the same mode.
fn for_the_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Looks into an existing file without changing it.
fn check_before_writing(path: &Path) -> Result<(), OpenError> {
    let foreign = |reason: String| OpenError::Foreign { path: path.to_owned(), reason };
    let look = || -> rusqlite::Result<(i32, i32, i64)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma(&connection, "application_id")?, pragma(&connection, "user_version")?, tables))
    };
    match look() {
        Ok((APPLICATION_ID, VERSION, _)) => Ok(()),
        Ok((APPLICATION_ID, found, _)) => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: VERSION })
        }
        // Made, but killed before the tables were in it.
        Ok((0, 0, 0)) => Ok(()),
        Ok((id, _, tables)) => {
            Err(foreign(format!("an SQLite database with {tables} tables and application_id {id}")))
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(foreign("no SQLite database at all".to_owned()))
        }
        Err(source) => Err(OpenError::Sqlite { path: path.to_owned(), source }),
    }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
