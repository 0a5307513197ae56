//! Writing design documents, and how they change views.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::Subject;
use super::subject::{content, draft, soon};
use crate::{
    Backend, DbName, Deadline, DesignDocument, Draft, Ensured, Layer, Result, Rev, StoreError, ViewQuery,
    ViewState, ensure_design,
};

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

/// A view that exists is not changed, even if its map is another one. Without missing views, nothing is written.
pub async fn ensure_design_keeps_existing_views(subject: Subject) {
    let body = json!({"views": {"v": {"map": BY_AGE}, "w": {"map": BY_AGE}}, "extra": [1]});
    let rev = subject.create("_design/d", body.clone()).await;
    let design = DesignDocument::new("d", &[("v", BY_NAME), ("w", BY_AGE)]).unwrap();
    let ensured = ensure_design(&*subject.store, &subject.db, &design, soon()).await.unwrap();
    assert_eq!(states_of(&ensured), [("v", ViewState::FoundOther), ("w", ViewState::Found)]);
    let doc = subject.fetch("_design/d").await.unwrap();
    assert_eq!((doc.rev(), content(&doc)), (&rev, body));
    subject.create("a", json!({"name": "A", "age": 7})).await;
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!(7)]);
}

/// A missing view is added on top of the stored revision. Everything else in the document stays.
pub async fn ensure_design_adds_the_missing_views(subject: Subject) {
    subject.create("a", json!({"name": "A", "age": 7})).await;
    let (ours, by_age) = (json!({"map": BY_NAME}), json!({"map": BY_AGE, "reduce": "_count"}));
    let design = DesignDocument::new("d", &[("v", BY_NAME), ("w", BY_NAME)]).unwrap();
    for (stored, states, views) in [
        (json!({"extra": [1]}), ["added", "added"], json!({"v": ours, "w": ours})),
        (json!({"extra": [1], "views": {"v": ours}}), ["found", "added"], json!({"v": ours, "w": ours})),
        (
            json!({"extra": [1], "language": "javascript", "views": {"x": by_age}}),
            ["added", "added"],
            json!({"x": by_age, "v": ours, "w": ours}),
        ),
        (
            json!({"extra": [1], "views": {"w": {"map": BY_AGE}}}),
            ["added", "found with another map (left as it is)"],
            json!({"w": {"map": BY_AGE}, "v": ours}),
        ),
    ] {
        let rev = subject.create("_design/d", stored).await;
        let ensured = ensure_design(&*subject.store, &subject.db, &design, soon()).await.unwrap();
        assert_eq!(ensured.to_string(), format!("_design/d: v {}, w {}", states[0], states[1]));
        let doc = subject.fetch("_design/d").await.unwrap();
        assert_eq!(doc.rev().generation(), rev.generation() + 1);
        let content = content(&doc);
        assert_eq!((&content["extra"], &content["views"]), (&json!([1]), &views));
        assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!("A")]);
        subject.delete("_design/d", doc.rev()).await.unwrap();
    }
}

/// Clients that add views to one design document at the same time lose none of them.
pub async fn ensure_design_survives_lost_races(subject: Subject) {
    subject.create("_design/d", json!({"views": {}})).await;
    let designs: Vec<_> =
        ["a", "b", "c", "d"].map(|view| DesignDocument::new("d", &[(view, BY_NAME)]).unwrap()).into();
    let calls = designs.iter().map(|design| ensure_design(&*subject.store, &subject.db, design, soon()));
    for ensured in futures::future::join_all(calls).await {
        assert!(ensured.unwrap().has_added());
    }
    let doc = subject.fetch("_design/d").await.unwrap();
    let mut names: Vec<_> = content(&doc)["views"].as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!((names.concat().as_str(), doc.rev().generation()), ("abcd", 5));
}

/// Another program changes the document between the read and the write. Nothing of either change is lost, and
/// only the views that are then still missing are added.
pub async fn ensure_design_reads_again_what_a_foreign_writer_changed(subject: Subject) {
    let design = DesignDocument::new("d", &[("v", BY_NAME)]).unwrap();
    let (ours, theirs) = (json!({"map": BY_NAME}), json!({"map": BY_AGE}));
    let foreign = |views: Value| json!({"foreign": [1], "views": views});
    let left = "found with another map (left as it is)";
    let mut generation = 0;
    for (stored, meanwhile, state, views) in [
        (None, json!({"x": theirs}), "added", json!({"x": theirs, "v": ours})),
        (Some(json!({"views": {}})), json!({"x": theirs}), "added", json!({"x": theirs, "v": ours})),
        (Some(json!({"views": {}})), json!({"v": ours}), "found", json!({"v": ours})),
        (Some(json!({"views": {}})), json!({"v": theirs}), left, json!({"v": theirs})),
    ] {
        let store = BesideAForeignWriter::new(&subject, [foreign(meanwhile)]);
        if let Some(body) = stored {
            generation = subject.create("_design/d", body).await.generation();
        }
        let ensured = ensure_design(&store, &subject.db, &design, soon()).await.unwrap();
        assert_eq!(ensured.to_string(), format!("_design/d: v {state}"));
        let doc = subject.fetch("_design/d").await.unwrap();
        assert_eq!((&content(&doc)["views"], &content(&doc)["foreign"]), (&views, &json!([1])));
        let writes = if state == "added" { 2 } else { 1 };
        assert_eq!(
            doc.rev().generation(),
            generation + writes,
            "theirs, and ours if a view was still missing"
        );
        subject.delete("_design/d", doc.rev()).await.unwrap();
    }

    // Somebody who never stops is told.
    subject.create("_design/d", json!({"views": {}})).await;
    let store = BesideAForeignWriter::new(&subject, (0..100).map(|n| json!({"views": {}, "n": n})));
    let error = ensure_design(&store, &subject.db, &design, soon()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(store.meanwhile.lock().unwrap().len() > 50, "it gives up after a few attempts");
}

/// A store in which another program writes a document whenever this one is about to.
struct BesideAForeignWriter {
    inner: Arc<dyn Backend>,
    /// What the other program writes, one for each write of this one.
    meanwhile: Mutex<VecDeque<Value>>,
}

impl BesideAForeignWriter {
    fn new(subject: &Subject, meanwhile: impl IntoIterator<Item = Value>) -> Self {
        Self { inner: Arc::clone(&subject.store), meanwhile: Mutex::new(meanwhile.into_iter().collect()) }
    }
}

impl Layer for BesideAForeignWriter {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move {
            let body = self.meanwhile.lock().unwrap().pop_front();
            if let Some(Value::Object(body)) = body {
                let there = self.inner.fetch(db, &draft.id, deadline).await.ok();
                let base = there.map(|document| document.rev().clone());
                let foreign = Draft { id: draft.id.clone(), base, body };
                self.inner.save(db, foreign, deadline).await.unwrap();
            }
            self.inner.save(db, draft, deadline).await
        })
    }
}

/// The error says why: no view is added to a document in another language.
pub async fn ensure_design_refuses_a_document_in_another_language(subject: Subject) {
    let body = json!({"language": "query", "views": {}});
    subject.create("_design/d", body.clone()).await;
    let design = DesignDocument::new("d", &[("v", BY_NAME)]).unwrap();
    let error = ensure_design(&*subject.store, &subject.db, &design, soon()).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Invalid(_)) && error.to_string().contains("its language"),
        "{error:?}"
    );
    assert_eq!(content(&subject.fetch("_design/d").await.unwrap()), body);
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

/// Kazoo's own files have maps as lists of lines. Every way to write such a document is refused.
pub async fn a_map_that_is_no_text_is_invalid(subject: Subject) {
    let body = json!({"views": {"v": {"map": ["function (doc) {", "emit(doc._id, 1); }"]}}});
    let alone = subject.try_save("_design/d", None, body.clone()).await;
    let drafts = vec![draft("_design/d", None, body), draft("a", None, json!({"name": "A"}))];
    let mut together = subject.store.save_many(&subject.db, drafts, soon()).await.unwrap();
    together.pop().unwrap().unwrap();
    for refused in [alone, together.pop().unwrap()] {
        let error = refused.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)) && error.to_string().contains("string"), "{error:?}");
    }
}

fn states_of(ensured: &Ensured) -> Vec<(&str, ViewState)> {
    ensured.views().iter().map(|(name, state)| (name.as_str(), *state)).collect()
}
