//! The store's file: locking it, checking its contents, and setting up connections to it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::settings::{Durability, Settings};

/// SQLite's `application_id` in our files: the letters `KZGR`.
const APPLICATION_ID: i32 = 0x4B5A_4752;

/// The version of the tables below. Whoever changes the tables raises the version and adds an upgrade step.
const VERSION: i32 = 1;

/// The tables.
/// - `doc`: one row for each document. A deleted document keeps its row with an empty `text` (a tombstone);
///   rows are removed only with their database. `seq` counts the writes to a database.
/// - `view_row`: `sort` holds the key, the document id and a counter as bytes, and orders the rows.
/// - `garbage`: deleted databases and views whose rows the housekeeper still has to remove. The commit that
///   deletes them adds the entry.
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

/// How long a connection waits while another process (a backup, `sqlite3`) locks the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many prepared statements a connection keeps. We have fewer.
const STATEMENTS: usize = 64;

/// Why a store could not be opened. The messages tell the operator what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process is using the file.
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
    /// The path names a directory or a device.
    #[error("{path} is not a regular file: name a file that exists or can be created")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is not an SQLite database, or it belongs to another program.
    #[error(
        "{path} is not a store of crossbar-groups ({reason}). The file was not changed. Name another file"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Why it is not a store.
        reason: String,
    },
    /// A newer version of crossbar-groups wrote the file.
    #[error(
        "{path} was written by a newer version of crossbar-groups (format {found}; this version knows \
         {known}). The file was not changed. Use the newer version"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format version of the file.
        found: i32,
        /// The newest format version that this program knows.
        known: i32,
    },
    /// The operating system does not let us open or create the file.
    #[error(
        "{path} cannot be opened for writing: {source}. Give this user the right to write to the file and to \
         its folder, check that the disk has room, or name another file"
    )]
    Io {
        /// The file, or the folder around it.
        path: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// SQLite cannot open the file.
    #[error(
        "{path} cannot be opened: {source}. Stop other programs that use the file, check that the disk has \
         room, and then restore the file from a backup if it still cannot be opened"
    )]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The error from SQLite.
        source: rusqlite::Error,
    },
    /// The contents of the file make no sense.
    #[error("{path} is damaged: {reason}. Restore the file from a backup, or name another file")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The store's file. It stays locked against other processes until this value is dropped.
#[derive(Debug)]
pub(crate) struct StoreFile {
    path: PathBuf,
    lock: File,
}

impl StoreFile {
    /// Locks the file for this process. Creates the file and its folder if they are missing.
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<(Self, Connection), OpenError> {
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
        // SQLite would silently open a write-protected file as read-only, so open it for writing first.
        for_the_owner().open(path).map_err(io)?;
        let file = Self { path: path.to_owned(), lock };
        let writer = file.writer(settings)?;
        Ok((file, writer))
    }

    fn writer(&self, settings: &Settings) -> Result<Connection, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let set_up = || -> rusqlite::Result<Connection> {
            let writer = Connection::open_with_flags(&self.path, flags)?;
            writer.busy_timeout(BUSY_TIMEOUT)?;
            writer.set_prepared_statement_cache_capacity(STATEMENTS);
            writer.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
            let level = match settings.durability {
                Durability::Full => "FULL",
                Durability::Normal => "NORMAL",
            };
            writer.pragma_update(None, "synchronous", level)?;
            writer.pragma_update(None, "cache_size", -i64::from(settings.writer_cache_kib))?;
            // Shrink the write-ahead log again after a burst of writes.
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
        // Durability depends on these two settings, so check that they took effect.
        let wanted = match settings.durability {
            Durability::Full => 2,
            Durability::Normal => 1,
        };
        let level = pragma(&writer, "synchronous").map_err(|source| self.refused(source))?;
        let journal: String = writer
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .map_err(|source| self.refused(source))?;
        if (level, journal.as_str()) != (wanted, "wal") {
            let reason =
                format!("synchronous is {level} and journal_mode is {journal}, although we set other values");
            return Err(OpenError::Damaged { path: self.path.clone(), reason });
        }
        Ok(writer)
    }

    /// Opens another connection, for reading.
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
        // Unlock explicitly: a child process that is just starting may have inherited the file handle, and
        // closing ours would then leave the file locked.
        if let Err(error) = self.lock.unlock() {
            log::warn!("{} stays locked until this process ends: {error}", self.path.display());
        }
    }
}

/// Locks a separate file next to the store's file. SQLite's own locks are not enough, because each belongs
/// to one connection. The store's own file stays unlocked, so that it can be copied.
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

/// Options that create a file which only its owner may read, because a store holds API keys and password
/// hashes. SQLite gives its own files next to it the same mode.
fn for_the_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Checks that an existing file is ours, without changing it.
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
        // An earlier process created the file and was killed before it created the tables.
        Ok((0, 0, 0)) => Ok(()),
        Ok((id, _, tables)) => {
            Err(foreign(format!("it is an SQLite database with {tables} tables and application_id {id}")))
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(foreign("it is not an SQLite database".to_owned()))
        }
        Err(source) => Err(OpenError::Sqlite { path: path.to_owned(), source }),
    }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::{Settings, StoreFile, pragma};

    #[test]
    fn the_writer_has_the_cache_of_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { writer_cache_kib: 77, ..Settings::default() };
        let (_file, writer) = StoreFile::open(&folder.path().join("store.db"), &settings).unwrap();
        // SQLite counts kibibytes below zero and pages above it.
        assert_eq!(pragma(&writer, "cache_size").unwrap(), -77);
    }
}
