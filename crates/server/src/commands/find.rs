//! Finds the account or the user that somebody names on the command line, by its id or by its name.

use auth::bootstrap;
use datastore::{Backend, DocId, Document, if_found};
use kazoo::{AccountId, Kind, is_deleted, member};
use serde_json::{Map, Value};

use super::{deadline, store_failure};
use crate::failure::Failure;

/// The account with this id, else the one with this name.
pub(super) async fn account(store: &dyn Backend, named: &str) -> Result<AccountId, Failure> {
    if let Ok(id) = AccountId::parse(named)
        && account_document(store, &id).await?.is_some()
    {
        return Ok(id);
    }
    let failure = store_failure("the account could not be looked up");
    let found = bootstrap::find_account(store, named, deadline()).await.map_err(failure)?;
    found.ok_or_else(|| {
        Failure::setup(format!("there is no account {named:?}: `crossbar-groups account list` lists them"))
    })
}

/// The document of an account in its own database, if there is one.
pub(super) async fn account_document(
    store: &dyn Backend,
    id: &AccountId,
) -> Result<Option<Document>, Failure> {
    let found = if_found(store.fetch(&id.db(), &id.doc_id(), deadline()).await);
    found.map_err(store_failure("the account could not be read"))
}

/// The user of the account with this id, else the one with this name.
pub(super) async fn user(
    store: &dyn Backend,
    account_id: &AccountId,
    named: &str,
) -> Result<Document, Failure> {
    let by_id = match DocId::parse(named) {
        Ok(id) => user_document(store, account_id, &id).await?,
        Err(_) => None,
    };
    if let Some(document) = by_id {
        return Ok(document);
    }
    let failure = store_failure("the user could not be looked up");
    let found = bootstrap::find_user(store, account_id, named, deadline()).await.map_err(failure)?;
    let document = match found {
        Some(id) => user_document(store, account_id, &id).await?,
        None => None,
    };
    document.ok_or_else(|| {
        Failure::setup(format!(
            "there is no user {named:?} in the account {account_id}: `crossbar-groups user list --account \
             {account_id}` lists them"
        ))
    })
}

/// Whether this is the id of a user who is marked as deleted.
pub(super) async fn is_deleted_user(
    store: &dyn Backend,
    account_id: &AccountId,
    named: &str,
) -> Result<bool, Failure> {
    let Ok(id) = DocId::parse(named) else { return Ok(false) };
    let found = of_user(store, account_id, &id).await?;
    Ok(found.is_some_and(|(_, members)| is_deleted(&members)))
}

/// The document with this id, if it is a user's and not deleted.
async fn user_document(
    store: &dyn Backend,
    account_id: &AccountId,
    id: &DocId,
) -> Result<Option<Document>, Failure> {
    let found = of_user(store, account_id, id).await?;
    Ok(found.filter(|(_, members)| !is_deleted(members)).map(|(document, _)| document))
}

/// The document with this id, if it is a user's, and the members that say so.
async fn of_user(
    store: &dyn Backend,
    account_id: &AccountId,
    id: &DocId,
) -> Result<Option<(Document, Map<String, Value>)>, Failure> {
    let failure = store_failure("the user could not be read");
    let found = if_found(store.fetch(&account_id.db(), id, deadline()).await).map_err(&failure)?;
    let Some(document) = found else { return Ok(None) };
    let says_what_it_is = |name: &str| [member::TYPE, member::DELETED].contains(&name);
    let members = document.parse_members(says_what_it_is).map_err(&failure)?;
    Ok(Kind::User.is_kind_of(&members).then_some((document, members)))
}
