//! Local documents: notes of a program that nothing else shows.

use serde_json::{Value, json};

use super::Subject;
use super::subject::{object, soon};
use crate::{ChangesQuery, Created, LocalDocument, Result, StoreError, ViewQuery};

async fn save(subject: &Subject, name: &str, body: Value) -> Result<()> {
    let document = LocalDocument { name: name.to_owned(), body: object(body) };
    subject.store.save_local(&subject.db, document, soon()).await
}

/// The names and the bodies of the local documents with a prefix.
async fn listed(subject: &Subject, prefix: &str) -> Vec<(String, Value)> {
    let found = subject.store.list_local(&subject.db, prefix, soon()).await.unwrap();
    found.into_iter().map(|document| (document.name, Value::Object(document.body))).collect()
}

async fn delete(subject: &Subject, name: &str) -> Result<()> {
    subject.store.delete_local(&subject.db, name, soon()).await
}

/// The list is sorted by name. A name may have any characters.
pub async fn local_documents_are_listed_by_prefix(subject: Subject) {
    assert_eq!(listed(&subject, "").await, []);
    for name in ["b", "a-node@host/x y%é", "a-node@host", "a", "a-node@hostel"] {
        save(&subject, name, json!({"name": name, "n": [1, {"k": null}]})).await.unwrap();
    }
    let wanted = |name: &str| (name.to_owned(), json!({"name": name, "n": [1, {"k": null}]}));
    let ours = ["a-node@host", "a-node@host/x y%é", "a-node@hostel"];
    assert_eq!(listed(&subject, "a-node@host").await, ours.map(wanted));
    assert_eq!(listed(&subject, "b").await, [wanted("b")]);
    assert_eq!(listed(&subject, "c").await, []);
    assert_eq!(listed(&subject, "").await.len(), 5);
}

/// A write needs no revision and replaces the whole content.
pub async fn a_local_document_is_written_over(subject: Subject) {
    save(&subject, "a", json!({"n": 1, "gone": true})).await.unwrap();
    save(&subject, "a", json!({"n": 2})).await.unwrap();
    assert_eq!(listed(&subject, "a").await, [("a".to_owned(), json!({"n": 2}))]);
}

/// A missing one is no error, and a deleted one can be written again.
pub async fn deleting_a_local_document_needs_no_revision(subject: Subject) {
    delete(&subject, "a").await.unwrap();
    save(&subject, "a", json!({"n": 1})).await.unwrap();
    save(&subject, "a", json!({"n": 2})).await.unwrap();
    delete(&subject, "a").await.unwrap();
    delete(&subject, "a").await.unwrap();
    assert_eq!(listed(&subject, "").await, []);
    save(&subject, "a", json!({"n": 3})).await.unwrap();
    assert_eq!(listed(&subject, "").await, [("a".to_owned(), json!({"n": 3}))]);
}

/// A name that is the beginning of another one is not the other one.
pub async fn a_local_document_is_read_by_name(subject: Subject) {
    let fetch = |name: &'static str| {
        let subject = &subject;
        async move { subject.store.fetch_local(&subject.db, name, soon()).await.unwrap() }
    };
    assert_eq!(fetch("a-node@host").await, None);
    for name in ["a-node@host", "a-node@host/x y%é"] {
        save(&subject, name, json!({"name": name, "n": [1, {"k": null}]})).await.unwrap();
        let body = object(json!({"name": name, "n": [1, {"k": null}]}));
        assert_eq!(fetch(name).await, Some(LocalDocument { name: name.to_owned(), body }));
    }
    assert_eq!(fetch("a-node").await, None);
    delete(&subject, "a-node@host").await.unwrap();
    assert_eq!(fetch("a-node@host").await, None);
}

/// The question is about the content that would be deleted.
pub async fn a_local_document_is_deleted_on_a_condition(subject: Subject) {
    let delete_if = |n: i64| {
        let subject = &subject;
        async move {
            let may = move |found: &LocalDocument| found.body.get("n") == Some(&json!(n));
            subject.store.delete_local_if(&subject.db, "a", &may, soon()).await.unwrap()
        }
    };
    assert!(delete_if(1).await, "there is none");
    save(&subject, "a", json!({"n": 1})).await.unwrap();
    save(&subject, "a", json!({"n": 2})).await.unwrap();
    assert!(!delete_if(1).await);
    assert_eq!(listed(&subject, "").await, [("a".to_owned(), json!({"n": 2}))]);
    assert!(delete_if(2).await);
    assert_eq!(listed(&subject, "").await, []);
}

/// Neither the feed nor the list of documents shows them, and they do not move the sequence.
pub async fn local_documents_are_in_no_listing_and_no_feed(subject: Subject) {
    let rev = subject.create("a", json!({})).await;
    let before = subject.store.newest_seq(&subject.db, soon()).await.unwrap();
    save(&subject, "a", json!({"n": 1})).await.unwrap();
    delete(&subject, "a").await.unwrap();
    save(&subject, "a", json!({"n": 2})).await.unwrap();
    assert_eq!(subject.ids(ViewQuery::all_docs()).await, ["a"]);
    assert_eq!(subject.fetch("a").await.unwrap().rev(), &rev);
    let query = ChangesQuery { since: crate::Since::Seq(before), ..ChangesQuery::default() };
    let feed: Vec<_> = futures::StreamExt::collect(subject.store.changes(&subject.db, query)).await;
    assert!(feed.is_empty(), "{feed:?}");
}

/// A new database of the same name has none of them.
pub async fn local_documents_end_with_their_database(subject: Subject) {
    save(&subject, "a", json!({"n": 1})).await.unwrap();
    subject.store.delete_db(&subject.db, soon()).await.unwrap();
    assert_eq!(subject.store.create_db(&subject.db, soon()).await.unwrap(), Created::Now);
    let error = subject.fetch("a").await.unwrap_err();
    assert!(matches!(error, StoreError::Missing(_)), "{error:?}");
    save(&subject, "b", json!({"n": 1})).await.unwrap();
    assert_eq!(listed(&subject, "").await, [("b".to_owned(), json!({"n": 1}))]);
}

/// Such members belong to the store.
pub async fn members_of_local_documents_do_not_begin_with_an_underscore(subject: Subject) {
    let error = save(&subject, "a", json!({"_deleted": true})).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
    assert_eq!(listed(&subject, "").await, []);
}

/// No call creates the database.
pub async fn local_documents_of_a_missing_database_fail(subject: Subject) {
    let nowhere = subject.in_db(subject.other_db("nowhere"));
    let errors = [
        save(&nowhere, "a", json!({})).await.unwrap_err(),
        delete(&nowhere, "a").await.unwrap_err(),
        nowhere.store.list_local(&nowhere.db, "", soon()).await.unwrap_err(),
        nowhere.store.fetch_local(&nowhere.db, "a", soon()).await.unwrap_err(),
        nowhere.store.delete_local_if(&nowhere.db, "a", &|_| true, soon()).await.unwrap_err(),
        nowhere.store.newest_seq(&nowhere.db, soon()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::DatabaseMissing(_)), "{error:?}");
    }
    assert!(!nowhere.store.db_exists(&nowhere.db, soon()).await.unwrap());
}
