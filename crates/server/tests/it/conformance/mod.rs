//! Replays what real crossbars answered, step by step, and counts the steps that are answered alike.
//! `conformance/` has the recordings of Kazoo 5.0, and `conformance/4.3/` those of Kazoo 4.3. The counts are
//! held against the file `ratchet.json` beside the recordings: they may only rise.

mod couch;
mod replay;
mod standin;
mod symbols;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comparison::{Texts, difference};
use couchdb::standin as couchdb_standin;
use serde_json::Value;

use self::couch::CouchDb;
use self::replay::{Release, Replay};
use self::symbols::Symbols;
use crate::process::run_ok;
use crate::seed::folder;

/// The recordings that are mainly about groups.
const ABOUT_GROUPS: [&str; 3] = ["crossbar.jsonl", "random.jsonl", "requests.jsonl"];

#[test]
fn crossbar_is_matched_on_the_embedded_store() {
    replay_embedded(Release::Kazoo50, "crossbar.jsonl");
}

#[test]
fn random_is_matched_on_the_embedded_store() {
    replay_embedded(Release::Kazoo50, "random.jsonl");
}

#[test]
fn requests_are_matched_on_the_embedded_store() {
    replay_embedded(Release::Kazoo50, "requests.jsonl");
}

#[test]
fn auth_is_matched_on_the_embedded_store() {
    replay_embedded(Release::Kazoo50, "auth.jsonl");
}

#[test]
fn crossbar_of_4_3_is_matched_on_the_embedded_store() {
    replay_embedded(Release::Kazoo43, "crossbar.jsonl");
}

#[test]
fn random_of_4_3_is_matched_on_the_embedded_store() {
    replay_embedded(Release::Kazoo43, "random.jsonl");
}

#[test]
fn requests_of_4_3_are_matched_on_the_embedded_store() {
    replay_embedded(Release::Kazoo43, "requests.jsonl");
}

#[test]
fn auth_of_4_3_is_matched_on_the_embedded_store() {
    replay_embedded(Release::Kazoo43, "auth.jsonl");
}

/// A server that compares its answers with those of a recorded crossbar finds them alike.
#[test]
fn the_answers_of_a_recorded_crossbar_are_the_same_for_a_shadow() {
    standin::check(Release::Kazoo50, "crossbar.jsonl", 100);
    standin::check(Release::Kazoo43, "crossbar.jsonl", 80);
}

fn replay_embedded(release: Release, recording: &str) {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let replay = Replay::of(release);
    let (outcome, symbols) = replay.run(recording, &store);
    outcome.check("the embedded store");
    if release == Release::Kazoo50 && recording == "crossbar.jsonl" {
        check_stored(symbols, &store);
    }
}

/// The recordings share their database names, so on a CouchDB they run one after another, and then the
/// matrices of permissions and results. The stand-in knows neither the order of members nor large
/// numbers, so only `auth.jsonl` is replayed there.
#[test]
fn all_recordings_are_matched_on_couchdb() {
    let url = couchdb_standin::url();
    let couchdb = CouchDb::new(&url);
    for release in [Release::Kazoo50, Release::Kazoo43] {
        let replay = Replay::of(release);
        let about_groups = ABOUT_GROUPS.into_iter().filter(|_| couchdb_standin::is_real());
        for recording in about_groups.chain(["auth.jsonl"]) {
            couchdb.make_room(&replay.seed.databases());
            let (outcome, symbols) = replay.run(recording, &url);
            outcome.check("CouchDB");
            if release == Release::Kazoo50 && recording == "crossbar.jsonl" {
                check_stored(symbols, &url);
            }
        }
        couchdb.make_room(&replay.seed.databases());
    }
    let seed = crate::access::seed();
    crate::access::check_every_cell(&seed, &url);
    couchdb.make_room(&seed.databases());
    crate::result_matrix::check_every_row(&url);
    couchdb.make_room(&seed.databases());
    let settings = couchdb::Settings::new(url.parse().unwrap());
    crate::old_designs::check(&url, &|| Arc::new(couchdb::Client::new(settings.clone()).unwrap()));
    couchdb.make_room(&seed.databases());
    let db = crate::partial_stores::check(&url, &[crate::partial_stores::NO_VIEWS]);
    couchdb.make_room(&seed.databases().into_iter().chain([db]).collect());
    crate::release::check(&url);
    couchdb.make_room(&crate::release::databases(&seed));
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
        assert_eq!(difference(id, &expected, &stored, Texts::WithSymbols), None);
    }
}
