//! Private members of documents. Kazoo stores them, and clients see none of them but `_read_only`. This file also
//! writes the ones that every save sets.

use datastore::DbName;
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::member;
use crate::term;
use crate::time::Time;

/// Whether a top-level key is private. Private members are not accepted from clients. They are not sent to clients
/// either, except [`READ_ONLY`](member::READ_ONLY).
#[must_use]
pub fn is_private(key: &str) -> bool {
    key.starts_with('_') || key.starts_with("pvt_")
}

/// Whether a stored document is soft-deleted. Its id cannot be used again.
#[must_use]
pub fn is_deleted(document: &Map<String, Value>) -> bool {
    document.get(member::DELETED).is_some_and(term::is_true)
}

/// Marks a document as soft-deleted.
pub fn mark_deleted(document: &mut Map<String, Value>) {
    document.insert(member::DELETED.to_owned(), json!(true));
}

/// Writes the kind and the creation time of a new document.
pub fn stamp_created(document: &mut Map<String, Value>, kind: Kind, now: Time) {
    document.insert(member::TYPE.to_owned(), json!(kind.as_str()));
    // Crossbar mistakes a public member `rev` for a revision. It then believes that the document is not new.
    if !document.contains_key("rev") {
        document.insert(member::CREATED.to_owned(), json!(now.gregorian_seconds()));
    }
}

/// Writes the members that every save sets: the time, and the owner and format version if they are missing.
pub fn stamp_modified(document: &mut Map<String, Value>, owner: &str, db: &DbName, now: Time) {
    document.entry(member::VERSION).or_insert_with(|| json!("1"));
    document.entry(member::ACCOUNT_ID).or_insert_with(|| json!(owner));
    document.entry(member::ACCOUNT_DB).or_insert_with(|| json!(db.encoded()));
    document.insert(member::MODIFIED.to_owned(), json!(now.gregorian_seconds()));
}

#[cfg(test)]
mod tests {
    use super::{is_deleted, is_private};
    use serde_json::{Value, json};

    #[test]
    fn private_keys_begin_with_an_underscore_or_pvt() {
        for (key, expected) in
            [("_id", true), ("pvt_type", true), ("_read_only", true), ("name", false), ("pvt", false)]
        {
            assert_eq!(is_private(key), expected, "{key}");
        }
    }

    #[test]
    fn only_true_deletes() {
        for (document, expected) in [
            (json!({"pvt_deleted": true}), true),
            (json!({"pvt_deleted": "true"}), true),
            (json!({"pvt_deleted": 1}), false),
            (json!({}), false),
        ] {
            let Value::Object(object) = &document else { unreachable!() };
            assert_eq!(is_deleted(object), expected, "{document}");
        }
    }
}
