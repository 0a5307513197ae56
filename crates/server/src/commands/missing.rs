//! What is missing in a store, so that it cannot be served: a line for each thing, with the command that mends it. Nothing is written.

use std::collections::BTreeSet;

use auth::bootstrap;
use datastore::{Backend, DbName, Result, StoreError};
use kazoo::{AccountId, SystemDb};

use super::deadline;

/// What the log and the commands say if `system_config/auth` names a key that is not there.
pub(super) const NO_KEY: &str = "nobody can log in yet, and no token can be checked, since the database system_auth \
     lacks the key that system_config/auth names: import that database too (`export --db system_auth`)";

/// What is missing beside views.
///
/// # Errors
/// Errors from the store.
pub(super) async fn documents(store: &dyn Backend, accounts: &BTreeSet<AccountId>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if !bootstrap::is_set_up(store, deadline()).await? {
        lines.push(
            "the store cannot be served yet, since it has no key for tokens (system_config/auth is missing, or marked \
             as deleted): import the databases system_config and system_auth too (`export --db system_config`, \
             `export --db system_auth`), or make a new key with `account create`"
                .to_owned(),
        );
    }
    if !bootstrap::has_named_key(store, deadline()).await? {
        lines.push(NO_KEY.to_owned());
    }
    for account in accounts {
        match store.fetch(SystemDb::Accounts.name(), &account.doc_id(), deadline()).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => lines.push(format!(
                "nobody can log in to the account {account} yet, since it is not in the database accounts: \
                 import that database too (`export --db accounts`)"
            )),
            Err(error) => return Err(error),
        }
    }
    Ok(lines)
}

/// The views that logins need and that are missing. The server adds those of groups by itself.
///
/// # Errors
/// Errors from the store.
pub(super) async fn views(store: &dyn Backend, accounts: &BTreeSet<AccountId>) -> Result<Vec<String>> {
    let mut found = Found::default();
    let system = SystemDb::Accounts.name();
    if store.db_exists(system, deadline()).await? {
        found.note(system, bootstrap::missing_system_views(store, deadline()).await)?;
    }
    for account in accounts {
        found.note(&account.db(), bootstrap::missing_account_views(store, account, deadline()).await)?;
    }
    let Found { lacking, mut unusable } = found;
    if !lacking.is_empty() {
        unusable
            .push(format!("views that logins need are missing in {}: run `views push`", lacking.join(", ")));
    }
    Ok(unusable)
}

/// The databases that lack views.
#[derive(Default)]
struct Found {
    lacking: Vec<String>,
    /// A line for each database whose design document cannot take the views.
    unusable: Vec<String>,
}

impl Found {
    fn note(&mut self, db: &DbName, missing: Result<Vec<String>>) -> Result<()> {
        match missing {
            Ok(views) if views.is_empty() => {}
            Ok(_) => self.lacking.push(db.to_string()),
            Err(error @ StoreError::Invalid(_)) => {
                let why = crate::chain(&error);
                self.unusable.push(format!("{db}: {why}; when that is mended, run `views push`"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
