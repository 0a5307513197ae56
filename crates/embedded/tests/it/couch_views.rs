//! Runs the map functions in `couch-views/` on sample documents.

use serde_json::{Value, json};

use crate::support::TestStore;

macro_rules! map {
    ($path:literal) => {
        include_str!(concat!("../../../../couch-views/", $path, ".js"))
    };
}

/// The rows that a map emits for one document, as `key value`.
async fn emitted(map: &str, id: &str, doc: Value) -> Vec<String> {
    let fixture = TestStore::new().await;
    fixture.design("d", &[("v", map)]).await;
    fixture.create(id, doc).await;
    let rows = fixture.rows("d", "v").await;
    rows.into_iter().map(|row| row.split_once(' ').unwrap().1.to_owned()).collect()
}

const LISTING: &str = map!("account/groups/crossbar_listing");
const BY_USER: &str = map!("account/groups/crossbar_listing_by_user");

fn group() -> Value {
    json!({
        "name": "Sales Team",
        "pvt_type": "group",
        "smartpbx": {"zeta": {"enabled": true}, "call_recording": {"enabled": "yes"}, "off": {"enabled": false}},
        "music_on_hold": {"media_id": "m"},
        "endpoints": {"u2": {"type": "user"}, "d1": {"type": "device"}, "u1": {"type": "user", "weight": 1}},
        "flags": ["x"],
    })
}

const ROW: &str = concat!(
    r#"{"id":"g1","name":"Sales Team","features":["zeta","call_recording","music_on_hold"],"#,
    r#""endpoints":3,"flags":["x"]}"#
);

#[tokio::test]
async fn a_group_is_listed_once() {
    assert_eq!(emitted(LISTING, "g1", group()).await, [format!(r#""g1" {ROW}"#)]);
    let bare = emitted(LISTING, "g1", json!({"pvt_type": "group"})).await;
    assert_eq!(bare, [r#""g1" {"id":"g1","features":[],"endpoints":0,"flags":[]}"#]);
}

#[tokio::test]
async fn a_group_is_listed_once_for_each_of_its_users() {
    let rows = emitted(BY_USER, "g1", group()).await;
    assert_eq!(rows, [format!(r#""u1" {ROW}"#), format!(r#""u2" {ROW}"#)]);
    assert!(emitted(BY_USER, "g1", json!({"pvt_type": "group"})).await.is_empty());
}

#[tokio::test]
async fn other_documents_and_deleted_groups_are_not_listed() {
    for map in [LISTING, BY_USER] {
        for (key, value) in [("pvt_type", json!("user")), ("pvt_deleted", json!(true))] {
            let mut doc = group();
            doc[key] = value;
            assert!(emitted(map, "g1", doc).await.is_empty(), "{key}");
        }
    }
    let mut doc = group();
    doc["pvt_deleted"] = json!(false);
    assert_eq!(emitted(LISTING, "g1", doc).await.len(), 1);
}

/// Kazoo's own views fail on a null member and leave the group out.
#[tokio::test]
async fn a_null_hides_no_group() {
    let mut doc = group();
    doc["smartpbx"]["a_null"] = Value::Null;
    doc["smartpbx"]["a_text"] = json!("text");
    doc["endpoints"]["a_null"] = Value::Null;
    doc["music_on_hold"] = Value::Null;
    let value = ROW.replace(r#","music_on_hold""#, "").replace(r#""endpoints":3"#, r#""endpoints":4"#);
    assert_eq!(emitted(LISTING, "g1", doc.clone()).await, [format!(r#""g1" {value}"#)]);
    assert_eq!(emitted(BY_USER, "g1", doc).await, [format!(r#""u1" {value}"#), format!(r#""u2" {value}"#)]);
    let odd = json!({"pvt_type": "group", "smartpbx": null, "endpoints": null, "flags": null});
    let rows = emitted(LISTING, "g1", odd).await;
    assert_eq!(rows, [r#""g1" {"id":"g1","features":[],"endpoints":0,"flags":[]}"#]);
}

#[tokio::test]
async fn enabled_users_are_found_by_their_credentials() {
    let user = json!({
        "pvt_type": "user", "enabled": true, "pvt_account_id": "a1",
        "pvt_md5_auth": "m5", "pvt_sha1_auth": "s1",
    });
    for (map, key) in [(map!("account/users/creds_by_md5"), "m5"), (map!("account/users/creds_by_sha"), "s1")]
    {
        let row = format!(r#""{key}" {{"owner_id":"u1","account_id":"a1"}}"#);
        assert_eq!(emitted(map, "u1", user.clone()).await, [row]);
        for (key, value) in [
            ("pvt_type", json!("account")),
            ("pvt_deleted", json!(true)),
            ("enabled", json!(false)),
            ("enabled", Value::Null),
        ] {
            let mut doc = user.clone();
            doc[key] = value;
            assert!(emitted(map, "u1", doc).await.is_empty(), "{key}");
        }
        let bare = json!({"pvt_type": "user", "enabled": true});
        assert!(emitted(map, "u1", bare).await.is_empty());
    }
}

fn account() -> Value {
    json!({
        "pvt_type": "account", "name": "Côte d'Azur #1", "realm": "Azur.Example.COM",
        "pvt_api_key": "k1", "pvt_tree": ["master", "reseller"],
    })
}

#[tokio::test]
async fn accounts_are_found_by_key_realm_and_name() {
    let by_api = map!("accounts/accounts/listing_by_api");
    let by_realm = map!("accounts/accounts/listing_by_realm");
    let by_name = map!("accounts/accounts/listing_by_name");
    for (map, key) in [(by_api, "k1"), (by_realm, "azur.example.com"), (by_name, "ctedazur1")] {
        let row = format!(r#""{key}" {{"account_id":"a1"}}"#);
        assert_eq!(emitted(map, "a1", account()).await, [row]);
        let mut deleted = account();
        deleted["pvt_deleted"] = json!(true);
        assert!(emitted(map, "a1", deleted).await.is_empty());
        assert!(emitted(map, "a1", json!({"pvt_type": "account"})).await.is_empty());
        assert!(
            emitted(map, "a1", json!({"pvt_type": "account", "name": 1, "realm": null})).await.is_empty()
        );
    }
    let mut named = account();
    named["pvt_alphanum_name"] = json!("azur");
    assert_eq!(emitted(by_name, "a1", named).await, [r#""azur" {"account_id":"a1"}"#]);
}

#[tokio::test]
async fn accounts_are_found_by_each_ancestor() {
    let map = map!("accounts/accounts/listing_by_descendants");
    let value = r#"{"id":"a1","name":"Côte d'Azur #1","realm":"Azur.Example.COM"}"#;
    let rows = [format!(r#"["master","reseller","a1"] {value}"#), format!(r#"["reseller","a1"] {value}"#)];
    assert_eq!(emitted(map, "a1", account()).await, rows);
    for tree in [json!([]), Value::Null, json!("master")] {
        let mut doc = account();
        doc["pvt_tree"] = tree;
        assert!(emitted(map, "a1", doc).await.is_empty());
    }
}
