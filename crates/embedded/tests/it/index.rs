//! Building views while other tasks write, query and replace the design document.

use std::sync::Arc;

use datastore::{Databases, Store, StoreError, ViewQuery};
use embedded::{Durability, Settings};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::support::{TestStore, draft, in_ms, soon};

const BY_N: &str = "function (doc) { emit(doc.n, doc._rev); }";
const TWICE: &str = "function (doc) { emit(doc.n, 1); emit(doc.n, 2); }";

fn quick() -> Settings {
    Settings { durability: Durability::Normal, ..Settings::default() }
}

async fn filled(count: usize) -> TestStore {
    let fixture = TestStore::with(quick()).await;
    let drafts = (0..count).map(|n| draft(&format!("d{n:05}"), None, json!({ "n": n }))).collect();
    for rev in fixture.store.save_many(&fixture.db, drafts, soon()).await.unwrap() {
        rev.unwrap();
    }
    fixture
}

/// Checks that the view holds exactly one row for each document.
async fn check_view(fixture: &TestStore) {
    let mut wanted: Vec<_> = fixture
        .everything()
        .await
        .into_iter()
        .filter(|(id, ..)| !id.starts_with('_'))
        .filter_map(|(id, rev, doc)| Some(format!("{id} {} \"{rev}\"", doc?.to_object().unwrap()["n"])))
        .collect();
    let mut rows = fixture.rows("d", "v").await;
    wanted.sort();
    rows.sort();
    assert!(rows == wanted, "{} rows of {}", rows.len(), wanted.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_during_a_build_are_in_the_view() {
    let fixture = Arc::new(filled(4_000).await);
    let writers = (0..4).map(|writer| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            for n in 0..150 {
                let id = format!("d{:05}", (n * 4 + writer) * 6);
                let rev = fixture.fetch(&id).await.unwrap().rev().clone();
                match n % 3 {
                    0 => {
                        fixture.save(&id, Some(&rev), json!({"n": 9_000 + n})).await.unwrap();
                    }
                    1 => {
                        let id = crate::support::doc_id(&id);
                        fixture.store.delete(&fixture.db, &id, &rev, soon()).await.unwrap();
                    }
                    _ => {
                        fixture.create(&format!("new{writer}-{n}"), json!({ "n": n })).await;
                    }
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    fixture.design("d", &[("v", BY_N)]).await;
    // A query waits until the view is complete.
    assert!(fixture.rows("d", "v").await.len() > 3_000);
    for writer in writers {
        writer.await.unwrap();
    }
    check_view(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_build_continues_after_reopening() {
    let fixture = filled(3_000).await;
    fixture.design("d", &[("v", BY_N)]).await;
    let fixture = fixture.reopen(quick());
    fixture.create("more", json!({"n": 1})).await;
    check_view(&fixture).await;
    let fixture = fixture.reopen(quick());
    check_view(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_map_replaces_a_running_build() {
    let fixture = filled(2_000).await;
    fixture.design("d", &[("v", TWICE)]).await;
    for map in [BY_N, TWICE, BY_N] {
        let rev = fixture.fetch("_design/d").await.unwrap().rev().clone();
        fixture.save("_design/d", Some(&rev), json!({"views": {"v": {"map": map}}})).await.unwrap();
    }
    check_view(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_design_document_keeps_its_unchanged_views() {
    let fixture = filled(500).await;
    fixture.design("d", &[("v", BY_N)]).await;
    check_view(&fixture).await;
    let rev = fixture.fetch("_design/d").await.unwrap().rev().clone();
    let slow = "function (doc) { while (true) {} }";
    let views = json!({"views": {"v": {"map": BY_N}, "slow": {"map": slow}}});
    fixture.save("_design/d", Some(&rev), views).await.unwrap();
    check_view(&fixture).await;
    let late = fixture.try_rows(ViewQuery::of("d", "slow"), in_ms(20)).await;
    assert!(matches!(late, Err(StoreError::DeadlineExceeded(_))), "{late:?}");
}

/// A reader gets an error, not half of the listing.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_fails_when_its_database_or_view_is_deleted() {
    for delete_db in [true, false] {
        let fixture = filled(2_500).await;
        fixture.design("d", &[("v", BY_N)]).await;
        let query = ViewQuery::of("d", "v");
        let mut rows = fixture.store.query(&fixture.db, query, soon()).await.unwrap();
        rows.next().await.unwrap().unwrap();
        if delete_db {
            fixture.store.delete_db(&fixture.db, soon()).await.unwrap();
        } else {
            let rev = fixture.fetch("_design/d").await.unwrap().rev().clone();
            fixture.save("_design/d", Some(&rev), json!({"views": {}})).await.unwrap();
        }
        let error = rows.try_collect::<Vec<_>>().await.unwrap_err();
        match error {
            StoreError::DatabaseMissing(_) => assert!(delete_db),
            StoreError::Unavailable(_) => assert!(!delete_db),
            other => panic!("{other:?}"),
        }
    }
}

/// The joined pages are the whole listing, for any page size and either direction.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_make_the_same_listing() {
    for (page_rows, page_bytes) in [(1, 1 << 20), (7, 1 << 20), (1_000, 100), (1_000, 1)] {
        let fixture = TestStore::with(Settings { page_rows, page_bytes, ..quick() }).await;
        fixture.design("d", &[("v", TWICE)]).await;
        let drafts = (0..40).map(|n| draft(&format!("d{n:02}"), None, json!({"n": n / 10}))).collect();
        fixture.store.save_many(&fixture.db, drafts, soon()).await.unwrap();
        let mut wanted: Vec<_> =
            (0..40).flat_map(|n| [1, 2].map(|m| format!("d{n:02} {} {m}", n / 10))).collect();
        assert_eq!(fixture.rows("d", "v").await, wanted);
        wanted.reverse();
        let query = ViewQuery { descending: true, ..ViewQuery::of("d", "v") };
        assert_eq!(fixture.try_rows(query.clone(), soon()).await.unwrap(), wanted);
        let query = ViewQuery { skip: 3, limit: Some(20), ..query };
        assert_eq!(fixture.try_rows(query, soon()).await.unwrap(), wanted[3..23]);
        let all = fixture.try_rows(ViewQuery::all_docs(), soon()).await.unwrap();
        assert_eq!(all.len(), 41);
    }
}

/// Deleted databases and views leave no rows in the file. Everything else stays.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_deleted_databases_and_views_are_removed_from_the_file() {
    let fixture = filled(3_000).await;
    fixture.design("d", &[("v", TWICE)]).await;
    assert_eq!(fixture.rows("d", "v").await.len(), 6_000);
    let rev = fixture.fetch("_design/d").await.unwrap().rev().clone();
    fixture.save("_design/d", Some(&rev), json!({"views": {"v": {"map": BY_N}}})).await.unwrap();
    check_view(&fixture).await;
    let other = datastore::DbName::parse("other").unwrap();
    fixture.store.create_db(&other, soon()).await.unwrap();
    let attached = json!({"_attachments": {"x": {"data": "aGVsbG8="}}});
    let drafts = (0..500).map(|n| draft(&format!("d{n}"), None, attached.clone())).collect();
    fixture.store.save_many(&other, drafts, soon()).await.unwrap();
    fixture.store.delete_db(&other, soon()).await.unwrap();

    let outside = rusqlite::Connection::open(&fixture.file).unwrap();
    let count = |table: &str| -> i64 {
        outside.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let deadline = soon();
    while count("garbage") > 0 {
        assert!(!deadline.is_over(), "{} pieces of garbage are left", count("garbage"));
        tokio::task::yield_now().await;
    }
    let left = ["db", "doc", "attachment", "view", "view_row"].map(count);
    assert_eq!(left, [1, 3_001, 0, 1, 3_000]);
    check_view(&fixture).await;
}
