//! `account create`, `user create`, `token` and `views push`: they prepare a store for serving.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Read as _};

use auth::bootstrap::{self, NewAccount, NewUser};
use auth::{Authenticator, Secret};
use datastore::{Backend, DbName, Ensured, StoreError, ViewQuery, ensure_design};
use futures::StreamExt as _;
use kazoo::{AccountId, SystemDb};

use super::{deadline, say, store_failure, warn, with_store};
use crate::arguments::{AccountCreate, Token, UserCreate, ViewsPush};
use crate::failure::Failure;

/// The longest password that is accepted, with its line end.
const MAX_PASSWORD_BYTES: u64 = 4096;

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
                    "an account with a name equal to {:?} for logins exists; choose another name",
                    arguments.name
                )));
            }
            // The command that created the account may have been stopped before it created the views.
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
        let (accounts, missing) = match only {
            Some(id) => (BTreeSet::from([id]), BTreeSet::new()),
            None => all_accounts(&*store).await?,
        };
        let mut warnings: Vec<_> = missing
            .iter()
            .map(|id| format!("the account {id} is in the database accounts, but {} is missing", id.db()))
            .collect();
        let mut pushed = Pushed::default();
        if has_accounts(&*store).await? {
            pushed.push_system(&*store).await;
        } else if accounts.is_empty() {
            return Err(Failure::run("the store has no accounts: `import` some, or run `account create`"));
        } else {
            let text = "nobody can log in yet, since there is no database accounts: import it (`export --db \
                        accounts`), and run `views push` again";
            warnings.push(text.to_owned());
        }
        for id in &accounts {
            pushed.push_account(&*store, id).await;
        }
        for line in &pushed.done {
            say(line)?;
        }
        warnings.iter().for_each(|line| warn(line));
        pushed.check()?;
        let count = accounts.len();
        say(&format!("all views exist ({count} {})", if count == 1 { "account" } else { "accounts" }))
    })
}

/// Adds the missing views of an account, and those over all accounts.
async fn push_views_of(store: &dyn Backend, id: &AccountId) -> Result<(), Failure> {
    let mut pushed = Pushed::default();
    pushed.push_system(store).await;
    pushed.push_account(store, id).await;
    pushed.check()
}

/// The design documents of some databases, after their views were added. If one fails, the others still get
/// their views.
#[derive(Default)]
pub(super) struct Pushed {
    /// A line for each design document that has all its views now.
    done: Vec<String>,
    /// A line for each other one.
    failed: Vec<String>,
}

impl Pushed {
    /// Adds the missing views over all accounts.
    pub(super) async fn push_system(&mut self, store: &dyn Backend) {
        let ensured = bootstrap::push_system_views(store, deadline()).await;
        self.note(SystemDb::Accounts.name(), ensured);
    }

    /// Adds the missing views in an account's database.
    pub(super) async fn push_account(&mut self, store: &dyn Backend, id: &AccountId) {
        let db = id.db();
        self.note(&db, bootstrap::push_account_views(store, id, deadline()).await);
        self.note(&db, ensure_design(store, &db, &groups::design_document(), deadline()).await);
    }

    fn note(&mut self, db: &DbName, ensured: Result<Ensured, StoreError>) {
        match ensured {
            Ok(ensured) => self.done.push(format!("{db} {ensured}")),
            Err(error) => self.failed.push(format!("{db}: {}", crate::chain(&error))),
        }
    }

    /// Fails if a design document lacks views.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.failed.is_empty() {
            return Ok(());
        }
        Err(Failure::run(format!("not all views were pushed: {}", self.failed.join("; "))))
    }
}

async fn has_accounts(store: &dyn Backend) -> Result<bool, Failure> {
    let failure = store_failure("the databases could not be listed");
    store.db_exists(SystemDb::Accounts.name(), deadline()).await.map_err(failure)
}

/// The accounts that have a database, and those that are only in the database of all accounts.
async fn all_accounts(store: &dyn Backend) -> Result<(BTreeSet<AccountId>, BTreeSet<AccountId>), Failure> {
    let failure = store_failure("the accounts could not be listed");
    let dbs = store.list_dbs(deadline()).await.map_err(&failure)?;
    let there: BTreeSet<_> = dbs.iter().filter_map(AccountId::of_db).collect();
    let mut missing = BTreeSet::new();
    if has_accounts(store).await? {
        let query = store.query(SystemDb::Accounts.name(), ViewQuery::all_docs(), deadline());
        let mut rows = query.await.map_err(&failure)?;
        while let Some(row) = rows.next().await {
            let id = AccountId::parse(row.map_err(&failure)?.id.as_str()).ok();
            missing.extend(id.filter(|id| !there.contains(id)));
        }
    }
    Ok((there, missing))
}

fn account_id(text: &str) -> Result<AccountId, Failure> {
    AccountId::parse(text).map_err(|error| Failure::setup(format!("{text:?} is no account id: {error}")))
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
