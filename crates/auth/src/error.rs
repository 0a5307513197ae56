//! Why a request is not let in.

use datastore::StoreError;

/// Why credentials do not make a caller. What exactly is wrong with a token is nobody's business but
/// the log's, and there it is told without the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The token was good once: everything about it is right but the time.
    #[error("the token has expired")]
    Expired,
    /// It is no token, or not a good one.
    #[error("the credentials are not good: {0}")]
    Invalid(&'static str),
    /// The token is good, but its account's trial is over.
    #[error("the account's trial expired")]
    TrialExpired {
        /// When, in gregorian seconds.
        at: i64,
    },
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}
