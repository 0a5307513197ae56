//! What can go wrong behind a store, named by meaning: callers branch on `is_conflict`, `is_not_found`
//! and `is_retryable`, and log the rest.

use std::error::Error;
use std::fmt;

/// The backend's own account of a failure: its words, and the error below it where there is one.
///
/// For the log, never for a client. Backends scrub credentials before they make one.
#[derive(Debug)]
pub struct Cause {
    reason: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Cause {
    /// A failure told by words alone.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), source: None }
    }

    /// A failure with the error that led to it.
    pub fn with_source(reason: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        Self { reason: reason.into(), source: Some(Box::new(source)) }
    }

    /// The words.
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

/// Why a store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The write was based on another revision than the newest, or the id is taken.
    #[error("conflict: {0}")]
    Conflict(#[source] Cause),
    /// No document of that id was ever there.
    #[error("document missing: {0}")]
    Missing(#[source] Cause),
    /// The document is deleted; its id still has a tombstone.
    #[error("document deleted: {0}")]
    Deleted(#[source] Cause),
    /// There is no such database.
    #[error("database missing: {0}")]
    DatabaseMissing(#[source] Cause),
    /// The design document or the view in it does not exist.
    #[error("view missing: {0}")]
    ViewMissing(#[source] Cause),
    /// The store does not know us.
    #[error("the store refuses the credentials: {0}")]
    Unauthorized(#[source] Cause),
    /// The store knows us and says no (a validation function, a role).
    #[error("the store forbids it: {0}")]
    Forbidden(#[source] Cause),
    /// The document or request is larger than the store takes.
    #[error("too large for the store: {0}")]
    TooLarge(#[source] Cause),
    /// The request makes no sense to the store (a bad key, a map function that does not compile).
    #[error("the store finds the request invalid: {0}")]
    Invalid(#[source] Cause),
    /// The store answered that it cannot serve now (overload, start-up, 5xx).
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// No answer came: refused, reset, name not found. No status is invented for it.
    #[error("the store cannot be reached: {0}")]
    Transport(#[source] Cause),
    /// The caller's deadline passed first.
    #[error("the deadline passed: {0}")]
    DeadlineExceeded(#[source] Cause),
    /// What came back, or what lies on disk, is not what a store writes.
    #[error("the store's data cannot be read: {0}")]
    Corrupt(#[source] Cause),
}

impl StoreError {
    /// Whether re-reading and applying the change again may succeed.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether the thing is not there: a document (missing or deleted) or its whole database.
    /// A missing view is not meant: that is a store that has not been set up.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Deleted(_) | Self::DatabaseMissing(_))
    }

    /// Whether the same call may succeed a little later with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Transport(_) | Self::DeadlineExceeded(_))
    }
}
