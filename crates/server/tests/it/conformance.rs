//! Replays what a real crossbar answered, step by step, and counts the steps that are answered alike.
//! The counts are held against `conformance/ratchet.json`: they may only rise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use couchdb::standin;
use serde_json::Value;

use crate::http_client::{Response, address_and_authorization, send};
use crate::matching::{difference, text_matches};
use crate::process::{Server, run_ok};
use crate::seed::{Seed, folder};
use crate::tokens::{Minter, SigningKey};

/// Seconds between Kazoo's beginning of time and Unix'.
const GREGORIAN_EPOCH: i64 = 62_167_219_200;

/// The headers that count, beside all that begin with `access-control-`.
const COMPARED_HEADERS: [&str; 12] = [
    "cache-control",
    "content-type",
    "location",
    "etag",
    "expires",
    "vary",
    "content-language",
    "allow",
    "content-disposition",
    "content-encoding",
    "x-request-id",
    "transfer-encoding",
];

#[test]
fn crossbar_is_matched_on_the_embedded_store() {
    replay_embedded("crossbar.jsonl");
}

#[test]
fn random_is_matched_on_the_embedded_store() {
    replay_embedded("random.jsonl");
}

#[test]
fn requests_are_matched_on_the_embedded_store() {
    replay_embedded("requests.jsonl");
}

#[test]
fn auth_is_matched_on_the_embedded_store() {
    replay_embedded("auth.jsonl");
}

fn replay_embedded(recording: &str) {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let replay = Replay::new();
    let (outcome, symbols) = replay.run(recording, &store);
    outcome.check(recording, "the embedded store");
    if recording == "crossbar.jsonl" {
        check_stored(symbols, &store);
    }
}

/// The recordings share their database names, so on a CouchDB they run one after another, and then the
/// matrices of permissions and results. The stand-in knows neither the order of members nor large
/// numbers, so only `auth.jsonl` is replayed there.
#[test]
fn all_recordings_are_matched_on_couchdb() {
    let url = standin::url();
    let couchdb = CouchDb::new(&url);
    let replay = Replay::new();
    let about_groups = ["crossbar.jsonl", "random.jsonl", "requests.jsonl"].into_iter();
    for recording in about_groups.filter(|_| standin::is_real()).chain(["auth.jsonl"]) {
        couchdb.make_room(&replay.seed.databases());
        let (outcome, symbols) = replay.run(recording, &url);
        outcome.check(recording, "CouchDB");
        if recording == "crossbar.jsonl" {
            check_stored(symbols, &url);
        }
    }
    let seed = crate::access::seed();
    couchdb.make_room(&seed.databases());
    crate::access::check_every_cell(&seed, &url);
    couchdb.make_room(&seed.databases());
    crate::result_matrix::check_every_row(&url);
    couchdb.make_room(&seed.databases());
    let settings = couchdb::Settings::new(url.parse().unwrap());
    crate::old_designs::check(&url, &|| Arc::new(couchdb::Client::new(settings.clone()).unwrap()));
    couchdb.make_room(&seed.databases());
    let db = crate::partial_stores::check(&url, &[crate::partial_stores::NO_VIEWS]);
    couchdb.make_room(&seed.databases().into_iter().chain([db]).collect());
}

/// The group documents as they are stored after `crossbar.jsonl` are those that crossbar has stored.
fn check_stored(mut symbols: Symbols<'_>, store: &str) {
    let text = std::fs::read_to_string(folder().join("crossbar.stored.json")).unwrap();
    let recorded: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let alpha = symbols.replay.seed.names["alpha"].clone();
    let db = format!("account/{}/{}/{}", &alpha[..2], &alpha[2..4], &alpha[4..]);
    let exported = run_ok(&["export", "--store", store, "--db", &db], b"");
    let docs: BTreeMap<String, Value> = exported
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["doc"].take())
        .map(|doc| (doc["_id"].as_str().unwrap().to_owned(), doc))
        .collect();
    let generated = symbols.known.get("id:generated-id").cloned().unwrap_or_default();
    let is_group = |doc: &Value| doc["pvt_type"] == "group";
    let ours: BTreeSet<_> =
        docs.iter().filter(|(id, doc)| is_group(doc) && **id != generated).map(|(id, _)| id).collect();
    assert_eq!(ours, recorded.keys().collect::<BTreeSet<_>>(), "the groups that are stored");
    for (id, expected) in &recorded {
        let mut expected = symbols.resolve_all(expected);
        let mut stored = docs[id].clone();
        // An export leaves out revisions; the replay has compared them.
        let members = symbols.replay.deviating_members().chain(["_rev"]);
        for member in members {
            expected.as_object_mut().unwrap().shift_remove(member);
            stored.as_object_mut().unwrap().shift_remove(member);
        }
        assert_eq!(difference(id, &expected, &stored), None);
    }
}

/// A CouchDB that the tests may use, as the operator of the tests says.
struct CouchDb {
    address: std::net::SocketAddr,
    authorization: (String, String),
}

/// The database that marks a CouchDB as one that these tests have used before.
const MARKER: &str = "crossbar_groups_conformance";

impl CouchDb {
    fn new(url: &str) -> Self {
        let (address, authorization) = address_and_authorization(url);
        Self { address, authorization }
    }

    fn ask(&self, method: &str, db: &str) -> u16 {
        let target = format!("/{}", db.replace('/', "%2F"));
        send(self.address, method, &target, std::slice::from_ref(&self.authorization), b"").status
    }

    /// Deletes the recordings' databases, where they are ours to delete.
    fn make_room(&self, databases: &BTreeSet<String>) {
        if self.ask("HEAD", MARKER) != 200 {
            for db in databases {
                let status = self.ask("HEAD", db);
                assert_eq!(
                    status, 404,
                    "this CouchDB has a database {db} that these tests did not make; give them an empty one"
                );
            }
            assert_eq!(self.ask("PUT", MARKER), 201);
        }
        for db in databases {
            let status = self.ask("DELETE", db);
            assert!(matches!(status, 200 | 202 | 404), "{db} was not deleted: {status}");
        }
    }
}

/// The steps of one recording that were answered as recorded, and how the others were.
struct Outcome {
    matched: usize,
    total: usize,
    report: String,
}

impl Outcome {
    fn check(&self, recording: &str, store: &str) {
        let ratchet: BTreeMap<String, usize> =
            serde_json::from_str(&std::fs::read_to_string(folder().join("ratchet.json")).unwrap()).unwrap();
        let wanted = ratchet[recording];
        let Self { matched, total, report } = self;
        println!("{recording} on {store}: {matched} of {total} steps\n{report}");
        assert!(
            *matched >= wanted,
            "{recording} on {store}: {matched} of {total} steps match, {wanted} did before\n{report}"
        );
        assert!(
            *matched <= wanted,
            "{matched} steps of {recording} match now: raise its ratchet from {wanted}"
        );
    }
}

struct Replay {
    seed: Seed,
    key: SigningKey,
    other_key: SigningKey,
    deviations: BTreeSet<String>,
}

impl Replay {
    fn new() -> Self {
        let deviations = std::fs::read_to_string(folder().join("deviations.json")).unwrap();
        let deviations: BTreeMap<String, String> = serde_json::from_str(&deviations).unwrap();
        Self {
            seed: Seed::read(),
            key: SigningKey::generate(),
            other_key: SigningKey::generate(),
            deviations: deviations.into_keys().collect(),
        }
    }

    /// The members of stored documents that differ from crossbar's on purpose: `stored.NAME` in the list of
    /// deviations.
    fn deviating_members(&self) -> impl Iterator<Item = &str> {
        self.deviations.iter().filter_map(|name| name.strip_prefix("stored."))
    }

    /// The headers that answers have in addition to crossbar's: `header.NAME` in the list of deviations.
    fn is_added_header(&self, name: &str) -> bool {
        self.deviations.contains(&format!("header.{name}"))
    }

    fn compare_headers(
        &self,
        expected: &serde_json::Map<String, Value>,
        response: &Response,
    ) -> Option<String> {
        for (name, value) in expected {
            let value = value.as_str().unwrap();
            let actual = response.header(name);
            let is_json_error = name == "content-type" && value == "text/csv" && response.status >= 400;
            let fits = actual.is_some_and(|actual| {
                text_matches(value, actual) || (is_json_error && actual == "application/json")
            });
            if !fits {
                return Some(format!("header {name}: recorded {value:?}, here {actual:?}"));
            }
        }
        let is_compared =
            |name: &str| COMPARED_HEADERS.contains(&name) || name.starts_with("access-control-");
        let surplus = response.headers.iter().find(|(name, value)| {
            // crossbar leaves out the content type of some errors. This server always sends it.
            let is_ours = name == "content-type" && value == "application/json" && response.status >= 400;
            let is_ours = is_ours || self.is_added_header(name);
            is_compared(name) && !expected.contains_key(name) && !is_ours
        });
        surplus.map(|(name, value)| format!("header {name}: {value:?} is not recorded"))
    }

    fn run(&self, recording: &str, store: &str) -> (Outcome, Symbols<'_>) {
        let imported = run_ok(&["import", "--store", store, "-"], self.seed.lines(&self.key).as_bytes());
        assert!(imported.contains("documents imported"), "{imported}");
        // In a CouchDB the views for logging in are the operator's to create.
        run_ok(&["views", "push", "--store", store], b"");
        let server = Server::start(store, &[]);
        let steps = std::fs::read_to_string(folder().join(recording)).unwrap();
        let mut symbols = Symbols::new(self);
        let mut outcome = Outcome { matched: 0, total: 0, report: String::new() };
        for line in steps.lines() {
            let step: Value = serde_json::from_str(line).unwrap();
            outcome.total += 1;
            let name = step["name"].as_str().unwrap();
            let response = symbols.send(&server, &step["request"]);
            let fault = match symbols.compare(&step["expect"], &response) {
                Some(_) if self.deviations.contains(name) => None,
                None if self.deviations.contains(name) => {
                    Some("answered as recorded: remove it from deviations.json".to_owned())
                }
                fault => fault,
            };
            match fault {
                None => outcome.matched += 1,
                Some(fault) => {
                    let request = &step["request"];
                    let _ = writeln!(
                        outcome.report,
                        "{name}: {fault}\n    {} {}\n    {}",
                        request["method"].as_str().unwrap(),
                        request["target"].as_str().unwrap(),
                        response.text().chars().take(400).collect::<String>()
                    );
                }
            }
            symbols.remember(name, &response);
        }
        let (code, _) = server.stop();
        assert_eq!(code, Some(0), "the server stops as it should");
        (outcome, symbols)
    }
}

/// The values of the recordings' symbols in this run.
struct Symbols<'a> {
    replay: &'a Replay,
    now: i64,
    known: BTreeMap<String, String>,
}

impl<'a> Symbols<'a> {
    fn new(replay: &'a Replay) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self { replay, now: i64::try_from(now).unwrap(), known: replay.seed.names.clone() }
    }

    fn send(&mut self, server: &Server, request: &Value) -> Response {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let target = self.resolve(&text(&request["target"]));
        let headers = request["headers"].as_array().unwrap();
        let headers: Vec<_> =
            headers.iter().map(|header| (text(&header[0]), self.resolve(&text(&header[1])))).collect();
        let body = match request.get("body_b64") {
            Some(encoded) => {
                base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text(encoded)).unwrap()
            }
            None => self.resolve(&text(&request["body"])).into_bytes(),
        };
        send(server.address, &text(&request["method"]), &target, &headers, &body)
    }

    /// A text with every symbol in it whose meaning is known.
    fn resolve(&mut self, text: &str) -> String {
        let mut resolved = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            // A start key may hold symbols itself; they are resolved from the inside out.
            let (symbol, after) = close(behind);
            resolved.push_str(before);
            match self.meaning(symbol) {
                Some(meaning) => resolved.push_str(&meaning),
                None => {
                    let _ = write!(resolved, "{{{{{symbol}}}}}");
                }
            }
            rest = after;
        }
        resolved.push_str(rest);
        resolved
    }

    fn meaning(&mut self, symbol: &str) -> Option<String> {
        if let Some(known) = self.known.get(symbol) {
            return Some(known.clone());
        }
        if let Some(persona) = symbol.strip_prefix("T:") {
            let Replay { seed, key, other_key, .. } = self.replay;
            let minter = Minter { seed, key, other_key, now: self.now };
            let token = minter.token(persona);
            self.known.insert(symbol.to_owned(), token.clone());
            return Some(token);
        }
        if let Some(key) = symbol.strip_prefix("sk:") {
            let key = self.resolve(key);
            let mut term = vec![131, 109];
            term.extend_from_slice(&u32::try_from(key.len()).unwrap().to_be_bytes());
            term.extend_from_slice(key.as_bytes());
            return Some(base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, term));
        }
        let offset: i64 = symbol.strip_prefix("greg:")?.parse().unwrap();
        Some((self.now + GREGORIAN_EPOCH + offset).to_string())
    }

    fn resolve_all(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.resolve(text)),
            Value::Array(items) => items.iter().map(|item| self.resolve_all(item)).collect(),
            Value::Object(members) => {
                members.iter().map(|(key, value)| (self.resolve(key), self.resolve_all(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// What is wrong with an answer, if anything.
    fn compare(&mut self, expected: &Value, response: &Response) -> Option<String> {
        if expected["status"] != response.status {
            return Some(format!("status {} recorded, {} here", expected["status"], response.status));
        }
        let headers = self.resolve_all(&expected["headers"]);
        if let Some(fault) = self.replay.compare_headers(headers.as_object().unwrap(), response) {
            return Some(fault);
        }
        match self.resolve_all(&expected["body"]) {
            Value::Null => (!response.body.is_empty()).then(|| "a body where none is recorded".to_owned()),
            Value::String(text) => {
                (!text_matches(&text, &response.text())).then(|| format!("the body is not {text:?}"))
            }
            json => match serde_json::from_slice(&response.body) {
                Ok(actual) => difference("body", &json, &actual),
                Err(error) => Some(format!("the body is no JSON: {error}")),
            },
        }
    }

    fn remember(&mut self, step: &str, response: &Response) {
        let Ok(body) = serde_json::from_slice::<Value>(&response.body) else { return };
        for (kind, value) in [("id", &body["data"]["id"]), ("rev", &body["revision"])] {
            if let Some(text) = value.as_str() {
                self.known.insert(format!("{kind}:{step}"), text.to_owned());
            }
        }
    }
}

/// Splits behind the `}}` that closes a symbol, which may hold other symbols.
fn close(text: &str) -> (&str, &str) {
    let (mut depth, mut place) = (0, 0);
    loop {
        let rest = &text[place..];
        let end = rest.find("}}").expect("every symbol is closed");
        match rest.find("{{") {
            Some(begin) if begin < end => {
                depth += 1;
                place += begin + 2;
            }
            _ if depth == 0 => return (&text[..place + end], &text[place + end + 2..]),
            _ => {
                depth -= 1;
                place += end + 2;
            }
        }
    }
}
