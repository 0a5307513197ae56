//! A map that exceeds its limits fails alone: other documents, views and databases are not affected.

use std::time::Duration;

use datastore::{Databases, DbName, Store, StoreError, ViewQuery};
use embedded::Settings;
use serde_json::json;

use crate::support::{TestStore, doc_id, draft, in_ms, soon};

fn tight() -> Settings {
    Settings {
        map_time: Duration::from_millis(100),
        map_memory_bytes: 8 << 20,
        max_document_bytes: 10_000,
        ..Settings::default()
    }
}

const GOOD: &str = "function (doc) { emit(doc._id, null); }";

/// Checks that a document on which a map reaches a limit is refused, because the view could not show it,
/// and that everything else works.
async fn check_survives(bomb: &str) {
    let fixture = TestStore::with(tight()).await;
    let bomb = format!("function (doc) {{ if (doc.bad) {{ {bomb} }} emit(doc._id, null); }}");
    fixture.create("old", json!({"bad": true})).await;
    fixture.design("d", &[("bomb", &bomb), ("good", GOOD)]).await;
    let rev = fixture.create("a", json!({})).await;
    let bad = json!({"bad": true});
    for (id, base) in [("b", None), ("a", Some(&rev))] {
        let error = fixture.save(id, base, bad.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::TooLarge(_)), "{error:?}");
        assert!(error.to_string().contains("missing from the view bomb"), "{error}");
    }
    let drafts = vec![draft("c", None, json!({})), draft("b", None, bad), draft("e", None, json!({}))];
    let saved = fixture.store.save_many(&fixture.db, drafts, soon()).await.unwrap();
    let [Ok(_), Err(StoreError::TooLarge(_)), Ok(_)] = &saved[..] else { panic!("{saved:?}") };
    assert!(matches!(fixture.fetch("b").await, Err(StoreError::Missing(_))));
    assert_eq!(fixture.fetch("a").await.unwrap().rev(), &rev);
    // A document that is older than the view is missing there, as in CouchDB, until it is changed.
    assert_eq!(fixture.rows("d", "bomb").await, ["a \"a\" null", "c \"c\" null", "e \"e\" null"]);
    assert_eq!(fixture.rows("d", "good").await.len(), 4);
    let rev = fixture.fetch("old").await.unwrap().rev().clone();
    fixture.save("old", Some(&rev), json!({})).await.unwrap();
    assert_eq!(fixture.rows("d", "bomb").await.len(), 4);
}

/// A document that exists is a conflict for a creation, whatever else is wrong with the draft.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_told_before_what_is_wrong_with_the_document() {
    let fixture = TestStore::with(tight()).await;
    let endless = "function (doc) { if (doc.bad) { while (true) {} } emit(doc._id, null); }";
    fixture.design("d", &[("endless", endless)]).await;
    let rev = fixture.create("a", json!({})).await;
    let wrong = [json!({"bad": true}), json!({"_own": 1}), json!({"long": "x".repeat(20_000)}), json!({})];
    for body in &wrong {
        let error = fixture.save("a", None, body.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict(_)), "{body} {error:?}");
    }
    for body in wrong.iter().take(3) {
        let error = fixture.save("new", None, body.clone()).await.unwrap_err();
        assert!(!error.is_conflict(), "{body} {error:?}");
    }
    // A deleted document is created again, on top of its tombstone.
    let deleted = fixture.store.delete(&fixture.db, &doc_id("a"), &rev, soon()).await.unwrap();
    let again = fixture.create("a", json!({"n": 1})).await;
    assert_eq!(again.generation(), deleted.generation() + 1);
    assert_eq!(fixture.rows("d", "endless").await, ["a \"a\" null"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_never_ends_is_stopped() {
    check_survives("while (true) {}").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_runs_out_of_memory_is_stopped() {
    check_survives("var a = []; while (true) { a.push('x'.repeat(99999)); }").await;
}

/// As in CouchDB, a full stack is an exception, and the map goes on with the next document.
#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_recurses_forever_has_no_rows() {
    let fixture = TestStore::new().await;
    let map = "function (doc) { var f = function () { return f() + 1; }; if (doc.bad) { f(); } emit(doc._id, null); }";
    fixture.design("d", &[("v", map)]).await;
    for (id, body) in [("a", json!({})), ("b", json!({"bad": true})), ("c", json!({}))] {
        fixture.save(id, None, body).await.unwrap();
    }
    assert_eq!(fixture.rows("d", "v").await, ["a \"a\" null", "c \"c\" null"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_emits_too_much_is_stopped() {
    check_survives("while (true) { emit('x', null); }").await;
}

/// The map's rows are unknown at the deadline, so the document is not written.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_fails_if_the_deadline_passes_before_the_map_ends() {
    let settings = Settings { map_time: Duration::from_secs(600), ..Settings::default() };
    let fixture = TestStore::with(settings).await;
    fixture.design("d", &[("v", "function (doc) { while (doc.bad) {} }")]).await;
    let late = fixture.store.save(&fixture.db, draft("a", None, json!({"bad": true})), in_ms(100)).await;
    assert!(matches!(late, Err(StoreError::DeadlineExceeded(_))), "{late:?}");
    fixture.create("b", json!({})).await;
    assert!(matches!(fixture.fetch("a").await, Err(StoreError::Missing(_))));
}

/// A build that hangs in one database does not delay other databases, and closing does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_view_ends_at_the_deadline() {
    let settings = Settings { map_time: Duration::from_secs(600), ..Settings::default() };
    let fixture = TestStore::with(settings).await;
    fixture.create("a", json!({"bad": true})).await;
    fixture.design("d", &[("v", "function (doc) { while (doc.bad) {} }")]).await;
    let late = fixture.try_rows(ViewQuery::of("d", "v"), in_ms(100)).await;
    assert!(matches!(late, Err(StoreError::DeadlineExceeded(_))), "{late:?}");

    let other = DbName::parse("other").unwrap();
    fixture.store.create_db(&other, soon()).await.unwrap();
    fixture.store.save(&other, draft("a", None, json!({})), soon()).await.unwrap();
    assert_eq!(fixture.try_rows(ViewQuery::all_docs(), soon()).await.unwrap().len(), 2);

    let fixture = fixture.reopen(tight());
    assert!(fixture.rows("d", "v").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_attachments_have_a_largest_size() {
    let settings = Settings { max_document_bytes: 10_000, max_attachment_bytes: 10, ..Settings::default() };
    let fixture = TestStore::with(settings).await;
    fixture.create("a", json!({"text": "x".repeat(9_000)})).await;
    let error = fixture.save("b", None, json!({"text": "x".repeat(10_001)})).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge(_)), "{error:?}");
    let with = |data: &str| json!({"_attachments": {"x": {"data": data}}});
    fixture.create("c", with("aGVsbG9oZWxsbw==")).await;
    let error = fixture.save("d", None, with("aGVsbG9oZWxsb2g=")).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_documents_and_ids_are_invalid() {
    let fixture = TestStore::new().await;
    for body in [
        json!({"_attachments": {"x": {"data": "no base64!"}}}),
        json!({"_attachments": {"x": {"content_type": "text/plain"}}}),
        json!({"_attachments": []}),
        json!({"_other": 1}),
    ] {
        let error = fixture.save("a", None, body.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{body}: {error:?}");
    }
    for views in [json!([]), json!({"v": 1}), json!({"v": {"map": ["function (doc) {", "}"]}})] {
        let error = fixture.save("_design/d", None, json!({ "views": views })).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
    }
    for id in ["_local/x", "_x", ""] {
        let draft = datastore::Draft {
            id: datastore::DocId::from_store(id.to_owned()),
            base: None,
            body: serde_json::Map::new(),
        };
        let error = fixture.store.save(&fixture.db, draft, soon()).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{id}: {error:?}");
    }
    // A design document in another language is stored, but its maps do not run.
    fixture.create("_design/q", json!({"language": "query", "views": {"v": {"map": {"fields": {}}}}})).await;
}
