//! The lines of an export, `{"db","doc"}`, as `import` reads them.

use datastore::{DbName, DocId, Draft, json};
use serde_json::Value;

/// A line of an export.
pub(super) struct Line {
    pub(super) db: DbName,
    pub(super) draft: Draft,
    /// How long it is.
    pub(super) bytes: usize,
}

/// Reads a line; `None` if it is blank.
pub(super) fn read_line(line: std::io::Result<String>) -> Result<Option<Line>, String> {
    let line = line.map_err(|error| format!("it cannot be read: {error}"))?;
    if line.trim().is_empty() {
        return Ok(None);
    }
    let (db, draft) = parse_line(&line)?;
    Ok(Some(Line { db, draft, bytes: line.len() }))
}

/// A line's database and document.
fn parse_line(line: &str) -> Result<(DbName, Draft), String> {
    let mut object = json::parse_stored_object(line).map_err(|error| error.to_string())?;
    let db = object.get("db").and_then(Value::as_str).ok_or("it has no \"db\"")?;
    let db = DbName::parse(db).map_err(|error| format!("{db:?} cannot name a database: {error}"))?;
    let Some(Value::Object(mut body)) = object.shift_remove("doc") else {
        return Err("it has no \"doc\"".to_owned());
    };
    let id = body.get("_id").and_then(Value::as_str).ok_or("its document has no \"_id\"")?;
    let id = match id.strip_prefix("_design/") {
        Some(name) => DocId::design(name),
        None => DocId::parse(id),
    };
    let id = id.map_err(|error| format!("its document's \"_id\" cannot be one: {error}"))?;
    body.shift_remove("_id");
    body.shift_remove("_rev");
    Ok((db, Draft { id, base: None, body }))
}

#[cfg(test)]
mod tests {
    use super::parse_line;

    #[test]
    fn a_line_is_a_database_and_a_document() {
        let (db, draft) =
            parse_line(r#"{"db":"account/aa/bb/c","doc":{"_id":"x","_rev":"1-a","n":1}}"#).unwrap();
        assert_eq!((db.as_str(), draft.id.as_str(), draft.body.len()), ("account/aa/bb/c", "x", 1));
        assert_eq!(
            parse_line(r#"{"db":"a","doc":{"_id":"_design/groups"}}"#).unwrap().1.id.as_str(),
            "_design/groups"
        );
    }

    #[test]
    fn other_lines_are_refused_with_their_fault() {
        for (line, fault) in [
            ("{", "JSON"),
            ("[]", "object"),
            (r#"{"doc":{}}"#, "no \"db\""),
            (r#"{"db":"A","doc":{"_id":"x"}}"#, "cannot name a database"),
            (r#"{"db":"a"}"#, "no \"doc\""),
            (r#"{"db":"a","doc":{}}"#, "no \"_id\""),
            (r#"{"db":"a","doc":{"_id":"_local/x"}}"#, "cannot be one"),
        ] {
            let error = parse_line(line).unwrap_err();
            assert!(error.contains(fault), "{line}: {error}");
        }
    }
}
