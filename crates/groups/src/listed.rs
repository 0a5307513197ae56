//! How much the listing views of `couch-views/` emit for a group. A group that they could not take would be
//! stored and yet missing from the listings, so it is refused before it is written.

use std::borrow::Cow;
use std::io;

use datastore::{DocId, Members, ROW_OVERHEAD_BYTES};
use kazoo::term;
use serde_json::{Map, Value, json};
use validation::Violations;

/// The most bytes that the views may emit for one group: what a map function of the embedded store may emit
/// by default. CouchDB's own processes for map functions have as much memory by default.
const MAX_LISTED_BYTES: usize = 64 << 20;

/// Refuses a group for which the views would emit too much: the member to blame is `flags`, or else
/// `endpoints`.
pub(crate) fn check(public: &Map<String, Value>, id: &DocId) -> Result<(), Violations> {
    let emission = Emission::of(public, id);
    if emission.bytes(emission.flags) <= MAX_LISTED_BYTES {
        return Ok(());
    }
    let is_small_without_flags = emission.bytes(json_bytes(&json!([]))) <= MAX_LISTED_BYTES;
    let member = if is_small_without_flags { "flags" } else { "endpoints" };
    let message = format!(
        "The listings of groups would need {} bytes for this group, because they repeat its name and flags \
         for each of its {} users. The limit is {MAX_LISTED_BYTES} bytes",
        emission.bytes(emission.flags),
        emission.users
    );
    let details = [("message", json!(message)), ("target", json!(MAX_LISTED_BYTES))];
    Err(Violations::one(member, "maxSize", details))
}

/// The violation of a group that the store refuses as too large. It blames the largest member.
/// `public_members` is the text of the group's members, without braces.
pub(crate) fn too_large(public_members: &str) -> Violations {
    let text = format!("{{{public_members}}}");
    let members: Option<Members<'_>> = serde_json::from_str(&text).ok();
    let largest = members.iter().flat_map(|members| &members.0).max_by_key(|(_, value)| value.get().len());
    let member = largest.map_or("", |(key, _)| key).replace('.', "%2E");
    let message = "The group is too large for the database; this is its largest member";
    Violations::one(&member, "maxSize", [("message", json!(message))])
}

/// The size of the rows that the views emit for a group, in bytes of JSON.
struct Emission {
    id: usize,
    /// The value of a row, without the flags.
    value: usize,
    flags: usize,
    users: usize,
    /// The ids of the users.
    keys: usize,
}

impl Emission {
    fn of(public: &Map<String, Value>, id: &DocId) -> Self {
        let mut features = Vec::new();
        for (feature, settings) in members(public.get("smartpbx")) {
            if settings.get("enabled").is_some_and(term::is_truthy) {
                features.push(feature);
            }
        }
        if public.get("music_on_hold").and_then(|music| music.get("media_id")).is_some_and(term::is_truthy) {
            features.push(Cow::Borrowed("music_on_hold"));
        }
        let (mut endpoints, mut users, mut keys) = (0usize, 0usize, 0usize);
        for (endpoint, settings) in members(public.get("endpoints")) {
            endpoints = endpoints.saturating_add(1);
            if settings.get("type").is_some_and(|kind| kind == "user") {
                users = users.saturating_add(1);
                keys = keys.saturating_add(text_bytes(&endpoint));
            }
        }
        let (id, name) = (id.as_str(), public.get("name"));
        let value = json!({"id": id, "name": name, "features": features, "endpoints": endpoints, "flags": 0});
        Self {
            id: text_bytes(id),
            value: json_bytes(&value).saturating_sub(1),
            flags: public.get("flags").filter(|flags| term::is_truthy(flags)).map_or(2, json_bytes),
            users,
            keys,
        }
    }

    /// The size of the larger view's rows when the flags take `flags` bytes.
    fn bytes(&self, flags: usize) -> usize {
        let row = self.value.saturating_add(flags).saturating_add(ROW_OVERHEAD_BYTES);
        let by_user = self.users.saturating_mul(row).saturating_add(self.keys);
        by_user.max(row.saturating_add(self.id))
    }
}

/// The members of an object or array, as `for … in` in the views sees them.
fn members(value: Option<&Value>) -> Box<dyn Iterator<Item = (Cow<'_, str>, &Value)> + '_> {
    match value {
        Some(Value::Object(object)) => Box::new(object.iter().map(|(key, value)| (key.into(), value))),
        Some(Value::Array(items)) => {
            Box::new(items.iter().enumerate().map(|(n, item)| (n.to_string().into(), item)))
        }
        _ => Box::new(std::iter::empty()),
    }
}

/// The length of a value's JSON text.
fn json_bytes(value: &Value) -> usize {
    count(|counter| serde_json::to_writer(counter, value))
}

/// The length of a text as JSON.
fn text_bytes(text: &str) -> usize {
    count(|counter| serde_json::to_writer(counter, text))
}

/// Counts the bytes that `write` writes. They are not kept.
fn count(write: impl FnOnce(&mut Counter) -> serde_json::Result<()>) -> usize {
    let mut counter = Counter(0);
    // A value that has no JSON text cannot be stored at all.
    write(&mut counter).map_or(usize::MAX, |()| counter.0)
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "listed_tests.rs"]
mod tests;
