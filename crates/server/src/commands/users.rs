//! `user create`, `user list` and `user passwd`.

use std::io::{IsTerminal as _, Read as _};

use auth::Secret;
use auth::bootstrap::{self, NewUser};
use datastore::{Backend, ViewQuery};
use futures::StreamExt as _;
use kazoo::{Kind, is_deleted};

use super::accounts::text;
use super::change::{self, Change};
use super::{deadline, find, store_failure, table, with_store};
use crate::arguments::{UserCreate, UserList, UserPasswd};
use crate::failure::Failure;
use crate::stack::Opening;

/// The longest password that is accepted, with its line end.
const MAX_PASSWORD_BYTES: u64 = 4096;

pub(crate) fn create(arguments: UserCreate) -> Result<(), Failure> {
    if arguments.username.trim().is_empty() {
        return Err(Failure::setup("--username is empty: it is the name to log in with"));
    }
    let password = read_password(arguments.password_stdin)?.expose().to_owned();
    let UserCreate { store, account, username, admin, unless_exists, .. } = arguments;
    let change = Change::CreateUser { account, username, password, is_admin: admin, unless_exists };
    change::apply(&store, Opening::Write, change)
}

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
            let members = document.to_object().map_err(&failure)?;
            if Kind::User.is_kind_of(&members) && !is_deleted(&members) {
                let is_enabled = !members.get("enabled").is_some_and(kazoo::term::is_false);
                let is_enabled = if is_enabled { "yes" } else { "no" };
                rows.push([
                    document.id().as_str().to_owned(),
                    text(&members, "username"),
                    text(&members, "priv_level"),
                    is_enabled.to_owned(),
                ]);
            }
        }
        table::print(["id", "name", "privileges", "enabled"], &rows)
    })
}

pub(crate) fn set_password(arguments: UserPasswd) -> Result<(), Failure> {
    let password = read_password(arguments.password_stdin)?.expose().to_owned();
    let UserPasswd { store, account, user, .. } = arguments;
    change::apply(&store, Opening::Write, Change::SetPassword { account, user, password })
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
    let set = bootstrap::set_password(store, &account_id, &user, password, deadline()).await;
    set.map_err(store_failure("the password was not set"))?;
    Ok(format!("the password of {} is set; earlier tokens end within a minute", user.id()))
}

/// Reads the password from standard input or asks for it at the terminal, where it stays hidden. It is
/// never an argument, because every user of the machine can see arguments.
fn read_password(from_stdin: bool) -> Result<Secret, Failure> {
    let unreadable = |error: std::io::Error| Failure::run(format!("cannot read the password: {error}"));
    let text = if from_stdin {
        let mut text = String::new();
        std::io::stdin().take(MAX_PASSWORD_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        text
    } else if std::io::stdin().is_terminal() {
        rpassword::prompt_password("Password: ").map_err(unreadable)?
    } else {
        return Err(Failure::setup(
            "there is no terminal to ask for the password: pipe it in and add --password-stdin",
        ));
    };
    let is_too_long = u64::try_from(text.len()).map_or(true, |bytes| bytes > MAX_PASSWORD_BYTES);
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::setup("the password is empty")),
        _ if is_too_long => {
            Err(Failure::setup(format!("the password is longer than {MAX_PASSWORD_BYTES} bytes")))
        }
        password => Ok(Secret::new(password)),
    }
}
