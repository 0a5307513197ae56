//! Why credentials are refused.

use datastore::StoreError;

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
    /// The credentials are valid, or are not judged any more, and do not let the client in.
    #[error(transparent)]
    Barred(#[from] Barred),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a password does not let a client in although it is right. Logins and Basic share these reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// The account is disabled.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The configuration disables this way of logging in.
    #[error("this way of logging in is disabled")]
    ModuleDisabled,
    /// The account requires a second factor. Only crossbar can check that.
    #[error("a second factor is required")]
    SecondFactor,
    /// There were too many wrong passwords for this account. The client is not told whether this one is right.
    #[error("there were too many wrong passwords for this account")]
    TooManyGuesses,
}
