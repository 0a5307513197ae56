//! Filters for listings. The query string gives conditions on the whole stored document. As in crossbar, a
//! filter never causes an error: a senseless one matches nothing or is ignored.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use datastore::Document;
use kazoo::{member, term};
use serde_json::Value;

use crate::readings::Readings;

/// A value in the query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterValue {
    /// The decoded bytes after `=`. They may be invalid UTF-8.
    Bytes(Vec<u8>),
    /// The key had no `=`. Its value is the boolean `true`.
    True,
}

/// The filters of a listing. A document must satisfy all of them. To test one takes time for each of its members
/// and for each filter, not for each pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// By the member of a document that they look at.
    by_member: HashMap<String, OfMember>,
    /// How many of these members a document must have.
    needed: usize,
    /// Whether one of the filters matches nothing.
    match_nothing: bool,
    count: usize,
}

/// The filters that look at one member, those with short paths first.
#[derive(Clone, Debug, Default, PartialEq)]
struct OfMember {
    filters: Vec<Filter>,
    /// Whether one of them fails if the member is missing.
    is_needed: bool,
}

/// A condition on the value at a path.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    path: Path,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Equals(Wanted),
    Differs(Wanted),
    HasKey,
    KeyMissing,
    HasValue,
    ValueMissing,
    From(i128),
    To(i128),
}

/// What a pair of the query string says.
enum Parsed {
    /// It is no filter.
    Other,
    /// A filter that no document satisfies.
    Nothing,
    Filter(Filter),
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
        let mut filters = Self::default();
        for (key, value) in pairs {
            match Filter::parse(key, value) {
                Parsed::Other => continue,
                Parsed::Nothing => filters.match_nothing = true,
                Parsed::Filter(filter) => {
                    let of_member = filters.by_member.entry(filter.path.member.clone()).or_default();
                    of_member.is_needed |= !filter.condition.holds(None, &mut Readings::default());
                    of_member.filters.push(filter);
                }
            }
            filters.count += 1;
        }
        for of_member in filters.by_member.values_mut() {
            of_member.filters.sort_by_key(|filter| filter.path.rest.len());
            filters.needed += usize::from(of_member.is_needed);
        }
        filters
    }

    /// Whether there are no filters. A listing then need not read any documents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many filters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether a stored document, including its private fields, satisfies every filter. Only the members that
    /// filters look at are parsed. A document in which one of them cannot be read, for instance because another
    /// program nested it too deep, satisfies none.
    ///
    /// # Errors
    /// `Corrupt` if the document is not a JSON object.
    pub fn matches(&self, document: &Document) -> datastore::Result<bool> {
        if self.match_nothing {
            return Ok(false);
        }
        let members = document.members()?;
        let mut looked_at = HashSet::new();
        let mut needed = self.needed;
        for (name, value) in &members {
            let Some(of_member) = self.by_member.get(&**name) else { continue };
            // If a key occurs twice, its first value counts.
            if !looked_at.insert(&**name) {
                continue;
            }
            if !document.parse_member(value).is_ok_and(|value| of_member.hold(&value)) {
                return Ok(false);
            }
            needed -= usize::from(of_member.is_needed);
        }
        Ok(needed == 0)
    }
}

impl OfMember {
    /// Whether all the filters hold for a member with this value.
    fn hold(&self, value: &Value) -> bool {
        let found: Result<Vec<_>, _> = self.filters.iter().map(|filter| filter.path.find(value)).collect();
        let Ok(found) = found else { return false };
        let mut readings = Readings::of(found.iter().copied().flatten());
        self.filters.iter().zip(found).all(|(filter, found)| filter.condition.holds(found, &mut readings))
    }
}

impl Filter {
    fn parse(key: &str, value: &FilterValue) -> Parsed {
        if let Some(path) = key.strip_prefix("filter_not_") {
            return Self::at(path, Condition::Differs(Wanted::parse(value)));
        }
        if let Some(path) = key.strip_prefix("filter_") {
            return Self::at(path, Condition::Equals(Wanted::parse(value)));
        }
        let text = match value {
            FilterValue::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            FilterValue::True => None,
        };
        let at_value = |condition| text.map_or(Parsed::Nothing, |path| Self::at(path, condition));
        let of_stamp = |stamp, condition: fn(i128) -> Condition| match text.and_then(term::integer_of_text) {
            Some(seconds) => Self::at(stamp, condition(seconds)),
            None => Parsed::Nothing,
        };
        match key {
            "has_key" => at_value(Condition::HasKey),
            "key_missing" => at_value(Condition::KeyMissing),
            "has_value" => at_value(Condition::HasValue),
            "value_missing" => at_value(Condition::ValueMissing),
            "created_from" => of_stamp(member::CREATED, Condition::From),
            "created_to" => of_stamp(member::CREATED, Condition::To),
            "modified_from" => of_stamp(member::MODIFIED, Condition::From),
            "modified_to" => of_stamp(member::MODIFIED, Condition::To),
            _ => Parsed::Other,
        }
    }

    fn at(path: &str, condition: Condition) -> Parsed {
        Parsed::Filter(Self { path: Path::parse(path), condition })
    }
}

impl Condition {
    /// Whether it holds for the value that was found, if one was.
    fn holds(&self, found: Option<&Value>, readings: &mut Readings) -> bool {
        match self {
            Self::Equals(wanted) => wanted.is(found, readings),
            Self::Differs(wanted) => !wanted.is(found, readings),
            Self::HasKey => found.is_some(),
            Self::KeyMissing => found.is_none(),
            Self::HasValue => found.is_some_and(|value| !readings.is_empty(value)),
            Self::ValueMissing => found.is_none_or(|value| readings.is_empty(value)),
            // A document without the stamp satisfies every `_from` filter and no `_to` filter. In crossbar
            // a missing stamp is the atom `undefined`, and Erlang sorts atoms after all numbers.
            Self::From(from) => readings.stamp(found).is_none_or(|stamp| stamp >= *from),
            Self::To(to) => readings.stamp(found).is_some_and(|stamp| stamp <= *to),
        }
    }
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

    fn is(&self, found: Option<&Value>, readings: &mut Readings) -> bool {
        let found = match found {
            None => Cow::default(),
            // An object has no text, so it never matches.
            Some(Value::Object(_)) => return false,
            Some(value) => readings.text(value),
        };
        *found == *self.text || self.others.iter().any(|other| other.as_bytes() == &*found)
    }
}

/// A dotted path into a document. Array indexes start at 1.
#[derive(Clone, Debug, PartialEq)]
struct Path {
    /// The document's member that it begins with.
    member: String,
    rest: Vec<String>,
}

/// The path goes through a value without members, such as a string. crossbar fails there and leaves the
/// document out, even for a filter like `key_missing`.
struct LeadsThroughScalar;

impl Path {
    fn parse(text: &str) -> Self {
        let mut parts = text.split('.').map(str::to_owned);
        Self { member: parts.next().unwrap_or_default(), rest: parts.collect() }
    }

    /// The value at the path, if its first member has the value `here`.
    fn find<'a>(&self, mut here: &'a Value) -> Result<Option<&'a Value>, LeadsThroughScalar> {
        let mut inside_array = false;
        for part in &self.rest {
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
