//! Writing design documents, and how they change views.

use serde_json::json;

use super::Subject;
use super::subject::{content, draft, soon};
use crate::{DesignDocument, StoreError, ViewQuery, ensure_design};

const BY_NAME: &str = "function (doc) { emit(doc.name, 1); }";
const BY_AGE: &str = "function (doc) { emit(doc.age, 2); }";

/// The design document has a revision, and its view can be queried.
pub async fn ensure_design_creates_a_missing_design_document(subject: Subject) {
    let design = DesignDocument::new("d", &[("v", BY_NAME)]).unwrap();
    for _ in 0..2 {
        ensure_design(&*subject.store, &subject.db, &design, soon()).await.unwrap();
    }
    let doc = subject.fetch("_design/d").await.unwrap();
    assert_eq!(doc.rev().generation(), 1);
    assert_eq!(content(&doc), json!({"language": "javascript", "views": {"v": {"map": BY_NAME}}}));
    subject.create("a", json!({"name": "A"})).await;
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!("A")]);
    let nowhere = subject.other_db("nowhere");
    let error = ensure_design(&*subject.store, &nowhere, &design, soon()).await.unwrap_err();
    assert!(matches!(error, StoreError::DatabaseMissing(_)), "{error:?}");
}

/// An existing design document is not changed, even if it has other views.
pub async fn ensure_design_keeps_an_existing_design_document(subject: Subject) {
    let body = json!({"views": {"v": {"map": BY_AGE}, "w": {"map": BY_AGE}}, "extra": [1]});
    let rev = subject.create("_design/d", body.clone()).await;
    subject.design("d", &[("v", BY_NAME)]).await;
    let doc = subject.fetch("_design/d").await.unwrap();
    assert_eq!((doc.rev(), content(&doc)), (&rev, body));
    subject.create("a", json!({"name": "A", "age": 7})).await;
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!(7)]);
}

/// Design documents are updated and deleted by revision. No map runs on them.
pub async fn maps_do_not_run_on_design_documents(subject: Subject) {
    subject.design("d", &[("v", "function (doc) { emit(doc._id, null); }")]).await;
    subject.create("a", json!({})).await;
    assert_eq!(subject.ids(ViewQuery::of("d", "v")).await, ["a"]);
    let error = subject.try_save("_design/d", None, json!({})).await.unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    let rev = subject.fetch("_design/d").await.unwrap().rev().clone();
    let rev = subject.update("_design/d", &rev, json!({"note": "no views"})).await;
    assert_eq!(rev.generation(), 2);
}

/// A new view is complete when it first answers.
pub async fn a_view_covers_documents_written_before_it(subject: Subject) {
    let drafts = (0..300).map(|n| draft(&format!("{n:03}"), None, json!({"name": n}))).collect();
    for rev in subject.store.save_many(&subject.db, drafts, soon()).await.unwrap() {
        rev.unwrap();
    }
    subject.design("d", &[("v", BY_NAME)]).await;
    assert_eq!(subject.ids(ViewQuery::of("d", "v")).await.len(), 300);
}

/// A view never returns rows of its old map.
pub async fn changing_a_design_document_rebuilds_its_views(subject: Subject) {
    subject.design("d", &[("v", BY_NAME), ("w", BY_NAME)]).await;
    let doc = subject.create("a", json!({"name": "A", "age": 7})).await;
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!("A")]);
    let rev = subject.fetch("_design/d").await.unwrap().rev().clone();
    let rev = subject.update("_design/d", &rev, json!({"views": {"v": {"map": BY_AGE}}})).await;
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!(7)]);
    let error = subject.try_rows(ViewQuery::of("d", "w")).await.unwrap_err();
    assert!(matches!(error, StoreError::ViewMissing(_)), "{error:?}");
    subject.update("a", &doc, json!({"name": "A", "age": 8})).await;
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!(8)]);
    subject.update("_design/d", &rev, json!({"views": {"v": {"map": BY_NAME}}})).await;
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!("A")]);
}

/// A new design document with the same name has only its own views.
pub async fn deleting_a_design_document_removes_its_views(subject: Subject) {
    subject.design("d", &[("v", BY_NAME)]).await;
    subject.create("a", json!({"name": "A", "age": 7})).await;
    assert_eq!(subject.ids(ViewQuery::of("d", "v")).await, ["a"]);
    let rev = subject.fetch("_design/d").await.unwrap().rev().clone();
    subject.delete("_design/d", &rev).await.unwrap();
    let error = subject.try_rows(ViewQuery::of("d", "v")).await.unwrap_err();
    assert!(matches!(error, StoreError::ViewMissing(_)), "{error:?}");
    subject.create("b", json!({"name": "B", "age": 8})).await;
    subject.design("d", &[("v", BY_AGE)]).await;
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!(7), json!(8)]);
}

/// Writing the design document fails; the error does not wait for a query.
pub async fn a_map_that_does_not_compile_is_invalid(subject: Subject) {
    for map in ["function (doc) { emit(", "1 + 1", "nonsense("] {
        let body = json!({"language": "javascript", "views": {"v": {"map": map}}});
        let error = subject.try_save("_design/d", None, body).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{map}: {error:?}");
    }
    assert!(subject.fetch("_design/d").await.unwrap_err().is_not_found());
}
