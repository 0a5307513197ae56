//! The public and private fields of a group. Clients see the public ones. Kazoo keeps its own data in the
//! private ones.

use auth::AccountAccess;
use datastore::Document;
use kazoo::{Kind, Time, is_deleted, is_private, search_name};
use serde_json::{Map, Value, json};

/// Whether Kazoo reads an account's token restrictions or settings from the document with this id. A group
/// may not have such an id; otherwise a client could write its own rules.
pub(crate) fn is_policy(id: &str) -> bool {
    id == "token_restrictions" || id.starts_with("configs_")
}

/// The JSON text that clients see for a stored document. It leaves out private members and adds the id.
/// Values are copied without parsing them.
///
/// # Errors
/// `Corrupt` if the stored text is not a JSON object.
pub fn public_text(document: &Document) -> datastore::Result<String> {
    let members = document.members()?;
    let mut text = String::with_capacity(document.text().len());
    text.push('{');
    for (key, value) in &members.0 {
        // crossbar shows `_read_only`, although its name looks private.
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

/// The public members of a stored document or of a client's data, without the id.
pub(crate) fn public_members(object: Map<String, Value>) -> Map<String, Value> {
    object.into_iter().filter(|(key, _)| !is_private(key) && key != "id").collect()
}

/// The private members of a stored document, without the store's `_id` and `_rev`.
pub(crate) fn private_members(object: Map<String, Value>) -> Map<String, Value> {
    object.into_iter().filter(|(key, _)| is_private(key) && key != "_id" && key != "_rev").collect()
}

/// Whether a stored document is a group, and whether it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Whether the document is a group. A document without `pvt_type` counts as a group, as in crossbar.
    /// Saving it does not add a `pvt_type`, also as in crossbar.
    pub(crate) is_group: bool,
    /// Whether the document is soft-deleted.
    pub(crate) is_deleted: bool,
}

impl Status {
    /// Reads `pvt_type` and `pvt_deleted`. The values of other members are not parsed.
    ///
    /// # Errors
    /// `Corrupt` if the stored text is not a JSON object.
    pub(crate) fn of(document: &Document) -> datastore::Result<Self> {
        let mut said = Map::new();
        for (key, value) in document.members()?.0 {
            // If a key appears twice, the first one counts, as in Kazoo.
            if matches!(&*key, "pvt_type" | "pvt_deleted") && !said.contains_key(&*key) {
                said.insert(key.into_owned(), serde_json::from_str(value.get()).unwrap_or_default());
            }
        }
        Ok(Self { is_group: Kind::Group.may_be_kind_of(&said), is_deleted: is_deleted(&said) })
    }

    /// Whether the document is a group and not deleted.
    pub(crate) fn is_live_group(self) -> bool {
        self.is_group && !self.is_deleted
    }
}

/// The caller, time and request id that a save writes into a document's private fields.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The proof that the caller may use the account. It also names the caller.
    pub access: &'a AccountAccess,
    /// The id of the request, written to `pvt_request_id`.
    pub request_id: &'a str,
    /// The time of the request.
    pub now: Time,
}

impl Stamp<'_> {
    /// Marks a new document as a group, created now.
    pub(crate) fn mark_new(&self, document: &mut Map<String, Value>) {
        kazoo::stamp_created(document, Kind::Group, self.now);
    }

    /// Writes the private fields that every save updates. A field whose value is unknown is not changed, so
    /// the value from an earlier save stays.
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
    fn a_live_group_has_the_type_group_or_no_type() {
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
