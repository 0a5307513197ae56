//! The content of a document that was just written, as the store will show it.

use std::fmt::Write as _;

use datastore::{DocId, Document, Draft, Rev};
use serde_json::{Number, Value};

/// A draft, kept until its revision is known.
pub(crate) struct Written {
    id: DocId,
    /// The members, each behind a comma.
    members: String,
}

impl Written {
    /// `None` if the store may show the document in another form: with attachments, or with numbers that
    /// CouchDB writes in its own way.
    pub(crate) fn of(draft: &Draft) -> Option<Self> {
        if draft.body.contains_key("_attachments") || !draft.body.values().all(is_kept_as_it_is) {
            return None;
        }
        let mut members = String::new();
        for (name, value) in draft.body.iter().filter(|(name, _)| *name != "_id" && *name != "_rev") {
            // To write to a `String` does not fail.
            let _ = write!(members, ",{}:{value}", Value::from(name.as_str()));
        }
        Some(Self { id: draft.id.clone(), members })
    }

    /// The document under its new revision.
    pub(crate) fn document(self, rev: &Rev) -> Document {
        let id = Value::from(self.id.as_str());
        let text = format!(r#"{{"_id":{id},"_rev":"{rev}"{}}}"#, self.members);
        Document::new(self.id, rev.clone(), text)
    }
}

fn is_kept_as_it_is(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => is_integer(number),
        Value::Array(items) => items.iter().all(is_kept_as_it_is),
        Value::Object(members) => members.values().all(is_kept_as_it_is),
    }
}

/// Integers beyond 64 bits may be written in another way, too.
fn is_integer(number: &Number) -> bool {
    let text = number.as_str();
    text != "-0" && (number.is_i64() || number.is_u64())
}
