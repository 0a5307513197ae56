//! Logging in: `user_auth` with the digest of a user's credentials, `api_auth` with an account's key.

use std::fmt;

use datastore::{Deadline, Result, StoreError, ViewQuery, ViewRow};
use futures::future;
use kazoo::{AccountId, Time, search_name};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::account_config::Lineage;
use crate::authenticator::Authenticator;
use crate::caller::Caller;
use crate::lookup::Identity;
use crate::mint::NewToken;
use crate::password;

/// A successful login.
#[derive(Clone)]
pub struct Login {
    /// The new token.
    pub token: String,
    /// What the client is told about itself.
    pub data: Map<String, Value>,
    /// The id that the answer's location ends with: the user's, else the account's.
    pub id: String,
}

impl fmt::Debug for Login {
    /// All but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("id", &self.id).field("data", &self.data).finish_non_exhaustive()
    }
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// No such account, or none of its users has these credentials.
    #[error("invalid credentials")]
    BadCredentials {
        /// How many accounts there were whose users were looked at.
        accounts: usize,
    },
    /// No account has this key.
    #[error("unknown api key")]
    UnknownKey,
    /// The account's trial is over.
    #[error("account expired")]
    AccountExpired {
        /// Since when, in gregorian seconds.
        at: i64,
    },
    /// The account is disabled.
    #[error("account disabled")]
    AccountDisabled,
    /// The credentials are good, but the account or the system has switched off this way of logging in.
    #[error("this way of logging in is disabled")]
    ModuleDisabled,
    /// The credentials are good, but the account wants a second factor, which only crossbar can check.
    #[error("a second factor is wanted")]
    SecondFactor,
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authenticator {
    /// Lets a user in by the digest of its credentials. `data` has passed its schema.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn user_auth(
        &self,
        data: &Map<String, Value>,
        deadline: Deadline,
    ) -> std::result::Result<Login, LoginError> {
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let credentials = text("credentials").unwrap_or_default();
        let view = if text("method") == Some("sha") { "creds_by_sha" } else { "creds_by_md5" };
        let accounts = self
            .accounts_named(text("account_realm").or(text("realm")), text("account_name"), deadline)
            .await?;
        for account_id in &accounts {
            let rows = self.users(account_id, rows_of("users", view, credentials), deadline).await?;
            // One that lies in the database of another account, copied there perhaps, is not of this one.
            let own = rows.iter().find(|row| is_row_of(account_id, row));
            let Some(owner_id) = own.map(|row| row.id.as_str().to_owned()) else { continue };
            let account = self.lookup.account(account_id, deadline).await?;
            check_account(account.as_deref())?;
            return self.let_in(account_id, Some(&owner_id), "cb_user_auth", data.get("as"), deadline).await;
        }
        Err(LoginError::BadCredentials { accounts: accounts.len() })
    }

    /// Lets an account in by its key. Whether it is enabled is not asked, as in crossbar.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn api_auth(
        &self,
        api_key: &str,
        deadline: Deadline,
    ) -> std::result::Result<Login, LoginError> {
        let query = ViewQuery {
            key: Some(json!(api_key)),
            limit: Some(1),
            ..ViewQuery::of("accounts", "listing_by_api")
        };
        let ids = self.account_ids(query, deadline).await?;
        let account_id = ids.into_iter().next().ok_or(LoginError::UnknownKey)?;
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
        let account = self.lookup.account(account_id, deadline).await?;
        let lineage = self.lineage(account_id, account.as_deref(), deadline);
        // Minting and describing need these right behind; asking now saves round trips.
        let settings = self.cluster_settings(deadline);
        let signing = self.load_signing(account_id, owner_id, deadline);
        let (lineage, settings, signing) = future::try_join3(lineage, settings, signing).await?;
        // Who was deleted meanwhile gets no token: nobody's signature would be in it.
        if signing.identity.is_none() {
            return Err(LoginError::BadCredentials { accounts: 0 });
        }
        let config = self.login_config(account_id, &lineage, deadline).await?;
        if !config.is_enabled(method) {
            return Err(LoginError::ModuleDisabled);
        }
        if config.wants_second_factor(method, account_id.as_str(), settings.master_account_id.as_deref()) {
            return Err(LoginError::SecondFactor);
        }
        let expires_at = config.expiry(method).map(|seconds| Time::now().plus_seconds(seconds));
        let token = NewToken { account_id, owner_id, method, masquerade, expires_at };
        let token = self.mint_token(token, &signing, deadline).await?;
        let (account, identity) = (account.as_deref(), signing.identity.as_deref());
        let data = describe(&Described { account_id, owner_id, account, identity, lineage, settings });
        Ok(Login { token, data, id: owner_id.unwrap_or(account_id.as_str()).to_owned() })
    }

    /// What a caller's token says, and what its account is like.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn describe_caller(&self, caller: &Caller, deadline: Deadline) -> Result<Map<String, Value>> {
        let account_id = caller.account_id();
        let account = self.lookup.account(account_id, deadline).await?;
        let lineage = self.lineage(account_id, account.as_deref(), deadline);
        let owner_id = caller.owner_id();
        let identity = self.lookup.identity(account_id, owner_id.unwrap_or(account_id.as_str()), deadline);
        let settings = self.cluster_settings(deadline);
        let (lineage, settings, identity) = future::try_join3(lineage, settings, identity).await?;
        let (account, identity) = (account.as_deref(), identity.as_deref());
        let mut data = caller.claims();
        data.extend(describe(&Described { account_id, owner_id, account, identity, lineage, settings }));
        Ok(data)
    }

    /// What is told to every client alike.
    async fn cluster_settings(&self, deadline: Deadline) -> Result<ClusterSettings> {
        let accounts = self.lookup.config("accounts", deadline);
        let crossbar = self.lookup.config("crossbar", deadline);
        let cluster = self.lookup.config("cluster", deadline);
        let auth = self.lookup.config("auth", deadline);
        let (accounts, crossbar, cluster, auth) =
            future::try_join4(accounts, crossbar, cluster, auth).await?;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        // Where the cluster has no id: one that stays the same as long as the signing key's does.
        let made_up = || password::md5_of(auth.text(&["system_key"]).unwrap_or_default());
        Ok(ClusterSettings {
            master_account_id: owned(accounts.text(&["master_account_id"])),
            default_language: owned(crossbar.text(&["default_language"])),
            cluster_id: owned(cluster.text(&["cluster_id"])).unwrap_or_else(made_up),
        })
    }

    /// The accounts of a realm, else of a name.
    async fn accounts_named(
        &self,
        realm: Option<&str>,
        name: Option<&str>,
        deadline: Deadline,
    ) -> Result<Vec<AccountId>> {
        let by_realm = realm.map(|realm| ("listing_by_realm", realm.to_lowercase()));
        let by_name = name.map(|name| ("listing_by_name", search_name(name)));
        for (view, key) in [by_realm, by_name].into_iter().flatten() {
            let ids = self.account_ids(rows_of("accounts", view, &key), deadline).await?;
            if !ids.is_empty() {
                return Ok(ids);
            }
        }
        Ok(Vec::new())
    }
}

/// How many accounts of one name, and how many users of the same credentials, are looked at.
const MOST_ROWS: u64 = 100;

/// The rows of a key.
fn rows_of(design: &str, view: &str, key: &str) -> ViewQuery {
    ViewQuery { key: Some(json!(key)), limit: Some(MOST_ROWS), ..ViewQuery::of(design, view) }
}

/// Whether a row of a user's credentials says that the user is of an account.
fn is_row_of(account_id: &AccountId, row: &ViewRow) -> bool {
    let value: Option<Value> = serde_json::from_str(row.value.get()).ok();
    value.is_some_and(|value| value.get("account_id").is_some_and(|id| id == account_id.as_str()))
}

/// What the system's configuration tells every client.
struct ClusterSettings {
    master_account_id: Option<String>,
    default_language: Option<String>,
    cluster_id: String,
}

/// What a client's own description is made of.
struct Described<'a> {
    account_id: &'a AccountId,
    owner_id: Option<&'a str>,
    account: Option<&'a Account>,
    /// The user, or for an account's key the account once more.
    identity: Option<&'a Identity>,
    lineage: Lineage,
    settings: ClusterSettings,
}

/// What a client is told about the account that it is logged in to.
fn describe(described: &Described<'_>) -> Map<String, Value> {
    let Described { account_id, owner_id, account, identity, lineage, settings } = described;
    let master = settings.master_account_id.as_deref();
    let of_user = identity.and_then(|identity| identity.language.as_deref());
    let of_account = account.and_then(Account::language);
    let language = of_user.or(of_account).or(settings.default_language.as_deref());
    let mut data = Map::new();
    let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
    if let Some(owner_id) = owner_id {
        set("owner_id", json!(owner_id));
    }
    set("account_id", json!(account_id.as_str()));
    set("ui_config", json!({}));
    set("capabilities", json!({"voicemail": {"transcription": {"default": false, "available": false}}}));
    set("is_master_account", json!(master == Some(account_id.as_str())));
    set("is_reseller", json!(lineage.is_reseller()));
    if let Some(reseller_id) = lineage.reseller().map(AccountId::as_str).or(master) {
        set("reseller_id", json!(reseller_id));
    }
    set("cluster_id", json!(settings.cluster_id));
    if let Some(name) = account.and_then(Account::name) {
        set("account_name", json!(name));
    }
    set("language", json!(language.unwrap_or("en-US")));
    set("apps", json!([]));
    data
}

fn check_account(account: Option<&Account>) -> std::result::Result<(), LoginError> {
    let now = Time::now();
    if let Some(at) = account.and_then(|account| account.expired_at(now)) {
        return Err(LoginError::AccountExpired { at });
    }
    if account.is_some_and(|account| !account.is_enabled()) {
        return Err(LoginError::AccountDisabled);
    }
    Ok(())
}
