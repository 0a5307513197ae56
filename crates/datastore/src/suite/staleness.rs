//! What a reader may see of writes. A store that remembers what it read shows own writes at once, and those of
//! another program as soon as it hears of them. A store that remembers nothing shows both at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::subject::{content, doc_id, draft, soon};
use super::{ParsedRow, Subject};
use crate::{Document, Result, Rev, StoreError, ViewQuery};

/// How long a store may take to hear of another program's write. It takes milliseconds, but tests share their
/// machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many writes a behaviour makes.
const WRITES: u64 = 100;

/// A view of each document's `n`.
async fn view_of_n(subject: &Subject) -> ViewQuery {
    subject.design("d", &[("n", "function(doc) { emit(null, doc.n); }")]).await;
    ViewQuery::of("d", "n")
}

/// Asks until the answer is yes.
macro_rules! wait_until {
    ($what:literal, $holds:expr) => {{
        let begun = Instant::now();
        while !$holds {
            assert!(begun.elapsed() < PATIENCE, "after {PATIENCE:?} still not so: {}", $what);
            sleep(Duration::from_millis(2)).await;
        }
    }};
}

/// Writes as another program does.
async fn save_elsewhere(subject: &Subject, id: &str, base: Option<&Rev>, body: Value) -> Rev {
    subject.elsewhere.save(&subject.db, draft(id, base, body), soon()).await.unwrap()
}

fn n_of(document: &Document) -> u64 {
    content(document)["n"].as_u64().unwrap()
}

fn values(rows: Vec<ParsedRow>) -> Vec<Value> {
    rows.into_iter().map(|row| row.value).collect()
}

/// The `n` of the only row.
async fn listed_n(subject: &Subject, view: &ViewQuery) -> u64 {
    subject.rows(view.clone()).await[0].value.as_u64().unwrap()
}

/// Each write is in every read after it, of the document and of the view.
pub async fn every_read_shows_the_own_writes_before_it(subject: Subject) {
    let view = view_of_n(&subject).await;
    let mut rev = subject.create("a", json!({"n": 0})).await;
    subject.settle().await;
    for n in 1..=WRITES {
        assert_eq!(n_of(&subject.fetch("a").await.unwrap()), n - 1);
        assert_eq!(listed_n(&subject, &view).await, n - 1);
        rev = subject.update("a", &rev, json!({"n": n})).await;
        let document = subject.fetch("a").await.unwrap();
        assert_eq!((document.rev(), n_of(&document)), (&rev, n));
        assert_eq!(listed_n(&subject, &view).await, n);
    }
    subject.delete("a", &rev).await.unwrap();
    assert!(matches!(subject.fetch("a").await, Err(StoreError::Deleted(_))));
    assert!(subject.rows(view).await.is_empty());
}

/// Readers that fill the memory all the time do not bring back what a write has replaced, and none of them goes
/// back in time.
pub async fn no_reader_goes_back_in_time(subject: Subject) {
    let view = view_of_n(&subject).await;
    let mut rev = subject.create("a", json!({"n": 0})).await;
    subject.settle().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let readers = (0..4).map(|_| {
        let (subject, view, is_over) = (subject.clone(), view.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            let (mut fetched, mut listed) = (0, 0);
            while !is_over.load(Ordering::Acquire) {
                let n = n_of(&subject.fetch("a").await.unwrap());
                assert!(n >= fetched, "a reader saw {n} after {fetched}");
                fetched = n;
                let n = listed_n(&subject, &view).await;
                assert!(n >= listed, "a reader saw {n} in the view after {listed}");
                listed = n;
                // What is remembered is read without a pause.
                yield_now().await;
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for n in 1..=WRITES {
        rev = subject.update("a", &rev, json!({"n": n})).await;
        assert_eq!(n_of(&subject.fetch("a").await.unwrap()), n);
        assert_eq!(listed_n(&subject, &view).await, n);
    }
    is_over.store(true, Ordering::Release);
    for reader in join_all(readers).await {
        reader.unwrap();
    }
}

/// A document that another program creates, changes and deletes.
pub async fn writes_of_another_program_are_seen_soon(subject: Subject) {
    let view = view_of_n(&subject).await;
    subject.settle().await;
    assert!(subject.fetch("a").await.unwrap_err().is_not_found());
    assert!(subject.rows(view.clone()).await.is_empty());
    let mut rev = save_elsewhere(&subject, "a", None, json!({"n": 0})).await;
    wait_until!("the new document is seen", subject.fetch("a").await.is_ok());
    wait_until!("the new row is seen", !subject.rows(view.clone()).await.is_empty());
    for n in 1..=20 {
        rev = save_elsewhere(&subject, "a", Some(&rev), json!({"n": n})).await;
        wait_until!("the change is seen", n_of(&subject.fetch("a").await.unwrap()) == n);
        wait_until!("the changed row is seen", listed_n(&subject, &view).await == n);
    }
    subject.elsewhere.delete(&subject.db, &doc_id("a"), &rev, soon()).await.unwrap();
    wait_until!("the deletion is seen", subject.fetch("a").await.is_err());
    wait_until!("the missing row is seen", subject.rows(view.clone()).await.is_empty());
}

/// Two programs write in turn. In the end both see the same.
pub async fn two_programs_agree_in_the_end(subject: Subject) {
    let view = view_of_n(&subject).await;
    for id in ["a", "b", "c"] {
        subject.create(id, json!({"n": 0})).await;
    }
    subject.settle().await;
    let elsewhere = subject.in_another_program();
    let writers = [&subject, &elsewhere].map(|writer| {
        let writer = writer.clone();
        tokio::spawn(async move {
            for n in 0..WRITES {
                let id = ["a", "b", "c"][usize::try_from(n % 3).unwrap()];
                let base = writer.fetch(id).await.unwrap();
                let body = json!({"n": n_of(&base) + 1});
                match writer.try_save(id, Some(base.rev()), body).await {
                    Ok(rev) => {
                        let seen = writer.fetch(id).await.unwrap();
                        assert!(seen.rev().generation() >= rev.generation(), "an own write is not seen");
                    }
                    Err(error) => assert!(error.is_conflict(), "{error:?}"),
                }
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    for id in ["a", "b", "c"] {
        let truth = elsewhere.fetch(id).await.unwrap();
        wait_until!(
            "both programs see the same document",
            subject.fetch(id).await.unwrap().rev() == truth.rev()
        );
    }
    let truth = values(elsewhere.rows(view.clone()).await);
    wait_until!("both programs see the same rows", values(subject.rows(view.clone()).await) == truth);
}

/// Another program deletes the database and makes it anew.
pub async fn a_database_made_anew_by_another_program_is_seen_soon(subject: Subject) {
    let view = view_of_n(&subject).await;
    subject.create("a", json!({"n": 1})).await;
    subject.settle().await;
    assert_eq!(n_of(&subject.fetch("a").await.unwrap()), 1);
    assert_eq!(listed_n(&subject, &view).await, 1);
    subject.elsewhere.delete_db(&subject.db, soon()).await.unwrap();
    subject.elsewhere.create_db(&subject.db, soon()).await.unwrap();
    wait_until!("the old document is gone", subject.fetch("a").await.is_err());
    wait_until!("the old view is gone", subject.try_rows(view.clone()).await.is_err());
    save_elsewhere(&subject, "a", None, json!({"n": 2})).await;
    wait_until!(
        "the new document is seen",
        matches!(subject.fetch("a").await, Ok(document) if n_of(&document) == 2)
    );
}

/// Another program changes the view.
pub async fn a_view_changed_by_another_program_is_seen_soon(subject: Subject) {
    let view = view_of_n(&subject).await;
    subject.create("a", json!({"n": 1})).await;
    subject.settle().await;
    assert_eq!(listed_n(&subject, &view).await, 1);
    let design = subject.elsewhere.fetch(&subject.db, &doc_id("_design/d"), soon()).await.unwrap();
    let mut body = content(&design);
    body["views"]["n"]["map"] = json!("function(doc) { emit(null, doc.n + 1); }");
    save_elsewhere(&subject, "_design/d", Some(design.rev()), body).await;
    wait_until!("the new view is seen", listed_n(&subject, &view).await == 2);
}

/// A caller that keeps what it read asks for the epoch first, and knows when its value has become old.
pub async fn an_epoch_ends_with_every_change(subject: Subject) {
    let mut rev = subject.create("a", json!({"n": 0})).await;
    subject.settle().await;
    for n in 1..=20 {
        let epoch = subject.store.epoch(&subject.db);
        rev = subject.update("a", &rev, json!({"n": n})).await;
        assert!(epoch.is_none_or(|epoch| !epoch.is_current()), "an own write did not end the epoch");
    }
    let Some(epoch) = subject.store.epoch(&subject.db) else { return };
    save_elsewhere(&subject, "a", Some(&rev), json!({"n": 0})).await;
    wait_until!("another program's write ends the epoch", !epoch.is_current());
}

impl Subject {
    /// Waits until the store remembers what it reads, if it does that at all.
    async fn settle(&self) {
        if !self.remembers {
            return;
        }
        wait_until!("the database is watched", {
            let _: Result<Document> = self.fetch("a").await;
            self.store.epoch(&self.db).is_some()
        });
    }
}
