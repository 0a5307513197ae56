//! Documents that are as large, long or odd as the store accepts, with the group views over them.

use datastore::{Attachments as _, Store, ViewQuery};
use embedded::{Durability, Settings};
use futures::TryStreamExt;
use serde_json::{Map, Value, json};

use crate::support::{TestStore, doc_id, draft, soon};

const LISTING: &str = include_str!("../../../../couch-views/account/groups/crossbar_listing.js");
const BY_USER: &str = include_str!("../../../../couch-views/account/groups/crossbar_listing_by_user.js");

async fn place() -> TestStore {
    // A debug build on a busy machine is slow; what is checked here is the content.
    let map_time = std::time::Duration::from_secs(60);
    let settings = Settings { durability: Durability::Normal, map_time, ..Settings::default() };
    let fixture = TestStore::with(settings).await;
    fixture.design("groups", &[("crossbar_listing", LISTING), ("crossbar_listing_by_user", BY_USER)]).await;
    fixture
}

fn group(endpoints: Map<String, Value>, flags: Value) -> Value {
    json!({"name": "n", "pvt_type": "group", "endpoints": endpoints, "flags": flags})
}

fn users(ids: impl Iterator<Item = String>) -> Map<String, Value> {
    ids.map(|id| (id, json!({"type": "user"}))).collect()
}

/// Writes a group, reads it back, lists it, and changes and deletes it.
async fn check_lives(fixture: &TestStore, id: &str, group: Value) {
    let rev = fixture.create(id, group.clone()).await;
    let read = fixture.fetch(id).await.unwrap().to_object().unwrap();
    assert!(group.as_object().unwrap().iter().all(|(key, value)| read[key] == *value));
    let query = ViewQuery { key: Some(json!(id)), ..ViewQuery::of("groups", "crossbar_listing") };
    assert_eq!(fixture.try_rows(query, soon()).await.unwrap().len(), 1);
    let endpoints = group["endpoints"].as_object().unwrap();
    let users: Vec<_> = endpoints.iter().filter(|(_, settings)| settings["type"] == "user").collect();
    let rows = fixture.rows("groups", "crossbar_listing_by_user").await;
    assert_eq!(rows.iter().filter(|row| row.starts_with(&format!("{id} "))).count(), users.len());
    for (user, _) in [users.first(), users.last()].into_iter().flatten() {
        let key = Some(json!(user));
        let query =
            ViewQuery { key, include_docs: true, ..ViewQuery::of("groups", "crossbar_listing_by_user") };
        let rows: Vec<_> =
            fixture.store.query(&fixture.db, query, soon()).await.unwrap().try_collect().await.unwrap();
        let [row] = &rows[..] else { panic!("{} rows for a user", rows.len()) };
        assert_eq!(row.doc.as_ref().unwrap().rev(), &rev);
        let value: Value = serde_json::from_str(row.value.get()).unwrap();
        assert_eq!((&value["endpoints"], &value["id"]), (&json!(endpoints.len()), &json!(id)));
        assert_eq!(value["flags"], group["flags"]);
    }
    let mut changed = group.clone();
    changed["name"] = json!("another");
    let rev = fixture.save(id, Some(&rev), changed).await.unwrap();
    let listed = fixture.rows("groups", "crossbar_listing_by_user").await;
    assert!(listed.iter().all(|row| row.contains(r#""name":"another""#)));
    assert_eq!(listed.len(), users.len());
    fixture.store.delete(&fixture.db, &doc_id(id), &rev, soon()).await.unwrap();
    assert!(fixture.rows("groups", "crossbar_listing_by_user").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_100_000_endpoints_lives() {
    let endpoints = users((0..100_000).map(|user| format!("{user:032x}")));
    check_lives(&place().await, "many", group(endpoints, json!(["x"]))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_eight_megabytes_live() {
    let fixture = place().await;
    check_lives(
        &fixture,
        "one-flag",
        group(users(["u".to_owned()].into_iter()), json!(["x".repeat(7_900_000)])),
    )
    .await;
    let flags = json!(vec!["x".repeat(28); 240_000]);
    check_lives(&fixture, "many-flags", group(Map::new(), flags)).await;
    let endpoints = (0..240_000).map(|n| (format!("{n:027}"), json!({}))).collect();
    check_lives(&fixture, "many-endpoints", group(endpoints, json!([]))).await;
    let endpoints = (0..15_000).map(|n| (format!("{n:0480}"), json!({"type": "device"}))).collect();
    check_lives(&fixture, "long-endpoints", group(endpoints, json!([]))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_and_odd_keys_live() {
    let fixture = place().await;
    let long = [
        "k".repeat(1_000_000),
        "\u{0}".repeat(1_000),
        "\u{fffd}\u{10ffff}😀\u{feff}".repeat(500),
        String::new(),
    ];
    check_lives(&fixture, "keys", group(users(long.into_iter()), json!(["é"]))).await;
    let proto = ["__proto__", "constructor", "length", "toString", "0", "-1", "4294967295", "pvt_x", "a.b"];
    check_lives(&fixture, "names", group(users(proto.into_iter().map(str::to_owned)), json!([]))).await;
}

/// Documents keep numbers of any size. In views they are JavaScript's.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_at_every_edge_live() {
    let fixture = place().await;
    fixture
        .design("n", &[("v", "function (doc) { doc.numbers.forEach(function (n) { emit(n, n); }); }")])
        .await;
    let text = r#"[0, -0, -0.0, 1.0, 9007199254740993, 18446744073709551616, 1e308, -1e308, 5e-324,
        0.1e1, 123456789012345678901234567890.123456789012345678901234567890]"#;
    let numbers = datastore::json::parse(text.as_bytes()).unwrap();
    fixture.create("a", json!({"numbers": numbers})).await;
    let read = fixture.fetch("a").await.unwrap();
    assert_eq!(read.to_object().unwrap()["numbers"], numbers);
    assert!(read.text().contains(",18446744073709551616,"), "{}", read.text());
    let rows = fixture.rows("n", "v").await;
    assert_eq!(rows.len(), 11);
    for row in ["a 9007199254740992 9007199254740992", "a 5e-324 5e-324", "a 1e+308 1e+308"] {
        assert!(rows.iter().any(|there| there == row), "{row}: {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throwing_map_hides_a_document_from_its_own_view_only() {
    let fixture = place().await;
    let throws = "function (doc) { emit(1, 'x'.repeat(5000)); emit(2, 'x'.repeat(5000)); throw doc; }";
    fixture.design("t", &[("throws", throws), ("deep", "function f(doc) { emit(f, doc); null.x; }")]).await;
    check_lives(&fixture, "a", group(users(["u".to_owned()].into_iter()), json!([]))).await;
    fixture.create("b", json!({"_attachments": {"f": {"data": "aGVsbG8="}}})).await;
    assert!(fixture.rows("t", "throws").await.is_empty());
    assert_eq!(
        &*fixture.store.fetch_attachment(&fixture.db, &doc_id("b"), "f", soon()).await.unwrap(),
        b"hello"
    );
    let drafts = (0..50).map(|n| draft(&format!("c{n}"), None, json!({"n": n}))).collect();
    for saved in fixture.store.save_many(&fixture.db, drafts, soon()).await.unwrap() {
        saved.unwrap();
    }
}
