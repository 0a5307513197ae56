//! Prepares an empty store: it creates a signing key and a system secret for tokens, accounts, and users. The
//! documents have Kazoo's layout, so the store can move into a Kazoo cluster later.
//!
//! These functions write. Verifying never calls them.

use datastore::{
    Backend, Cause, DbName, Deadline, DesignDocument, DocId, Draft, Ensured, NameError, Result, StoreError,
    ensure_design, if_found, missing_views, random_hex,
};
use kazoo::{AccountId, Config, ConfigDocument, Kind, SystemDb, account, is_deleted, member, search_name};
use serde_json::{Map, Value, json};

use super::find::find;
pub use super::find::{find_account, find_user};
use super::keys;
use super::stamps::{private_fields, private_fields_of, save_changed};
use crate::directory::load_signing_key;
use crate::password;
use crate::registry::{Registered, registered_design};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::verify::SYSTEM_SECRET;
use crate::views::{accounts_design, users_design};

/// An account to create.
#[derive(Clone, Debug)]
pub struct NewAccount<'a> {
    /// The name of the account.
    pub name: &'a str,
    /// The SIP realm. `None` means a realm made from the name.
    pub realm: Option<&'a str>,
    /// The account above it, if there is one.
    pub parent: Option<&'a AccountId>,
}

/// A user to create.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// The name to log in with.
    pub username: &'a str,
    /// The password. Only digests of it are stored.
    pub password: &'a Secret,
    /// Whether the user is an administrator of the account.
    pub is_admin: bool,
}

/// Whether the store has a signing key and a system secret, in the section `default`.
///
/// # Errors
/// Errors from the store.
pub async fn is_set_up(store: &dyn Backend, deadline: Deadline) -> Result<bool> {
    is_set_up_for(store, &Settings::default(), deadline).await
}

/// Whether the store has a signing key and a system secret, in the sections for the settings' node and zone
/// or in `default`.
///
/// # Errors
/// Errors from the store.
pub async fn is_set_up_for(store: &dyn Backend, settings: &Settings, deadline: Deadline) -> Result<bool> {
    Ok(state(store, settings, deadline).await? == State::Complete)
}

/// Whether a store names a signing key and a system secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    /// The document is there, and marked as deleted.
    Deleted,
    Incomplete,
    Complete,
}

/// Whether the store holds the signing key that `system_config/auth` names. Without the key nobody can log in,
/// and no token of this store can be checked. True if no key is named: [`is_set_up`] tells that.
///
/// # Errors
/// Errors from the store.
pub async fn has_named_key(store: &dyn Backend, deadline: Deadline) -> Result<bool> {
    has_named_key_for(store, &Settings::default(), deadline).await
}

/// As [`has_named_key`], with the sections for the settings' node and zone.
///
/// # Errors
/// Errors from the store.
pub async fn has_named_key_for(store: &dyn Backend, settings: &Settings, deadline: Deadline) -> Result<bool> {
    let document = load_auth(store, deadline).await?.unwrap_or_default();
    match Config::read(document, &settings.node_and_zone).text(&["system_key"]) {
        Some(kid) => Ok(load_signing_key(store, kid, deadline).await?.is_some()),
        None => Ok(true),
    }
}

/// The members of `system_config/auth`, even if it is marked as deleted.
async fn load_auth(store: &dyn Backend, deadline: Deadline) -> Result<Option<Map<String, Value>>> {
    let fetched = store.fetch(SystemDb::SystemConfig.name(), &ConfigDocument::Auth.id(), deadline).await;
    if_found(fetched)?.map(|document| document.to_object()).transpose()
}

async fn state(store: &dyn Backend, settings: &Settings, deadline: Deadline) -> Result<State> {
    let Some(document) = load_auth(store, deadline).await? else { return Ok(State::Absent) };
    if is_deleted(&document) {
        return Ok(State::Deleted);
    }
    let config = Config::read(document, &settings.node_and_zone);
    let is_complete = ["system_key", SYSTEM_SECRET].iter().all(|name| config.text(&[name]).is_some());
    Ok(if is_complete { State::Complete } else { State::Incomplete })
}

/// Creates a signing key and a system secret, unless the store has both. Nothing is overwritten.
///
/// # Errors
/// Errors from the store. `Invalid` if `system_config/auth` exists but is marked as deleted, or lacks the key or the
/// secret. Kazoo adds missing values when it starts. If this program added them too, each would invalidate the other's
/// tokens.
pub async fn ensure_system(store: &dyn Backend, deadline: Deadline) -> Result<()> {
    match state(store, &Settings::default(), deadline).await? {
        State::Absent => {}
        State::Deleted => return Err(keys::marked_as_deleted()),
        State::Incomplete => return Err(incomplete()),
        State::Complete => return ensure_dbs(store, deadline).await,
    }
    ensure_dbs(store, deadline).await?;
    let key = keys::create(store, deadline).await?;
    let mut config = Map::new();
    config.insert("default".to_owned(), json!({"system_key": key.id.as_str(), SYSTEM_SECRET: random_hex()}));
    config.extend(private_fields(Kind::Config, SystemDb::SystemConfig));
    let draft = Draft { id: ConfigDocument::Auth.id(), base: None, body: config };
    match store.save(SystemDb::SystemConfig.name(), draft, deadline).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => {
            // Another process was faster. Its key is used, so the key made here is deleted.
            key.delete(store, deadline).await?;
            let now = state(store, &Settings::default(), deadline).await?;
            if now == State::Complete { Ok(()) } else { Err(incomplete()) }
        }
        Err(error) => Err(error),
    }
}

async fn ensure_dbs(store: &dyn Backend, deadline: Deadline) -> Result<()> {
    for db in [SystemDb::SystemConfig, SystemDb::SystemAuth, SystemDb::Accounts] {
        store.create_db(db.name(), deadline).await?;
    }
    Ok(())
}

fn incomplete() -> StoreError {
    StoreError::Invalid(Cause::new(format!(
        "system_config/auth exists, but its section default lacks system_key or {SYSTEM_SECRET}; \
         start Kazoo, which adds them, or delete the document if there is no Kazoo"
    )))
}

/// Creates an account: its database, its document, and a copy in the database `accounts`. The first account
/// of a store becomes the master account if it has no parent. The master account may reach every other
/// account.
///
/// The last step makes it the master. If the creation stops before that, an ordinary account is left.
///
/// # Errors
/// Errors from the store. `Missing` if the parent does not exist.
pub async fn create_account(
    store: &dyn Backend,
    new: &NewAccount<'_>,
    deadline: Deadline,
) -> Result<AccountId> {
    ensure_system(store, deadline).await?;
    let may_be_master = new.parent.is_none() && has_no_accounts(store, deadline).await?;
    let id = new_account_id()?;
    let mut tree = Vec::new();
    if let Some(parent) = new.parent {
        let document = store.fetch(&parent.db(), &parent.doc_id(), deadline).await?.to_object()?;
        tree = account::ancestors(&document).map(str::to_owned).collect();
        tree.push(parent.to_string());
    }
    let alphanum_name = search_name(new.name);
    if alphanum_name.is_empty() {
        let reason =
            "an account's name needs an ASCII letter or digit, since logging in ignores all other characters";
        return Err(StoreError::Invalid(Cause::new(reason)));
    }
    let realm = new.realm.map_or_else(|| format!("{alphanum_name}.crossbar-groups.local"), str::to_lowercase);
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    set("name", json!(new.name));
    set("realm", json!(realm));
    set(member::ENABLED, json!(true));
    set(member::TREE, json!(tree));
    set(member::API_KEY, json!(format!("{}{}", random_hex(), random_hex())));
    set(member::ALPHANUM_NAME, json!(alphanum_name));
    set(member::SIGNATURE_SECRET, json!(random_hex()));
    body.extend(private_fields_of(&id, Kind::Account));
    store.create_db(&id.db(), deadline).await?;
    for db in [&id.db(), SystemDb::Accounts.name()] {
        store.save(db, Draft { id: id.doc_id(), base: None, body: body.clone() }, deadline).await?;
    }
    push_views(store, &id, deadline).await?;
    if may_be_master && claim_mastership(store, &id, deadline).await? {
        for db in [&id.db(), SystemDb::Accounts.name()] {
            make_superduper(store, db, &id, deadline).await?;
        }
    }
    Ok(id)
}

async fn has_no_accounts(store: &dyn Backend, deadline: Deadline) -> Result<bool> {
    Ok(find(store, SystemDb::Accounts.name(), &[], deadline, |_| true).await?.is_none())
}

/// Makes an account the store's master, unless `system_config/accounts` exists already. Returns whether it
/// succeeded. If several processes try at once, one succeeds.
async fn claim_mastership(store: &dyn Backend, id: &AccountId, deadline: Deadline) -> Result<bool> {
    let mut config = Map::new();
    config.insert("default".to_owned(), json!({"master_account_id": id.as_str()}));
    config.extend(private_fields(Kind::Config, SystemDb::SystemConfig));
    let draft = Draft { id: ConfigDocument::Accounts.id(), base: None, body: config };
    match store.save(SystemDb::SystemConfig.name(), draft, deadline).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn make_superduper(store: &dyn Backend, db: &DbName, id: &AccountId, deadline: Deadline) -> Result<()> {
    let document = store.fetch(db, &id.doc_id(), deadline).await?;
    let mut body = document.to_object()?;
    body.insert(member::SUPERDUPER_ADMIN.to_owned(), json!(true));
    save_changed(store, db, &document, body, id.as_str(), deadline).await
}

/// Creates a user.
///
/// # Errors
/// Errors from the store. `Missing` if the account does not exist, `Conflict` if the name is taken.
pub async fn create_user(
    store: &dyn Backend,
    account_id: &AccountId,
    user: &NewUser<'_>,
    deadline: Deadline,
) -> Result<DocId> {
    store.fetch(&account_id.db(), &account_id.doc_id(), deadline).await?;
    if find_user(store, account_id, user.username, deadline).await?.is_some() {
        return Err(StoreError::Conflict(Cause::new(format!("the user {} exists already", user.username))));
    }
    let id = DocId::from_store(random_hex());
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    let password = user.password.expose();
    set("username", json!(user.username.to_lowercase()));
    set("first_name", json!(user.username));
    set("last_name", json!(""));
    set("priv_level", json!(if user.is_admin { "admin" } else { "user" }));
    set("enabled", json!(true));
    set(member::SIGNATURE_SECRET, json!(random_hex()));
    set(member::MD5_AUTH, json!(password::md5(user.username, password)));
    set(member::SHA1_AUTH, json!(password::sha1(user.username, password)));
    body.extend(private_fields_of(account_id, Kind::User));
    store.save(&account_id.db(), Draft { id: id.clone(), base: None, body }, deadline).await?;
    Ok(id)
}

/// Whether an account can have this name. Logins ignore all characters but ASCII letters and digits.
#[must_use]
pub fn is_account_name(name: &str) -> bool {
    !search_name(name).is_empty()
}

/// Adds the views for logging in to an account that are missing, in its database and over all accounts.
///
/// # Errors
/// Errors from the store.
pub async fn push_views(store: &dyn Backend, account_id: &AccountId, deadline: Deadline) -> Result<()> {
    push_account_views(store, account_id, deadline).await?;
    push_system_views(store, deadline).await.map(drop)
}

/// Adds the views for logging in that are missing in an account's database.
///
/// # Errors
/// Errors from the store.
pub async fn push_account_views(
    store: &dyn Backend,
    account_id: &AccountId,
    deadline: Deadline,
) -> Result<Ensured> {
    let design = registered_design(store, Registered::Account, account_design()?, deadline).await?;
    ensure_design(store, &account_id.db(), &design, deadline).await
}

/// Adds the views over all accounts that are missing. Logins need them.
///
/// # Errors
/// Errors from the store.
pub async fn push_system_views(store: &dyn Backend, deadline: Deadline) -> Result<Ensured> {
    let design = registered_design(store, Registered::Accounts, system_design()?, deadline).await?;
    ensure_design(store, SystemDb::Accounts.name(), &design, deadline).await
}

/// The views for logging in that an account's database needs.
///
/// # Errors
/// None: the names of the views are good.
pub fn account_design() -> Result<DesignDocument> {
    made(users_design())
}

/// The views over all accounts. Logins need them.
///
/// # Errors
/// None: the names of the views are good.
pub fn system_design() -> Result<DesignDocument> {
    made(accounts_design())
}

/// The views for logging in that are missing in an account's database.
///
/// # Errors
/// Errors from the store.
pub async fn missing_account_views(
    store: &dyn Backend,
    account_id: &AccountId,
    deadline: Deadline,
) -> Result<Vec<String>> {
    missing_views(store, &account_id.db(), &account_design()?, deadline).await
}

/// The views over all accounts that are missing.
///
/// # Errors
/// Errors from the store.
pub async fn missing_system_views(store: &dyn Backend, deadline: Deadline) -> Result<Vec<String>> {
    missing_views(store, SystemDb::Accounts.name(), &system_design()?, deadline).await
}

fn made(design: std::result::Result<DesignDocument, NameError>) -> Result<DesignDocument> {
    design.map_err(|error| StoreError::Invalid(Cause::with_source("a design document", error)))
}

fn new_account_id() -> Result<AccountId> {
    AccountId::parse(&random_hex())
        .map_err(|error| StoreError::Invalid(Cause::with_source("a new id", error)))
}
