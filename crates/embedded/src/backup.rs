//! Copies a store into another file, also while a process has it open and writes to it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::file::{BUSY_TIMEOUT, beside, check_before_writing, remove};
use crate::open_error::OpenError;
use crate::place::{check_names, place_of};
use crate::upgrade::{Copied, Writers, write_copy};

/// Copies the store in the file at `path` into the file at `to`, which must be empty. The copy is the store at
/// one moment. A process that writes to the store goes on meanwhile, and the copy takes its time so that writes wait for
/// it little: at most about 25 MB a second. The copy is not synced to disk.
/// `tell` hears how far the copy is.
///
/// # Errors
/// [`OpenError`]. `path` is left as it is.
pub fn back_up(path: &Path, to: &Path, tell: impl FnMut(Copied)) -> Result<(), OpenError> {
    let path = place_of(path);
    // SQLite looks for its log beside the name, so the newest writes would be missing.
    check_names(&path)?;
    copy_store(&path, to, Writers::Some, tell)
}

/// As [`back_up`], for a file that is at its place, and that no process writes to if it has several names.
pub(crate) fn copy_store(
    path: &Path,
    to: &Path,
    writers: Writers,
    tell: impl FnMut(Copied),
) -> Result<(), OpenError> {
    check_before_writing(path)?;
    let refused = |source| OpenError::of_sqlite(path, "it", source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(refused)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(refused)?;
    write_copy(&connection, to, writers, tell)
        .map_err(|source| OpenError::Sqlite { path: to.to_owned(), source })?;
    let checked = check_before_writing(to).map(drop);
    // SQLite has made these for the check, which only reads, so they hold nothing.
    for end in ["-wal", "-shm"] {
        remove(&beside(to, end)).map_err(|source| OpenError::Io { path: to.to_owned(), source })?;
    }
    checked
}
