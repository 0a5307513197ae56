//! Memory: a store asks its caller for room before it reads something large.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::{self, BoxFuture};
use futures::{FutureExt as _, StreamExt as _};
use serde_json::json;

use super::Subject;
use super::subject::{doc_id, soon};
use crate::{Cause, Meter, Result, Room, SMALL, StoreError, ViewQuery};

const LARGE: usize = 3_000_000;

/// A room for so many bytes. It notes what was asked for.
struct Limited {
    most: AtomicUsize,
    asked: Mutex<Vec<usize>>,
}

impl Limited {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: AtomicUsize::new(most), asked: Mutex::default() })
    }

    fn meter(self: &Arc<Self>) -> Meter {
        let room: Arc<dyn Room> = Arc::<Self>::clone(self);
        Meter::of(room)
    }

    fn most_asked(&self) -> usize {
        self.asked.lock().unwrap().iter().copied().max().unwrap_or(0)
    }
}

impl Room for Limited {
    fn try_hold(&self, bytes: usize) -> bool {
        self.asked.lock().unwrap().push(bytes);
        bytes <= self.most.load(Ordering::Relaxed)
    }

    fn hold(&self, bytes: usize) -> BoxFuture<'_, Result<()>> {
        let held = self.try_hold(bytes);
        future::ready(if held { Ok(()) } else { Err(StoreError::Busy(Cause::new("no room"))) }).boxed()
    }
}

/// One large document among small ones.
async fn create_some(subject: &Subject) {
    for id in ["a", "c"] {
        subject.create(id, json!({"text": "x".repeat(100)})).await;
    }
    subject.create("b", json!({"text": "x".repeat(LARGE)})).await;
}

/// The store knows how much it is before it reads it.
pub async fn a_large_document_is_read_only_if_there_is_room(subject: Subject) {
    create_some(&subject).await;
    // Past a memory, which reads nothing.
    let subject = subject.in_another_program();
    let without = Limited::new(SMALL);
    without.meter().scope(subject.fetch("a")).await.unwrap();
    assert_eq!(without.most_asked(), 0);
    let refused = without.meter().scope(subject.fetch("b")).await;
    assert!(refused.as_ref().is_err_and(StoreError::is_busy), "{refused:?}");
    let (ids, roomy) = (["a", "b"].map(doc_id), Limited::new(LARGE + 1_000));
    let read = roomy.meter().scope(subject.fetch("b")).await.unwrap();
    assert!(roomy.most_asked() >= read.text().len());
    let docs = without.meter().scope(subject.store.fetch_many(&subject.db, &ids, soon())).await;
    let refused = docs.and_then(|docs| docs.into_iter().find_map(Result::err).map_or(Ok(()), Err));
    assert!(refused.is_err_and(|error| error.is_busy()));
}

/// The rows before it are returned without room for it.
pub async fn a_large_row_is_read_only_if_there_is_room(subject: Subject) {
    create_some(&subject).await;
    let subject = subject.in_another_program();
    let query = || ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
    let without = Limited::new(SMALL);
    let rows = without.meter().scope(subject.store.query(&subject.db, query(), soon())).await;
    // The stream takes the meter along.
    let mut rows = rows.unwrap();
    assert_eq!(rows.next().await.unwrap().unwrap().id.as_str(), "a");
    // The room comes while the stream waits for it.
    let makes_room = async {
        while without.most_asked() < LARGE / 100 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        without.most.store(3 * LARGE, Ordering::Relaxed);
    };
    let (row, ()) = futures::join!(rows.next(), makes_room);
    assert_eq!(row.unwrap().unwrap().id.as_str(), "b");
    assert!(without.most_asked() >= LARGE);
    assert_eq!(rows.next().await.unwrap().unwrap().id.as_str(), "c");
    assert!(rows.next().await.is_none());
}

/// A page that grows large through many rows asks too.
pub async fn many_rows_are_read_only_as_far_as_there_is_room(subject: Subject) {
    for number in 0..20 {
        subject.create(&format!("{number:02}"), json!({"text": "x".repeat(10_000)})).await;
    }
    let subject = subject.in_another_program();
    for most in [SMALL, 2 * SMALL, 100 * SMALL] {
        let room = Limited::new(most);
        let query = ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
        let ids = room.meter().scope(subject.ids(query)).await;
        assert_eq!(ids.len(), 20);
        let granted = room.asked.lock().unwrap().iter().copied().filter(|asked| *asked <= most).max();
        assert!(granted.unwrap_or(0) <= most);
    }
}
