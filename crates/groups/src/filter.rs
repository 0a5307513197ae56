//! Filters for listings. The query string gives conditions on the whole stored document. As in crossbar, a
//! filter never causes an error: a senseless one matches nothing or is ignored.

use std::borrow::Cow;

use datastore::Document;
use kazoo::{member, term};
use serde_json::Value;

/// A value in the query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterValue {
    /// The decoded bytes after `=`. They may be invalid UTF-8.
    Bytes(Vec<u8>),
    /// The key had no `=`. Its value is the boolean `true`.
    True,
}

/// The filters of a listing. A document must satisfy all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters(Vec<Filter>);

#[derive(Clone, Debug, PartialEq)]
enum Filter {
    Equals { path: Path, wanted: Wanted },
    Differs { path: Path, wanted: Wanted },
    HasKey(Option<Path>),
    KeyMissing(Option<Path>),
    HasValue(Option<Path>),
    ValueMissing(Option<Path>),
    From { stamp: &'static str, seconds: Option<i128> },
    To { stamp: &'static str, seconds: Option<i128> },
}

/// The texts that a filter accepts: the value from the query string, or one of the strings in it if it is
/// JSON.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    text: Vec<u8>,
    others: Vec<String>,
}

impl Filters {
    /// Picks the filters out of the pairs of a query string. If a key appears twice, both filters apply.
    pub fn from_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a FilterValue)>) -> Self {
        Self(pairs.into_iter().filter_map(|(key, value)| Filter::parse(key, value)).collect())
    }

    /// Whether there are no filters. A listing then need not read any documents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many filters there are. Testing a document takes time for each of them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a stored document, including its private fields, satisfies every filter. Only the members that
    /// filters look at are parsed.
    ///
    /// # Errors
    /// `Corrupt` if one of these members cannot be read.
    pub fn matches(&self, document: &Document) -> datastore::Result<bool> {
        let is_looked_at = |name: &str| self.0.iter().any(|filter| filter.member() == Some(name));
        let object = Value::Object(document.parse_members(is_looked_at)?);
        Ok(self.0.iter().all(|filter| filter.holds(&object)))
    }
}

impl Filter {
    fn parse(key: &str, value: &FilterValue) -> Option<Self> {
        if let Some(path) = key.strip_prefix("filter_not_") {
            return Some(Self::Differs { path: Path::parse(path), wanted: Wanted::parse(value) });
        }
        if let Some(path) = key.strip_prefix("filter_") {
            return Some(Self::Equals { path: Path::parse(path), wanted: Wanted::parse(value) });
        }
        let seconds = || match value {
            FilterValue::Bytes(bytes) => std::str::from_utf8(bytes).ok().and_then(term::integer_of_text),
            FilterValue::True => None,
        };
        Some(match key {
            "has_key" => Self::HasKey(Path::of_value(value)),
            "key_missing" => Self::KeyMissing(Path::of_value(value)),
            "has_value" => Self::HasValue(Path::of_value(value)),
            "value_missing" => Self::ValueMissing(Path::of_value(value)),
            "created_from" => Self::From { stamp: member::CREATED, seconds: seconds() },
            "created_to" => Self::To { stamp: member::CREATED, seconds: seconds() },
            "modified_from" => Self::From { stamp: member::MODIFIED, seconds: seconds() },
            "modified_to" => Self::To { stamp: member::MODIFIED, seconds: seconds() },
            _ => return None,
        })
    }

    /// The member of a document that the filter looks at.
    fn member(&self) -> Option<&str> {
        match self {
            Self::Equals { path, .. } | Self::Differs { path, .. } => path.first(),
            Self::HasKey(path) | Self::KeyMissing(path) | Self::HasValue(path) | Self::ValueMissing(path) => {
                path.as_ref().and_then(Path::first)
            }
            Self::From { stamp, .. } | Self::To { stamp, .. } => Some(stamp),
        }
    }

    fn holds(&self, document: &Value) -> bool {
        match self {
            Self::Equals { path, wanted } => path.find(document).is_ok_and(|found| wanted.is(found)),
            Self::Differs { path, wanted } => path.find(document).is_ok_and(|found| !wanted.is(found)),
            Self::HasKey(path) => holds_at(path.as_ref(), document, |found| found.is_some()),
            Self::KeyMissing(path) => holds_at(path.as_ref(), document, |found| found.is_none()),
            Self::HasValue(path) => holds_at(path.as_ref(), document, has_value),
            Self::ValueMissing(path) => holds_at(path.as_ref(), document, |found| !has_value(found)),
            // A document without the stamp satisfies every `_from` filter and no `_to` filter. In crossbar
            // a missing stamp is the atom `undefined`, and Erlang sorts atoms after all numbers.
            Self::From { stamp, seconds } => {
                seconds.is_some_and(|from| stamp_of(document, stamp).is_none_or(|stamp| stamp >= from))
            }
            Self::To { stamp, seconds } => {
                seconds.is_some_and(|to| stamp_of(document, stamp).is_some_and(|stamp| stamp <= to))
            }
        }
    }
}

fn holds_at(path: Option<&Path>, document: &Value, condition: impl Fn(Option<&Value>) -> bool) -> bool {
    path.is_some_and(|path| path.find(document).is_ok_and(condition))
}

fn has_value(found: Option<&Value>) -> bool {
    found.is_some_and(|value| !term::is_empty(value))
}

fn stamp_of(document: &Value, stamp: &str) -> Option<i128> {
    term::integer_of_text(&document.get(stamp)?.as_number()?.to_string())
}

impl Wanted {
    fn parse(value: &FilterValue) -> Self {
        let text = match value {
            FilterValue::True => b"true".to_vec(),
            FilterValue::Bytes(bytes) => bytes.clone(),
        };
        // The value may also be JSON: a string, or a list. Only the strings in a list count.
        let others = match datastore::json::parse(&text) {
            Ok(Value::String(text)) => vec![text],
            Ok(Value::Array(items)) => items
                .into_iter()
                .filter_map(|item| match item {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        Self { text, others }
    }

    fn is(&self, found: Option<&Value>) -> bool {
        let found = match found {
            None => Cow::default(),
            // An object has no text, so it never matches.
            Some(Value::Object(_)) => return false,
            Some(value) => term::to_bytes(value),
        };
        *found == *self.text || self.others.iter().any(|other| other.as_bytes() == &*found)
    }
}

/// A dotted path into a document. Array indexes start at 1.
#[derive(Clone, Debug, PartialEq)]
struct Path(Vec<String>);

/// The path goes through a value without members, such as a string. crossbar fails there and leaves the
/// document out, even for a filter like `key_missing`.
struct LeadsThroughScalar;

impl Path {
    fn parse(text: &str) -> Self {
        Self(text.split('.').map(str::to_owned).collect())
    }

    fn of_value(value: &FilterValue) -> Option<Self> {
        match value {
            FilterValue::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Self::parse),
            FilterValue::True => None,
        }
    }

    fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    fn find<'a>(&self, document: &'a Value) -> Result<Option<&'a Value>, LeadsThroughScalar> {
        let mut here = document;
        let mut inside_array = false;
        for part in &self.0 {
            let next = match here {
                Value::Object(members) => members.get(part),
                Value::Array(items) => {
                    inside_array = true;
                    let place =
                        term::integer_of_text(part).and_then(|n| usize::try_from(n.checked_sub(1)?).ok());
                    place.and_then(|place| items.get(place))
                }
                // Inside an array crossbar catches the failure and treats the value as missing.
                _ if inside_array => None,
                _ => return Err(LeadsThroughScalar),
            };
            match next {
                Some(value) => here = value,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
