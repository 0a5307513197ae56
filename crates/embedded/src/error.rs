//! Turns SQLite errors into `StoreError`, and makes the few errors that several modules share.

use std::sync::Arc;

use datastore::{Cause, Deadline, StoreError};
use rusqlite::ErrorCode;

/// Turns an SQLite error into a `StoreError`. `what` names the operation that failed.
pub(crate) fn from_sqlite(what: &str, error: rusqlite::Error) -> StoreError {
    let code = error.sqlite_error_code();
    let cause = Cause::with_source(format!("{what} failed in SQLite"), error);
    match code {
        Some(ErrorCode::OperationInterrupted) => StoreError::DeadlineExceeded(cause),
        Some(ErrorCode::TooBig) => StoreError::TooLarge(cause),
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly) => StoreError::CannotWrite(cause),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch) => {
            StoreError::Corrupt(cause)
        }
        // An error without a code means that a stored value has an unexpected type.
        None => StoreError::Corrupt(cause),
        Some(_) => StoreError::Unavailable(cause),
    }
}

/// Turns an SQLite result into a store result.
pub(crate) trait SqliteResult<T> {
    /// Names the operation for the error message.
    fn during(self, what: &str) -> Result<T, StoreError>;
}

impl<T> SqliteResult<T> for rusqlite::Result<T> {
    fn during(self, what: &str) -> Result<T, StoreError> {
        self.map_err(|error| from_sqlite(what, error))
    }
}

pub(crate) fn invalid(reason: impl Into<Arc<str>>) -> StoreError {
    StoreError::Invalid(Cause::new(reason))
}

pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable(Cause::new("the store is closed, or it dropped the job"))
}

pub(crate) fn deadline_exceeded() -> StoreError {
    StoreError::DeadlineExceeded(Cause::new("the deadline passed before the work was done"))
}

/// Fails if the deadline has passed, so that nobody works for a caller who has stopped waiting.
pub(crate) fn in_time(deadline: Deadline) -> Result<(), StoreError> {
    if deadline.is_over() { Err(deadline_exceeded()) } else { Ok(()) }
}
