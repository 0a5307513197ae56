//! The store's file: locking it, checking its contents, and setting up connections to it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use datastore::{Cause, StoreError};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::SqliteResult as _;
use crate::format::{APPLICATION_ID, TABLES, VERSION, for_the_owner, pragma};
use crate::open_error::{self, OpenError};
use crate::owner::Owner;
use crate::place::{check_names, place_of};
use crate::settings::{Durability, Settings};
use crate::upgrade;

/// How long a connection waits while another process (a backup, `sqlite3`) locks the file.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many prepared statements a connection keeps. We have fewer.
const STATEMENTS: usize = 64;

/// The store's file. If it was opened for writing, it stays locked against other processes until this value
/// is dropped.
#[derive(Debug)]
pub(crate) struct StoreFile {
    path: PathBuf,
    lock: Option<File>,
    /// The file that was at the path when the store was opened.
    identity: Identity,
}

/// The device and the number of a file. They stay when it is moved. `None` where the system has none.
type Identity = Option<(u64, u64)>;

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).map(|data| Some((data.dev(), data.ino())))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|_| None)
}

impl StoreFile {
    /// Locks the file for this process. Creates the file and its folder if they are missing.
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<(Self, Connection), OpenError> {
        let path = &*place_of(path);
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            return Err(OpenError::NotAFile { path: path.to_owned() });
        }
        check_names(path)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        let owner = Owner::of(path).map_err(io)?;
        let lock = lock(path)?;
        let mut format = VERSION;
        if fs::metadata(path).is_ok_and(|data| data.len() > 0) {
            format = match check_before_writing(path) {
                Err(error @ OpenError::Foreign { .. }) if lock.is_new => {
                    // Leave nothing beside a file of somebody else. If this fails, an empty file stays there.
                    let _ = fs::remove_file(&lock.path);
                    return Err(error);
                }
                checked => checked?,
            };
        }
        // SQLite would silently open a write-protected file as read-only, so open it for writing first.
        let is_new = !path.try_exists().map_err(io)?;
        for_the_owner().open(path).map_err(io)?;
        for (file, is_new) in [(path, is_new), (&lock.path, lock.is_new)] {
            if is_new {
                owner.take(file).map_err(io)?;
            }
        }
        let (lock, new_lock) = (Some(lock.file), lock.is_new.then_some(lock.path));
        let file = Self { path: path.to_owned(), lock, identity: identity(path).map_err(io)? };
        if format < VERSION {
            upgrade::upgrade(path, format, BUSY_TIMEOUT)?;
        }
        match file.writer(settings) {
            Ok(writer) => Ok((file, writer)),
            Err(error) if is_new => {
                // A file that is no store yet would be in the way of the next attempt. If it cannot be removed, the
                // next attempt says so.
                for made in
                    [Some(path.to_owned()), Some(beside(path, "-wal")), Some(beside(path, "-shm")), new_lock]
                {
                    let _ = made.map(fs::remove_file);
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the file beside the process that writes to it. Nothing is locked, created or upgraded.
    pub(crate) fn open_to_read(path: &Path) -> Result<(Self, Connection), OpenError> {
        let path = &*place_of(path);
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        if !fs::metadata(path).map_err(io)?.is_file() {
            return Err(OpenError::NotAFile { path: path.to_owned() });
        }
        check_names(path)?;
        let found = check_before_writing(path)?;
        if found < VERSION {
            return Err(OpenError::Older { path: path.to_owned(), found, known: VERSION });
        }
        let file = Self { path: path.to_owned(), lock: None, identity: identity(path).map_err(io)? };
        let connection = file.connect().map_err(|source| file.refused("its header", source))?;
        match pragma(&connection, "application_id") {
            Ok(APPLICATION_ID) => Ok((file, connection)),
            Ok(_) => Err(OpenError::Foreign { path: path.to_owned(), reason: "it is empty".to_owned() }),
            Err(source) => Err(file.refused("its header", source)),
        }
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
            // A savepoint keeps a copy of each page that is changed. From 64 kB on, SQLite would write them into a file.
            writer.pragma_update(None, "temp_store", "MEMORY")?;
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
        let writer = set_up().map_err(|source| self.refused("its header", source))?;
        // Durability depends on these two settings, so check that they took effect.
        let wanted = match settings.durability {
            Durability::Full => 2,
            Durability::Normal => 1,
        };
        let level = pragma(&writer, "synchronous").map_err(|source| self.refused("its settings", source))?;
        let journal: String = writer
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .map_err(|source| self.refused("its settings", source))?;
        if (level, journal.as_str()) != (wanted, "wal") {
            let reason =
                format!("synchronous is {level} and journal_mode is {journal}, although we set other values");
            return Err(OpenError::Damaged { path: self.path.clone(), reason });
        }
        Ok(writer)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens another connection, for reading.
    ///
    /// # Errors
    /// `Unavailable` if the file was moved away. A file that has taken its place holds something else.
    pub(crate) fn reader(&self) -> Result<Connection, StoreError> {
        self.check_place()?;
        self.connect().during("opening a connection")
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.path, flags)?;
        reader.busy_timeout(BUSY_TIMEOUT)?;
        reader.set_prepared_statement_cache_capacity(STATEMENTS);
        reader.pragma_update(None, "query_only", true)?;
        // SQLite opens its log with the first read. From then on the connection needs no path.
        pragma(&reader, "user_version")?;
        Ok(reader)
    }

    /// Fails if the file was moved, deleted or replaced since the store was opened. SQLite goes on with the old
    /// file then, and the next start would not find what was written.
    pub(crate) fn check_place(&self) -> Result<(), StoreError> {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            return Ok(());
        }
        Err(StoreError::Unavailable(Cause::new(format!(
            "the store's file is no longer at {}: stop the server, and put the file back with its -wal file",
            self.path.display()
        ))))
    }

    /// The error for a part of the file that SQLite cannot read.
    pub(crate) fn refused(&self, what: &str, source: rusqlite::Error) -> OpenError {
        OpenError::of_sqlite(&self.path, what, source)
    }

    /// Adds the file's name and how to recover to an error about damaged data.
    pub(crate) fn with_advice(&self, error: StoreError) -> StoreError {
        open_error::with_advice(&self.path, error)
    }

    pub(crate) fn damaged(&self, reason: impl Into<String>) -> OpenError {
        OpenError::Damaged { path: self.path.clone(), reason: reason.into() }
    }
}

impl Drop for StoreFile {
    fn drop(&mut self) {
        // Unlock explicitly: a child process that is just starting may have inherited the file handle, and
        // closing ours would then leave the file locked.
        if let Some(Err(error)) = self.lock.as_ref().map(File::unlock) {
            log::warn!("{} stays locked until this process ends: {error}", self.path.display());
        }
    }
}

/// A locked file next to the store's file.
pub(crate) struct Lock {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Whether the file was not there before.
    pub(crate) is_new: bool,
}

/// The path of a file beside another one, whose name begins with the other one's.
pub(crate) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Locks a separate file next to the store's file. SQLite's own locks are not enough, because each belongs
/// to one connection. The store's own file stays unlocked, so that it can be copied.
pub(crate) fn lock(path: &Path) -> Result<Lock, OpenError> {
    let lock = beside(path, ".lock");
    let is_new = !lock.exists();
    let refused = |source| OpenError::Io { path: lock.clone(), source };
    let file = for_the_owner().open(&lock).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { path: lock, file, is_new }),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned(), lock }),
        Err(TryLockError::Error(source)) => Err(refused(source)),
    }
}

/// Checks that an existing file is ours, without changing it. Returns the version of its format.
pub(crate) fn check_before_writing(path: &Path) -> Result<i32, OpenError> {
    let foreign = |reason: String| OpenError::Foreign { path: path.to_owned(), reason };
    let look = || -> rusqlite::Result<(i32, i32, i64)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma(&connection, "application_id")?, pragma(&connection, "user_version")?, tables))
    };
    match look() {
        Ok((APPLICATION_ID, found @ 1..=VERSION, _)) => Ok(found),
        Ok((APPLICATION_ID, found, _)) if found > VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: VERSION })
        }
        Ok((APPLICATION_ID, found, _)) => {
            Err(OpenError::Damaged { path: path.to_owned(), reason: format!("its format is {found}") })
        }
        // An earlier process created the file and was killed before it created the tables.
        Ok((0, 0, 0)) => Ok(VERSION),
        Ok((id, _, tables)) => {
            Err(foreign(format!("it is an SQLite database with {tables} tables and application_id {id}")))
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(foreign("it is not an SQLite database".to_owned()))
        }
        Err(source) => Err(OpenError::of_sqlite(path, "its list of tables", source)),
    }
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
        assert_eq!(pragma(&writer, "temp_store").unwrap(), 2, "in memory");
    }
}
