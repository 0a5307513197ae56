//! `account create`, `user create`, `token`, `views push`: what a store needs before it is of use.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use auth::bootstrap::{self, NewAccount, NewUser};
use auth::{Authenticator, Secret};
use datastore::{Backend, ViewQuery, ensure_design};
use futures::StreamExt as _;
use kazoo::{AccountId, SystemDb};

use super::{deadline, say, store_failure, with_store};
use crate::arguments::{AccountCreate, Token, UserCreate, ViewsPush};
use crate::failure::Failure;

/// The longest password that is read, in bytes.
const MAX_PASSWORD: u64 = 4096;

pub(crate) fn create_account(arguments: AccountCreate) -> Result<(), Failure> {
    let parent = arguments.parent.as_deref().map(account_id).transpose()?;
    with_store(&arguments.store.clone(), |store| async move {
        let failure = store_failure("the account was not created");
        if let Some(there) =
            bootstrap::find_account(&*store, &arguments.name, deadline()).await.map_err(&failure)?
        {
            if !arguments.unless_exists {
                return Err(Failure::run(format!("there is an account {} already: {there}", arguments.name)));
            }
            let document = auth_account(&*store, &there).await?;
            let members = document.map(|document| document.to_object()).transpose().map_err(&failure)?;
            if members.is_none_or(|members| members.get("name").is_none_or(|name| *name != *arguments.name)) {
                return Err(Failure::run(format!(
                    "the account {there} has a name that logging in cannot tell from {:?}: choose another",
                    arguments.name
                )));
            }
            // Whoever made it may have been stopped before its views were there.
            push_views_of(&*store, &there).await?;
            return say(there.as_str());
        }
        let account =
            NewAccount { name: &arguments.name, realm: arguments.realm.as_deref(), parent: parent.as_ref() };
        let id = bootstrap::create_account(&*store, &account, deadline()).await.map_err(&failure)?;
        push_views_of(&*store, &id).await?;
        say(id.as_str())
    })
}

pub(crate) fn create_user(arguments: UserCreate) -> Result<(), Failure> {
    let account_id = account_id(&arguments.account)?;
    let password = read_password(arguments.password_stdin)?;
    with_store(&arguments.store.clone(), |store| async move {
        let failure = store_failure("the user was not created");
        let there = bootstrap::find_user(&*store, &account_id, &arguments.username, deadline()).await;
        if let Some(there) = there.map_err(&failure)? {
            return if arguments.unless_exists {
                say(there.as_str())
            } else {
                Err(Failure::run(format!("there is a user {} already: {there}", arguments.username)))
            };
        }
        let user = NewUser { username: &arguments.username, password: &password, is_admin: arguments.admin };
        let id = bootstrap::create_user(&*store, &account_id, &user, deadline()).await.map_err(&failure)?;
        say(id.as_str())
    })
}

pub(crate) fn token(arguments: Token) -> Result<(), Failure> {
    let account_id = account_id(&arguments.account)?;
    with_store(&arguments.store.clone(), |store| async move {
        let failure = store_failure("no token was made");
        if auth_account(&*store, &account_id).await?.is_none() {
            return Err(Failure::run(format!("there is no account {account_id}")));
        }
        let auth = Authenticator::new(store, auth::Settings::default());
        let token = auth.mint(&account_id, arguments.user.as_deref(), arguments.ttl, deadline()).await;
        say(&token.map_err(&failure)?)
    })
}

async fn auth_account(store: &dyn Backend, id: &AccountId) -> Result<Option<datastore::Document>, Failure> {
    match store.fetch(&id.db(), &id.doc_id(), deadline()).await {
        Ok(document) => Ok(Some(document)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(store_failure("the account could not be read")(error)),
    }
}

pub(crate) fn push_views(arguments: ViewsPush) -> Result<(), Failure> {
    let only = arguments.account.as_deref().map(account_id).transpose()?;
    with_store(&arguments.store, |store| async move {
        let accounts = match only {
            Some(id) => vec![id],
            None => all_accounts(&*store).await?,
        };
        for id in &accounts {
            push_views_of(&*store, id).await?;
        }
        say(&format!("the views of {} accounts are there", accounts.len()))
    })
}

/// Creates the design documents of an account that are missing.
pub(super) async fn push_views_of(store: &dyn Backend, id: &AccountId) -> Result<(), Failure> {
    let failure = store_failure("not all views were pushed");
    bootstrap::push_views(store, id, deadline()).await.map_err(&failure)?;
    ensure_design(store, &id.db(), &groups::design_document(), deadline()).await.map_err(&failure)
}

async fn all_accounts(store: &dyn Backend) -> Result<Vec<AccountId>, Failure> {
    let failure = store_failure("the accounts could not be listed");
    let mut rows =
        store.query(SystemDb::Accounts.name(), ViewQuery::all_docs(), deadline()).await.map_err(&failure)?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next().await {
        ids.extend(AccountId::parse(row.map_err(&failure)?.id.as_str()));
    }
    Ok(ids)
}

fn account_id(text: &str) -> Result<AccountId, Failure> {
    AccountId::parse(text).map_err(|error| Failure::setup(format!("{text:?} is no account id: {error}")))
}

/// The password, from standard input or from whoever sits at the terminal. Never from an argument,
/// which every user of the machine could see.
fn read_password(from_stdin: bool) -> Result<Secret, Failure> {
    let unreadable = |error: std::io::Error| Failure::run(format!("cannot read the password: {error}"));
    let mut text = String::new();
    if from_stdin {
        std::io::stdin().take(MAX_PASSWORD).read_to_string(&mut text).map_err(unreadable)?;
    } else if std::io::stdin().is_terminal() {
        // It shows while it is typed: hiding it would take a terminal library.
        let mut terminal = std::io::stderr();
        write!(terminal, "Password (it will show): ").and_then(|()| terminal.flush()).map_err(unreadable)?;
        std::io::stdin().lock().take(MAX_PASSWORD).read_line(&mut text).map_err(unreadable)?;
    } else {
        return Err(Failure::setup(
            "there is no terminal to ask for the password: pipe it in and add --password-stdin",
        ));
    }
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() { Err(Failure::setup("the password is empty")) } else { Ok(Secret::new(password)) }
}
