//! The members of an account that access checks and logins need.

use datastore::Document;
use kazoo::term::to_integer;
use kazoo::{AccountId, Time, account, is_deleted, member};
use serde_json::Value;

/// The members of an account's document that count.
const MEMBERS: [&str; 7] = [
    "name",
    "language",
    member::TREE,
    member::SUPERDUPER_ADMIN,
    member::ENABLED,
    member::DELETED,
    member::TRIAL_EXPIRES,
];

/// The parsed document of an account.
#[derive(Clone, Debug)]
pub struct Account {
    id: AccountId,
    name: Option<String>,
    language: Option<String>,
    tree: Vec<String>,
    is_superduper: bool,
    is_enabled: bool,
    is_deleted: bool,
    trial_expires: Option<i128>,
}

impl Account {
    /// Reads an account's document. As in crossbar, a deleted account is not refused here.
    ///
    /// # Errors
    /// `Corrupt` if the document is not an object.
    pub(super) fn read(id: AccountId, document: &Document) -> datastore::Result<Self> {
        let members = document.parse_members(|name| MEMBERS.contains(&name))?;
        let text = |key: &str| members.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            id,
            name: text("name"),
            language: text("language"),
            tree: account::ancestors(&members).map(str::to_owned).collect(),
            is_superduper: account::is_superduper(&members),
            is_enabled: account::lets_users_log_in(&members),
            is_deleted: is_deleted(&members),
            trial_expires: members.get(member::TRIAL_EXPIRES).and_then(to_integer),
        })
    }

    /// The id of the account.
    #[must_use]
    pub fn id(&self) -> &AccountId {
        &self.id
    }

    /// The name of the account.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The language of the account. Users may have another one.
    #[must_use]
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// The ids of the accounts above it, the root first.
    #[must_use]
    pub fn tree(&self) -> &[String] {
        &self.tree
    }

    /// Whether callers of this account may reach every account.
    #[must_use]
    pub fn is_superduper(&self) -> bool {
        self.is_superduper
    }

    /// Whether users may log in to the account.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Whether the account is marked as deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.is_deleted
    }

    /// The end of the trial, in gregorian seconds. `None` if the trial has not ended.
    #[must_use]
    pub fn expired_at(&self, now: Time) -> Option<i64> {
        let end = self.trial_expires.filter(|end| *end <= i128::from(now.gregorian_seconds()));
        end.and_then(|end| i64::try_from(end).ok())
    }
}
