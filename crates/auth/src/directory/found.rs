//! Reads that may find nothing.

use datastore::Result;

/// Turns the errors that say that something is absent into `None`.
pub(crate) fn if_found<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
