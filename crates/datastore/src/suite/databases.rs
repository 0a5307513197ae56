//! Creating, listing and deleting databases.

use serde_json::json;

use super::Subject;
use super::subject::{content, doc_id, draft, soon};
use crate::{Created, Rev, StoreError, ViewQuery};

/// The second call is not an error.
pub async fn creating_a_database_twice_succeeds(subject: Subject) {
    let db = subject.other_db("new");
    assert!(!subject.store.db_exists(&db, soon()).await.unwrap());
    assert_eq!(subject.store.create_db(&db, soon()).await.unwrap(), Created::Now);
    subject.store.save(&db, draft("a", None, json!({"n": 1})), soon()).await.unwrap();
    assert_eq!(subject.store.create_db(&db, soon()).await.unwrap(), Created::Before);
    assert!(subject.store.db_exists(&db, soon()).await.unwrap());
    let doc = subject.store.fetch(&db, &doc_id("a"), soon()).await.unwrap();
    assert_eq!(content(&doc), json!({"n": 1}));
}

/// A slash is part of the name: `x/ab/cd` and `x/abcd` are two databases.
pub async fn database_names_may_have_slashes(subject: Subject) {
    let names = ["ab/cd", "abcd", "a/bcd", "a+b_c$d(e)-f"].map(|suffix| subject.other_db(suffix));
    for (n, db) in names.iter().enumerate() {
        assert_eq!(subject.store.create_db(db, soon()).await.unwrap(), Created::Now, "{db}");
        subject.store.save(db, draft("a", None, json!({ "n": n })), soon()).await.unwrap();
    }
    for (n, db) in names.iter().enumerate() {
        let here = subject.in_db(db.clone());
        assert_eq!(content(&here.fetch("a").await.unwrap()), json!({ "n": n }));
        assert_eq!(here.ids(ViewQuery::all_docs()).await, ["a"]);
    }
}

/// The list has the names with plain slashes.
pub async fn databases_are_listed_and_sorted(subject: Subject) {
    let mut names = ["b/x", "a", "b"].map(|suffix| subject.other_db(suffix)).to_vec();
    for db in &names {
        subject.store.create_db(db, soon()).await.unwrap();
    }
    names.push(subject.db.clone());
    names.sort();
    let listed = subject.store.list_dbs(soon()).await.unwrap();
    assert!(listed.is_sorted(), "{listed:?}");
    let ours: Vec<_> =
        listed.into_iter().filter(|name| name.as_str().starts_with(subject.db.as_str())).collect();
    assert_eq!(ours, names);
}

/// A new database with the same name is empty.
pub async fn deleting_a_database_deletes_its_documents(subject: Subject) {
    let (store, db) = (&subject.store, &subject.db);
    subject.design("d", &[("v", "function (doc) { emit(doc._id, null); }")]).await;
    subject.create("a", json!({"_attachments": {"x": {"data": "aGVsbG8="}}})).await;
    assert_eq!(subject.ids(ViewQuery::of("d", "v")).await, ["a"]);
    store.delete_db(db, soon()).await.unwrap();
    assert!(!store.db_exists(db, soon()).await.unwrap());
    let error = subject.fetch("a").await.unwrap_err();
    assert!(matches!(error, StoreError::DatabaseMissing(_)), "{error:?}");
    let error = store.delete_db(db, soon()).await.unwrap_err();
    assert!(matches!(error, StoreError::DatabaseMissing(_)), "{error:?}");
    assert_eq!(store.create_db(db, soon()).await.unwrap(), Created::Now);
    let error = subject.fetch("a").await.unwrap_err();
    assert!(matches!(error, StoreError::Missing(_)), "{error:?}");
    assert!(subject.ids(ViewQuery::all_docs()).await.is_empty());
    let error = subject.try_rows(ViewQuery::of("d", "v")).await.unwrap_err();
    assert!(matches!(error, StoreError::ViewMissing(_)), "{error:?}");
    assert_eq!(subject.create("a", json!({})).await.generation(), 1);
}

/// Every other call on a missing database fails and does not create it.
pub async fn only_create_db_creates_a_database(subject: Subject) {
    let (store, db) = (&subject.store, subject.other_db("nowhere"));
    let rev = Rev::parse("1-00000000000000000000000000000000").unwrap();
    let id = doc_id("a");
    let errors = [
        store.fetch(&db, &id, soon()).await.err(),
        store.fetch_many(&db, std::slice::from_ref(&id), soon()).await.err(),
        store.fetch_attachment(&db, &id, "x", soon()).await.err(),
        store.save(&db, draft("a", None, json!({})), soon()).await.err(),
        store.save(&db, draft("_design/d", None, json!({})), soon()).await.err(),
        store.save_many(&db, vec![draft("a", None, json!({}))], soon()).await.err(),
        store.delete(&db, &id, &rev, soon()).await.err(),
        store.query(&db, ViewQuery::all_docs(), soon()).await.err(),
        store.delete_db(&db, soon()).await.err(),
    ];
    for (call, error) in errors.iter().enumerate() {
        assert!(matches!(error, Some(StoreError::DatabaseMissing(_))), "call {call}: {error:?}");
    }
    assert!(!store.db_exists(&db, soon()).await.unwrap());
}
