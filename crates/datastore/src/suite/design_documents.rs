//! Design documents: written like others, and what they do to views.

use serde_json::json;

use super::Subject;
use super::subject::{content, draft, soon};
use crate::{DesignDocument, StoreError, ViewQuery, ensure_design};

const BY_NAME: &str = "function (doc) { emit(doc.name, 1); }";
const BY_AGE: &str = "function (doc) { emit(doc.age, 2); }";

/// It is a document with a revision, and its view answers.
pub async fn ensure_design_creates_what_is_missing(subject: Subject) {
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

/// Somebody else's design document stays somebody else's.
pub async fn ensure_design_leaves_an_existing_one_alone(subject: Subject) {
    let body = json!({"views": {"v": {"map": BY_AGE}, "w": {"map": BY_AGE}}, "extra": [1]});
    let rev = subject.create("_design/d", body.clone()).await;
    subject.design("d", &[("v", BY_NAME)]).await;
    let doc = subject.fetch("_design/d").await.unwrap();
    assert_eq!((doc.rev(), content(&doc)), (&rev, body));
    subject.create("a", json!({"name": "A", "age": 7})).await;
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!(7)]);
}

/// They are updated and deleted by revision, but no map sees them.
pub async fn design_documents_are_documents_but_emit_nothing(subject: Subject) {
    subject.design("d", &[("v", "function (doc) { emit(doc._id, null); }")]).await;
    subject.create("a", json!({})).await;
    assert_eq!(subject.ids(ViewQuery::of("d", "v")).await, ["a"]);
    let error = subject.try_save("_design/d", None, json!({})).await.unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    let rev = subject.fetch("_design/d").await.unwrap().rev().clone();
    let rev = subject.update("_design/d", &rev, json!({"note": "no views"})).await;
    assert_eq!(rev.generation(), 2);
}

/// The index of a new view is whole when it first answers.
pub async fn a_view_covers_documents_written_before_it(subject: Subject) {
    let drafts = (0..300).map(|n| draft(&format!("{n:03}"), None, json!({"name": n}))).collect();
    for rev in subject.store.save_many(&subject.db, drafts, soon()).await.unwrap() {
        rev.unwrap();
    }
    subject.design("d", &[("v", BY_NAME)]).await;
    assert_eq!(subject.ids(ViewQuery::of("d", "v")).await.len(), 300);
}

/// A view never answers with the rows of the map that it had before.
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

/// And a new one of that name begins afresh.
pub async fn a_deleted_design_document_takes_its_views_along(subject: Subject) {
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

/// It is told to who writes it, not to who asks the view.
pub async fn a_map_that_does_not_compile_is_invalid(subject: Subject) {
    for map in ["function (doc) { emit(", "1 + 1", "nonsense("] {
        let body = json!({"language": "javascript", "views": {"v": {"map": map}}});
        let error = subject.try_save("_design/d", None, body).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{map}: {error:?}");
    }
    assert!(subject.fetch("_design/d").await.unwrap_err().is_not_found());
}
