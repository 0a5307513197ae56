//! The checks of one group.

use datastore::Document;
use kazoo::{Time, is_private, member, term};
use serde_json::{Map, Value};

use super::examined::Examined;
use super::finding::Finding;

/// A time of a document may be so far ahead of this machine's clock, in seconds.
const CLOCK_PATIENCE: i64 = 3600;

/// A group must pass the checks that its next save makes.
pub(super) fn schema(examined: &Examined, document: &Document, members: &Map<String, Value>) -> Vec<Finding> {
    let public = members.iter().filter(|(name, _)| !is_private(name) && *name != "id");
    let mut public: Map<_, _> = public.map(|(name, value)| (name.clone(), value.clone())).collect();
    let Err(violations) = examined.schema.check(&mut public) else { return Vec::new() };
    let fields = serde_json::to_string(&violations.to_value()).unwrap_or_default();
    let what = format!("it does not validate: {fields}");
    let todo =
        "its next change is refused until these members are mended: PATCH them to values that are allowed";
    vec![Finding::new(Some(document.id().as_str()), what, todo)]
}

/// A group must fit into a request.
pub(super) fn size(examined: &Examined, document: &Document, _: &Map<String, Value>) -> Vec<Finding> {
    let bytes = u64::try_from(document.text().len()).unwrap_or(u64::MAX);
    if bytes <= examined.max_body_bytes {
        return Vec::new();
    }
    let what = format!("it has {bytes} bytes, more than a request may have");
    vec![Finding::new(
        Some(document.id().as_str()),
        what,
        "remove members that nobody needs, or raise the setting max_body_bytes",
    )]
}

/// Kazoo's views fail on null members and leave the group out of listings.
pub(super) fn hidden(_: &Examined, document: &Document, members: &Map<String, Value>) -> Vec<Finding> {
    let mut nulls = Vec::new();
    for name in ["endpoints", "smartpbx", "music_on_hold"] {
        match members.get(name) {
            Some(Value::Null) => nulls.push(name.to_owned()),
            Some(Value::Object(inner)) if name != "music_on_hold" => {
                let null = inner.iter().filter(|(_, value)| value.is_null());
                nulls.extend(null.map(|(key, _)| format!("{name}.{key}")));
            }
            _ => {}
        }
    }
    if nulls.is_empty() {
        return Vec::new();
    }
    let what =
        format!("Kazoo's views may leave it out, because these members are null: {}", nulls.join(", "));
    vec![Finding::new(
        Some(document.id().as_str()),
        what,
        "replace them by POST, with objects or without these members",
    )]
}

/// Times must not lie in the future.
pub(super) fn clock(_: &Examined, document: &Document, members: &Map<String, Value>) -> Vec<Finding> {
    let latest = Time::now().gregorian_seconds().saturating_add(CLOCK_PATIENCE);
    let times =
        [member::CREATED, member::MODIFIED].iter().filter_map(|name| term::to_integer(members.get(*name)?));
    if times.max().is_none_or(|time| time <= i128::from(latest)) {
        return Vec::new();
    }
    let what = "it was written in the future, by the clock of this machine";
    vec![Finding::new(
        Some(document.id().as_str()),
        what,
        "compare the clocks of all machines that write to the store",
    )]
}
