//! A store that another process has open: it is read beside it, and copied while it writes.

use std::fs;

use datastore::{Databases, Store, StoreError, ViewQuery};
use embedded::{Embedded, OpenError, Settings, back_up};
use futures::StreamExt as _;
use serde_json::json;

use crate::support::{TestStore, doc_id, draft, soon};

#[tokio::test]
async fn a_store_in_use_can_be_read_and_not_written() {
    let fixture = TestStore::new().await;
    fixture.design("d", &[("v", "function (doc) { emit(doc.n); }")]).await;
    fixture.create("a", json!({"n": 1})).await;
    let reader = Embedded::open_to_read(&fixture.file, Settings::default()).unwrap();
    assert_eq!(reader.list_dbs(soon()).await.unwrap(), std::slice::from_ref(&fixture.db));
    assert!(reader.fetch(&fixture.db, &doc_id("a"), soon()).await.is_ok());
    // What is written later is seen too.
    fixture.create("b", json!({"n": 2})).await;
    assert!(reader.fetch(&fixture.db, &doc_id("b"), soon()).await.is_ok());
    let rows = reader.query(&fixture.db, ViewQuery::of("d", "v"), soon()).await.unwrap();
    assert_eq!(rows.count().await, 2);
    let refused = reader.save(&fixture.db, draft("c", None, json!({})), soon()).await;
    assert!(refused.is_err(), "{refused:?}");
    // The store is still the other's, and whole.
    drop(reader);
    fixture.create("c", json!({"n": 3})).await;
    assert!(matches!(Embedded::open(&fixture.file, Settings::default()), Err(OpenError::InUse { .. })));
}

#[tokio::test]
async fn reading_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.db");
    let error = Embedded::open_to_read(&path, Settings::default()).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    fs::write(&path, "").unwrap();
    let error = Embedded::open_to_read(&path, Settings::default()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }) && error.to_string().contains("empty"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let foreign = folder.path().join("foreign.db");
    fs::write(&foreign, "somebody's notes").unwrap();
    assert!(Embedded::open(&foreign, Settings::default()).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no lock is left beside a foreign file");
}

/// Writes go on while the store is copied. The copy has every write that was acknowledged before.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_while_the_store_is_written() {
    let fixture = TestStore::new().await;
    for number in 0..500 {
        fixture.create(&format!("before-{number}"), json!({"text": "x".repeat(500)})).await;
    }
    let copy = fixture.file.with_extension("copy");
    fs::write(&copy, "").unwrap();
    let (file, to) = (fixture.file.clone(), copy.clone());
    let copying = tokio::task::spawn_blocking(move || {
        let mut told = Vec::new();
        back_up(&file, &to, |copied| told.push(copied)).map(|()| told)
    });
    let mut during = 0;
    while !copying.is_finished() || during < 20 {
        fixture.create(&format!("during-{during}"), json!({})).await;
        during += 1;
    }
    let told = copying.await.unwrap().unwrap();
    assert!(told.last().is_some_and(|copied| copied.pages == copied.of && copied.of > 0), "{told:?}");
    assert!(told.iter().is_sorted_by_key(|copied| copied.pages), "{told:?}");
    let copied = Embedded::open(&copy, Settings::default()).unwrap();
    for number in 0..500 {
        copied.fetch(&fixture.db, &doc_id(&format!("before-{number}")), soon()).await.unwrap();
    }
    let other = fixture.fetch("during-0").await;
    assert!(other.is_ok());
    let missing = copied.fetch(&fixture.db, &doc_id("never"), soon()).await;
    assert!(matches!(missing, Err(StoreError::Missing(_))));
}
