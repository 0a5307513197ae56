//! Logging in: `user_auth` with the digest of a user's credentials, `api_auth` with an account's key.

use datastore::{
    AccountId, Deadline, DesignDocument, NameError, Result, RowStream, StoreError, ViewQuery, ViewRow, ensure_design,
};
use futures::StreamExt as _;
use serde_json::{Map, Value, json};

use crate::account::{Account, is_true};
use crate::authenticator::Authenticator;
use crate::lookup::system_db;
use crate::mint::NewToken;
use crate::password;

/// How long a token is good where nothing is configured, in seconds.
const DEFAULT_EXPIRY: i64 = 3600;

/// The modules that Kazoo's built-in configuration gives an expiry of their own.
const MODULES: [&str; 4] = ["cb_user_auth", "cb_api_auth", "cb_auth", "cb_ip_auth"];

/// A successful login.
#[derive(Clone, Debug)]
pub struct Login {
    /// The new token.
    pub token: String,
    /// What the client is told about itself.
    pub data: Map<String, Value>,
    /// The id that the answer's location ends with: the user's, else the account's.
    pub id: String,
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// No such account, or none of its users has these credentials.
    #[error("invalid credentials")]
    BadCredentials {
        /// Whether there was an account whose users were looked at.
        account_was_found: bool,
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
        let accounts = self.accounts_named(text("account_realm").or(text("realm")), text("account_name"), deadline).await?;
        let mut account_was_found = false;
        for account_id in accounts {
            account_was_found = true;
            let query = ViewQuery { key: Some(json!(credentials)), limit: Some(1), ..ViewQuery::of("users", view) };
            let rows = self.users_view(&account_id, query, deadline).await?;
            let Some(owner_id) = rows.first().map(|row| row.id.as_str().to_owned()) else { continue };
            let account = self.lookup.account(&account_id, deadline).await?;
            check_account(account.as_deref())?;
            return self.let_in(&account_id, Some(&owner_id), "cb_user_auth", data.get("as"), deadline).await;
        }
        Err(LoginError::BadCredentials { account_was_found })
    }

    /// Lets an account in by its key. Whether it is enabled is not asked, as in crossbar.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn api_auth(&self, api_key: &str, deadline: Deadline) -> std::result::Result<Login, LoginError> {
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
        let (now, _) = crate::unix_now();
        let expires_at = self.expiry(account_id, method, deadline).await?.map(|seconds| now + seconds);
        let token = NewToken { account_id, owner_id, method, masquerade, expires_at };
        let token = self.mint_token(token, deadline).await?;
        let data = self.describe(account_id, owner_id, deadline).await?;
        Ok(Login { token, data, id: owner_id.unwrap_or(account_id.as_str()).to_owned() })
    }

    /// What a client is told about the account that it is logged in to.
    async fn describe(
        &self,
        account_id: &AccountId,
        owner_id: Option<&str>,
        deadline: Deadline,
    ) -> Result<Map<String, Value>> {
        let account = self.lookup.account(account_id, deadline).await?;
        let accounts = self.lookup.config("accounts", deadline).await?;
        let crossbar = self.lookup.config("crossbar", deadline).await?;
        let cluster = self.lookup.config("cluster", deadline).await?;
        let master = accounts.text(&["master_account_id"]);
        let language = account.as_ref().and_then(|account| account.language());
        let language = language.or(crossbar.text(&["default_language"])).unwrap_or("en-US");
        let cluster_id = match cluster.text(&["cluster_id"]) {
            Some(id) => id.to_owned(),
            None => self.installation_id(deadline).await?,
        };
        let reseller_id = self.reseller_of(account.as_deref(), deadline).await?.or(master.map(str::to_owned));
        let mut data = Map::new();
        let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
        if let Some(owner_id) = owner_id {
            set("owner_id", json!(owner_id));
        }
        set("account_id", json!(account_id.as_str()));
        set("ui_config", json!({}));
        set("capabilities", json!({"voicemail": {"transcription": {"default": false, "available": false}}}));
        set("is_master_account", json!(master == Some(account_id.as_str())));
        set("is_reseller", json!(self.is_reseller(account_id.as_str(), deadline).await?));
        if let Some(reseller_id) = reseller_id {
            set("reseller_id", json!(reseller_id));
        }
        set("cluster_id", json!(cluster_id));
        set("account_name", json!(account.as_ref().and_then(|account| account.name())));
        set("language", json!(language));
        set("apps", json!([]));
        Ok(data)
    }

    /// An id of this installation where the cluster has none: the same as long as its signing key's is.
    async fn installation_id(&self, deadline: Deadline) -> Result<String> {
        let config = self.lookup.config("auth", deadline).await?;
        Ok(password::md5_of(config.text(&["system_key"]).unwrap_or_default()))
    }

    /// The nearest ancestor that is a reseller.
    async fn reseller_of(&self, account: Option<&Account>, deadline: Deadline) -> Result<Option<String>> {
        for ancestor in account.into_iter().flat_map(Account::tree).rev() {
            if self.is_reseller(ancestor, deadline).await? {
                return Ok(Some(ancestor.clone()));
            }
        }
        Ok(None)
    }

    async fn is_reseller(&self, account_id: &str, deadline: Deadline) -> Result<bool> {
        let services = self.lookup.read(&system_db("services")?, account_id, deadline).await?;
        Ok(services.as_ref().and_then(|services| services.get("pvt_reseller")).is_some_and(is_true))
    }

    /// How long a token that a module lets in is good: what the account says, else those above it up to
    /// the first reseller, else the system; none for ever.
    async fn expiry(&self, account_id: &AccountId, method: &str, deadline: Deadline) -> Result<Option<i64>> {
        let system = self.lookup.config("crossbar.auth", deadline).await?;
        let account = self.lookup.account(account_id, deadline).await?;
        let mut asked = vec![account_id.clone()];
        if !self.is_reseller(account_id.as_str(), deadline).await? {
            for ancestor in account.iter().flat_map(|account| account.tree()).rev() {
                asked.extend(AccountId::parse(ancestor));
                if self.is_reseller(ancestor, deadline).await? {
                    break;
                }
            }
        }
        let mut has_modules = system.get(&["auth_modules"]).is_some();
        let mut seconds = None;
        for account_id in asked {
            let config = self.lookup.document(&account_id, "configs_crossbar.auth", deadline).await?;
            let Some(modules) = config.as_ref().and_then(|config| config.get("auth_modules")) else { continue };
            has_modules = true;
            seconds = seconds.or_else(|| modules.get(method)?.get("token_auth_expiry_s")?.as_i64());
        }
        let of_system = || system.get(&["auth_modules", method, "token_auth_expiry_s"])?.as_i64();
        let built_in = || (!has_modules && MODULES.contains(&method)).then_some(DEFAULT_EXPIRY);
        let of_module = seconds.or_else(of_system).or_else(built_in).filter(|seconds| *seconds > 0);
        let general = || system.get(&["token_auth_expiry_s"]).map_or(Some(DEFAULT_EXPIRY), Value::as_i64);
        Ok(of_module.or_else(general).filter(|seconds| *seconds > 0))
    }

    /// The accounts of a realm, else of a name.
    async fn accounts_named(
        &self,
        realm: Option<&str>,
        name: Option<&str>,
        deadline: Deadline,
    ) -> Result<Vec<AccountId>> {
        let by_realm = realm.map(|realm| ("listing_by_realm", realm.to_lowercase()));
        let by_name = name.map(|name| ("listing_by_name", normalised(name)));
        for (view, key) in [by_realm, by_name].into_iter().flatten() {
            let query = ViewQuery { key: Some(json!(key)), ..ViewQuery::of("accounts", view) };
            let ids = self.account_ids(query, deadline).await?;
            if !ids.is_empty() {
                return Ok(ids);
            }
        }
        Ok(Vec::new())
    }

    async fn account_ids(&self, query: ViewQuery, deadline: Deadline) -> Result<Vec<AccountId>> {
        let mut rows = match self.accounts_view(query, deadline).await {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            rows => rows?,
        };
        let mut ids = Vec::new();
        while let Some(row) = rows.next().await {
            ids.extend(AccountId::parse(row?.id.as_str()));
        }
        Ok(ids)
    }

    /// Rows of a view over all accounts.
    pub(crate) async fn accounts_view(&self, query: ViewQuery, deadline: Deadline) -> Result<RowStream> {
        let db = system_db("accounts")?;
        self.view(&db, query, accounts_design, deadline).await
    }

    /// Rows of a view over an account's users.
    pub(crate) async fn users_view(
        &self,
        account_id: &AccountId,
        query: ViewQuery,
        deadline: Deadline,
    ) -> Result<Vec<ViewRow>> {
        let mut rows = match self.view(&account_id.db(), query, users_design, deadline).await {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            rows => rows?,
        };
        let mut all = Vec::new();
        while let Some(row) = rows.next().await {
            all.push(row?);
        }
        Ok(all)
    }

    /// Asks a view; one that is missing is created where the store is this program's own.
    async fn view(
        &self,
        db: &datastore::DbName,
        query: ViewQuery,
        design: fn() -> std::result::Result<DesignDocument, NameError>,
        deadline: Deadline,
    ) -> Result<RowStream> {
        let store = self.lookup.store();
        match store.query(db, query.clone(), deadline).await {
            Err(StoreError::ViewMissing(_)) if self.settings.may_create_views => {
                let design = design().map_err(|error| StoreError::Invalid(datastore::Cause::with_source("a design", error)))?;
                ensure_design(store, db, &design, deadline).await?;
                store.query(db, query, deadline).await
            }
            answer => answer,
        }
    }
}

fn check_account(account: Option<&Account>) -> std::result::Result<(), LoginError> {
    let (now, _) = crate::unix_now();
    if let Some(at) = account.and_then(|account| account.expired_at(now)) {
        return Err(LoginError::AccountExpired { at });
    }
    if account.is_some_and(|account| !account.is_enabled()) {
        return Err(LoginError::AccountDisabled);
    }
    Ok(())
}

/// A name as `listing_by_name` has it.
pub(crate) fn normalised(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The views over all accounts.
pub(crate) fn accounts_design() -> std::result::Result<DesignDocument, NameError> {
    DesignDocument::new(
        "accounts",
        &[
            ("listing_by_api", include_str!("../../../couch-views/accounts/accounts/listing_by_api.js")),
            ("listing_by_realm", include_str!("../../../couch-views/accounts/accounts/listing_by_realm.js")),
            ("listing_by_name", include_str!("../../../couch-views/accounts/accounts/listing_by_name.js")),
            ("listing_by_descendants", include_str!("../../../couch-views/accounts/accounts/listing_by_descendants.js")),
        ],
    )
}

/// The views over an account's users.
pub(crate) fn users_design() -> std::result::Result<DesignDocument, NameError> {
    DesignDocument::new(
        "users",
        &[
            ("creds_by_md5", include_str!("../../../couch-views/account/users/creds_by_md5.js")),
            ("creds_by_sha", include_str!("../../../couch-views/account/users/creds_by_sha.js")),
        ],
    )
}

