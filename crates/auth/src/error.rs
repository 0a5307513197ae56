//! Why credentials are refused.

use datastore::StoreError;

use crate::limits::BucketEmpty;

/// Why credentials are refused. The log says what exactly is wrong with a token, without the token. Clients
/// are not told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The token was valid, but has expired.
    #[error("the token has expired")]
    Expired,
    /// The credentials are malformed or wrong.
    #[error("the credentials are invalid: {0}")]
    Invalid(&'static str),
    /// The token is valid, but its account's trial is over.
    #[error("the account's trial expired")]
    TrialExpired {
        /// The end of the trial, in gregorian seconds.
        at: i64,
    },
    /// The credentials are valid, but their account is disabled.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The credentials are valid, but the configuration disables this way of logging in.
    #[error("this way of logging in is disabled")]
    ModuleDisabled,
    /// The credentials are valid, but the account requires a second factor. Only crossbar can check that.
    #[error("a second factor is required")]
    SecondFactor,
    /// There were too many wrong passwords for this account. Whether this one is right is not told.
    #[error("there were too many wrong passwords for this account")]
    TooManyGuesses,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BucketEmpty> for AuthError {
    fn from(_: BucketEmpty) -> Self {
        Self::TooManyGuesses
    }
}
