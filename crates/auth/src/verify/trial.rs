//! Checks the trial of an account.

use kazoo::Time;

use crate::directory::Account;
use crate::error::AuthError;

/// Refuses credentials of an account whose trial is over.
pub(super) fn check_trial(account: Option<&Account>) -> Result<(), AuthError> {
    match account.and_then(|account| account.expired_at(Time::now())) {
        Some(at) => Err(AuthError::TrialExpired { at }),
        None => Ok(()),
    }
}
