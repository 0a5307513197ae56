//! Which version of a design document a database has. Kazoo and this program add views that are missing and change
//! none, so a database may have those of an older Kazoo.

use auth::{Registered, registered_design};
use datastore::{Backend, DesignDocument, DocId, Document};
use md5::{Digest as _, Md5};
use serde_json::Value;

use super::super::deadline;

/// The MD5 of maps that Kazoo has had, without white space, and which Kazoo.
const KAZOOS: [(&str, &str); 3] = [
    ("57293e56bf3a29dc94de07045f976857", "as Kazoo 4.3 and 5.0 have it"),
    ("f167a7086619a6afca99d3c66eda84ff", "as Kazoo 4.3 and 5.0 have it"),
    ("65ead6ae5df1ce0a3ccfdd7b048bfc84", "as a Kazoo before 4.3 has it"),
];

/// A design document that the server uses.
pub(super) struct KnownDesign {
    /// As this program has it.
    own: DesignDocument,
    /// As Kazoo's registry has it, if there is one and it has another.
    registered: Option<DesignDocument>,
}

impl KnownDesign {
    /// A design document of a kind of databases. Without an answer of the store, it is not known what Kazoo's registry
    /// has.
    pub(super) async fn load(store: &dyn Backend, databases: Registered, own: DesignDocument) -> Self {
        let registered = registered_design(store, databases, own.clone(), deadline()).await;
        let registered = registered.ok().filter(|registered| *registered != own);
        Self { own, registered }
    }

    /// Its id.
    pub(super) fn id(&self) -> &DocId {
        self.own.id()
    }

    /// Which version a database has, in words.
    pub(super) fn age(&self, stored: Option<&Document>) -> String {
        let id = self.own.id();
        let Some(stored) = stored else { return format!("{id} is missing") };
        let members = stored.parse_members(|name| name == "views").unwrap_or_default();
        let map = |view: &str| members.get("views")?.get(view)?.get("map");
        let ages: Vec<_> = self.own.view_names().map(|view| (view, self.age_of(view, map(view)))).collect();
        match ages.as_slice() {
            [(_, first), rest @ ..] if rest.iter().all(|(_, age)| age == first) => format!("{id} is {first}"),
            ages => {
                let ages: Vec<_> = ages.iter().map(|(view, age)| format!("{view} is {age}")).collect();
                format!("{id}: {}", ages.join(", "))
            }
        }
    }

    fn age_of(&self, view: &str, map: Option<&Value>) -> String {
        let Some(map) = map.and_then(Value::as_str) else { return "missing".to_owned() };
        let is_of = |design: &DesignDocument| design.map_of(view) == Some(map);
        if self.registered.as_ref().is_some_and(is_of) {
            return "as Kazoo's registry has it".to_owned();
        }
        if is_of(&self.own) {
            return "as this program has it".to_owned();
        }
        let digest = digest(map);
        let kazoos = KAZOOS.iter().find(|(known, _)| *known == digest);
        kazoos.map_or_else(
            || format!("another one (MD5 {})", digest.get(..8).unwrap_or(&digest)),
            |(_, age)| (*age).to_owned(),
        )
    }
}

/// The MD5 of a text without its white space, in which Kazoo's releases differ.
fn digest(map: &str) -> String {
    datastore::hex(&Md5::digest(map.split_whitespace().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use datastore::{DesignDocument, Document};
    use serde_json::json;

    use super::{KAZOOS, KnownDesign, digest};

    fn check(views: &serde_json::Value, expected: &str) {
        let design = |views: &[(&str, &str)]| DesignDocument::new("groups", views).unwrap();
        let known = KnownDesign {
            own: design(&[("a", "own a"), ("b", "own b")]),
            registered: Some(design(&[("a", "kazoo's a"), ("b", "kazoo's b")])),
        };
        let text = json!({"_id": "_design/groups", "_rev": "1-a", "views": views}).to_string();
        let stored = Document::from_text(text).unwrap();
        assert_eq!(known.age(Some(&stored)), format!("_design/groups{expected}"), "{views}");
        assert_eq!(known.age(None), "_design/groups is missing");
    }

    #[test]
    fn the_version_of_a_design_document_is_named() {
        let map = |map: &str| json!({ "map": map });
        check(&json!({"a": map("own a"), "b": map("own b"), "c": map("x")}), " is as this program has it");
        check(&json!({"a": map("kazoo's a"), "b": map("kazoo's b")}), " is as Kazoo's registry has it");
        check(
            &json!({"a": map("own a"), "b": map("kazoo's b")}),
            ": a is as this program has it, b is as Kazoo's registry has it",
        );
        check(&json!({"a": map("own a")}), ": a is as this program has it, b is missing");
        check(&json!({"a": map("x"), "b": map(" x\n")}), " is another one (MD5 9dd4e461)");
        check(&json!({}), " is missing");
        check(&json!([]), " is missing");
    }

    /// Kazoo's releases differ in white space, and a map may be lines that were joined.
    #[test]
    fn white_space_does_not_count() {
        assert_eq!(digest("function (doc) {\n  emit(1);\n}"), digest("function(doc){emit(1);}"));
        assert!(KAZOOS.iter().all(|(known, _)| known.len() == 32));
    }
}
