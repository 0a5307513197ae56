//! Kinds of documents, as their member `pvt_type` names them.

use serde_json::{Map, Value};

use crate::member;

/// A kind of Kazoo's documents that this project knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An account's own document.
    Account,
    /// A configuration document.
    Config,
    /// A device.
    Device,
    /// A group.
    Group,
    /// A signing key.
    SystemKey,
    /// A user.
    User,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Account, Self::Config, Self::Device, Self::Group, Self::SystemKey, Self::User];

    /// The kind of a stored document. `None` if it has no kind, or one that this project does not know.
    #[must_use]
    pub fn of(document: &Map<String, Value>) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.is_kind_of(document))
    }

    /// The text of `pvt_type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Config => "config",
            Self::Device => "device",
            Self::Group => "group",
            Self::SystemKey => "system_key",
            Self::User => "user",
        }
    }

    /// Whether a stored document is of this kind.
    #[must_use]
    pub fn is_kind_of(self, document: &Map<String, Value>) -> bool {
        document.get(member::TYPE).is_some_and(|kind| kind == self.as_str())
    }

    /// Whether a stored document is of this kind or has no `pvt_type`. Crossbar accepts a document without
    /// one.
    #[must_use]
    pub fn may_be_kind_of(self, document: &Map<String, Value>) -> bool {
        document.get(member::TYPE).is_none_or(|kind| kind == self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use serde_json::{Value, json};

    #[test]
    fn a_document_has_the_kind_that_its_type_names() {
        for (document, expected) in [
            (json!({"pvt_type": "device"}), Some(Kind::Device)),
            (json!({"pvt_type": "user"}), Some(Kind::User)),
            (json!({"pvt_type": "callflow"}), None),
            (json!({"pvt_type": 1}), None),
            (json!({}), None),
        ] {
            let Value::Object(object) = &document else { unreachable!() };
            assert_eq!(Kind::of(object), expected, "{document}");
        }
    }
}
