//! Changes of accounts and users that exist: passwords, whether somebody may log in, the end of a user.
//!
//! Each is safe to repeat. These functions write. Verifying never calls them.

use datastore::{Backend, Cause, Deadline, Document, Result, StoreError, if_found, random_hex};
use kazoo::{AccountId, SystemDb, account, member, user};
use serde_json::{Map, Value, json};

use super::stamps::save_changed;
use crate::password;
use crate::secret::Secret;

/// Whether somebody may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logins {
    /// Logins are let in.
    Allowed,
    /// Logins are refused.
    Refused,
}

impl Logins {
    fn are_allowed(self) -> bool {
        self == Self::Allowed
    }
}

/// Whether a change was made, or was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was made now.
    Now,
    /// It was there before.
    Before,
}

/// Allows or refuses the logins of an account's users, in the account's own document and in its copy over all
/// accounts. As in Kazoo, tokens that were given out stay good until they expire, and the API key still logs in.
///
/// # Errors
/// Errors from the store. `Missing` if the account does not exist, `Conflict` if it has changed meanwhile.
pub async fn set_account_logins(
    store: &dyn Backend,
    account_id: &AccountId,
    logins: Logins,
    deadline: Deadline,
) -> Result<Changed> {
    let own = account_id.db();
    let mut changed = Changed::Before;
    for db in [&own, SystemDb::Accounts.name()] {
        let fetched = store.fetch(db, &account_id.doc_id(), deadline).await;
        // An import may have brought the account alone.
        let document = if *db == own { Some(fetched?) } else { if_found(fetched)? };
        let Some(document) = document else { continue };
        let mut body = document.to_object()?;
        if account::lets_users_log_in(&body) == logins.are_allowed() {
            continue;
        }
        body.insert(member::ENABLED.to_owned(), json!(logins.are_allowed()));
        save_changed(store, db, &document, body, account_id.as_str(), deadline).await?;
        changed = Changed::Now;
    }
    Ok(changed)
}

/// Allows or refuses the logins of a user. When they are refused, the user's tokens end too.
///
/// # Errors
/// Errors from the store. `Conflict` if the document has changed since it was read.
pub async fn set_user_logins(
    store: &dyn Backend,
    account_id: &AccountId,
    document: &Document,
    logins: Logins,
    deadline: Deadline,
) -> Result<Changed> {
    let mut body = document.to_object()?;
    if user::may_log_in(&body) == logins.are_allowed() {
        return Ok(Changed::Before);
    }
    body.insert("enabled".to_owned(), json!(logins.are_allowed()));
    if logins == Logins::Refused {
        body.insert(member::SIGNATURE_SECRET.to_owned(), json!(random_hex()));
    }
    save(store, account_id, document, body, deadline).await.map(|()| Changed::Now)
}

/// Marks a user as deleted, as crossbar does. The user's tokens end.
///
/// # Errors
/// Errors from the store. `Conflict` if the document has changed since it was read.
pub async fn delete_user(
    store: &dyn Backend,
    account_id: &AccountId,
    user: &Document,
    deadline: Deadline,
) -> Result<()> {
    let mut body = user.to_object()?;
    kazoo::mark_deleted(&mut body);
    save(store, account_id, user, body, deadline).await
}

/// Sets a user's password. The user's tokens end, as when Kazoo sets one.
///
/// # Errors
/// Errors from the store. `Invalid` if the user has no name to log in with, `Conflict` if the document has
/// changed since it was read.
pub async fn set_password(
    store: &dyn Backend,
    account_id: &AccountId,
    user: &Document,
    password: &Secret,
    deadline: Deadline,
) -> Result<()> {
    let mut body = user.to_object()?;
    let username = body.get("username").and_then(Value::as_str).unwrap_or_default().to_owned();
    if username.is_empty() {
        return Err(StoreError::Invalid(Cause::new(
            "the user has no username, so nobody can log in as this user",
        )));
    }
    for (key, value) in [
        (member::MD5_AUTH, password::md5(&username, password.expose())),
        (member::SHA1_AUTH, password::sha1(&username, password.expose())),
        (member::SIGNATURE_SECRET, random_hex()),
    ] {
        body.insert(key.to_owned(), value.into());
    }
    save(store, account_id, user, body, deadline).await
}

async fn save(
    store: &dyn Backend,
    account_id: &AccountId,
    user: &Document,
    body: Map<String, Value>,
    deadline: Deadline,
) -> Result<()> {
    save_changed(store, &account_id.db(), user, body, account_id.as_str(), deadline).await
}
