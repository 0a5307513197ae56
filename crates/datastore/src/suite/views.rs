//! The rows of views: what maps emit, and when it shows.

use serde_json::{Value, json};

use super::Subject;
use super::subject::content;
use crate::{StoreError, ViewQuery};

const BY_NAME: &str = "function (doc) { if (doc.name) { emit(doc.name, {id: doc._id}); } }";

/// Key first, then document.
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

/// With each row comes its document's newest content.
pub async fn rows_carry_documents_where_asked(subject: Subject) {
    subject.design("d", &[("by_name", BY_NAME)]).await;
    let rev = subject.create("a", json!({"name": "x", "n": 1})).await;
    let rev = subject.update("a", &rev, json!({"name": "x", "n": 2})).await;
    let rows = subject.rows(ViewQuery { include_docs: true, ..ViewQuery::of("d", "by_name") }).await;
    let doc = rows[0].doc.as_ref().unwrap();
    assert_eq!((doc.id().as_str(), doc.rev()), ("a", &rev));
    assert_eq!(content(doc), json!({"name": "x", "n": 2}));
}

/// None, one, several, even twice the same.
pub async fn a_document_emits_as_often_as_it_likes(subject: Subject) {
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
    // In which order one document's rows of one key come is nobody's promise.
    rows.sort();
    let wanted = [("x", "a", 0), ("x", "a", 3), ("x", "c", 0), ("y", "a", 2), ("z", "a", 1)];
    assert_eq!(rows, wanted.map(|(key, id, value)| (key.to_owned(), id.to_owned(), value)));
    assert!(subject.rows(ViewQuery::of("d", "none")).await.is_empty());
}

/// A view never lags behind what was acknowledged.
pub async fn updates_and_deletes_show_at_once(subject: Subject) {
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

/// What it emitted before it threw does not count, what other documents emit does.
pub async fn a_map_that_throws_drops_that_documents_rows_alone(subject: Subject) {
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

/// JSON has no `undefined`.
pub async fn what_is_undefined_is_emitted_as_null(subject: Subject) {
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

/// The functions beside `emit` that CouchDB gives to maps.
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

/// A view that is not there is a matter of set-up, a database that is not there is another.
pub async fn a_missing_view_is_not_a_missing_database(subject: Subject) {
    subject.design("d", &[("v", BY_NAME)]).await;
    for query in [ViewQuery::of("d", "other"), ViewQuery::of("other", "v")] {
        let error = subject.try_rows(query).await.unwrap_err();
        assert!(matches!(error, StoreError::ViewMissing(_)), "{error:?}");
        assert!(!error.is_not_found());
    }
    let lost = subject.in_db(subject.other_db("nowhere"));
    for query in [ViewQuery::of("d", "v"), ViewQuery::all_docs()] {
        let error = lost.try_rows(query).await.unwrap_err();
        assert!(matches!(error, StoreError::DatabaseMissing(_)), "{error:?}");
    }
}

/// By id, the revision as value, design documents among them, deleted ones not.
pub async fn all_documents_are_a_view_too(subject: Subject) {
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
