//! The members of a user, device or account that tokens need.

use datastore::Document;
use kazoo::{Kind, is_deleted, member};
use serde_json::{Map, Value};

use crate::secret::Secret;

/// The members of such a document that count.
const MEMBERS: [&str; 5] =
    [member::TYPE, member::DELETED, member::SIGNATURE_SECRET, "priv_level", "language"];

/// The parsed document of a user, device or account that a token belongs to.
pub(crate) struct Identity {
    pub(crate) is_user: bool,
    pub(crate) secret: Option<Secret>,
    pub(crate) priv_level: Option<String>,
    pub(crate) language: Option<String>,
}

impl Identity {
    /// Reads an identity. `None` if its document is deleted.
    ///
    /// # Errors
    /// `Corrupt` if the document is not an object, or if a member cannot be read that counts.
    pub(super) fn read(document: &Document) -> datastore::Result<Option<Self>> {
        Ok(Self::in_members(&document.parse_members(|name| MEMBERS.contains(&name))?))
    }

    fn in_members(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        (!is_deleted(members)).then(|| Self {
            is_user: Kind::User.is_kind_of(members),
            secret: text(member::SIGNATURE_SECRET).filter(|secret| !secret.is_empty()).map(Secret::new),
            priv_level: text("priv_level").map(str::to_owned),
            language: text("language").map(str::to_owned),
        })
    }
}
