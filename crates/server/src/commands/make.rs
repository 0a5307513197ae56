//! Makes the changes that commands ask for.

use auth::Secret;
use auth::bootstrap::NewUser;
use datastore::Backend;

use super::change::Change;
use super::{accounts, users};
use crate::failure::Failure;

/// Makes the change. Answers the lines that the command prints.
pub(super) async fn make(change: Change, store: &dyn Backend) -> Result<Vec<String>, Failure> {
    match change {
        Change::CreateAccount { name, realm, parent, unless_exists } => {
            let account = accounts::NewAccountNamed { name: &name, realm: realm.as_deref(), unless_exists };
            accounts::create_in(store, &account, parent.as_deref()).await.map(one)
        }
        Change::CreateUser { account, username, password, is_admin, unless_exists } => {
            let password = Secret::new(password);
            let user = NewUser { username: &username, password: &password, is_admin };
            users::create_in(store, &account, &user, unless_exists).await.map(one)
        }
        Change::SetPassword { account, user, password } => {
            users::set_password_in(store, &account, &user, &Secret::new(password)).await.map(one)
        }
        Change::PushViews { account } => accounts::push_views_in(store, account.as_deref()).await,
    }
}

fn one(line: String) -> Vec<String> {
    vec![line]
}
