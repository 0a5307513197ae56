//! The functions that ordinary requests run, each on an ordinary input. Their instructions are counted, so a
//! slowdown shows on a machine that is too noisy for times.

use std::hint::black_box;

use datastore::Document;
use groups::StoredGroup;
use serde_json::{Value, json as value};
use validation::Schema;

use super::operations::{Work, body, check, merge, query, read};
use crate::answer::gzip;
use crate::profile::Release;
use crate::request::route;
use crate::stage::{language, negotiation};

/// The name of a function and its input, and what prepares a call.
type Hot = (&'static str, fn() -> Work);

pub(super) const HOT: &[Hot] = &[
    ("read a path", || {
        Box::new(|| {
            let path = format!("/v2/accounts/{ID}/groups/{ID}");
            drop(black_box(route::split(&path, Release::Kazoo50.profile().paths)))
        })
    }),
    ("read a query", || query("page_size=20&start_key=g20AAAACZzM&filter_name=Sales")),
    ("negotiate a type", || {
        Box::new(|| {
            let accept = Some("application/json, text/plain;q=0.9, */*;q=0.1");
            let parameters = Release::Kazoo50.profile().accept_parameters;
            drop(black_box(negotiation::negotiate(accept, parameters)))
        })
    }),
    ("choose a language", || Box::new(|| drop(black_box(language::choose(Some("de-DE,de;q=0.9,en;q=0.8")))))),
    ("read a body", || body("application/json", value!({ "data": group() }).to_string())),
    ("read a group", || read(group().to_string())),
    ("check a group", || check(Schema::groups, group())),
    ("merge a patch", || {
        merge(group(), value!({"name": "Other", "endpoints": {ID: null, "new": {"type": "user"}}}))
    }),
    ("show a stored group", || {
        let text = stored().to_string();
        Box::new(move || {
            let document = Document::from_text(text).unwrap();
            black_box(StoredGroup::of(document).unwrap().into_public_members());
        })
    }),
    ("read all members of a stored group", || {
        let document = Document::from_text(stored().to_string()).unwrap();
        Box::new(move || drop(black_box(document.to_object().unwrap())))
    }),
    ("compress an answer of 8 kB", || {
        let text = group().to_string().repeat(8_192 / group().to_string().len()).into_bytes();
        Box::new(move || drop(black_box(gzip::compress(&text))))
    }),
];

const ID: &str = "0123456789abcdef0123456789abcdef";

/// A group with ten endpoints.
fn group() -> Value {
    let endpoints =
        (0..10).map(|number| (format!("{number:032x}"), value!({"type": "user", "weight": number})));
    value!({
        "name": "Sales",
        "flags": ["day", "night"],
        "music_on_hold": {"media_id": ID},
        "endpoints": Value::Object(endpoints.collect()),
    })
}

/// The same group as it is stored.
fn stored() -> Value {
    let mut stored = group();
    for (key, value) in [
        ("_id", value!(ID)),
        ("_rev", value!("3-0123456789abcdef0123456789abcdef")),
        ("pvt_type", value!("group")),
        ("pvt_account_id", value!(ID)),
        ("pvt_account_db", value!("account/01/23/456789abcdef0123456789abcdef")),
        ("pvt_created", value!(63_962_663_751_u64)),
        ("pvt_modified", value!(63_962_663_751_u64)),
        ("pvt_request_id", value!(ID)),
    ] {
        stored[key] = value;
    }
    stored
}
