//! Stored documents, and drafts of documents to be written.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{Cause, Result, StoreError};
use crate::json::{self, JsonError};
use crate::name::DocId;
use crate::rev::Rev;

/// A document: its id, its revision, and the JSON text that the store holds.
///
/// The text is the whole object, with `_id` and `_rev`. It is parsed only when a caller asks for values, so
/// forwarding a document copies bytes. A clone shares the text, and where its members stand.
#[derive(Clone, Debug)]
pub struct Document {
    id: DocId,
    rev: Rev,
    text: Arc<str>,
    /// Where the top-level members stand in the text, once somebody has looked.
    places: Arc<OnceLock<Box<[Place]>>>,
}

/// A top-level member of a document: its name, and its value as JSON text.
pub type Member<'a> = (Cow<'a, str>, &'a str);

/// Where a member stands in a document's text.
#[derive(Clone, Copy, Debug)]
struct Place {
    key: (u32, u32),
    value: (u32, u32),
}

impl Place {
    /// The place of a member of `text`. `None` if its key has escapes and therefore is not in the text, or if the text
    /// is too long.
    fn of((key, value): &(Cow<'_, str>, &RawValue), text: &str) -> Option<Self> {
        let Cow::Borrowed(key) = key else { return None };
        let within = |part: &str| {
            let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
            Some((u32::try_from(start).ok()?, u32::try_from(start.checked_add(part.len())?).ok()?))
        };
        Some(Self { key: within(key)?, value: within(value.get())? })
    }

    /// The name and the value of the member.
    fn member<'a>(&self, text: &'a str) -> Option<Member<'a>> {
        let part =
            |(start, end): (u32, u32)| text.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?);
        Some((Cow::Borrowed(part(self.key)?), part(self.value)?))
    }
}

/// The places of more members than this are not remembered: they would take memory as long as the document is kept. A
/// user of Kazoo has about 45 members.
const MAX_PLACES: usize = 48;

impl Document {
    /// Makes a document in a backend. `text` must be the JSON object with `_id` and `_rev`.
    #[must_use]
    pub fn new(id: DocId, rev: Rev, text: impl Into<Arc<str>>) -> Self {
        Self { id, rev, text: text.into(), places: Arc::default() }
    }

    /// Reads a document from the text of a JSON object with `_id` and `_rev`.
    ///
    /// # Errors
    /// `Corrupt` if the text is not such an object.
    pub fn from_text(text: impl Into<Arc<str>>) -> Result<Self> {
        let text = text.into();
        let (mut id, mut rev) = (None, None);
        let members = members_of(&text)?;
        for (key, value) in &members.0 {
            match &**key {
                "_id" => id = serde_json::from_str::<String>(value.get()).ok(),
                "_rev" => rev = serde_json::from_str::<String>(value.get()).ok(),
                _ => {}
            }
        }
        let corrupt = |what| StoreError::Corrupt(Cause::new(format!("a document without a usable {what}")));
        let id = DocId::from_store(id.ok_or_else(|| corrupt("_id"))?);
        let rev = Rev::parse(&rev.ok_or_else(|| corrupt("_rev"))?).map_err(|_| corrupt("_rev"))?;
        let places = Arc::new(places_of(&members, &text).map_or_else(OnceLock::new, OnceLock::from));
        Ok(Self { id, rev, text, places })
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &DocId {
        &self.id
    }

    /// The revision.
    #[must_use]
    pub fn rev(&self) -> &Rev {
        &self.rev
    }

    /// The id and the revision, without the text.
    #[must_use]
    pub fn into_key(self) -> (DocId, Rev) {
        (self.id, self.rev)
    }

    /// The whole stored object as JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The top-level members in stored order, each value as its JSON text.
    ///
    /// # Errors
    /// `Corrupt` if the text is not a JSON object.
    pub fn members(&self) -> Result<Vec<Member<'_>>> {
        let known = self.places.get();
        let known = known.and_then(|places| places.iter().map(|place| place.member(&self.text)).collect());
        if let Some(members) = known {
            return Ok(members);
        }
        let members = members_of(&self.text)?;
        if let Some(places) = places_of(&members, &self.text) {
            // Another thread may have been faster. It has found the same.
            let _ = self.places.set(places);
        }
        Ok(members.0.into_iter().map(|(key, value)| (key, value.get())).collect())
    }

    /// How many bytes are kept beside the text for the places of its members, at most.
    #[must_use]
    pub fn places_bytes(&self) -> usize {
        let places = self.places.get().map_or(MAX_PLACES, |places| places.len());
        places.saturating_mul(size_of::<Place>())
    }

    /// Parses the whole document. If a key occurs twice, its first value counts, as in Kazoo.
    ///
    /// # Errors
    /// `Corrupt` if the text is not a JSON object.
    pub fn to_object(&self) -> Result<Map<String, Value>> {
        json::parse_stored_object(&self.text).map_err(|error| corrupt_text(&self.id, error))
    }

    /// Parses only the members with a wanted name. The others may be anything, and may be nested as deep as they like.
    /// If a key occurs twice, its first value counts, as in Kazoo.
    ///
    /// # Errors
    /// `Corrupt` if the text is not a JSON object, or if a wanted value cannot be read.
    pub fn parse_members(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Map<String, Value>> {
        let mut found = Map::new();
        for (name, value) in self.members()? {
            if is_wanted(&name) && !found.contains_key(&*name) {
                found.insert(name.into_owned(), self.parse_member(value)?);
            }
        }
        Ok(found)
    }

    /// Parses the value of one of the document's [members](Self::members).
    ///
    /// # Errors
    /// `Corrupt` if the value cannot be read, for instance because it is nested too deep.
    pub fn parse_member(&self, value: &str) -> Result<Value> {
        json::parse_stored(value).map_err(|error| corrupt_text(&self.id, error))
    }
}

/// The error of a document that cannot be parsed. One that is nested too deep is not damaged: Kazoo can read it.
fn corrupt_text(id: &DocId, error: JsonError) -> StoreError {
    StoreError::Corrupt(match error {
        JsonError::TooDeep => {
            Cause::new(format!("document {id} is nested deeper than {} levels", json::MAX_DEPTH))
        }
        error => {
            let reason =
                format!("document {id} is not a JSON object: restore it from a backup, or delete it");
            Cause::with_source(reason, error)
        }
    })
}

/// Where the members stand. `None` if that is not remembered.
fn places_of(members: &Members<'_>, text: &str) -> Option<Box<[Place]>> {
    if members.0.len() > MAX_PLACES {
        return None;
    }
    members.0.iter().map(|member| Place::of(member, text)).collect()
}

fn members_of(text: &str) -> Result<Members<'_>> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt(Cause::with_source("a document is not a JSON object", error)))
}

/// The top-level members of an object in their order. The values are not parsed.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A key that is borrowed if it has no escapes. Serde's own `Cow` would always copy it.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> std::result::Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> std::result::Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// A document to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The document's id.
    pub id: DocId,
    /// The revision to replace. `None` means that the document must not exist yet.
    pub base: Option<Rev>,
    /// The members. `_id` and `_rev` are ignored in favour of `id` and `base`. A store accepts
    /// `_attachments`, and refuses every other member whose name begins with `_` as `Invalid`.
    pub body: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::{Document, members_of};
    use crate::name::DocId;
    use crate::rev::Rev;

    #[test]
    fn members_keep_order_and_text() {
        let doc = Document::from_text(r#"{"_id":"a","_rev":"1-x","z":1.0,"a\u0062":{"k": [1,2]}}"#).unwrap();
        let members = doc.members().unwrap();
        let seen: Vec<_> = members.iter().map(|(key, value)| (&**key, *value)).collect();
        assert_eq!(seen, [("_id", "\"a\""), ("_rev", "\"1-x\""), ("z", "1.0"), ("ab", r#"{"k": [1,2]}"#)]);
    }

    #[test]
    fn members_whose_places_are_remembered_are_those_of_the_text() {
        let text = r#" { "_id" : "a", "_rev":"1-x", "é" : [ 1, "]" ] , "":null, "z":{"z":{}}, "z":2 } "#;
        let many = |count: usize| {
            let members: String = (0..count).map(|n| format!(r#","m{n}":{n}"#)).collect();
            format!(r#"{{"_id":"a","_rev":"1-x"{members}}}"#)
        };
        let escaped = r#"{"_id":"a","_rev":"1-x","a\u0062":1}"#.to_owned();
        let cases = [(text.to_owned(), true), (many(46), true), (many(47), false), (escaped, false)];
        for (text, is_remembered) in cases {
            let fresh = Document::new(DocId::parse("a").unwrap(), Rev::parse("1-x").unwrap(), text.as_str());
            let (first, copy) = (fresh.members().unwrap(), fresh.clone());
            let scanned = members_of(&text).unwrap();
            let expected: Vec<_> = scanned.0.iter().map(|(key, value)| (key.clone(), value.get())).collect();
            assert_eq!((&first, &fresh.members().unwrap()), (&expected, &expected));
            assert_eq!(copy.members().unwrap(), expected);
            assert_eq!(copy.places.get().is_some(), is_remembered, "{text}");
            let read = Document::from_text(text.as_str()).unwrap();
            assert_eq!(read.places.get().is_some(), is_remembered, "{text}");
            assert_eq!(read.members().unwrap(), expected);
        }
    }

    #[test]
    fn only_wanted_members_are_parsed() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = format!(r#"{{"_id":"a","_rev":"1-x","flow":{deep},"b":1,"c":[2],"b":3}}"#);
        let document = Document::from_text(text).unwrap();
        let found = document.parse_members(|name| ["b", "c", "d"].contains(&name)).unwrap();
        assert_eq!(serde_json::Value::Object(found), serde_json::json!({"b": 1, "c": [2]}));
        for error in
            [document.to_object().unwrap_err(), document.parse_members(|name| name == "flow").unwrap_err()]
        {
            let words = error.to_string();
            assert!(words.ends_with("document a is nested deeper than 127 levels"), "{words}");
        }
    }

    #[test]
    fn a_document_needs_an_id_and_a_revision() {
        for text in ["{}", "[]", r#"{"_id":"a"}"#, r#"{"_rev":"1-x"}"#, r#"{"_id":1,"_rev":"1-x"}"#, "{"] {
            assert!(Document::from_text(text).is_err(), "{text}");
        }
    }
}
