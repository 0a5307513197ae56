//! What the checks of groups and of their members find.

use datastore::Document;
use notices::Amqp;
use serde_json::{Value, json};
use std::sync::Arc;
use validation::Schema;

use super::super::account::Household;
use super::super::examined::Examined;
use super::{CHECKS, Look};
use crate::release::{Finding, ProfileSetting};

pub(in super::super) fn examined() -> (tempfile::TempDir, Examined) {
    let folder = tempfile::tempdir().unwrap();
    let store =
        embedded::Embedded::open(&folder.path().join("store.db"), embedded::Settings::default()).unwrap();
    let store: Arc<dyn datastore::Backend> = Arc::new(store);
    let examined = Examined {
        release: Ok(Finding::NoKazoo),
        profile: ProfileSetting::Auto,
        auth: auth::Authenticator::new(Arc::clone(&store), auth::Settings::default()),
        store,
        couchdb: None,
        sessions: Vec::new(),
        designs: Vec::new(),
        file: None,
        file_with_secret: None,
        brokers: Amqp::new(Vec::new(), "n".to_owned()),
        schema: Schema::groups(),
        schema_source: Ok(groups::SchemaSource::BuiltIn),
        max_body_bytes: 5_000,
    };
    (folder, examined)
}

/// The names of the checks of one group that find something.
fn check_group(group: Value, expected: &[&str]) {
    let (_folder, examined) = examined();
    let members = group.as_object().unwrap();
    let text = format!("{{\"_id\":\"g\",\"_rev\":\"1-a\",{}", &group.to_string()[1..]);
    let document = Document::from_text(text).unwrap();
    let mut found = Vec::new();
    for check in CHECKS {
        if let Look::Group(look) = check.look {
            found.extend(look(&examined, &document, members).into_iter().map(|finding| {
                assert_eq!(finding.document.as_deref(), Some("g"));
                assert!(!finding.todo.is_empty());
                check.name
            }));
        }
    }
    assert_eq!(found, expected, "{group}");
}

#[test]
fn groups_that_are_wrong_are_found() {
    check_group(
        json!({"name": "A", "endpoints": {}, "pvt_type": "group", "pvt_created": 63_000_000_000_u64}),
        &[],
    );
    check_group(json!({"name": "", "endpoints": {}}), &["schema"]);
    check_group(json!({"name": "A", "endpoints": {}, "x": "y".repeat(6_000)}), &["size"]);
    check_group(json!({"name": "A", "endpoints": {"u": null}}), &["hidden"]);
    check_group(json!({"name": "A", "endpoints": {}, "smartpbx": null}), &["hidden"]);
    check_group(json!({"name": "A", "endpoints": {}, "pvt_modified": 99_000_000_000_u64}), &["clock"]);
    check_group(json!({"name": "A", "endpoints": {}, "pvt_modified": "99000000000"}), &["clock"]);
}

#[test]
fn members_that_are_wrong_are_found() {
    let mut household = Household::default();
    let mut add = |id: &str, mut members: Value| {
        members["_id"] = json!(id);
        members["_rev"] = json!("1-a");
        household.note(&Document::from_text(members.to_string()).unwrap()).unwrap().is_some()
    };
    assert!(!add("u", json!({"pvt_type": "user"})));
    assert!(!add("gone", json!({"pvt_type": "user", "pvt_deleted": true})));
    assert!(!add("d", json!({"pvt_type": "device"})));
    let endpoints = json!({
        "u": {"type": "user"}, "gone": {"type": "user"}, "d": {"type": "user"}, "x": {"type": "fax"}, "y": {},
        "g": {"type": "group"}, "n": null, "z": {"type": 7},
    });
    assert!(add("g", json!({"pvt_type": "group", "endpoints": endpoints})));
    // A member without a type is what its document is.
    let endpoints = json!({"u": {"weight": 1}, "d": {"type": null}, "g": {}});
    assert!(add("h", json!({"pvt_type": "group", "endpoints": endpoints})));
    let of = |name: &str| CHECKS.iter().find(|check| check.name == name).unwrap().look;
    let (Look::Account(members), Look::Account(cycles)) = (of("members"), of("cycles")) else { panic!() };
    let mut what: Vec<_> = members(&household).into_iter().map(|finding| finding.what).collect();
    what.sort();
    assert_eq!(
        what,
        [
            "the member d is a device, and the group calls it a user",
            "the member g has no type and is a group, and Kazoo tries it as a device and as a user",
            "the member gone is a user that does not exist",
            "the member x has the type \"fax\", which Kazoo does not know",
            "the member y has no type, and there is no user, device or group with this id",
            "the member z has the type \"7\", which Kazoo does not know",
        ]
    );
    let what: Vec<_> = cycles(&household).into_iter().map(|finding| finding.what).collect();
    assert_eq!(what, ["it contains itself: g and again"]);
}
