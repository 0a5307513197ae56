//! The keys of the document cache.

use std::sync::{Arc, LazyLock};

use datastore::{DbName, hex};
use kazoo::{AccountId, SystemDb};

use crate::encoding::sha256;

/// The cluster's databases whose documents authentication remembers.
const SYSTEM_DBS: [SystemDb; 4] =
    [SystemDb::Accounts, SystemDb::Services, SystemDb::SystemAuth, SystemDb::SystemConfig];

/// A database that authentication reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Db {
    /// An account's own database.
    Account(AccountId),
    /// A database of the cluster.
    System(SystemDb),
    /// This program's own database. It records logged-out tokens.
    Own,
}

impl Db {
    /// The name of the database.
    pub(crate) fn name(&self) -> DbName {
        match self {
            Self::Account(account_id) => account_id.db(),
            Self::System(db) => db.name().clone(),
            Self::Own => own_db().clone(),
        }
    }

    /// The database of this name, if authentication remembers its documents.
    pub(crate) fn named(name: &DbName) -> Option<Self> {
        let system = SYSTEM_DBS.into_iter().find(|db| db.name() == name).map(Self::System);
        system
            .or_else(|| AccountId::of_db(name).map(Self::Account))
            .or_else(|| (name == own_db()).then_some(Self::Own))
    }
}

/// A document's database and id. The digest stands in for an id that is a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DocKey {
    pub(super) db: Db,
    pub(super) id: Arc<str>,
}

impl DocKey {
    pub(crate) fn new(db: Db, id: &str) -> Self {
        Self { db, id: id.into() }
    }

    pub(crate) fn of_account(account_id: &AccountId, id: &str) -> Self {
        Self::new(Db::Account(account_id.clone()), id)
    }

    pub(crate) fn of_system(db: SystemDb, id: &str) -> Self {
        Self::new(Db::System(db), id)
    }

    /// The key of a document whose id is a secret. It holds the id's digest after a control character. Ids
    /// hold no control characters, so no other document has this key.
    pub(crate) fn of_secret(db: SystemDb, id: &str) -> Self {
        Self::of_system(db, &format!("\u{1}{}", hex(&sha256(id.as_bytes()))))
    }
}

/// The databases beside the accounts' own that authentication reads. Some of them may not exist.
#[must_use]
pub fn databases() -> Vec<DbName> {
    let system = SYSTEM_DBS.into_iter().chain([SystemDb::SystemData]);
    system.map(SystemDb::name).chain([own_db()]).cloned().collect()
}

/// The database that belongs to this program. It holds the tokens that were logged out.
#[must_use]
#[allow(clippy::expect_used, reason = "a constant name; every test of logging out uses it")]
pub fn own_db() -> &'static DbName {
    static OWN: LazyLock<DbName> =
        LazyLock::new(|| DbName::parse("crossbar_groups").expect("a constant database name"));
    &OWN
}
