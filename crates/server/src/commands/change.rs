//! The changes of a store that commands ask for. A command makes its change itself. If a server has the
//! embedded store open, the command hands the change to that server, so that nothing needs to be stopped.

use auth::Secret;
use auth::bootstrap::NewUser;
use datastore::Backend;
use serde::{Deserialize, Serialize};

use super::{accounts, remote, say, users, warn, with_store};
use crate::arguments::StoreArguments;
use crate::failure::Failure;
use crate::settings::StoreLocation;
use crate::stack::Opening;

/// A change of a store. It has no `Debug`, because some hold a password.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Change {
    CreateAccount { name: String, realm: Option<String>, parent: Option<String>, unless_exists: bool },
    CreateUser { account: String, username: String, password: String, is_admin: bool, unless_exists: bool },
    SetPassword { account: String, user: String, password: String },
    PushViews { account: Option<String> },
}

impl Change {
    /// The command that asks for the change.
    pub(super) fn command(&self) -> &'static str {
        match self {
            Self::CreateAccount { .. } => "account create",
            Self::CreateUser { .. } => "user create",
            Self::SetPassword { .. } => "user passwd",
            Self::PushViews { .. } => "views push",
        }
    }

    /// Makes the change. Answers the lines that the command prints.
    pub(super) async fn make(self, store: &dyn Backend) -> Result<Vec<String>, Failure> {
        match self {
            Self::CreateAccount { name, realm, parent, unless_exists } => {
                let account =
                    accounts::NewAccountNamed { name: &name, realm: realm.as_deref(), unless_exists };
                accounts::create_in(store, &account, parent.as_deref()).await.map(one)
            }
            Self::CreateUser { account, username, password, is_admin, unless_exists } => {
                let password = Secret::new(password);
                let user = NewUser { username: &username, password: &password, is_admin };
                users::create_in(store, &account, &user, unless_exists).await.map(one)
            }
            Self::SetPassword { account, user, password } => {
                users::set_password_in(store, &account, &user, &Secret::new(password)).await.map(one)
            }
            Self::PushViews { account } => accounts::push_views_in(store, account.as_deref()).await,
        }
    }
}

fn one(line: String) -> Vec<String> {
    vec![line]
}

/// Makes a change, by the server that has the store open if there is one, and prints what it tells.
pub(super) fn apply(arguments: &StoreArguments, opening: Opening, change: Change) -> Result<(), Failure> {
    if let StoreLocation::File(path) = arguments.settings()?.location
        && let Some(lines) = remote::ask(&path, &change)?
    {
        return lines.iter().try_for_each(|line| tell(line));
    }
    with_store(arguments, opening, |store| async move {
        let lines = change.make(&*store).await?;
        lines.iter().try_for_each(|line| tell(line))
    })
}

/// How a line begins that is a warning.
const WARNING: &str = "warning: ";

/// A line that is a warning.
pub(super) fn warning(text: &str) -> String {
    format!("{WARNING}{text}")
}

/// Prints a line. A warning goes to standard error.
fn tell(line: &str) -> Result<(), Failure> {
    match line.strip_prefix(WARNING) {
        Some(text) => {
            warn(text);
            Ok(())
        }
        None => say(line),
    }
}
