//! A group's public and private fields: what clients see, and what Kazoo keeps beside it.

use auth::AccountAccess;
use datastore::Document;
use kazoo::{Kind, Time, is_deleted, is_private, search_name};
use serde_json::{Map, Value, json};

/// Whether an id is that of a document by which its account is governed: Kazoo reads the account's token
/// restrictions and settings by these names. No group may take one, or a client could write its own rules.
pub(crate) fn is_policy(id: &str) -> bool {
    id == "token_restrictions" || id.starts_with("configs_")
}

/// A stored document as its clients see it, as JSON text: without private members, with its id.
/// Values are copied as they are stored, none is parsed.
///
/// # Errors
/// `Corrupt` where the stored text is no object.
pub fn public_text(document: &Document) -> datastore::Result<String> {
    let members = document.members()?;
    let mut text = String::with_capacity(document.text().len());
    text.push('{');
    for (key, value) in &members.0 {
        // `_read_only` is the one private-looking member that crossbar shows.
        if key == "id" || (is_private(key) && key != "_read_only") {
            continue;
        }
        text.push_str(&Value::from(&**key).to_string());
        text.push(':');
        text.push_str(value.get());
        text.push(',');
    }
    text.push_str("\"id\":");
    text.push_str(&Value::from(document.id().as_str()).to_string());
    text.push('}');
    Ok(text)
}

/// The public members of what a client sent or of what is stored, without the id.
pub(crate) fn public_members(object: Map<String, Value>) -> Map<String, Value> {
    object.into_iter().filter(|(key, _)| !is_private(key) && key != "id").collect()
}

/// The private members of what is stored. `_id` and `_rev` are the store's own.
pub(crate) fn private_members(object: Map<String, Value>) -> Map<String, Value> {
    object.into_iter().filter(|(key, _)| is_private(key) && key != "_id" && key != "_rev").collect()
}

/// What a stored document says about itself: its kind, and whether it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Whether it is a group. A document without a kind counts as one, as in crossbar, which then also saves
    /// it without adding a kind.
    pub(crate) is_group: bool,
    /// Whether it is soft-deleted.
    pub(crate) is_deleted: bool,
}

impl Status {
    /// Reads the two members that say so. The others are not parsed.
    ///
    /// # Errors
    /// `Corrupt` if the stored text is no object.
    pub(crate) fn of(document: &Document) -> datastore::Result<Self> {
        let mut said = Map::new();
        for (key, value) in document.members()?.0 {
            // Of a key that stands twice the first counts, as Kazoo reads it.
            if matches!(&*key, "pvt_type" | "pvt_deleted") && !said.contains_key(&*key) {
                said.insert(key.into_owned(), serde_json::from_str(value.get()).unwrap_or_default());
            }
        }
        Ok(Self { is_group: Kind::Group.may_be_kind_of(&said), is_deleted: is_deleted(&said) })
    }

    /// Whether it is a group that is not deleted.
    pub(crate) fn is_live_group(self) -> bool {
        self.is_group && !self.is_deleted
    }
}

/// Who saves, when, and by which request: what every save writes into a document's private fields.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The proof that the caller may, which says who the caller is.
    pub access: &'a AccountAccess,
    /// The id of the request, `pvt_request_id`.
    pub request_id: &'a str,
    /// When the request came.
    pub now: Time,
}

impl Stamp<'_> {
    /// Marks a new document as a group, created now.
    pub(crate) fn mark_new(&self, document: &mut Map<String, Value>) {
        kazoo::stamp_created(document, Kind::Group, self.now);
    }

    /// Writes what every save writes. What is unknown is neither written nor does it clear what an
    /// earlier save has written.
    pub(crate) fn mark_saved(&self, document: &mut Map<String, Value>) {
        let account_id = self.access.account_id();
        let caller = self.access.caller();
        kazoo::stamp_modified(document, account_id.as_str(), self.access.db(), self.now);
        let mut set = |key: &str, value: Value| {
            document.insert(key.to_owned(), value);
        };
        set("pvt_request_id", json!(self.request_id));
        set("pvt_is_authenticated", json!(true));
        set("pvt_auth_account_id", json!(caller.account_id().as_str()));
        let known = [
            ("pvt_auth_user_id", caller.owner_id()),
            ("pvt_original_auth_account_id", caller.original_account_id()),
            ("pvt_original_auth_owner_id", caller.original_owner_id()),
        ];
        for (key, value) in known {
            if let Some(value) = value {
                set(key, json!(value));
            }
        }
        if let Some(Value::String(name)) = document.get("name") {
            let search_name = search_name(name);
            document.insert("pvt_alphanum_name".to_owned(), json!(search_name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Status, public_text};
    use datastore::Document;
    use serde_json::json;

    #[test]
    fn clients_see_no_private_member_and_the_id_last() {
        let doc = Document::from_text(
            r#"{"_id":"g\"1","_rev":"1-a","name":"x","pvt_type":"group","sub":{"pvt_x":1},"n":1.0,"id":"other","_read_only":{"a":1}}"#,
        )
        .unwrap();
        assert_eq!(
            public_text(&doc).unwrap(),
            r#"{"name":"x","sub":{"pvt_x":1},"n":1.0,"_read_only":{"a":1},"id":"g\"1"}"#
        );
    }

    #[test]
    fn a_live_group_is_of_type_group_or_of_none() {
        for (doc, expected) in [
            (json!({"pvt_type": "group"}), true),
            (json!({}), true),
            (json!({"pvt_type": "groups"}), false),
            (json!({"pvt_type": "group", "pvt_deleted": true}), false),
            (json!({"pvt_type": "group", "pvt_deleted": "true"}), false),
            (json!({"pvt_type": "group", "pvt_deleted": 1}), true),
        ] {
            let mut stored = doc.clone();
            (stored["_id"], stored["_rev"]) = (json!("g"), json!("1-a"));
            let stored = Document::from_text(stored.to_string()).unwrap();
            assert_eq!(Status::of(&stored).unwrap().is_live_group(), expected, "{doc}");
        }
    }
}
