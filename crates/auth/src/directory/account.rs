//! Accounts, as far as access to them goes.

use datastore::Document;
use kazoo::term::{is_true, to_integer};
use kazoo::{AccountId, Time};
use serde_json::Value;

/// An account's document, read.
#[derive(Clone, Debug)]
pub struct Account {
    id: AccountId,
    name: Option<String>,
    language: Option<String>,
    tree: Vec<String>,
    is_superduper: bool,
    is_enabled: bool,
    trial_expires: Option<i128>,
}

impl Account {
    /// Reads an account's document. A deleted one is an account like any other, as in crossbar.
    ///
    /// # Errors
    /// `Corrupt` where the document is no object.
    pub(super) fn read(id: AccountId, document: &Document) -> datastore::Result<Self> {
        let members = document.to_object()?;
        let text = |key: &str| members.get(key).and_then(Value::as_str).map(str::to_owned);
        let tree = members.get("pvt_tree").and_then(Value::as_array).into_iter().flatten();
        Ok(Self {
            id,
            name: text("name"),
            language: text("language"),
            tree: tree.filter_map(|ancestor| ancestor.as_str().map(str::to_owned)).collect(),
            is_superduper: members.get("pvt_superduper_admin").is_some_and(is_true),
            is_enabled: members.get("pvt_enabled").is_none_or(is_true),
            trial_expires: members.get("pvt_trial_expires").and_then(to_integer),
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &AccountId {
        &self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The language of its users.
    #[must_use]
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// Its ancestors, the root first.
    #[must_use]
    pub fn tree(&self) -> &[String] {
        &self.tree
    }

    /// Whether it may reach every account.
    #[must_use]
    pub fn is_superduper(&self) -> bool {
        self.is_superduper
    }

    /// Whether people may log in to it.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// When its trial was over, in gregorian seconds, if it is by now.
    #[must_use]
    pub fn expired_at(&self, now: Time) -> Option<i64> {
        let end = self.trial_expires.filter(|end| *end <= i128::from(now.gregorian_seconds()));
        end.and_then(|end| i64::try_from(end).ok())
    }
}
