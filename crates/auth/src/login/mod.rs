//! Logs clients in and out, and mints tokens. `user_auth` logs in with the digest of a user's credentials,
//! `api_auth` with an account's API key. `token_auth` describes a token or logs it out.

mod describe;
mod find;
mod logout;
mod mint;
mod subject;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use datastore::{Cause, Deadline, Result, StoreError};
use futures::future;
use kazoo::{AccountId, Time};
use serde_json::{Map, Value};

use self::describe::{Described, describe, load_cluster_settings};
use self::mint::{NewToken, load_signing, mint_token};
pub use self::subject::LoginSubject;
use crate::directory::{Account, Directory};
use crate::error::Barred;
use crate::limits::{Password, PasswordGuesses};
use crate::login_config::{USER_AUTH, load_lineage, load_login_config};
use crate::verify::Caller;

/// A successful login.
#[derive(Clone)]
pub struct Login {
    /// The new token.
    pub token: String,
    /// The answer's data: a description of the account.
    pub data: Map<String, Value>,
    /// The id of the user, else of the account. The answer's `Location` ends with it.
    pub id: String,
}

impl fmt::Debug for Login {
    /// Leaves out the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("id", &self.id).field("data", &self.data).finish_non_exhaustive()
    }
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// There is no such account, or none of its users has these credentials.
    #[error("invalid credentials")]
    BadCredentials {
        /// The number of accounts whose users were searched.
        accounts: usize,
    },
    /// No account has this key.
    #[error("unknown api key")]
    UnknownKey,
    /// The account's trial is over.
    #[error("account expired")]
    AccountExpired {
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

/// Logs clients in and out.
pub(crate) struct Logins {
    directory: Arc<Directory>,
    guesses: Arc<PasswordGuesses>,
}

impl Logins {
    pub(crate) fn new(directory: Arc<Directory>, guesses: Arc<PasswordGuesses>) -> Self {
        Self { directory, guesses }
    }

    /// Logs a user in by the digest of its credentials. `data` has passed its schema. `address` is the
    /// client's. `subject` is told whose login it is.
    pub(crate) async fn user(
        &self,
        data: &Map<String, Value>,
        address: Option<IpAddr>,
        subject: &LoginSubject,
        deadline: Deadline,
    ) -> std::result::Result<Login, LoginError> {
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let credentials = text("credentials").unwrap_or_default();
        let view = if text("method") == Some("sha") { "creds_by_sha" } else { "creds_by_md5" };
        let realm = text("account_realm").or(text("realm"));
        let name = text("account_name");
        let accounts = find::accounts_named(&self.directory, realm, name, deadline).await?;
        subject.set_named(&accounts);
        for account_id in &accounts {
            let user = find::user_with_credentials(&self.directory, account_id, view, credentials, deadline);
            let Some(owner_id) = user.await? else { continue };
            subject.set_proven(account_id, Some(&owner_id));
            self.guesses.judge(account_id, address, Password::Right, Instant::now())?;
            let account = self.directory.account(account_id, deadline).await?;
            check_account(account.as_deref())?;
            let login = self.let_in(account_id, Some(&owner_id), USER_AUTH, data.get("as"), deadline).await?;
            self.guesses.remember(account_id, address, Instant::now());
            return Ok(login);
        }
        self.count_wrong(&accounts, realm.or(name), address)?;
        Err(LoginError::BadCredentials { accounts: accounts.len() })
    }

    /// Counts a wrong password at each account that has the name. A name without an account is counted too.
    fn count_wrong(
        &self,
        accounts: &[AccountId],
        name: Option<&str>,
        address: Option<IpAddr>,
    ) -> std::result::Result<(), Barred> {
        let now = Instant::now();
        if accounts.is_empty() {
            return self.guesses.judge_unknown(&name.unwrap_or_default().to_lowercase(), now);
        }
        // Each account is charged, even if an earlier one refuses.
        let count = |account_id| self.guesses.judge(account_id, address, Password::Wrong, now);
        let verdicts: Vec<_> = accounts.iter().map(count).collect();
        verdicts.into_iter().collect()
    }

    /// Logs an account in by its API key. As in crossbar, a disabled account may log in.
    pub(crate) async fn api_key(
        &self,
        api_key: &str,
        subject: &LoginSubject,
        deadline: Deadline,
    ) -> std::result::Result<Login, LoginError> {
        let account_id = find::account_with_key(&self.directory, api_key, deadline).await?;
        let account_id = account_id.ok_or(LoginError::UnknownKey)?;
        subject.set_proven(&account_id, None);
        self.let_in(&account_id, None, "cb_api_auth", None, deadline).await
    }

    async fn let_in(
        &self,
        account_id: &AccountId,
        owner_id: Option<&str>,
        method: &str,
        masquerade: Option<&Value>,
        deadline: Deadline,
    ) -> std::result::Result<Login, LoginError> {
        let directory = &*self.directory;
        let account = directory.account(account_id, deadline).await?;
        let config = load_login_config(directory, account_id, account.as_deref(), deadline);
        // Minting and describing need these later. Reading them now saves round trips.
        let settings = load_cluster_settings(directory, deadline);
        let signing = load_signing(directory, account_id, owner_id, deadline);
        let ((config, lineage), settings, signing) = future::try_join3(config, settings, signing).await?;
        // If the user was deleted in the meantime, there is no identity to sign the token.
        if signing.identity.is_none() {
            return Err(LoginError::BadCredentials { accounts: 0 });
        }
        config.check(method, account_id, settings.master_account_id.as_deref())?;
        let expires_at = config.expiry(method).map(|seconds| Time::now().plus_seconds(seconds));
        let token = NewToken { account_id, owner_id, method, masquerade, expires_at };
        let token = mint_token(directory, token, &signing, deadline).await?;
        let (account, identity) = (account.as_deref(), signing.identity.as_ref());
        let data = describe(&Described { account_id, owner_id, account, identity, lineage, settings });
        Ok(Login { token, data, id: owner_id.unwrap_or(account_id.as_str()).to_owned() })
    }

    /// The token's claims and a description of its account.
    pub(crate) async fn describe(&self, caller: &Caller, deadline: Deadline) -> Result<Map<String, Value>> {
        let (directory, account_id) = (&*self.directory, caller.account_id());
        let account = directory.account(account_id, deadline).await?;
        let lineage = load_lineage(directory, account_id, account.as_deref(), deadline);
        let owner_id = caller.owner_id();
        let identity = directory.identity(account_id, owner_id.unwrap_or(account_id.as_str()), deadline);
        let settings = load_cluster_settings(directory, deadline);
        let (lineage, settings, identity) = future::try_join3(lineage, settings, identity).await?;
        let (account, identity) = (account.as_deref(), identity.as_deref());
        let mut data = caller.claims();
        data.extend(describe(&Described { account_id, owner_id, account, identity, lineage, settings }));
        Ok(data)
    }

    /// Mints a token for an account or one of its users. It expires after `ttl_seconds`.
    pub(crate) async fn mint(
        &self,
        account_id: &AccountId,
        owner_id: Option<&str>,
        ttl_seconds: u32,
        deadline: Deadline,
    ) -> Result<String> {
        let method = if owner_id.is_some() { USER_AUTH } else { "cb_api_auth" };
        let expires_at = Some(Time::now().plus_seconds(i64::from(ttl_seconds)));
        let token = NewToken { account_id, owner_id, method, masquerade: None, expires_at };
        let signing = load_signing(&self.directory, account_id, owner_id, deadline).await?;
        if signing.identity.is_none() {
            return Err(StoreError::Missing(Cause::new("there is no such user or account")));
        }
        mint_token(&self.directory, token, &signing, deadline).await
    }

    /// Records that a token was logged out.
    pub(crate) async fn record_logout(&self, token: &str, deadline: Deadline) -> Result<()> {
        logout::record(&self.directory, token, deadline).await
    }

    /// Deletes the records of expired tokens. Returns how many it deleted.
    pub(crate) async fn purge_logged_out(&self, deadline: Deadline) -> Result<usize> {
        logout::purge(&self.directory, deadline).await
    }
}

fn check_account(account: Option<&Account>) -> std::result::Result<(), LoginError> {
    let now = Time::now();
    if let Some(at) = account.and_then(|account| account.expired_at(now)) {
        return Err(LoginError::AccountExpired { at });
    }
    if account.is_some_and(|account| !account.is_enabled()) {
        return Err(Barred::AccountDisabled.into());
    }
    Ok(())
}
