//! Finds accounts and users by name. It may read a whole database, so only commands may call it.

use datastore::{Backend, DbName, Deadline, DocId, Result, ViewQuery, if_found};
use futures::StreamExt as _;
use kazoo::{AccountId, Kind, SystemDb, is_deleted, member, search_name};
use serde_json::{Map, Value};

/// Finds the account with a name. As in Kazoo, an account that is marked as deleted has none.
///
/// # Errors
/// Errors from the store.
pub async fn find_account(store: &dyn Backend, name: &str, deadline: Deadline) -> Result<Option<AccountId>> {
    let wanted = search_name(name);
    let looked_at = [member::TYPE, member::DELETED, member::ALPHANUM_NAME];
    let found = find(store, SystemDb::Accounts.name(), &looked_at, deadline, |doc| {
        Kind::Account.is_kind_of(doc)
            && doc.get(member::ALPHANUM_NAME).is_some_and(|name| *name == wanted)
            && !is_deleted(doc)
    })
    .await?;
    Ok(found.and_then(|id| AccountId::parse(id.as_str()).ok()))
}

/// Finds the user with a name.
///
/// # Errors
/// Errors from the store.
pub async fn find_user(
    store: &dyn Backend,
    account_id: &AccountId,
    username: &str,
    deadline: Deadline,
) -> Result<Option<DocId>> {
    let wanted = username.to_lowercase();
    let looked_at = [member::TYPE, member::DELETED, "username"];
    find(store, &account_id.db(), &looked_at, deadline, |doc| {
        Kind::User.is_kind_of(doc)
            && doc.get("username").is_some_and(|name| *name == wanted)
            && !is_deleted(doc)
    })
    .await
}

/// Finds the first document that satisfies a condition on some of its members. It skips design documents. It may read
/// the whole database, so only commands may call it.
pub(super) async fn find(
    store: &dyn Backend,
    db: &DbName,
    looked_at: &[&str],
    deadline: Deadline,
    is_wanted: impl Fn(&Map<String, Value>) -> bool,
) -> Result<Option<DocId>> {
    let query = ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
    let Some(mut rows) = if_found(store.query(db, query, deadline).await)? else { return Ok(None) };
    while let Some(row) = rows.next().await {
        let Some(document) = row?.doc.filter(|document| document.id().design_name().is_none()) else {
            continue;
        };
        if is_wanted(&document.parse_members(|name| looked_at.contains(&name))?) {
            return Ok(Some(document.id().clone()));
        }
    }
    Ok(None)
}
