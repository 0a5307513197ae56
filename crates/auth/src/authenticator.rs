//! The type that other crates call. Each method passes its call to the folder that does the work.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use datastore::{Backend, DbName, Deadline, DocId, Result};
use kazoo::AccountId;
use serde_json::{Map, Value};

use crate::access::{Access, AccountAccess, Asked, Denied};
use crate::directory::{Account, Directory, load_sections};
use crate::error::AuthError;
use crate::limits::{PasswordGuesses, RateLimits};
use crate::login::{Login, LoginError, LoginSubject, Logins};
use crate::settings::Settings;
use crate::setup::bootstrap;
use crate::verify::{Caller, TokenDigest, Verifier};

/// Finds out who sent a request and what the sender may do.
pub struct Authenticator {
    directory: Arc<Directory>,
    verifier: Verifier,
    access: Access,
    logins: Logins,
    guesses: Arc<PasswordGuesses>,
}

impl Authenticator {
    /// Authenticates against the documents in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Backend>, settings: Settings) -> Self {
        let directory = Arc::new(Directory::new(store, settings));
        let guesses = Arc::new(PasswordGuesses::new(Instant::now()));
        Self {
            verifier: Verifier::new(Arc::clone(&directory), Arc::clone(&guesses)),
            access: Access::new(Arc::clone(&directory)),
            logins: Logins::new(Arc::clone(&directory), Arc::clone(&guesses)),
            guesses,
            directory,
        }
    }

    /// Whether a store has a signing key and a system secret. Tokens need both. The store is asked as it is: give
    /// the one without a cache to learn whether it answers.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn is_set_up(&self, store: &dyn Backend, deadline: Deadline) -> Result<bool> {
        bootstrap::is_set_up_for(store, self.directory.settings(), deadline).await
    }

    /// Whether the store holds the signing key that its configuration names.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn has_named_key(&self, deadline: Deadline) -> Result<bool> {
        bootstrap::has_named_key_for(self.directory.store(), self.directory.settings(), deadline).await
    }

    /// The sections of the documents in `system_config` that authentication reads, except `default`. A node or
    /// zone that is not among them has no values of its own.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn config_sections(&self, deadline: Deadline) -> Result<BTreeSet<String>> {
        load_sections(self.directory.store(), deadline).await
    }

    /// Drops a document from the cache: somebody else has changed it. The next request that needs it reads it.
    pub fn forget(&self, db: &DbName, id: &DocId) {
        self.directory.forget(db, id);
    }

    /// Drops all documents of a database from the cache: somebody else has created or deleted the database, or
    /// changed it as a whole.
    pub fn forget_database(&self, db: &DbName) {
        self.directory.forget_database(db);
    }

    /// Verifies a token. `wanted_account` is the header `X-Auth-Account-ID`. If it is present, it must name
    /// the token's account.
    ///
    /// # Errors
    /// [`AuthError`]. A token with a wrong signature is never reported as expired.
    pub async fn verify(
        &self,
        token: &str,
        wanted_account: Option<&str>,
        deadline: Deadline,
    ) -> std::result::Result<Caller, AuthError> {
        self.verifier.token(token, wanted_account, deadline).await
    }

    /// Verifies the token in a stored bearer document.
    ///
    /// # Errors
    /// [`AuthError`]. A missing document is `Invalid`.
    pub async fn verify_bearer(
        &self,
        id: &str,
        wanted_account: Option<&str>,
        deadline: Deadline,
    ) -> std::result::Result<Caller, AuthError> {
        self.verifier.bearer(id, wanted_account, deadline).await
    }

    /// Verifies Basic credentials: the base64 of `account id:credentials`. `address` is the client's: wrong
    /// passwords are counted for each account, and addresses that logged in before are exempt.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn verify_basic(
        &self,
        encoded: &str,
        address: Option<IpAddr>,
        deadline: Deadline,
    ) -> std::result::Result<Caller, AuthError> {
        self.verifier.basic(encoded, address, deadline).await
    }

    /// Remembers that a client showed good credentials from this address. It can log in to their account while
    /// others guess passwords. After a restart, tokens that are still good make their clients known again.
    pub fn remember_address(&self, caller: &Caller, address: Option<IpAddr>) {
        if address.is_some_and(|address| caller.is_new_at(address)) {
            self.guesses.remember(caller.account_id(), address, Instant::now());
        }
    }

    /// Reads an account, even a deleted one. `None` if it does not exist.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn load_account(&self, id: &AccountId, deadline: Deadline) -> Result<Option<Arc<Account>>> {
        self.directory.account(id, deadline).await
    }

    /// As [`Authenticator::load_account`], for a request of this caller. The caller's own account was read when
    /// the caller was verified.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn load_target(
        &self,
        id: &AccountId,
        caller: Option<&Caller>,
        deadline: Deadline,
    ) -> Result<Option<Arc<Account>>> {
        match caller.and_then(Caller::account).filter(|account| account.id() == id) {
            Some(own) => Ok(Some(Arc::clone(own))),
            None => self.load_account(id, deadline).await,
        }
    }

    /// The connection on which Kazoo has an account, if a storage plan puts the account on another server than this
    /// store. What the store holds of such an account is not the truth.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn foreign_connection(&self, id: &AccountId, deadline: Deadline) -> Result<Option<String>> {
        self.directory.foreign_connection(id, deadline).await
    }

    /// Grants access to an account, or says why access is denied. Restrictions are checked first. A request
    /// that fails both checks is therefore `Restricted`.
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

    /// Refuses a request if the caller's restrictions forbid it. Restrictions cover every path, even a path
    /// without an account.
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

    /// The rate limits that were read last.
    #[must_use]
    pub fn known_rate_limits(&self) -> Arc<RateLimits> {
        self.directory.known_rate_limits()
    }

    /// Reads the rate limits. They are the same for all clients.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn rate_limits(&self, deadline: Deadline) -> Result<Arc<RateLimits>> {
        self.directory.rate_limits(deadline).await
    }

    /// Logs a user in by the digest of its credentials. `data` has passed its schema. `address` is the
    /// client's: wrong passwords are counted for each account, and addresses that logged in before are exempt.
    /// `subject` is told whose login it is, also if it fails.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn user_auth(
        &self,
        data: &Map<String, Value>,
        address: Option<IpAddr>,
        subject: &LoginSubject,
        deadline: Deadline,
    ) -> std::result::Result<Login, LoginError> {
        self.logins.user(data, address, subject, deadline).await
    }

    /// Logs an account in by its API key. As in crossbar, a disabled account may log in. `subject` is told whose login
    /// it is.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn api_auth(
        &self,
        api_key: &str,
        subject: &LoginSubject,
        deadline: Deadline,
    ) -> std::result::Result<Login, LoginError> {
        self.logins.api_key(api_key, subject, deadline).await
    }

    /// The token's claims and a description of its account.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn describe_caller(&self, caller: &Caller, deadline: Deadline) -> Result<Map<String, Value>> {
        self.logins.describe(caller, deadline).await
    }

    /// Mints a token for an account or one of its users. It expires after `ttl_seconds`.
    ///
    /// # Errors
    /// Errors from the store. `Missing` if the signing key, the user or the account does not exist.
    pub async fn mint(
        &self,
        account_id: &AccountId,
        owner_id: Option<&str>,
        ttl_seconds: u32,
        deadline: Deadline,
    ) -> Result<String> {
        self.logins.mint(account_id, owner_id, ttl_seconds, deadline).await
    }

    /// Logs a token out. This process refuses it at once. Other processes refuse it when their cached check
    /// expires.
    ///
    /// # Errors
    /// Errors from the store. The token then stays valid, so that the client can try again.
    pub async fn log_out(&self, token: &str, deadline: Deadline) -> Result<()> {
        self.logins.record_logout(token, deadline).await?;
        self.verifier.end(TokenDigest::of(token));
        Ok(())
    }

    /// Deletes the records of logged-out tokens that have expired. Returns how many it deleted.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn purge_logged_out(&self, deadline: Deadline) -> Result<usize> {
        self.logins.purge_logged_out(deadline).await
    }
}
