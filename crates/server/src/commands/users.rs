//! Users: `user list`, and the changes that create users, set passwords, and end or refuse users.

use auth::Secret;
use auth::bootstrap::{self, NewUser};
use auth::changes::{self, Changed, Logins};
use datastore::{Backend, ViewQuery};
use futures::StreamExt as _;
use kazoo::{Kind, is_deleted, member};

use super::accounts::{text, yes_or_no};
use super::{deadline, find, store_failure, table, with_store};
use crate::arguments::UserList;
use crate::failure::Failure;
use crate::stack::Opening;

/// The members that a list of users reads. Nothing else of the account's documents is parsed.
const LISTED: [&str; 5] = [member::TYPE, member::DELETED, "username", "priv_level", "enabled"];

/// Creates a user of the account that `account` names. Answers the user's id.
pub(super) async fn create_in(
    store: &dyn Backend,
    account: &str,
    user: &NewUser<'_>,
    unless_exists: bool,
) -> Result<String, Failure> {
    let failure = store_failure("the user was not created");
    let account_id = find::account(store, account).await?;
    let there = bootstrap::find_user(store, &account_id, user.username, deadline()).await;
    match there.map_err(&failure)? {
        Some(there) if unless_exists => Ok(there.to_string()),
        Some(there) => Err(Failure::run(format!("there is a user {} already: {there}", user.username))),
        None => {
            let id = bootstrap::create_user(store, &account_id, user, deadline()).await.map_err(&failure)?;
            Ok(id.to_string())
        }
    }
}

pub(crate) fn list(arguments: UserList) -> Result<(), Failure> {
    with_store(&arguments.store.clone(), Opening::Read, |store| async move {
        let failure = store_failure("the users could not be listed");
        let account_id = find::account(&*store, &arguments.account).await?;
        let query = ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
        let mut found = store.query(&account_id.db(), query, deadline()).await.map_err(&failure)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().await {
            let Some(document) = row.map_err(&failure)?.doc else { continue };
            // A design document can be large, and is no user.
            if document.id().design_name().is_some() {
                continue;
            }
            let members = document.parse_members(|name| LISTED.contains(&name)).map_err(&failure)?;
            if Kind::User.is_kind_of(&members) && !is_deleted(&members) {
                rows.push([
                    document.id().as_str().to_owned(),
                    text(&members, "username"),
                    text(&members, "priv_level"),
                    yes_or_no(kazoo::user::may_log_in(&members)).to_owned(),
                ]);
            }
        }
        table::print(["id", "name", "privileges", "enabled"], &rows)
    })
}

/// Sets the password of a user. Answers a line that says so.
pub(super) async fn set_password_in(
    store: &dyn Backend,
    account: &str,
    user: &str,
    password: &Secret,
) -> Result<String, Failure> {
    let account_id = find::account(store, account).await?;
    let user = find::user(store, &account_id, user).await?;
    let set = changes::set_password(store, &account_id, &user, password, deadline()).await;
    set.map_err(store_failure("the password was not set"))?;
    Ok(format!("the password of {} is set; earlier tokens end within a minute", user.id()))
}

/// Allows or refuses the logins of a user. Answers a line that says so.
pub(super) async fn set_logins_in(
    store: &dyn Backend,
    account: &str,
    user: &str,
    logins: Logins,
) -> Result<String, Failure> {
    let account_id = find::account(store, account).await?;
    let user = find::user(store, &account_id, user).await?;
    let changed = changes::set_user_logins(store, &account_id, &user, logins, deadline()).await;
    let changed = changed.map_err(store_failure("the user was not changed"))?;
    let id = user.id();
    Ok(match (logins, changed) {
        (Logins::Refused, Changed::Now) => {
            format!("{id} is disabled: logins are refused; tokens end within a minute")
        }
        (Logins::Refused, Changed::Before) => format!("{id} is disabled already"),
        (Logins::Allowed, Changed::Now) => {
            format!("{id} is enabled: logins are let in; earlier tokens stay ended")
        }
        (Logins::Allowed, Changed::Before) => format!("{id} is enabled already"),
    })
}

/// Deletes a user. Answers a line that says so.
pub(super) async fn delete_in(store: &dyn Backend, account: &str, user: &str) -> Result<String, Failure> {
    let account_id = find::account(store, account).await?;
    if find::is_deleted_user(store, &account_id, user).await? {
        return Ok(format!("{user} is deleted already"));
    }
    let user = find::user(store, &account_id, user).await?;
    let deleted = changes::delete_user(store, &account_id, &user, deadline()).await;
    deleted.map_err(store_failure("the user was not deleted"))?;
    Ok(format!(
        "{} is deleted; tokens end within a minute. Groups that list the user keep the entry, and `crossbar-groups \
         doctor` names them",
        user.id()
    ))
}
