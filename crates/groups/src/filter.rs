//! Filters of a listing: conditions on the whole stored document, taken from the query string.
//! A filter never fails: one that makes no sense matches nothing, or is ignored, as in crossbar.

use kazoo::term;
use serde_json::Value;

/// A value of the query string, as far as filters care: bytes, or a key that stood without `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterValue {
    /// What stood behind `=`, decoded; it need not be UTF-8.
    Bytes(Vec<u8>),
    /// The key stood alone: the boolean `true`.
    True,
}

/// A listing's filters; a document is kept when all of them hold.
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

/// The text that a value must have, or the texts of which it must have one.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    text: Vec<u8>,
    others: Vec<String>,
}

impl Filters {
    /// The filters among the pairs of a query string, in order. A key that stands twice counts twice.
    pub fn from_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a FilterValue)>) -> Self {
        Self(pairs.into_iter().filter_map(|(key, value)| Filter::parse(key, value)).collect())
    }

    /// Whether there is nothing to check, so that no document needs to be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a stored document, private fields and all, satisfies every filter.
    #[must_use]
    pub fn matches(&self, document: &Value) -> bool {
        self.0.iter().all(|filter| filter.holds(document))
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
            "created_from" => Self::From { stamp: "pvt_created", seconds: seconds() },
            "created_to" => Self::To { stamp: "pvt_created", seconds: seconds() },
            "modified_from" => Self::From { stamp: "pvt_modified", seconds: seconds() },
            "modified_to" => Self::To { stamp: "pvt_modified", seconds: seconds() },
            _ => return None,
        })
    }

    fn holds(&self, document: &Value) -> bool {
        match self {
            Self::Equals { path, wanted } => path.find(document).is_ok_and(|found| wanted.is(found)),
            Self::Differs { path, wanted } => path.find(document).is_ok_and(|found| !wanted.is(found)),
            Self::HasKey(path) => holds_at(path.as_ref(), document, |found| found.is_some()),
            Self::KeyMissing(path) => holds_at(path.as_ref(), document, |found| found.is_none()),
            Self::HasValue(path) => holds_at(path.as_ref(), document, has_value),
            Self::ValueMissing(path) => holds_at(path.as_ref(), document, |found| !has_value(found)),
            // A document without the stamp lies after every beginning and before no end: in Erlang's
            // order of terms an atom (`undefined`) is greater than any number.
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
        // The value may also be JSON: a string, or a list of which only the strings count.
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
            None => Vec::new(),
            // An object has no text: it equals nothing.
            Some(Value::Object(_)) => return false,
            Some(value) => term::to_bytes(value),
        };
        found == self.text || self.others.iter().any(|other| other.as_bytes() == found)
    }
}

/// A dotted path into a document; parts that number an array's items count from 1.
#[derive(Clone, Debug, PartialEq)]
struct Path(Vec<String>);

/// The path leads through something that has no members: crossbar fails there and drops the document,
/// whatever the filter asks.
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
                // Below an array crossbar catches its own failure: nothing there.
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
