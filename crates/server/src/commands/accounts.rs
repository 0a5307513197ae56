//! Accounts: `account list`, `account show` and `token`, and the changes that create accounts, refuse their logins
//! and push views.

use std::collections::BTreeSet;

use auth::bootstrap::{self, NewAccount};
use auth::changes::{self, Changed, Logins};
use auth::{Authenticator, Settings};
use datastore::{Backend, DbName, Ensured, StoreError, ViewQuery};
use futures::StreamExt as _;
use kazoo::{AccountId, Kind, SystemDb, account, is_deleted, member};
use serde_json::{Map, Value};

use super::changes::warning;
use super::find::{self, account_document};
use super::{deadline, say, store_failure, table, with_store};
use crate::arguments::{AccountList, AccountShow, Token};
use crate::failure::Failure;
use crate::stack::Opening;

/// An account to create, unless it is there.
pub(super) struct NewAccountNamed<'a> {
    pub(super) name: &'a str,
    pub(super) realm: Option<&'a str>,
    /// Whether an account that is there is good too.
    pub(super) unless_exists: bool,
}

/// Creates an account below the one that `parent` names. Answers its id.
pub(super) async fn create_in(
    store: &dyn Backend,
    account: &NewAccountNamed<'_>,
    parent: Option<&str>,
) -> Result<String, Failure> {
    let failure = store_failure("the account was not created");
    let &NewAccountNamed { name, realm, unless_exists } = account;
    let parent = match parent {
        Some(named) => Some(find::account(store, named).await?),
        None => None,
    };
    let there = bootstrap::find_account(store, name, deadline()).await.map_err(&failure)?;
    let id = match there {
        Some(there) if !unless_exists => {
            return Err(Failure::run(format!("there is an account {name} already: {there}")));
        }
        Some(there) => {
            let document = account_document(store, &there).await?;
            let members = document.map(|document| document.parse_members(is_told)).transpose();
            let members = members.map_err(&failure)?;
            if members.is_none_or(|members| members.get("name").is_none_or(|stored| *stored != *name)) {
                return Err(Failure::run(format!(
                    "an account with a name equal to {name:?} for logins exists; choose another name"
                )));
            }
            there
        }
        None => {
            let account = NewAccount { name, realm, parent: parent.as_ref() };
            bootstrap::create_account(store, &account, deadline()).await.map_err(&failure)?
        }
    };
    // The command that created an account that is there may have been stopped before it created the views.
    push_views_of(store, &id).await?;
    Ok(id.to_string())
}

pub(crate) fn list(arguments: &AccountList) -> Result<(), Failure> {
    with_store(&arguments.store, Opening::Read, |store| async move {
        let failure = store_failure("the accounts could not be listed");
        let accounts = SystemDb::Accounts.name();
        let mut rows = Vec::new();
        if store.db_exists(accounts, deadline()).await.map_err(&failure)? {
            let query = ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
            let mut found = store.query(accounts, query, deadline()).await.map_err(&failure)?;
            while let Some(row) = found.next().await {
                let Some(document) = row.map_err(&failure)?.doc else { continue };
                let members = document.parse_members(is_told).map_err(&failure)?;
                if Kind::Account.is_kind_of(&members) && !is_deleted(&members) {
                    let id = document.id().as_str().to_owned();
                    let is_enabled = yes_or_no(account::lets_users_log_in(&members)).to_owned();
                    rows.push([id, text(&members, "name"), text(&members, "realm"), is_enabled]);
                }
            }
        }
        table::print(["id", "name", "realm", "enabled"], &rows)
    })
}

pub(crate) fn show(arguments: AccountShow) -> Result<(), Failure> {
    with_store(&arguments.store.clone(), Opening::Read, |store| async move {
        let failure = store_failure("the account could not be read");
        let id = find::account(&*store, &arguments.account).await?;
        let document = account_document(&*store, &id).await?;
        let Some(document) = document else {
            return Err(Failure::setup(format!("the account {id} has no document in its own database")));
        };
        let members = document.parse_members(is_told).map_err(&failure)?;
        let mut lines = vec![
            ("id", id.to_string()),
            ("name", text(&members, "name")),
            ("realm", text(&members, "realm")),
            ("enabled", yes_or_no(account::lets_users_log_in(&members)).to_owned()),
            ("master", yes_or_no(account::is_superduper(&members)).to_owned()),
            ("parents", account::ancestors(&members).collect::<Vec<_>>().join(" ")),
            ("database", id.db().to_string()),
        ];
        if is_deleted(&members) {
            lines.push(("deleted", yes_or_no(true).to_owned()));
        }
        if arguments.api_key {
            lines.push(("api key", text(&members, member::API_KEY)));
        }
        lines.iter().try_for_each(|(name, value)| say(&format!("{name:9} {value}")))
    })
}

/// Allows or refuses the logins of an account's users. Answers a line that says so.
pub(super) async fn set_logins_in(
    store: &dyn Backend,
    account: &str,
    logins: Logins,
) -> Result<String, Failure> {
    let id = find::account(store, account).await?;
    let changed = changes::set_account_logins(store, &id, logins, deadline()).await;
    let changed = changed.map_err(store_failure("the account was not changed"))?;
    Ok(match (logins, changed) {
        (Logins::Refused, Changed::Now) => format!(
            "{id} is disabled: its users cannot log in. As with Kazoo, its API key still logs in, and tokens that were \
             given out are good until they expire"
        ),
        (Logins::Refused, Changed::Before) => format!("{id} is disabled already"),
        (Logins::Allowed, Changed::Now) => format!("{id} is enabled: its users can log in"),
        (Logins::Allowed, Changed::Before) => format!("{id} is enabled already"),
    })
}

/// Whether a command tells or needs this member of an account. The others are not parsed.
fn is_told(name: &str) -> bool {
    let private = [
        member::TYPE,
        member::DELETED,
        member::ENABLED,
        member::TREE,
        member::SUPERDUPER_ADMIN,
        member::API_KEY,
    ];
    ["name", "realm"].contains(&name) || private.contains(&name)
}

/// A member as text; empty if it is missing or no text.
pub(super) fn text(members: &Map<String, Value>, key: &str) -> String {
    members.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

pub(crate) fn token(arguments: Token) -> Result<(), Failure> {
    with_store(&arguments.store.clone(), Opening::Read, |store| async move {
        let account_id = find::account(&*store, &arguments.account).await?;
        let user = match &arguments.user {
            Some(named) => Some(find::user(&*store, &account_id, named).await?),
            None => None,
        };
        let user_id = user.as_ref().map(|user| user.id().as_str());
        let auth = Authenticator::new(store, Settings::default());
        let token = auth.mint(&account_id, user_id, arguments.ttl, deadline()).await;
        say(&token.map_err(store_failure("no token was made"))?)
    })
}

/// Adds the missing views, in the database of one account or of all. Answers a line for each design document.
pub(super) async fn push_views_in(
    store: &dyn Backend,
    account: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let (accounts, missing) = match account {
        Some(named) => (BTreeSet::from([find::account(store, named).await?]), BTreeSet::new()),
        None => all_accounts(store).await?,
    };
    let mut warnings: Vec<_> = missing
        .iter()
        .map(|id| format!("the account {id} is in the database accounts, but {} is missing", id.db()))
        .collect();
    let mut pushed = Pushed::default();
    if has_accounts(store).await? {
        pushed.push_system(store).await;
    } else if accounts.is_empty() {
        return Err(Failure::run("the store has no accounts: `import` some, or run `account create`"));
    } else {
        let text = "nobody can log in yet, since there is no database accounts: import it (`export --db \
                    accounts`), and run `views push` again";
        warnings.push(text.to_owned());
    }
    for id in &accounts {
        pushed.push_account(store, id).await;
    }
    pushed.check()?;
    let count = accounts.len();
    let last = format!("all views exist ({count} {})", if count == 1 { "account" } else { "accounts" });
    let warnings = warnings.iter().map(|text| warning(text));
    Ok(pushed.done.into_iter().chain(warnings).chain([last]).collect())
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
    /// How many of these are new.
    added: usize,
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
        self.note(&db, groups::ensure_views(store, &db, deadline()).await);
    }

    /// How many design documents were added.
    pub(super) fn added(&self) -> usize {
        self.added
    }

    fn note(&mut self, db: &DbName, ensured: Result<Ensured, StoreError>) {
        match ensured {
            Ok(ensured) => {
                self.added += usize::from(ensured.is_new());
                self.done.push(format!("{db} {ensured}"));
            }
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
    let there = AccountId::with_database(&dbs);
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
