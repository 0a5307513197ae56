//! The face of this crate: one type with a method for each thing that can be asked. The work is done by the
//! folders beside this file.

use std::sync::Arc;

use datastore::{Backend, Deadline, Result};
use kazoo::AccountId;
use serde_json::{Map, Value};

use crate::access::{Access, AccountAccess, Asked, Denied};
use crate::directory::{Account, Directory};
use crate::error::AuthError;
use crate::limits::RateLimits;
use crate::login::{Login, LoginError, Logins};
use crate::settings::Settings;
use crate::setup::bootstrap;
use crate::verify::{Caller, TokenDigest, Verifier};

/// Knows who a request comes from and what they may do.
pub struct Authenticator {
    directory: Arc<Directory>,
    verifier: Verifier,
    access: Access,
    logins: Logins,
}

impl Authenticator {
    /// Authentication by what `store` holds.
    #[must_use]
    pub fn new(store: Arc<dyn Backend>, settings: Settings) -> Self {
        let directory = Arc::new(Directory::new(store, settings));
        Self {
            verifier: Verifier::new(Arc::clone(&directory)),
            access: Access::new(Arc::clone(&directory)),
            logins: Logins::new(Arc::clone(&directory)),
            directory,
        }
    }

    /// Whether the store has what tokens are made and checked with.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn is_set_up(&self, deadline: Deadline) -> Result<bool> {
        bootstrap::is_set_up_for(self.directory.store(), self.directory.settings(), deadline).await
    }

    /// Verifies a token. `wanted_account` is the header `X-Auth-Account-ID`. If it is there, it must name
    /// the token's account.
    ///
    /// # Errors
    /// [`AuthError`]. Only a token whose signature is good is ever called expired.
    pub async fn verify(
        &self,
        token: &str,
        wanted_account: Option<&str>,
        deadline: Deadline,
    ) -> std::result::Result<Caller, AuthError> {
        self.verifier.token(token, wanted_account, deadline).await
    }

    /// Verifies the token that a stored bearer document holds.
    ///
    /// # Errors
    /// [`AuthError`], also if there is no such document.
    pub async fn verify_bearer(
        &self,
        id: &str,
        wanted_account: Option<&str>,
        deadline: Deadline,
    ) -> std::result::Result<Caller, AuthError> {
        self.verifier.bearer(id, wanted_account, deadline).await
    }

    /// Verifies what stands behind `Basic `: base64 of `account id:credentials`.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn verify_basic(
        &self,
        encoded: &str,
        deadline: Deadline,
    ) -> std::result::Result<Caller, AuthError> {
        self.verifier.basic(encoded, deadline).await
    }

    /// An account, deleted or not; none if it is not there.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn load_account(&self, id: &AccountId, deadline: Deadline) -> Result<Option<Arc<Account>>> {
        self.directory.account(id, deadline).await
    }

    /// Grants access to an account, or says why not. Restrictions are checked before reach: a request that
    /// both forbid is called restricted.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn authorise(
        &self,
        caller: &Caller,
        target: &Account,
        asked: Asked<'_>,
        deadline: Deadline,
    ) -> std::result::Result<AccountAccess, Denied> {
        self.access.authorise(caller, target, asked, deadline).await
    }

    /// Refuses a request that the restrictions of the caller's account forbid. Restrictions cover every
    /// path, also paths without an account.
    ///
    /// # Errors
    /// [`Denied`], but never `OutOfReach`.
    pub async fn check_restrictions(
        &self,
        caller: &Caller,
        target: Option<&Account>,
        asked: Asked<'_>,
        deadline: Deadline,
    ) -> std::result::Result<(), Denied> {
        self.access.check_restrictions(caller, target, asked, deadline).await
    }

    /// The limits of all clients, by what is known now.
    #[must_use]
    pub fn known_rate_limits(&self) -> Arc<RateLimits> {
        self.directory.known_rate_limits()
    }

    /// The limits of all clients.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn rate_limits(&self, deadline: Deadline) -> Result<Arc<RateLimits>> {
        self.directory.rate_limits(deadline).await
    }

    /// Logs a user in by the digest of its credentials. `data` satisfies its schema.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn user_auth(
        &self,
        data: &Map<String, Value>,
        deadline: Deadline,
    ) -> std::result::Result<Login, LoginError> {
        self.logins.user(data, deadline).await
    }

    /// Logs an account in by its key. Crossbar does not ask whether the account is enabled, so neither does
    /// this.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn api_auth(
        &self,
        api_key: &str,
        deadline: Deadline,
    ) -> std::result::Result<Login, LoginError> {
        self.logins.api_key(api_key, deadline).await
    }

    /// The claims of a caller's token, and what its account is like.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn describe_caller(&self, caller: &Caller, deadline: Deadline) -> Result<Map<String, Value>> {
        self.logins.describe(caller, deadline).await
    }

    /// Mints a token for an account, or for a user of it, that is good for `ttl_seconds` from now.
    ///
    /// # Errors
    /// What the store answers; `Missing` if it holds no signing key, or no such user or account.
    pub async fn mint(
        &self,
        account_id: &AccountId,
        owner_id: Option<&str>,
        ttl_seconds: u32,
        deadline: Deadline,
    ) -> Result<String> {
        self.logins.mint(account_id, owner_id, ttl_seconds, deadline).await
    }

    /// Makes a token count no more: here at once, in other processes on the same store as soon as they
    /// have forgotten that they verified it.
    ///
    /// # Errors
    /// What the store answers. The token then still counts, so that its bearer can try again.
    pub async fn log_out(&self, token: &str, deadline: Deadline) -> Result<()> {
        self.logins.record_logout(token, deadline).await?;
        self.verifier.end(TokenDigest::of(token));
        Ok(())
    }

    /// Deletes the records of logged-out tokens that have ended by now, and answers how many those were.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn purge_logged_out(&self, deadline: Deadline) -> Result<usize> {
        self.logins.purge_logged_out(deadline).await
    }
}
