//! Kinds of documents, as their member `pvt_type` names them.

use serde_json::{Map, Value};

/// A kind of document that this project reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An account's own document.
    Account,
    /// A configuration document.
    Config,
    /// A group.
    Group,
    /// A signing key.
    SystemKey,
    /// A user.
    User,
}

impl Kind {
    /// The text of `pvt_type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Config => "config",
            Self::Group => "group",
            Self::SystemKey => "system_key",
            Self::User => "user",
        }
    }

    /// Whether a stored document is of this kind.
    #[must_use]
    pub fn is_kind_of(self, document: &Map<String, Value>) -> bool {
        document.get("pvt_type").is_some_and(|kind| kind == self.as_str())
    }

    /// Whether a stored document is of this kind or has no `pvt_type`. Crossbar accepts a document without
    /// one.
    #[must_use]
    pub fn may_be_kind_of(self, document: &Map<String, Value>) -> bool {
        document.get("pvt_type").is_none_or(|kind| kind == self.as_str())
    }
}
