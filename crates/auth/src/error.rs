//! Why credentials are refused.

use datastore::StoreError;

/// Why credentials are refused. Clients do not learn what exactly is wrong with a token. The log does, without
/// the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The token was good once, and has ended.
    #[error("the token has expired")]
    Expired,
    /// The credentials are malformed or wrong.
    #[error("the credentials are not good: {0}")]
    Invalid(&'static str),
    /// The token is good, but its account's trial is over.
    #[error("the account's trial expired")]
    TrialExpired {
        /// When it ended, in gregorian seconds.
        at: i64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
