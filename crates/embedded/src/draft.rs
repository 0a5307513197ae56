//! Turns a draft into the text, revision and attachments to be written. No IO happens here. The writer
//! checks again for conflicts when it commits.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datastore::{Cause, DocId, Draft, Rev, StoreError};
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use crate::error::invalid;
use crate::settings::Settings;

/// The newest stored revision of a document.
#[derive(Clone, Debug)]
pub(crate) struct StoredRevision {
    pub(crate) rev: Rev,
    pub(crate) is_tombstone: bool,
    /// The text, if it is needed: a draft without attachments says nothing about stored ones.
    pub(crate) text: Option<Arc<str>>,
}

/// A new revision of a document, ready to be written on top of `parent`.
#[derive(Debug)]
pub(crate) struct NewRevision {
    pub(crate) id: DocId,
    pub(crate) has_base: bool,
    pub(crate) parent: Option<Rev>,
    pub(crate) rev: Rev,
    pub(crate) text: Arc<str>,
    pub(crate) attachments: AttachmentChanges,
}

/// The attachments of a document after a write.
#[derive(Debug, Default)]
pub(crate) struct AttachmentChanges {
    /// Attachments that stay as they are.
    pub(crate) kept: HashSet<String>,
    /// Attachments that this write adds or replaces.
    pub(crate) new: Vec<(String, Vec<u8>)>,
}

/// Builds the new revision for a draft, on top of the revision that is stored now.
///
/// # Errors
/// `Conflict` if the stored revision is not the draft's base. `Invalid` or `TooLarge` if the store does not
/// accept the document.
pub(crate) fn prepare(
    draft: &Draft,
    parent: Option<&StoredRevision>,
    settings: &Settings,
) -> Result<NewRevision, StoreError> {
    check_id(&draft.id)?;
    match (&draft.base, parent) {
        (None, Some(StoredRevision { is_tombstone: false, .. })) => return Err(conflict(&draft.id)),
        (Some(base), parent) if parent.is_none_or(|parent| parent.rev != *base) => {
            return Err(conflict(&draft.id));
        }
        _ => {}
    }
    let generation = parent.map_or(0, |parent| parent.rev.generation()).saturating_add(1);
    let mut attachments = AttachmentChanges::default();
    // The revision depends on the members, which come after it. A placeholder of its length keeps its place,
    // so that a large text is built only once.
    let mut text = format!(r#"{{"_id":{},"_rev":""#, to_json(&Value::from(draft.id.as_str()))?);
    let rev_at = text.len();
    text.push_str(&format!("{generation}-{:032}", 0));
    let rev_end = text.len();
    text.push('"');
    let members_at = text.len();
    for (key, value) in &draft.body {
        match key.as_str() {
            "_id" | "_rev" => {}
            "_attachments" => {
                let stubs = stubs(value, parent, generation, settings, &mut attachments)?;
                if !stubs.is_empty() {
                    push_member(&mut text, key, &Value::Object(stubs))?;
                }
            }
            other if other.starts_with('_') => {
                return Err(invalid(format!("the store accepts no member named {other}")));
            }
            _ => push_member(&mut text, key, value)?,
        }
        check_size(&draft.id, &text, settings)?;
    }
    let members = text.get(members_at..).unwrap_or_default();
    let rev = revision(parent.map(|parent| &parent.rev), generation, "", members)?;
    text.replace_range(rev_at..rev_end, rev.as_str());
    text.push('}');
    check_size(&draft.id, &text, settings)?;
    Ok(NewRevision {
        id: draft.id.clone(),
        has_base: draft.base.is_some(),
        parent: parent.map(|parent| parent.rev.clone()),
        rev,
        text: text.into(),
        attachments,
    })
}

fn check_size(id: &DocId, text: &str, settings: &Settings) -> Result<(), StoreError> {
    let most = settings.max_document_bytes;
    if text.len() > most {
        return Err(StoreError::TooLarge(Cause::new(format!("document {id} has more than {most} bytes"))));
    }
    Ok(())
}

/// The revision of the tombstone that replaces `base`.
pub(crate) fn tombstone(base: &Rev) -> Result<Rev, StoreError> {
    revision(Some(base), base.generation().saturating_add(1), "deleted", "")
}

pub(crate) fn conflict(id: &DocId) -> StoreError {
    StoreError::Conflict(Cause::new(format!("the base is not the newest revision of document {id}")))
}

fn check_id(id: &DocId) -> Result<(), StoreError> {
    let named = id.design_name().unwrap_or(id.as_str());
    if named.is_empty() || named.starts_with('_') {
        return Err(invalid(format!("a document cannot have the id {id:?}")));
    }
    Ok(())
}

/// Computes a revision from the parent revision and the content alone, as CouchDB does. The same edit on
/// the same parent always gives the same revision.
fn revision(parent: Option<&Rev>, generation: u64, kind: &str, members: &str) -> Result<Rev, StoreError> {
    let mut hash = Md5::new();
    for part in [parent.map_or("", Rev::as_str), kind, members] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let text = format!("{generation}-{:x}", hash.finalize());
    Rev::parse(&text).map_err(|error| StoreError::Corrupt(Cause::with_source("a revision of ours", error)))
}

fn push_member(text: &mut String, key: &str, value: &Value) -> Result<(), StoreError> {
    text.push(',');
    text.push_str(&to_json(&Value::from(key))?);
    write!(text, ":{value}").map_err(|error| invalid(format!("the member {key} cannot be written: {error}")))
}

fn to_json(value: &Value) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Invalid(Cause::with_source("a value cannot be written as JSON", error)))
}

/// Builds the document's `_attachments` member, which holds a stub for each attachment. New bytes and the
/// names of kept attachments go into `attached`.
fn stubs(
    value: &Value,
    parent: Option<&StoredRevision>,
    generation: u64,
    settings: &Settings,
    attached: &mut AttachmentChanges,
) -> Result<Map<String, Value>, StoreError> {
    let Value::Object(drafts) = value else { return Err(invalid("_attachments is not an object")) };
    let mut stored = None;
    let mut stubs = Map::new();
    let mut total = 0usize;
    for (name, draft) in drafts {
        let is_stub = draft.get("stub") == Some(&Value::Bool(true));
        let stub = if let Some(Value::String(data)) = draft.get("data") {
            let bytes = STANDARD
                .decode(data)
                .map_err(|_| invalid(format!("the data of attachment {name} is not base64")))?;
            total = total.saturating_add(bytes.len());
            if total > settings.max_attachment_bytes {
                let most = settings.max_attachment_bytes;
                return Err(StoreError::TooLarge(Cause::new(format!(
                    "the attachments have more than {most} bytes"
                ))));
            }
            let stub = new_stub(draft, &bytes, generation);
            attached.new.push((name.clone(), bytes));
            stub
        } else if is_stub {
            let stored = match &stored {
                Some(stored) => stored,
                None => stored.insert(stored_stubs(parent)?),
            };
            let stub = stored
                .get(name)
                .ok_or_else(|| invalid(format!("a stub names attachment {name}, which does not exist")))?;
            attached.kept.insert(name.clone());
            stub.clone()
        } else {
            return Err(invalid(format!("attachment {name} has neither data nor a stub")));
        };
        stubs.insert(name.clone(), stub);
    }
    Ok(stubs)
}

fn new_stub(draft: &Value, bytes: &[u8], generation: u64) -> Value {
    let content_type =
        draft.get("content_type").and_then(Value::as_str).unwrap_or("application/octet-stream");
    json!({
        "content_type": content_type,
        "revpos": generation,
        "digest": format!("md5-{}", STANDARD.encode(Md5::digest(bytes))),
        "length": bytes.len(),
        "stub": true,
    })
}

fn stored_stubs(parent: Option<&StoredRevision>) -> Result<Map<String, Value>, StoreError> {
    let Some(StoredRevision { text: Some(text), .. }) = parent else { return Ok(Map::new()) };
    let mut stored = datastore::json::parse_stored_object(text)
        .map_err(|error| StoreError::Corrupt(Cause::with_source("a stored document", error)))?;
    match stored.shift_remove("_attachments") {
        Some(Value::Object(stubs)) => Ok(stubs),
        _ => Ok(Map::new()),
    }
}
