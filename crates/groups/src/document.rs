//! The public and private fields of a group. Clients see the public ones. Kazoo keeps its own data in the
//! private ones.

use std::fmt::Write as _;

use auth::AccountAccess;
use datastore::{DocId, Document, Member, Rev, json};
use kazoo::{Kind, Time, is_deleted, is_private, member, search_name};
use serde_json::{Map, Value};

use crate::error::GroupsError;

/// A live group as it is stored, read once.
#[derive(Clone, Debug)]
pub struct StoredGroup {
    document: Document,
    public: String,
}

impl StoredGroup {
    /// The group in a document. The text is scanned once, and public values are copied as they are stored.
    ///
    /// # Errors
    /// `NotFound` if the document is not a live group.
    pub fn of(document: Document) -> Result<Self, GroupsError> {
        let members = document.members()?;
        if !is_plain_group(&members) && !is_live_group(&kind_members(&members)) {
            return Err(GroupsError::NotFound { id: document.id().as_str().to_owned() });
        }
        let public = public_text(&document, &members);
        Ok(Self { document, public })
    }

    /// The revision.
    #[must_use]
    pub fn rev(&self) -> &Rev {
        self.document.rev()
    }

    /// The document, with its private members.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The group as its clients see it, parsed.
    ///
    /// # Errors
    /// `Corrupt` if a member cannot be read, for instance because it is nested too deep.
    pub fn public_object(&self) -> datastore::Result<Map<String, Value>> {
        let mut object = self.document.parse_members(is_shown)?;
        object.insert("id".to_owned(), Value::from(self.document.id().as_str()));
        Ok(object)
    }

    /// The document, and the group as its clients see it, in the form of [`StoredGroup::into_public_members`].
    pub(crate) fn into_parts(self) -> (Document, String) {
        (self.document, self.public)
    }

    /// The group as its clients see it: the JSON text of its public members with commas between them, the
    /// id last, without the enclosing braces.
    #[must_use]
    pub fn into_public_members(self) -> String {
        self.public
    }
}

fn public_text(document: &Document, members: &[Member<'_>]) -> String {
    let mut text = String::with_capacity(document.text().len());
    for (key, value) in members.iter().filter(|(key, _)| is_shown(key)) {
        push_json(&mut text, key);
        text.push(':');
        text.push_str(value);
        text.push(',');
    }
    finish_with_id(text, document.id())
}

/// Whether clients see a stored member. crossbar shows `_read_only`, although its name looks private. The id
/// is shown too, but its value is the document's.
fn is_shown(key: &str) -> bool {
    key != "id" && (!is_private(key) || key == member::READ_ONLY)
}

/// The same text for public members that are about to be stored. `public` has no id.
pub(crate) fn text_of_public(public: &Map<String, Value>, id: &DocId) -> String {
    let mut text = String::new();
    for (key, value) in public {
        push_json(&mut text, key);
        // To write to a `String` does not fail.
        let _ = write!(text, ":{value},");
    }
    let mut text = finish_with_id(text, id);
    // It waits until the document is stored, and a text that grew has up to twice the room that it needs.
    text.shrink_to_fit();
    text
}

fn finish_with_id(mut text: String, id: &DocId) -> String {
    text.push_str("\"id\":");
    push_json(&mut text, id.as_str());
    text
}

/// Adds a text as a JSON string.
fn push_json(text: &mut String, string: &str) {
    text.push('"');
    text.push_str(&json::escape(string));
    text.push('"');
}

/// Whether a document is a live group at first sight, as nearly all are: it says once that it is a group, and nothing
/// about a deletion.
fn is_plain_group(members: &[Member<'_>]) -> bool {
    let mut says = members.iter().filter(|(key, _)| matches!(&**key, member::TYPE | member::DELETED));
    let Some((key, value)) = says.next() else { return false };
    let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    key == member::TYPE && text == Some(Kind::Group.as_str()) && says.next().is_none()
}

/// The members that say whether a document is a live group. If a key occurs twice, its first value counts.
pub(crate) fn kind_members(members: &[Member<'_>]) -> Map<String, Value> {
    let mut found = Map::new();
    for (key, value) in members {
        if matches!(&**key, member::TYPE | member::DELETED) {
            let value = json::parse(value.as_bytes());
            found.entry(&**key).or_insert(value.unwrap_or_default());
        }
    }
    found
}

/// The public members of a stored document or of a client's data, without the id.
pub(crate) fn public_members(mut object: Map<String, Value>) -> Map<String, Value> {
    object.retain(|key, _| !is_private(key) && key != "id");
    object
}

/// The private members of a stored document, without the store's `_id` and `_rev`. Public values are not
/// parsed.
pub(crate) fn private_members(document: &Document) -> datastore::Result<Map<String, Value>> {
    document.parse_members(is_kept_private)
}

/// Splits a stored document into its members that are not private, and its private ones, without the store's
/// `_id` and `_rev`.
pub(crate) fn split(object: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    let (mut public, mut private) = (object, Map::new());
    public.retain(|key, value| {
        if is_kept_private(key) {
            private.insert(key.clone(), value.take());
        }
        !is_private(key)
    });
    (public, private)
}

fn is_kept_private(key: &str) -> bool {
    is_private(key) && key != "_id" && key != "_rev"
}

/// Whether a stored document is a group and not deleted. A document without `pvt_type` counts as a group, as
/// in crossbar. Saving it does not add a `pvt_type`, also as in crossbar.
pub(crate) fn is_live_group(object: &Map<String, Value>) -> bool {
    Kind::Group.may_be_kind_of(object) && !is_deleted(object)
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

    /// Writes the private fields that every save updates. As in Kazoo, the user of an earlier save stays if
    /// this caller has none. The fields about a caller that acts as another user are about this save alone:
    /// with those of an earlier one, this save would have a wrong author.
    pub(crate) fn mark_saved(&self, document: &mut Map<String, Value>) {
        let account_id = self.access.account_id();
        let caller = self.access.caller();
        kazoo::stamp_modified(document, account_id.as_str(), self.access.db(), self.now);
        let mut set = |key: &str, value: Value| {
            document.insert(key.to_owned(), value);
        };
        set(member::REQUEST_ID, Value::from(self.request_id));
        set(member::IS_AUTHENTICATED, Value::Bool(true));
        set(member::AUTH_ACCOUNT_ID, Value::from(caller.account_id().as_str()));
        if let Some(owner_id) = caller.owner_id() {
            set(member::AUTH_USER_ID, Value::from(owner_id));
        }
        let of_this_save = [
            (member::ORIGINAL_AUTH_ACCOUNT_ID, caller.original_account_id()),
            (member::ORIGINAL_AUTH_OWNER_ID, caller.original_owner_id()),
        ];
        for (key, value) in of_this_save {
            match value {
                Some(value) => drop(document.insert(key.to_owned(), Value::from(value))),
                None => drop(document.shift_remove(key)),
            }
        }
        if let Some(Value::String(name)) = document.get("name") {
            let search_name = search_name(name);
            document.insert(member::ALPHANUM_NAME.to_owned(), Value::from(search_name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GroupsError, StoredGroup, is_live_group, is_plain_group, private_members, split};
    use datastore::{DocId, Document, Rev};
    use serde_json::{Value, json};

    #[test]
    fn clients_see_no_private_member_and_the_id_last() {
        let doc = Document::from_text(
            r#"{"_id":"g\"1","_rev":"1-a","na\u006de":"x","pvt_type":"group","sub":{"pvt_x":1},"n":1.0,"q\"":0,"\\":1,"id":"other","_read_only":{"a":1}}"#,
        )
        .unwrap();
        assert_eq!(
            StoredGroup::of(doc).unwrap().into_public_members(),
            r#""name":"x","sub":{"pvt_x":1},"n":1.0,"q\"":0,"\\":1,"_read_only":{"a":1},"id":"g\"1""#
        );
    }

    #[test]
    fn a_group_is_parsed_as_its_clients_see_it() {
        let doc = Document::from_text(
            r#"{"_id":"g","_rev":"1-a","n":1.0,"pvt_x":1,"id":"other","_read_only":true,"n":2}"#,
        );
        let object = StoredGroup::of(doc.unwrap()).unwrap().public_object().unwrap();
        assert_eq!(Value::Object(object).to_string(), r#"{"n":1.0,"_read_only":true,"id":"g"}"#);
    }

    #[test]
    fn private_members_are_kept_without_the_id_and_the_revision_of_the_store() {
        let text = r#"{"_id":"g","_rev":"1-a","n":1,"pvt_x":2,"_read_only":true}"#;
        let private = private_members(&Document::from_text(text).unwrap()).unwrap();
        assert_eq!(Value::Object(private), json!({"pvt_x": 2, "_read_only": true}));
        let Value::Object(object) = serde_json::from_str(text).unwrap() else { unreachable!() };
        let (public, private) = split(object);
        assert_eq!(Value::Object(public), json!({"n": 1}));
        assert_eq!(Value::Object(private), json!({"pvt_x": 2, "_read_only": true}));
    }

    #[test]
    fn a_key_that_occurs_twice_counts_once() {
        let doc = Document::from_text(r#"{"_id":"g","_rev":"1-a","pvt_deleted":true,"pvt_deleted":false}"#);
        assert!(matches!(StoredGroup::of(doc.unwrap()), Err(GroupsError::NotFound { .. })));
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
            let Value::Object(object) = doc.clone() else { unreachable!() };
            assert_eq!(is_live_group(&object), expected, "{doc}");
            let text = doc.to_string();
            let (id, rev) = (DocId::parse("g").unwrap(), Rev::parse("1-a").unwrap());
            let is_plain = is_plain_group(&Document::new(id, rev, text.as_str()).members().unwrap());
            assert_eq!(is_plain, text == r#"{"pvt_type":"group"}"#, "{doc}");
        }
    }
}
