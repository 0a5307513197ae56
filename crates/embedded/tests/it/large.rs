//! Documents with many rows: the rows are written and removed in parts, and yet appear and disappear at
//! once.

use datastore::{Databases, DbName, Store, StoreError, ViewQuery};
use embedded::{Durability, Settings};
use futures::{StreamExt, TryStreamExt};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{TestStore, doc_id, draft, soon};

/// A row for each number below `doc.rows`, all with the same value.
const SAME: &str = "function (doc) { for (var i = 0; i < doc.rows; i++) { emit(i, {text: doc.text}); } }";
/// The same keys with a value each.
const OWN: &str = "function (doc) { for (var i = 0; i < doc.rows; i++) { emit(i, [doc.text, i]); } }";

const ROWS: usize = 2_500;

fn quick() -> Settings {
    Settings { durability: Durability::Normal, ..Settings::default() }
}

async fn place() -> TestStore {
    let fixture = TestStore::with(quick()).await;
    fixture.design("d", &[("same", SAME), ("own", OWN)]).await;
    fixture
}

fn body(rows: usize, text: &str, other: u32) -> Value {
    json!({"rows": rows, "text": text, "other": other})
}

async fn check_rows(fixture: &TestStore, docs: &[(&str, usize, &str)]) {
    let wanted = |value: fn(&str, usize) -> String| {
        let mut rows: Vec<(usize, &str, String)> = docs
            .iter()
            .flat_map(|(id, rows, text)| {
                (0..*rows).map(move |n| (n, *id, format!("{id} {n} {}", value(text, n))))
            })
            .collect();
        rows.sort();
        rows.into_iter().map(|(.., row)| row).collect::<Vec<_>>()
    };
    assert!(fixture.rows("d", "same").await == wanted(|text, _| format!(r#"{{"text":"{text}"}}"#)));
    assert!(fixture.rows("d", "own").await == wanted(|text, n| format!(r#"["{text}",{n}]"#)));
}

/// Waits until the file holds this many rows and emissions, those that cannot be seen included.
async fn wait_for(fixture: &TestStore, rows: usize, emissions: usize) {
    let (rows, emissions) = (i64::try_from(rows).unwrap(), i64::try_from(emissions).unwrap());
    let file = Connection::open(&fixture.file).unwrap();
    let count = |table: &str| -> i64 {
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let deadline = soon();
    while (count("view_row"), count("emission")) != (rows, emissions) {
        let there = (count("view_row"), count("emission"));
        assert!(!deadline.is_over(), "{there:?} rows and emissions, not {:?}", (rows, emissions));
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_are_replaced_at_once_and_removed_later() {
    let fixture = place().await;
    let rev = fixture.create("a", body(ROWS, "first", 0)).await;
    fixture.create("b", body(3, "small", 0)).await;
    check_rows(&fixture, &[("a", ROWS, "first"), ("b", 3, "small")]).await;
    wait_for(&fixture, 2 * ROWS + 6, 2).await;
    let rev = fixture.save("a", Some(&rev), body(ROWS - 1, "second", 0)).await.unwrap();
    check_rows(&fixture, &[("a", ROWS - 1, "second"), ("b", 3, "small")]).await;
    wait_for(&fixture, 2 * ROWS + 4, 2).await;

    let fixture = fixture.reopen(quick());
    check_rows(&fixture, &[("a", ROWS - 1, "second"), ("b", 3, "small")]).await;
    let rev = fixture.save("a", Some(&rev), body(2, "few", 0)).await.unwrap();
    check_rows(&fixture, &[("a", 2, "few"), ("b", 3, "small")]).await;
    wait_for(&fixture, 10, 0).await;
    let rev = fixture.save("a", Some(&rev), body(ROWS, "third", 0)).await.unwrap();
    fixture.store.delete(&fixture.db, &doc_id("a"), &rev, soon()).await.unwrap();
    check_rows(&fixture, &[("b", 3, "small")]).await;
    wait_for(&fixture, 6, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_rows_are_not_written_again() {
    let fixture = place().await;
    let emissions = || -> Vec<i64> {
        let file = Connection::open(&fixture.file).unwrap();
        let mut statement = file.prepare("SELECT emission FROM emission WHERE live = 1").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let rev = fixture.create("a", body(ROWS, "x", 0)).await;
    let before = emissions();
    let rev = fixture.save("a", Some(&rev), body(ROWS, "x", 1)).await.unwrap();
    assert_eq!(emissions(), before);
    fixture.save("a", Some(&rev), body(ROWS, "y", 1)).await.unwrap();
    assert!(before.iter().all(|old| !emissions().contains(old)));
    check_rows(&fixture, &[("a", ROWS, "y")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_leaves_no_rows() {
    let fixture = place().await;
    let rev = fixture.create("a", body(ROWS, "first", 0)).await;
    // Both are based on the same revision, and prepare their rows at the same time.
    let (one, other) = tokio::join!(
        fixture.save("a", Some(&rev), body(ROWS, "one", 0)),
        fixture.save("a", Some(&rev), body(ROWS, "other", 0)),
    );
    let text = match (one, other) {
        (Ok(_), Err(StoreError::Conflict(_))) => "one",
        (Err(StoreError::Conflict(_)), Ok(_)) => "other",
        neither => panic!("{neither:?}"),
    };
    check_rows(&fixture, &[("a", ROWS, text)]).await;
    wait_for(&fixture, 2 * ROWS, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_view_gets_the_many_rows_of_older_documents() {
    let fixture = TestStore::with(quick()).await;
    fixture.create("a", body(ROWS, "x", 0)).await;
    fixture.create("b", body(2, "y", 0)).await;
    fixture.design("d", &[("same", SAME), ("own", OWN)]).await;
    check_rows(&fixture, &[("a", ROWS, "x"), ("b", 2, "y")]).await;
    wait_for(&fixture, 2 * ROWS + 4, 2).await;
    let rev = fixture.fetch("_design/d").await.unwrap().rev().clone();
    fixture.save("_design/d", Some(&rev), json!({"views": {}})).await.unwrap();
    wait_for(&fixture, 0, 0).await;
}

/// A killed process leaves rows that were to be shown later.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_an_unfinished_write_are_invisible_and_removed() {
    let fixture = place().await;
    fixture.create("a", body(1, "x", 0)).await;
    let TestStore { store, db, file, _folder } = fixture;
    drop(store);
    let outside = Connection::open(&file).unwrap();
    outside
        .execute_batch(
            "INSERT INTO emission (emission, view, id, live, value) SELECT view, view, 'a', 0, '1' FROM view;
             INSERT INTO view_row (view, sort, id, key, value, emission)
                 SELECT view, CAST(sort || x'00' AS BLOB), id, key, '', view FROM view_row;",
        )
        .unwrap();
    drop(outside);
    let store = embedded::Embedded::open(&file, quick()).unwrap();
    let fixture = TestStore { store, db, file, _folder };
    check_rows(&fixture, &[("a", 1, "x")]).await;
    wait_for(&fixture, 2, 0).await;
}

/// A document that is replaced while it is listed shows each of its keys once.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_shows_each_row_once_while_its_document_is_replaced() {
    for descending in [false, true] {
        let fixture = TestStore::with(Settings { page_rows: 100, ..quick() }).await;
        fixture.design("d", &[("same", SAME)]).await;
        let mut rev = fixture.create("a", body(ROWS, "0", 0)).await;
        let query = ViewQuery { descending, ..ViewQuery::of("d", "same") };
        let mut rows = fixture.store.query(&fixture.db, query, soon()).await.unwrap();
        let mut keys = Vec::new();
        let mut texts = std::collections::BTreeSet::new();
        while let Some(row) = rows.next().await {
            let row = row.unwrap();
            texts.insert(row.value.get().to_owned());
            keys.push(row.key.get().parse::<usize>().unwrap());
            if keys.len() % 1_000 == 150 {
                rev = fixture.save("a", Some(&rev), body(ROWS, &keys.len().to_string(), 0)).await.unwrap();
            }
            if keys.len() == 1_700 {
                // Few rows now, and without an emission.
                rev = fixture.save("a", Some(&rev), body(ROWS / 5, "few", 0)).await.unwrap();
                rev = fixture.save("a", Some(&rev), body(ROWS, "again", 0)).await.unwrap();
            }
        }
        let mut wanted: Vec<_> = (0..ROWS).collect();
        if descending {
            wanted.reverse();
        }
        assert!(keys == wanted, "{} keys, descending: {descending}", keys.len());
        assert!(texts.len() > 3, "{texts:?}");
    }
}

/// One database's many dear writes do not hold up another's, and a view that goes away does not either.
#[tokio::test(flavor = "multi_thread")]
async fn views_can_change_while_many_rows_are_written() {
    let fixture = std::sync::Arc::new(place().await);
    let writes = (0..6).map(|n| {
        let fixture = std::sync::Arc::clone(&fixture);
        tokio::spawn(async move { fixture.create(&format!("d{n}"), body(ROWS, "x", n)).await })
    });
    let writes: Vec<_> = writes.collect();
    for map in [OWN, SAME, OWN] {
        let rev = fixture.fetch("_design/d").await.unwrap().rev().clone();
        let views = json!({"views": {"same": {"map": SAME}, "own": {"map": OWN}, "third": {"map": map}}});
        fixture.save("_design/d", Some(&rev), views).await.unwrap();
        let rev = fixture.fetch("_design/d").await.unwrap().rev().clone();
        let views = json!({"views": {"same": {"map": SAME}, "own": {"map": OWN}}});
        fixture.save("_design/d", Some(&rev), views).await.unwrap();
    }
    for write in writes {
        write.await.unwrap();
    }
    let docs: Vec<_> = (0..6).map(|n| format!("d{n}")).collect();
    let docs: Vec<_> = docs.iter().map(|id| (id.as_str(), ROWS, "x")).collect();
    check_rows(&fixture, &docs).await;
    wait_for(&fixture, 12 * ROWS, 12).await;
    let other = DbName::parse("other").unwrap();
    fixture.store.create_db(&other, soon()).await.unwrap();
    fixture.store.save(&other, draft("a", None, json!({})), soon()).await.unwrap();
    fixture.store.delete_db(&fixture.db, soon()).await.unwrap();
    wait_for(&fixture, 0, 0).await;
    let all = fixture.store.query(&other, ViewQuery::all_docs(), soon()).await.unwrap();
    assert_eq!(all.try_collect::<Vec<_>>().await.unwrap().len(), 1);
}
