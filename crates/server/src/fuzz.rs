//! What the coverage-guided fuzzers in `fuzz/` call. Each function takes any bytes, as a client could send them,
//! and panics if the code breaks a property. The tests run the fuzzers' corpora through them.

use std::str::from_utf8;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use auth::RateLimits;
use bytes::Bytes;
use datastore::json;
use futures::executor::block_on;
use groups::start_key as wire_key;
use serde_json::{Map, Value};

use crate::answer::{csv as table, gzip};
use crate::grammar::query::Query;
use crate::profile::{Profile, Release};
use crate::request::api_version::ApiVersion;
use crate::request::content_type::ContentType;
use crate::request::envelope::Envelope;
use crate::request::header_names;
use crate::request::incoming::Incoming;
use crate::request::parameters::Parameters;
use crate::request::route;
use crate::request::target::Target;
use crate::request::verb::Verb;
use crate::stage::{body as bodies, language, negotiation, preconditions};

/// A fuzzer: its name, and what it calls.
pub type Fuzzer = (&'static str, fn(&[u8]));

/// All fuzzers.
pub const ALL: &[Fuzzer] = &[
    ("body", body),
    ("csv", csv),
    ("form", form),
    ("headers", headers),
    ("merge", merge),
    ("path", path),
    ("query", query),
    ("start_key", start_key),
    ("token", token),
];

/// A body. Its first line is the `content-type`. Data that was read is the same after it was written and read
/// once more.
pub fn body(bytes: &[u8]) {
    let (content_type, body) = first_line(bytes);
    if let Ok(content_type) = from_utf8(content_type) {
        read_body(content_type, body);
    }
}

/// A body that is a form.
pub fn form(bytes: &[u8]) {
    read_body("application/x-www-form-urlencoded", bytes);
}

fn read_body(content_type: &str, body: &[u8]) {
    let Ok(content_type) = ContentType::parse(Some(content_type)) else { return };
    for profile in profiles() {
        let body = Bytes::copy_from_slice(body);
        match block_on(bodies::parse(&content_type, body, profile.malformed_json)) {
            Ok(Envelope { data, members }) => {
                assert_survives(&data);
                assert_survives(&Value::Object(members));
            }
            Err(refusal) => drop(refusal.text(ApiVersion::V2)),
        }
    }
}

/// A value that a client sent can be stored and read again.
fn assert_survives(value: &Value) {
    let written = value.to_string();
    let read = json::parse(written.as_bytes());
    assert!(read.as_ref().is_ok_and(|read| read == value), "{read:?}: {written}");
}

/// The rows of a listing, in a JSON list. Their CSV has a record for each row and one for the headings. As in
/// crossbar, no record is wider than the headings, and none is shorter than the row before it.
pub fn csv(bytes: &[u8]) {
    let Ok(Value::Array(rows)) = json::parse(bytes) else { return };
    let Ok(table) = table::render(&rows, table::Formulas::Disarmed) else { return };
    let widths = record_widths(&table);
    assert_eq!(widths.len(), rows.len() + 1, "{}", String::from_utf8_lossy(&table));
    let (headings, rows) = widths.split_first().unzip();
    assert!(rows.is_some_and(|rows: &[usize]| rows.is_sorted() && rows.last() <= headings), "{widths:?}");
}

/// The number of fields of each record, as RFC 4180 says.
fn record_widths(table: &[u8]) -> Vec<usize> {
    let (mut widths, mut width, mut is_quoted) = (Vec::new(), 1, false);
    for byte in table {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => width += 1,
            b'\n' if !is_quoted => widths.push(std::mem::replace(&mut width, 1)),
            _ => {}
        }
    }
    assert!(!is_quoted && table.ends_with(b"\n"), "the last record has an end");
    widths
}

/// Headers: each line is the name of one that is read, a `:`, and its value.
pub fn headers(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or_default();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let incoming = Incoming { method: Verb::Get, path: "/", query: "", headers: &headers, peer: None };
    for profile in profiles() {
        let accept = incoming.lossy_header(&header_names::ACCEPT);
        let _ = negotiation::negotiate(accept.as_deref(), profile.accept_parameters);
    }
    let language = language::choose(incoming.header(&header_names::ACCEPT_LANGUAGE));
    assert!(HeaderValue::from_str(&language).is_ok(), "the answer can name the language: {language:?}");
    gzip::takes_gzip(incoming.header(&header_names::ACCEPT_ENCODING));
    let _ = ContentType::parse(incoming.header(&header_names::CONTENT_TYPE));
    for is_read in [false, true] {
        let _ = preconditions::check(&headers, is_read, Target::Existing(Some("1-a")));
        let _ = preconditions::check(&headers, is_read, Target::New);
    }
    let lines: Vec<_> = incoming.lossy_header(&header_names::X_FORWARDED_FOR).into_iter().collect();
    let client = RateLimits::default().client([127, 0, 0, 1].into(), &lines);
    assert!(client.to_string().len() < 50, "{client}");
}

/// A stored group and a patch, in a JSON list. A patch that is applied twice is the same as applied once.
pub fn merge(bytes: &[u8]) {
    let Ok(Value::Array(both)) = json::parse(bytes) else { return };
    let Ok([Value::Object(stored), Value::Object(patch)]) = <[Value; 2]>::try_from(both) else { return };
    let once = groups::merge(stored, patch.clone());
    let twice = groups::merge(once.clone(), patch);
    assert_eq!(once, twice);
}

/// A path.
pub fn path(bytes: &[u8]) {
    let Ok(path) = from_utf8(bytes) else { return };
    for profile in profiles() {
        match route::split(path, profile.paths) {
            Ok(versioned) => drop(versioned.template()),
            Err(refusal) => drop(refusal.text(ApiVersion::V1)),
        }
    }
}

/// A query string.
pub fn query(bytes: &[u8]) {
    let Ok(query) = Query::parse(bytes) else { return };
    let headers = HeaderMap::new();
    let incoming = Incoming { method: Verb::Get, path: "/", query: "", headers: &headers, peer: None };
    let (parameters, _) =
        Parameters::read(&incoming, query, Envelope { data: Value::Null, members: Map::new() });
    if let Ok(Some(size)) = parameters.page_size(50) {
        assert!(size > 0, "a page has room for a group");
    }
    let _ = parameters.check_chunk_size();
    drop(parameters.filters());
}

/// A start key. Each key has a form for URLs, from which it is read back.
pub fn start_key(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    assert!(wire_key::decode(text).len() <= text.len(), "a decoded key is not longer");
    assert_eq!(wire_key::decode(&wire_key::encode(text)), text);
}

/// A token. None is good, because there is no key.
pub fn token(bytes: &[u8]) {
    if let Ok(token) = from_utf8(bytes) {
        auth::read_without_key(token);
    }
}

fn profiles() -> [&'static Profile; 2] {
    [Release::Kazoo43, Release::Kazoo50].map(Release::profile)
}

fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    match (parts.next(), parts.next()) {
        (Some(line), Some(rest)) => (line, rest),
        _ => (&[], bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::ALL;

    /// What the fuzzers once found stays mended, and each fuzzer has something to begin with.
    #[test]
    fn the_corpora_of_the_fuzzers_pass() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, fuzzer) in ALL {
            let files = fs::read_dir(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            let inputs: Vec<_> = files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
            assert!(inputs.len() >= 3, "{name} has {} inputs", inputs.len());
            inputs.iter().for_each(|input| fuzzer(input));
        }
    }

    #[test]
    fn every_fuzzer_is_a_target() {
        let manifest =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/Cargo.toml")).unwrap();
        let targets: Vec<_> =
            manifest.lines().filter(|line| line.starts_with("path = \"fuzz_targets/")).collect();
        let expected: Vec<_> =
            ALL.iter().map(|(name, _)| format!("path = \"fuzz_targets/{name}.rs\"")).collect();
        assert_eq!(targets, expected);
    }
}
