//! The errors of a store. Callers branch on `is_conflict`, `is_not_found` and `is_retryable`, and log the
//! rest.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The result of every call of a store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Turns an error that means "not found" into `None`.
///
/// # Errors
/// Every other error.
pub fn if_found<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A backend's description of a failure, with the error that caused it if there is one.
///
/// It is logged and never sent to a client. Backends remove credentials from it.
#[derive(Clone, Debug)]
pub struct Cause {
    reason: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Cause {
    /// A failure without a source error.
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into(), source: None }
    }

    /// A failure with its source error.
    pub fn with_source(reason: impl Into<Arc<str>>, source: impl Error + Send + Sync + 'static) -> Self {
        Self { reason: reason.into(), source: Some(Arc::new(source)) }
    }

    /// The description.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| {
            let source: &(dyn Error + 'static) = source.as_ref();
            source
        })
    }
}

/// Why a call of a store failed. It can be cloned for several callers that waited for the same call.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The write's base is not the newest revision, or the id is taken.
    #[error("conflict: {0}")]
    Conflict(#[source] Cause),
    /// There was never a document with this id.
    #[error("document missing: {0}")]
    Missing(#[source] Cause),
    /// The document is deleted and has left a tombstone.
    #[error("document deleted: {0}")]
    Deleted(#[source] Cause),
    /// There is no such database.
    #[error("database missing: {0}")]
    DatabaseMissing(#[source] Cause),
    /// The design document or the view in it does not exist.
    #[error("view missing: {0}")]
    ViewMissing(#[source] Cause),
    /// The store does not accept our credentials.
    #[error("the store refuses the credentials: {0}")]
    Unauthorized(#[source] Cause),
    /// The store accepts our credentials but forbids the call (a validation function, a role).
    #[error("the store forbids it: {0}")]
    Forbidden(#[source] Cause),
    /// The document or request is too large for the store.
    #[error("too large for the store: {0}")]
    TooLarge(#[source] Cause),
    /// The store cannot use the request (a bad key, a map function that does not compile).
    #[error("the store finds the request invalid: {0}")]
    Invalid(#[source] Cause),
    /// The store answered that it cannot serve the call now (overload, start-up, 5xx).
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// The store can read, but cannot write now (the disk is full, or fails, or became read-only).
    #[error("the store cannot write: {0}")]
    CannotWrite(#[source] Cause),
    /// There are too many calls already. This call was not made, so a write was not done.
    #[error("the store is busy: {0}")]
    Busy(#[source] Cause),
    /// The store did not answer: connection refused or reset, host name not found.
    #[error("the store cannot be reached: {0}")]
    Transport(#[source] Cause),
    /// The caller's deadline passed before the answer.
    #[error("the deadline passed: {0}")]
    DeadlineExceeded(#[source] Cause),
    /// The answer or the stored data cannot be read.
    #[error("the store's data cannot be read: {0}")]
    Corrupt(#[source] Cause),
}

impl StoreError {
    /// Whether the caller may succeed by reading the document and applying its change again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether the document is missing or deleted, or its database is missing. A missing view does not
    /// count: it means that the store has not been set up.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Deleted(_) | Self::DatabaseMissing(_))
    }

    /// Whether the same call may succeed if it is made again later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::CannotWrite(_)
                | Self::Busy(_)
                | Self::Transport(_)
                | Self::DeadlineExceeded(_)
        )
    }

    /// Whether the call was not made because there are too many others.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }
}
