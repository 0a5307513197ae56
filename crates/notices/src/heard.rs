//! A notice that somebody else has sent: which document or database it is about. It knows neither stores nor
//! brokers.

use datastore::{DbName, DocId, Rev, json};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// The largest notice that is read, in bytes. Kazoo's have less than a thousand.
const MAX_BYTES: usize = 65_536;

/// A change that another program has made, as its notice tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A document was created, changed or deleted.
    Document {
        /// Its database.
        db: DbName,
        /// Its id.
        id: DocId,
        /// Its new revision, if the notice names it.
        rev: Option<Rev>,
    },
    /// A database was created or deleted, or changed as a whole.
    Database(DbName),
}

impl Heard {
    /// Reads a notice. `None` if it comes from the node `own`, or if it is about something else.
    pub(crate) fn read(payload: &[u8], own: &str) -> Option<Self> {
        if payload.len() > MAX_BYTES {
            return None;
        }
        let Ok(Value::Object(members)) = json::parse(payload) else { return None };
        if text(&members, "Node") == Some(own) {
            return None;
        }
        let (what, _) = text(&members, "Event-Name")?.split_once('_')?;
        let name = percent_decode_str(text(&members, "Database")?).decode_utf8().ok()?;
        let db = DbName::parse(&name).ok()?;
        match what {
            "doc" => {
                let id = text(&members, "ID").filter(|id| !id.is_empty())?;
                let rev = text(&members, "Rev").and_then(|rev| Rev::parse(rev).ok());
                Some(Self::Document { db, id: DocId::from_store(id.to_owned()), rev })
            }
            "db" => Some(Self::Database(db)),
            _ => None,
        }
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use datastore::{DbName, DocId, Rev};
    use serde_json::{Value, json};

    use super::{Heard, MAX_BYTES};

    fn check(payload: &Value, expected: Option<&Heard>) {
        assert_eq!(Heard::read(payload.to_string().as_bytes(), "us").as_ref(), expected, "{payload}");
    }

    /// A notice of Kazoo with one member changed.
    fn notice(member: &str, value: impl Into<Value>) -> Value {
        let mut notice = json!({
            "Origin-Cache": "kazoo_data_cache", "Type": "group", "Rev": "1-49250b94",
            "Database": "account%2F11%2F11%2F2222", "ID": "a b/c", "Node": "kazoo_apps@host",
            "Event-Name": "doc_edited", "Event-Category": "configuration", "App-Name": "datamgr",
        });
        notice[member] = value.into();
        notice
    }

    #[test]
    fn notices_name_documents_and_databases() {
        let db = || DbName::parse("account/11/11/2222").unwrap();
        let id = || DocId::from_store("a b/c".to_owned());
        let document = |rev| Heard::Document { db: db(), id: id(), rev };
        let rev = Rev::parse("1-49250b94").unwrap();
        for event in ["doc_created", "doc_edited", "doc_deleted"] {
            check(&notice("Event-Name", event), Some(&document(Some(rev.clone()))));
        }
        check(&notice("Rev", "x"), Some(&document(None)));
        check(&notice("Rev", Value::Null), Some(&document(None)));
        check(&notice("Database", "account/11/11/2222"), Some(&document(Some(rev))));
        for event in ["db_created", "db_edited", "db_deleted"] {
            check(&notice("Event-Name", event), Some(&Heard::Database(db())));
        }
    }

    #[test]
    fn own_notices_and_other_messages_are_no_news() {
        check(&notice("Node", "us"), None);
        for (member, value) in [
            ("Event-Name", json!("flush")),
            ("Event-Name", json!("cat_edited")),
            ("Event-Name", json!(1)),
            ("Database", json!("Not A Database")),
            ("Database", json!("%FF")),
            ("Database", Value::Null),
            ("ID", json!("")),
            ("ID", Value::Null),
        ] {
            check(&notice(member, value), None);
        }
        check(&notice("Type", "x".repeat(MAX_BYTES)), None);
        for text in ["", "[]", "{", "\u{0}", "{\"ID\":"] {
            assert_eq!(Heard::read(text.as_bytes(), "us"), None, "{text}");
        }
    }
}
