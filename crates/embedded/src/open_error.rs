//! Why a store's file cannot be opened, and what the log says about damage that is found after that.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use datastore::{Cause, StoreError};
use rusqlite::ErrorCode;

/// Why a store could not be opened. The messages tell the operator what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process is using the file.
    #[error(
        "{path} is in use by another process (it holds the lock on {lock}): \
         stop that process and start it again afterwards, or give this one another file"
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
    /// The file has several names (hard links). The lock and SQLite's log belong to one of them.
    #[error(
        "{path} has {names} names (hard links), and a program that opens it by another name would not see this \
         one: remove the other names, which `find FOLDER -samefile {path}` lists"
    )]
    ManyNames {
        /// The file.
        path: PathBuf,
        /// How many names it has.
        names: u64,
    },
    /// The file is not an SQLite database, or it belongs to another program.
    #[error(
        "{path} is not a store of crossbar-groups ({reason}). The file was not changed. Name another file, or \
         restore it from a backup if it was a store"
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
    /// The file has an older format, and was opened to read it only.
    #[error(
        "{path} has the older format {found}, and this version of crossbar-groups reads format {known}: serve \
         it once with this version, which upgrades it. The file was not changed"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The format version of the file.
        found: i32,
        /// The format version that this program reads.
        known: i32,
    },
    /// The file has an older format, and it could not be copied before the upgrade.
    #[error(
        "{path} has the older format {found}, and cannot be copied to {copy} before it is upgraded: \
         {reason}. The file was not changed. Make room for the copy on the disk, or move the file to a disk \
         with room"
    )]
    NoCopy {
        /// The file.
        path: PathBuf,
        /// The format version of the file.
        found: i32,
        /// The path for the copy.
        copy: PathBuf,
        /// The fault.
        reason: String,
    },
    /// The file has an older format, and the upgrade failed.
    #[error(
        "{path} has the older format {found}, and cannot be upgraded: {source}. Its contents are as they \
         were, and {copy} is a copy of it. Check that the disk has room for twice the file, and that no \
         other program uses the file"
    )]
    NotUpgraded {
        /// The file.
        path: PathBuf,
        /// The format version of the file.
        found: i32,
        /// The copy of the file.
        copy: PathBuf,
        /// The fault.
        source: StoreError,
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
    /// This user may not open the file, or SQLite may not make its own files beside it.
    #[error(
        "{path} cannot be opened: {source}. Run this as the user that the file belongs to, or give this user the \
         right to read the file and to write to its folder"
    )]
    NotAllowed {
        /// The file.
        path: PathBuf,
        /// The error from SQLite.
        source: rusqlite::Error,
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
    #[error(
        "{path} is damaged: {reason}. Keep a copy of it and of its -wal file. Then restore it from a backup, or \
         save what can still be read with `sqlite3 {path} .recover | sqlite3 NEW` and name the file NEW"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
}

/// Adds the file's name and how to recover to an error about stored data that cannot be read. Other errors
/// stay as they are.
pub(crate) fn with_advice(path: &Path, error: StoreError) -> StoreError {
    let StoreError::Corrupt(cause) = error else { return error };
    let mut reason = cause.to_string();
    let mut below = cause.source();
    while let Some(source) = below {
        reason = format!("{reason}: {source}");
        below = source.source();
    }
    let path = path.display();
    StoreError::Corrupt(Cause::new(format!(
        "{path} is damaged: {reason}. Stop the server, and keep a copy of the file and of its -wal file. Then \
         restore it from a backup, or save what can still be read with `crossbar-groups export` (if that stops, \
         with `sqlite3 {path} .recover | sqlite3 NEW` and an export of NEW) and import it into a new file"
    )))
}

impl OpenError {
    /// Whether the obstacle may pass by itself, or without a change of the settings: the file is in use, or the disk is
    /// full or fails.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::InUse { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                )
            ),
            Self::NotUpgraded { source, .. } => source.is_retryable(),
            _ => false,
        }
    }

    /// The error for a file that SQLite could not read. `what` names the part that was being read.
    pub(crate) fn of_sqlite(path: &Path, what: &str, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            // Without a code, a stored value has an unexpected type. An unknown code means that SQLite read the
            // file and did not find our tables in it.
            None
            | Some(
                ErrorCode::Unknown
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::TypeMismatch,
            ) => Self::Damaged { path: path.to_owned(), reason: format!("{what} cannot be read ({source})") },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Self::NotAllowed { path: path.to_owned(), source }
            }
            Some(_) => Self::Sqlite { path: path.to_owned(), source },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use rusqlite::ffi;

    use super::OpenError;

    #[test]
    fn a_file_that_may_not_be_opened_is_a_matter_of_rights() {
        for code in [ffi::SQLITE_CANTOPEN, ffi::SQLITE_PERM, ffi::SQLITE_READONLY_DIRECTORY] {
            let source = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let told = OpenError::of_sqlite(Path::new("store.db"), "its content", source).to_string();
            assert!(
                told.starts_with("store.db cannot be opened: ") && told.contains("Run this as"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_full_disk_may_pass_and_a_foreign_file_may_not() {
        let of = |code| {
            let source = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            OpenError::of_sqlite(Path::new("store.db"), "its content", source)
        };
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_BUSY] {
            assert!(of(code).may_pass(), "{code}");
        }
        for code in [ffi::SQLITE_NOTADB, ffi::SQLITE_CORRUPT, ffi::SQLITE_PERM] {
            assert!(!of(code).may_pass(), "{code}");
        }
        let io = |kind: io::ErrorKind| OpenError::Io { path: "store.db".into(), source: kind.into() };
        assert!(io(io::ErrorKind::StorageFull).may_pass());
        assert!(!io(io::ErrorKind::PermissionDenied).may_pass());
    }
}
