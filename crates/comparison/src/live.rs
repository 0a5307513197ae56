//! Compares the answers of two running servers to one request. What changes from answer to answer must have its form
//! on both sides; all else must be equal. Either server may be crossbar: the rules hold both ways.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::difference::{Difference, What};
use crate::headers::{ADDED_HEADERS, is_compared, is_type_of_error};
use crate::json::{Texts, difference, order_difference};
use crate::symbols::is_of;

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: &'a [(String, String)],
    /// The body, not compressed.
    pub body: &'a [u8],
}

impl Answer<'_> {
    fn header(&self, name: &str) -> Option<String> {
        let lines: Vec<_> = self
            .headers
            .iter()
            .filter(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    /// Whether it is sent in chunks. This program sends large listings so, with some members behind the rows.
    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some()
    }
}

/// Members of envelopes that differ from answer to answer, and the forms of their values.
const VOLATILE: [(&str, &str); 5] = [
    ("timestamp", "timestamp"),
    ("node", "node"),
    ("request_id", "request_id"),
    ("version", "version"),
    // The revision of a listing is made up. That of a group has another form, so it must be equal.
    ("revision", "md5"),
];

/// Parameters that change what is answered in ways that differ on purpose (`docs/compatibility.md`).
const SPECIAL_PARAMETERS: [&str; 3] = ["jsonp", "verb", "accept"];

/// Whether two servers should answer a request alike. False for requests that this program answers otherwise on
/// purpose, for those that keep a crossbar busy without end (a user's groups without pages), and for those whose path
/// would be written otherwise on the way (`/..`).
#[must_use]
pub fn is_comparable(target: &str) -> bool {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if ["/.", "/%2e", "/%2E"].iter().any(|dots| path.contains(dots)) {
        return false;
    }
    let mut keys = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    !keys.any(|key| {
        let of_pages = matches!(key, "paginate" | "start_key");
        // A key that is written otherwise is not looked at further.
        key.contains(['%', '+']) || SPECIAL_PARAMETERS.contains(&key) || (of_pages && is_of_user(path))
    })
}

/// Whether a path is that of a user's groups.
fn is_of_user(path: &str) -> bool {
    path.contains("/users/")
}

/// The first difference between the answers of two servers to one request, if there is any. The answer of `there` is
/// the expected one. `target` is the path and the query.
#[must_use]
pub fn compare(target: &str, there: Answer<'_>, here: Answer<'_>) -> Option<Difference> {
    if there.status != here.status {
        return Some(Difference::of_values("status", there.status, here.status));
    }
    headers(there, here).or_else(|| bodies(target, there, here))
}

fn headers(there: Answer<'_>, here: Answer<'_>) -> Option<Difference> {
    let names = there.headers.iter().chain(here.headers).map(|(name, _)| name.as_str());
    let mut names: Vec<_> = names.filter(|name| is_compared(name)).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().find_map(|name| {
        // How a body is framed is a matter of the connection.
        if ADDED_HEADERS.contains(&name) || name == "transfer-encoding" {
            return None;
        }
        let (expected, actual) = (there.header(name), here.header(name));
        if expected == actual || is_volatile_header(name, expected.as_deref(), actual.as_deref()) {
            return None;
        }
        let status = there.status;
        if is_type_of_error(name, expected.as_deref(), actual.as_deref(), status)
            || is_type_of_error(name, actual.as_deref(), expected.as_deref(), status)
        {
            return None;
        }
        let place = format!("header {name}");
        Some(match (expected, actual) {
            (Some(expected), Some(actual)) => Difference::of_values(&place, expected, actual),
            (Some(_), None) => Difference::new(&place, What::Missing),
            (None, _) => Difference::new(&place, What::Surplus),
        })
    })
}

/// Whether a header's values are made up anew for each answer.
fn is_volatile_header(name: &str, expected: Option<&str>, actual: Option<&str>) -> bool {
    let (Some(expected), Some(actual)) = (expected, actual) else { return false };
    let both = |is_made_up: fn(&str) -> bool| is_made_up(expected) && is_made_up(actual);
    match name {
        "etag" => {
            both(|text| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).is_some_and(is_md5))
        }
        "x-request-id" => both(is_md5),
        "content-disposition" => both(|text| text.starts_with("attachment; filename=\"json_")),
        _ => false,
    }
}

fn is_md5(text: &str) -> bool {
    is_of("md5", text)
}

fn bodies(target: &str, there: Answer<'_>, here: Answer<'_>) -> Option<Difference> {
    if there.body == here.body {
        return None;
    }
    let (expected, actual) = match (Envelope::read(there.body), Envelope::read(here.body)) {
        (Some(expected), Some(actual)) => (expected, actual),
        (None, None) => return Some(Difference::of_values("body", Size(there.body), Size(here.body))),
        (Some(_), None) => return Some(Difference::of_values("body", "a JSON object", Size(here.body))),
        (None, Some(_)) => return Some(Difference::of_values("body", Size(there.body), "a JSON object")),
    };
    let is_left_out = |name: &str| {
        let path = target.split('?').next().unwrap_or_default();
        // crossbar names the user here, and its next page is the same again.
        name == "next_start_key" && is_of_user(path)
    };
    let place = |name: &str| format!("body.{name}");
    for (name, expected) in &expected.0 {
        if is_left_out(name) {
            continue;
        }
        let Some(actual) = actual.get(name) else {
            return Some(Difference::new(&place(name), What::Missing));
        };
        if let Some(difference) = members(name, &place(name), expected, actual) {
            return Some(difference);
        }
    }
    let mut surplus = actual.0.iter().filter(|(name, _)| !is_left_out(name) && expected.get(name).is_none());
    if let Some((name, _)) = surplus.next() {
        return Some(Difference::new(&place(name), What::Surplus));
    }
    if there.is_chunked() || here.is_chunked() {
        return None;
    }
    let names = |envelope: &Envelope<'_>| -> Vec<String> {
        let names = envelope.0.iter().map(|(name, _)| name.clone());
        names.filter(|name| !is_left_out(name)).collect()
    };
    let (expected, actual) = (names(&expected), names(&actual));
    order_difference("body", expected.iter().map(String::as_str), actual.iter().map(String::as_str))
}

/// The difference of a member of the envelope.
fn members(name: &str, place: &str, expected: &RawValue, actual: &RawValue) -> Option<Difference> {
    // Nearly all rows and groups have the same text on both sides. A large body is then never read into values.
    if expected.get() == actual.get() {
        return None;
    }
    if name == "auth_token" {
        return Some(Difference::new(place, What::Secret));
    }
    if let (Some(expected), Some(actual)) = (rows(expected), rows(actual)) {
        return rows_difference(place, &expected, &actual);
    }
    let (Some(mut expected), Some(mut actual)) = (value(expected), value(actual)) else {
        return Some(Difference::of_values(place, "JSON that can be read", "JSON that cannot be read"));
    };
    if name == "tokens" {
        for tokens in [&mut expected, &mut actual] {
            if let Some(level) = tokens.get_mut("remaining").filter(|level| level.is_number()) {
                *level = Value::Null;
            }
        }
    }
    let form = VOLATILE.iter().find(|(volatile, _)| *volatile == name).map(|(_, form)| *form);
    if let (Some(form), Value::String(expected), Value::String(actual)) = (form, &expected, &actual)
        && is_of(form, expected)
        && is_of(form, actual)
    {
        return None;
    }
    difference(place, &expected, &actual, Texts::Literal)
}

fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

/// The items of a list, not read yet.
fn rows(raw: &RawValue) -> Option<Vec<&RawValue>> {
    raw.get().starts_with('[').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

/// The difference of two lists. Only rows with different texts are read into values, one pair at a time.
fn rows_difference(place: &str, expected: &[&RawValue], actual: &[&RawValue]) -> Option<Difference> {
    for (number, (one, other)) in expected.iter().zip(actual).enumerate() {
        if one.get() == other.get() {
            continue;
        }
        let place = format!("{place}[{number}]");
        let found = match (value(one), value(other)) {
            (Some(one), Some(other)) => difference(&place, &one, &other, Texts::Literal),
            _ => Some(Difference::of_values(&place, "JSON that can be read", "JSON that cannot be read")),
        };
        if found.is_some() {
            return found;
        }
    }
    let items = |rows: &[&RawValue]| format!("{} items", rows.len());
    (expected.len() != actual.len()).then(|| Difference::of_values(place, items(expected), items(actual)))
}

/// The size of a body, in place of its content.
struct Size<'a>(&'a [u8]);

impl fmt::Display for Size<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} other bytes", self.0.len())
    }
}

/// The members of an envelope in their order. Their values are not read yet.
struct Envelope<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Envelope<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

/// No envelope has more members. One that has is not an envelope.
const MOST_MEMBERS: usize = 100;

impl<'de> Visitor<'de> for Members {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry::<String, &RawValue>()? {
            if members.len() == MOST_MEMBERS {
                return Err(serde::de::Error::custom("too many members"));
            }
            members.push(member);
        }
        Ok(Envelope(members))
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
