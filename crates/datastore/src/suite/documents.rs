//! Writing, reading and deleting one document.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::Subject;
use super::subject::{content, doc_id, draft};
use crate::{Deadline, Rev, StoreError, ViewQuery};

/// A created document has a first revision, which its text contains too.
pub async fn a_created_document_is_read_back(subject: Subject) {
    let rev = subject.create("a", json!({"name": "A"})).await;
    let doc = subject.fetch("a").await.unwrap();
    assert_eq!(rev.generation(), 1);
    assert_eq!((doc.id(), doc.rev()), (&doc_id("a"), &rev));
    let object = doc.to_object().unwrap();
    assert_eq!((&object["_id"], &object["_rev"]), (&json!("a"), &json!(rev.as_str())));
    assert_eq!(content(&doc), json!({"name": "A"}));
}

/// Each update adds one generation and replaces the whole content.
pub async fn an_update_replaces_its_base(subject: Subject) {
    let first = subject.create("a", json!({"name": "A", "gone": 1})).await;
    let second = subject.update("a", &first, json!({"name": "B"})).await;
    assert_eq!(second.generation(), 2);
    let doc = subject.fetch("a").await.unwrap();
    assert_eq!((doc.rev(), content(&doc)), (&second, json!({"name": "B"})));
}

/// An id is taken until its document is deleted.
pub async fn creating_over_a_document_is_a_conflict(subject: Subject) {
    let rev = subject.create("a", json!({"name": "A"})).await;
    let error = subject.try_save("a", None, json!({"name": "B"})).await.unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    let doc = subject.fetch("a").await.unwrap();
    assert_eq!((doc.rev(), content(&doc)), (&rev, json!({"name": "A"})));
}

/// A write with an older base changes nothing.
pub async fn a_stale_base_is_a_conflict(subject: Subject) {
    let first = subject.create("a", json!({"n": 1})).await;
    let second = subject.update("a", &first, json!({"n": 2})).await;
    let error = subject.try_save("a", Some(&first), json!({"n": 3})).await.unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    let foreign = Rev::parse("2-00000000000000000000000000000000").unwrap();
    let error = subject.try_save("a", Some(&foreign), json!({"n": 3})).await.unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    let doc = subject.fetch("a").await.unwrap();
    assert_eq!((doc.rev(), content(&doc)), (&second, json!({"n": 2})));
}

/// A draft with a base cannot create a document.
pub async fn a_base_without_a_document_is_a_conflict(subject: Subject) {
    let base = Rev::parse("1-00000000000000000000000000000000").unwrap();
    let error = subject.try_save("a", Some(&base), json!({})).await.unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    assert!(subject.fetch("a").await.unwrap_err().is_not_found());
}

/// The store uses the draft's `id` and `base`, and ignores `_id` and `_rev` in its body.
pub async fn id_and_revision_in_the_body_are_ignored(subject: Subject) {
    let body = json!({"_id": "other", "_rev": "7-00000000000000000000000000000000", "name": "A"});
    let rev = subject.create("a", body.clone()).await;
    assert_eq!(rev.generation(), 1);
    let rev = subject.update("a", &rev, body).await;
    assert_eq!(rev.generation(), 2);
    assert_eq!(content(&subject.fetch("a").await.unwrap()), json!({"name": "A"}));
    assert!(subject.fetch("other").await.unwrap_err().is_not_found());
}

/// The store refuses unknown top-level members that begin with `_`, and `_deleted` too. In a nested object
/// they are ordinary data.
pub async fn other_members_with_an_underscore_are_refused(subject: Subject) {
    let rev = subject.create("a", json!({"inner": {"_x": 1, "_deleted": true}})).await;
    for body in [json!({"_unknown": 1}), json!({"_deleted": true})] {
        let error = subject.try_save("a", Some(&rev), body.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{body}: {error:?}");
    }
    let doc = subject.fetch("a").await.unwrap();
    assert_eq!(content(&doc), json!({"inner": {"_x": 1, "_deleted": true}}));
}

/// A store treats `pvt_deleted` as ordinary data.
pub async fn a_soft_delete_is_an_update(subject: Subject) {
    let rev = subject.create("a", json!({"name": "A"})).await;
    let rev = subject.update("a", &rev, json!({"name": "A", "pvt_deleted": true})).await;
    let doc = subject.fetch("a").await.unwrap();
    assert_eq!((doc.rev(), content(&doc)), (&rev, json!({"name": "A", "pvt_deleted": true})));
    assert_eq!(subject.ids(ViewQuery::all_docs()).await, ["a"]);
    assert!(subject.try_save("a", None, json!({})).await.unwrap_err().is_conflict());
}

/// A deleted document is `Deleted`, and an unknown id is `Missing`.
pub async fn deleted_and_missing_documents_give_different_errors(subject: Subject) {
    let rev = subject.create("a", json!({"name": "A"})).await;
    let tombstone = subject.delete("a", &rev).await.unwrap();
    assert_eq!(tombstone.generation(), 2);
    let error = subject.fetch("a").await.unwrap_err();
    assert!(matches!(error, StoreError::Deleted(_)), "{error:?}");
    let error = subject.fetch("b").await.unwrap_err();
    assert!(matches!(error, StoreError::Missing(_)), "{error:?}");
    assert!(subject.ids(ViewQuery::all_docs()).await.is_empty());
}

/// A new document with a deleted id continues the revisions of the old one.
pub async fn creating_over_a_tombstone_continues_its_generation(subject: Subject) {
    let rev = subject.create("a", json!({"n": 1})).await;
    subject.delete("a", &rev).await.unwrap();
    let rev = subject.create("a", json!({"n": 2})).await;
    assert_eq!(rev.generation(), 3);
    let tombstone = subject.delete("a", &rev).await.unwrap();
    assert_eq!(tombstone.generation(), 4);
    let rev = subject.create("a", json!({"n": 3})).await;
    assert_eq!(rev.generation(), 5);
    let doc = subject.fetch("a").await.unwrap();
    assert_eq!((doc.rev(), content(&doc)), (&rev, json!({"n": 3})));
}

/// Neither a tombstone nor an earlier revision can be a base. A deleted document can only be created.
pub async fn a_tombstone_cannot_be_a_base(subject: Subject) {
    let first = subject.create("a", json!({"n": 1})).await;
    let tombstone = subject.delete("a", &first).await.unwrap();
    for base in [first, tombstone] {
        let error = subject.try_save("a", Some(&base), json!({"n": 2})).await.unwrap_err();
        assert!(error.is_conflict(), "{error:?}");
        let error = subject.delete("a", &base).await.unwrap_err();
        assert!(matches!(error, StoreError::Deleted(_)), "{error:?}");
    }
    assert!(matches!(subject.fetch("a").await, Err(StoreError::Deleted(_))));
}

/// A delete must name the newest revision.
pub async fn deleting_with_a_stale_revision_is_a_conflict(subject: Subject) {
    let first = subject.create("a", json!({"n": 1})).await;
    let second = subject.update("a", &first, json!({"n": 2})).await;
    let error = subject.delete("a", &first).await.unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    assert_eq!(subject.fetch("a").await.unwrap().rev(), &second);
}

/// Of several writers that delete the same revision at once, one has deleted it.
pub async fn a_revision_is_deleted_once(subject: Subject) {
    let rev = subject.create("a", json!({})).await;
    let deletions = join_all((0..8).map(|_| subject.delete("a", &rev))).await;
    let (done, refused): (Vec<_>, Vec<_>) = deletions.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1, "{done:?}");
    for refusal in refused {
        let error = refusal.unwrap_err();
        assert!(matches!(error, StoreError::Deleted(_) | StoreError::Conflict(_)), "{error:?}");
    }
}

/// An unknown id is `Missing`, and a deleted document is `Deleted`.
pub async fn deleting_a_missing_document_fails(subject: Subject) {
    let rev = subject.create("a", json!({})).await;
    let error = subject.delete("b", &rev).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing(_)), "{error:?}");
    subject.delete("a", &rev).await.unwrap();
    let error = subject.delete("a", &rev).await.unwrap_err();
    assert!(matches!(error, StoreError::Deleted(_)), "{error:?}");
}

/// A call whose deadline has passed fails and writes nothing.
pub async fn calls_after_their_deadline_fail(subject: Subject) {
    let (store, db, id) = (&subject.store, &subject.db, doc_id("a"));
    let rev = subject.create("a", json!({"n": 1})).await;
    let over = Deadline::after(Duration::ZERO);
    let other = subject.other_db("over");
    let late = [
        store.fetch(db, &id, over).await.err(),
        store.fetch_many(db, std::slice::from_ref(&id), over).await.err(),
        store.fetch_attachment(db, &id, "x", over).await.err(),
        store.save(db, draft("a", Some(&rev), json!({"n": 2})), over).await.err(),
        store.save_many(db, vec![draft("b", None, json!({}))], over).await.err(),
        store.delete(db, &id, &rev, over).await.err(),
        store.query(db, ViewQuery::all_docs(), over).await.err(),
        store.create_db(&other, over).await.err(),
        store.db_exists(db, over).await.err(),
        store.list_dbs(over).await.err(),
        store.newest_seq(db, over).await.err(),
        store.list_local(db, "", over).await.err(),
        store.delete_local(db, "x", over).await.err(),
        store.delete_db(db, over).await.err(),
    ];
    for (call, error) in late.iter().enumerate() {
        assert!(matches!(error, Some(StoreError::DeadlineExceeded(_))), "call {call}: {error:?}");
    }
    assert_eq!(content(&subject.fetch("a").await.unwrap()), json!({"n": 1}));
    assert_eq!(subject.ids(ViewQuery::all_docs()).await, ["a"]);
}
