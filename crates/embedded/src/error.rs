//! SQLite's failures in the boundary's words.

use datastore::{Cause, Deadline, StoreError};
use rusqlite::ErrorCode;

/// The meaning of a failure of SQLite while doing `what`.
pub(crate) fn from_sqlite(what: &str, error: rusqlite::Error) -> StoreError {
    let code = error.sqlite_error_code();
    let cause = Cause::with_source(format!("{what} failed in SQLite"), error);
    match code {
        Some(ErrorCode::OperationInterrupted) => StoreError::DeadlineExceeded(cause),
        Some(ErrorCode::TooBig) => StoreError::TooLarge(cause),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch) => {
            StoreError::Corrupt(cause)
        }
        // Without a code it is a value that is not of the type that was written.
        None => StoreError::Corrupt(cause),
        Some(_) => StoreError::Unavailable(cause),
    }
}

/// Turns a result of SQLite into one of the boundary.
pub(crate) trait SqliteResult<T> {
    /// Says what was being done when it failed.
    fn during(self, what: &str) -> Result<T, StoreError>;
}

impl<T> SqliteResult<T> for rusqlite::Result<T> {
    fn during(self, what: &str) -> Result<T, StoreError> {
        self.map_err(|error| from_sqlite(what, error))
    }
}

pub(crate) fn invalid(reason: impl Into<String>) -> StoreError {
    StoreError::Invalid(Cause::new(reason))
}

pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable(Cause::new("the store is closed, or gave the work up"))
}

pub(crate) fn deadline_exceeded() -> StoreError {
    StoreError::DeadlineExceeded(Cause::new("it had passed before the work was done"))
}

/// Refuses work that nobody waits for any more.
pub(crate) fn in_time(deadline: Deadline) -> Result<(), StoreError> {
    if deadline.is_over() { Err(deadline_exceeded()) } else { Ok(()) }
}
