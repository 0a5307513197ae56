//! Looks up accounts and users for logins, through views.

use datastore::{
    Cause, DbName, Deadline, DesignDocument, NameError, Result, StoreError, ViewQuery, ViewRow, ensure_design,
};
use kazoo::{AccountId, SystemDb, search_name};
use serde_json::{Value, json};

use crate::directory::Directory;
use crate::views::{accounts_design, users_design};

/// The most rows that one lookup reads.
const MOST_ROWS: u64 = 100;

/// Finds the accounts with a realm. If there are none, finds the accounts with a name.
pub(super) async fn accounts_named(
    directory: &Directory,
    realm: Option<&str>,
    name: Option<&str>,
    deadline: Deadline,
) -> Result<Vec<AccountId>> {
    let by_realm = realm.map(|realm| ("listing_by_realm", realm.to_lowercase()));
    let by_name = name.map(|name| ("listing_by_name", search_name(name)));
    for (view, key) in [by_realm, by_name].into_iter().flatten() {
        let ids = account_ids(directory, rows_of("accounts", view, &key), deadline).await?;
        if !ids.is_empty() {
            return Ok(ids);
        }
    }
    Ok(Vec::new())
}

/// Finds the account with an API key.
pub(super) async fn account_with_key(
    directory: &Directory,
    api_key: &str,
    deadline: Deadline,
) -> Result<Option<AccountId>> {
    let query = ViewQuery { limit: Some(1), ..rows_of("accounts", "listing_by_api", api_key) };
    Ok(account_ids(directory, query, deadline).await?.into_iter().next())
}

/// Finds the account's user with these credentials and returns its id. The view depends on the kind of
/// digest.
pub(super) async fn user_with_credentials(
    directory: &Directory,
    account_id: &AccountId,
    view: &str,
    credentials: &str,
    deadline: Deadline,
) -> Result<Option<String>> {
    let query = rows_of("users", view, credentials);
    let rows = rows_or_create(directory, &account_id.db(), query, users_design, deadline).await?;
    // A user that was copied from another account does not belong to this one.
    let own = rows.iter().find(|row| is_row_of(account_id, row));
    Ok(own.map(|row| row.id.as_str().to_owned()))
}

async fn account_ids(directory: &Directory, query: ViewQuery, deadline: Deadline) -> Result<Vec<AccountId>> {
    let rows = rows_or_create(directory, SystemDb::Accounts.name(), query, accounts_design, deadline).await?;
    Ok(rows.iter().filter_map(|row| AccountId::parse(row.id.as_str()).ok()).collect())
}

/// Reads rows of a view. Creates a missing view if the settings allow it.
async fn rows_or_create(
    directory: &Directory,
    db: &DbName,
    query: ViewQuery,
    design: fn() -> std::result::Result<DesignDocument, NameError>,
    deadline: Deadline,
) -> Result<Vec<ViewRow>> {
    match directory.rows(db, query.clone(), deadline).await {
        Err(StoreError::ViewMissing(_)) if directory.settings().may_create_views => {
            let invalid = |error| StoreError::Invalid(Cause::with_source("a design document", error));
            let design = design().map_err(invalid)?;
            ensure_design(directory.store(), db, &design, deadline).await?;
            directory.rows(db, query, deadline).await
        }
        answer => answer,
    }
}

/// A query for the rows with one key.
fn rows_of(design: &str, view: &str, key: &str) -> ViewQuery {
    ViewQuery { key: Some(json!(key)), limit: Some(MOST_ROWS), ..ViewQuery::of(design, view) }
}

/// Whether a row about a user names this account as the user's account.
fn is_row_of(account_id: &AccountId, row: &ViewRow) -> bool {
    let value: Option<Value> = serde_json::from_str(row.value.get()).ok();
    value.is_some_and(|value| value.get("account_id").is_some_and(|id| id == account_id.as_str()))
}
