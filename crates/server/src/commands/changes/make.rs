//! Makes the changes that commands ask for.

use auth::Secret;
use auth::bootstrap::NewUser;
use auth::changes::Logins;
use datastore::Backend;

use super::super::{accounts, keys, users};
use super::Change;
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
        Change::SetAccountLogins { account, allowed } => {
            accounts::set_logins_in(store, &account, logins(allowed)).await.map(one)
        }
        Change::SetUserLogins { account, user, allowed } => {
            users::set_logins_in(store, &account, &user, logins(allowed)).await.map(one)
        }
        Change::DeleteUser { account, user } => users::delete_in(store, &account, &user).await.map(one),
        Change::RotateKey { beside_kazoo } => keys::rotate_in(store, beside_kazoo).await,
        Change::RetireKey { key, ends_tokens, beside_kazoo } => {
            let retire = keys::Retire { key: &key, ends_tokens };
            keys::retire_in(store, &retire, beside_kazoo).await.map(one)
        }
        Change::PushViews { account } => accounts::push_views_in(store, account.as_deref()).await,
    }
}

fn logins(allowed: bool) -> Logins {
    if allowed { Logins::Allowed } else { Logins::Refused }
}

fn one(line: String) -> Vec<String> {
    vec![line]
}
