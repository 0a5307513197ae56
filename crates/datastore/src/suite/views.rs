//! The rows of views: what maps emit, and when the rows appear.

use serde_json::{Value, json};

use super::Subject;
use super::subject::content;
use crate::{StoreError, ViewQuery};

const BY_NAME: &str = "function (doc) { if (doc.name) { emit(doc.name, {id: doc._id}); } }";

/// Rows are sorted by key, then by document id.
pub async fn a_view_shows_rows_by_key_then_id(subject: Subject) {
    subject.design("d", &[("by_name", BY_NAME)]).await;
    for (id, name) in [("c", "x"), ("a", "y"), ("b", "x"), ("d", "")] {
        subject.create(id, json!({ "name": name })).await;
    }
    let rows = subject.rows(ViewQuery::of("d", "by_name")).await;
    let told: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.key.as_str().unwrap())).collect();
    assert_eq!(told, [("b", "x"), ("c", "x"), ("a", "y")]);
    assert_eq!(rows[0].value, json!({"id": "b"}));
    assert!(rows.iter().all(|row| row.doc.is_none()));
    let ids = subject.ids(ViewQuery { descending: true, ..ViewQuery::of("d", "by_name") }).await;
    assert_eq!(ids, ["a", "c", "b"]);
}

/// Each row comes with its document's newest content.
pub async fn include_docs_adds_documents_to_rows(subject: Subject) {
    subject.design("d", &[("by_name", BY_NAME)]).await;
    let rev = subject.create("a", json!({"name": "x", "n": 1})).await;
    let rev = subject.update("a", &rev, json!({"name": "x", "n": 2})).await;
    let rows = subject.rows(ViewQuery { include_docs: true, ..ViewQuery::of("d", "by_name") }).await;
    let doc = rows[0].doc.as_ref().unwrap();
    assert_eq!((doc.id().as_str(), doc.rev()), ("a", &rev));
    assert_eq!(content(doc), json!({"name": "x", "n": 2}));
}

/// A document can emit no row, one row, or several, even equal ones.
pub async fn a_map_emits_any_number_of_rows(subject: Subject) {
    let map = "function (doc) { for (var i = 0; i < doc.tags.length; i++) { emit(doc.tags[i], i); } }";
    subject.design("d", &[("by_tag", map), ("none", "function (doc) { }")]).await;
    subject.create("a", json!({"tags": ["x", "z", "y", "x"]})).await;
    subject.create("b", json!({"tags": []})).await;
    subject.create("c", json!({"tags": ["x"]})).await;
    let mut rows: Vec<_> = subject
        .rows(ViewQuery::of("d", "by_tag"))
        .await
        .into_iter()
        .map(|row| (row.key.as_str().unwrap().to_owned(), row.id, row.value.as_u64().unwrap()))
        .collect();
    // No store promises an order among a document's rows with equal keys.
    rows.sort();
    let wanted = [("x", "a", 0), ("x", "a", 3), ("x", "c", 0), ("y", "a", 2), ("z", "a", 1)];
    assert_eq!(rows, wanted.map(|(key, id, value)| (key.to_owned(), id.to_owned(), value)));
    assert!(subject.rows(ViewQuery::of("d", "none")).await.is_empty());
}

/// A query returns every write that was acknowledged before it.
pub async fn a_view_shows_updates_and_deletes_at_once(subject: Subject) {
    subject.design("d", &[("by_name", BY_NAME)]).await;
    let names = async || subject.keys(ViewQuery::of("d", "by_name")).await;
    let rev = subject.create("a", json!({"name": "one"})).await;
    assert_eq!(names().await, [json!("one")]);
    let rev = subject.update("a", &rev, json!({"name": "two"})).await;
    assert_eq!(names().await, [json!("two")]);
    let rev = subject.update("a", &rev, json!({"other": 1})).await;
    assert!(names().await.is_empty());
    let rev = subject.update("a", &rev, json!({"name": "three"})).await;
    assert_eq!(names().await, [json!("three")]);
    subject.delete("a", &rev).await.unwrap();
    assert!(names().await.is_empty());
    subject.create("a", json!({"name": "four"})).await;
    assert_eq!(names().await, [json!("four")]);
}

/// Rows that the map emitted before it threw are dropped too. Other documents keep theirs.
pub async fn a_map_that_throws_drops_only_that_documents_rows(subject: Subject) {
    let map = "function (doc) { emit(doc._id, 1); if (doc.bad) { doc.bad.deeper.still; } emit(doc._id, 2); }";
    subject.design("d", &[("v", map), ("w", "function (doc) { emit(doc._id, null); }")]).await;
    subject.create("a", json!({})).await;
    let rev = subject.create("b", json!({"bad": {}})).await;
    subject.create("c", json!({})).await;
    assert_eq!(subject.ids(ViewQuery::of("d", "v")).await, ["a", "a", "c", "c"]);
    assert_eq!(subject.ids(ViewQuery::of("d", "w")).await, ["a", "b", "c"]);
    subject.update("b", &rev, json!({})).await;
    assert_eq!(subject.ids(ViewQuery::of("d", "v")).await, ["a", "a", "b", "b", "c", "c"]);
}

/// JSON has no `undefined`, so the row has null.
pub async fn undefined_is_emitted_as_null(subject: Subject) {
    let map = "function (doc) { emit(doc.a, doc.b); emit([doc.a, 1], {c: doc.c, d: 1}); emit(); }";
    subject.design("d", &[("v", map)]).await;
    subject.create("a", json!({})).await;
    let mut rows: Vec<String> = subject
        .rows(ViewQuery::of("d", "v"))
        .await
        .iter()
        .map(|row| format!("{} {}", row.key, row.value))
        .collect();
    rows.sort();
    assert_eq!(rows, [r#"[null,1] {"d":1}"#, "null null", "null null"]);
}

/// Maps can call the helper functions that CouchDB offers.
pub async fn maps_have_couchdbs_helpers(subject: Subject) {
    let map = "function (doc) {
        log('indexing ' + doc._id);
        emit([isArray(doc.list), isArray(doc)], [sum(doc.list), toJSON(doc.list)]);
    }";
    subject.design("d", &[("v", map)]).await;
    subject.create("a", json!({"list": [1, 2, 4]})).await;
    let rows = subject.rows(ViewQuery::of("d", "v")).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].key, json!([true, false]));
    let value: &Vec<Value> = rows[0].value.as_array().unwrap();
    assert_eq!((&value[0], &value[1]), (&json!(7), &json!("[1,2,4]")));
}

/// A missing view or design document is `ViewMissing`; a missing database is `DatabaseMissing`.
pub async fn missing_views_and_databases_give_different_errors(subject: Subject) {
    subject.design("d", &[("v", BY_NAME)]).await;
    for query in [ViewQuery::of("d", "other"), ViewQuery::of("other", "v")] {
        let error = subject.try_rows(query).await.unwrap_err();
        assert!(matches!(error, StoreError::ViewMissing(_)), "{error:?}");
        assert!(!error.is_not_found());
    }
    let missing = subject.in_db(subject.other_db("nowhere"));
    for query in [ViewQuery::of("d", "v"), ViewQuery::all_docs()] {
        let error = missing.try_rows(query).await.unwrap_err();
        assert!(matches!(error, StoreError::DatabaseMissing(_)), "{error:?}");
    }
}

/// The rows are sorted by id, and their value is the revision. Design documents are included, deleted
/// documents are not.
pub async fn all_docs_lists_every_document(subject: Subject) {
    subject.design("d", &[("v", BY_NAME)]).await;
    let rev_b = subject.create("b", json!({"n": 2})).await;
    let rev_a = subject.create("a", json!({"n": 1})).await;
    let rev_c = subject.create("c", json!({"n": 3})).await;
    subject.delete("c", &rev_c).await.unwrap();
    let rows = subject.rows(ViewQuery { include_docs: true, ..ViewQuery::all_docs() }).await;
    let told: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.key.as_str().unwrap())).collect();
    assert_eq!(told, [("_design/d", "_design/d"), ("a", "a"), ("b", "b")]);
    assert_eq!(rows[1].value, json!({"rev": rev_a.as_str()}));
    assert_eq!(rows[2].value, json!({"rev": rev_b.as_str()}));
    assert_eq!(content(rows[2].doc.as_ref().unwrap()), json!({"n": 2}));
    assert_eq!(content(rows[0].doc.as_ref().unwrap())["views"]["v"]["map"], json!(BY_NAME));
}
