//! The content of a document that was just written, as the store will show it.

use std::io::{self, Write};

use datastore::{DocId, Document, Draft, Rev};
use serde_json::{Number, Value};

/// The longest document that is kept, in bytes. To write a longer one out would take more time and memory than the
/// read that it saves.
const LONGEST: usize = 16 * 1024;

/// A draft, kept until its revision is known.
pub(crate) struct Written {
    id: DocId,
    /// The members, each behind a comma.
    members: String,
}

impl Written {
    /// `None` if the document is long, or if the store may show it in another form: with attachments, or with
    /// numbers that CouchDB writes in its own way.
    pub(crate) fn of(draft: &Draft) -> Option<Self> {
        if draft.body.contains_key("_attachments") || !draft.body.values().all(is_kept_as_it_is) {
            return None;
        }
        let mut members = Bounded(Vec::new());
        for (name, value) in draft.body.iter().filter(|(name, _)| *name != "_id" && *name != "_rev") {
            members.write_all(b",").ok()?;
            serde_json::to_writer(&mut members, name).ok()?;
            members.write_all(b":").ok()?;
            serde_json::to_writer(&mut members, value).ok()?;
        }
        Some(Self { id: draft.id.clone(), members: String::from_utf8(members.0).ok()? })
    }

    /// The document under its new revision.
    pub(crate) fn document(self, rev: &Rev) -> Document {
        let id = Value::from(self.id.as_str());
        let text = format!(r#"{{"_id":{id},"_rev":"{rev}"{}}}"#, self.members);
        Document::new(self.id, rev.clone(), text)
    }
}

/// Bytes, [`LONGEST`] at most. To write more fails.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
