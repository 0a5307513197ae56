//! The changes feed. The order of changes to different documents is not tested, because a sharded store
//! promises none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Subject;
use super::subject::{content, soon};
use crate::{Change, ChangesQuery, Feed, Result, Since, StoreError};

/// How long a feed may take to return a change.
const FEED_TIMEOUT: Duration = Duration::from_secs(30);

async fn try_changes(subject: &Subject, query: ChangesQuery) -> Result<Vec<Change>> {
    let feed = subject.store.changes(&subject.db, query);
    timeout(FEED_TIMEOUT, feed.try_collect()).await.expect("the feed ends in time")
}

async fn changes(subject: &Subject, query: ChangesQuery) -> Vec<Change> {
    try_changes(subject, query).await.unwrap()
}

fn since(change: &Change) -> ChangesQuery {
    ChangesQuery { since: Since::Seq(change.seq.clone()), ..ChangesQuery::default() }
}

fn ids(changes: &[Change]) -> Vec<&str> {
    let mut ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

/// Each document has one change with its newest revision, also if it is deleted.
pub async fn a_feed_lists_every_document_once(subject: Subject) {
    assert!(changes(&subject, ChangesQuery::default()).await.is_empty());
    let rev_a = subject.create("a", json!({})).await;
    let rev_b = subject.create("b", json!({})).await;
    let rev_c = subject.create("c", json!({})).await;
    let rev_a = subject.update("a", &rev_a, json!({"n": 2})).await;
    let rev_b = subject.delete("b", &rev_b).await.unwrap();
    let seen = changes(&subject, ChangesQuery::default()).await;
    assert!(seen.iter().all(|change| change.doc.is_none()));
    let mut told: Vec<_> =
        seen.into_iter().map(|change| (change.id.as_str().to_owned(), change.rev, change.deleted)).collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    let wanted = [("a", rev_a, false), ("b", rev_b, true), ("c", rev_c, false)];
    assert_eq!(told, wanted.map(|(id, rev, deleted)| (id.to_owned(), rev, deleted)));
}

/// A feed from the last sequence returns every later change and no earlier one.
pub async fn a_feed_resumes_after_a_sequence(subject: Subject) {
    for n in 0..20 {
        subject.create(&format!("a{n:02}"), json!({})).await;
    }
    let seen = changes(&subject, ChangesQuery::default()).await;
    assert_eq!(seen.len(), 20);
    let last = seen.last().unwrap();
    assert!(changes(&subject, since(last)).await.is_empty());
    let rev = subject.fetch("a07").await.unwrap().rev().clone();
    subject.update("a07", &rev, json!({"n": 2})).await;
    subject.create("b", json!({})).await;
    let next = changes(&subject, since(last)).await;
    assert_eq!(ids(&next), ["a07", "b"]);
    assert!(changes(&subject, since(next.last().unwrap())).await.is_empty());
}

/// The next feed returns the rest. A limit ends a continuous feed too.
pub async fn a_limit_ends_the_feed(subject: Subject) {
    let wanted: BTreeSet<String> = (0..25).map(|n| format!("d{n:02}")).collect();
    for id in &wanted {
        subject.create(id, json!({})).await;
    }
    let mut seen = Vec::new();
    let mut query = ChangesQuery { limit: Some(10), ..ChangesQuery::default() };
    loop {
        let page = changes(&subject, query.clone()).await;
        assert!(page.len() <= 10);
        let Some(last) = page.last() else { break };
        query.since = Since::Seq(last.seq.clone());
        seen.extend(page.into_iter().map(|change| change.id.as_str().to_owned()));
    }
    assert_eq!(seen.len(), 25, "{seen:?}");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), wanted);
    let query = ChangesQuery { limit: Some(5), feed: Feed::Continuous, ..ChangesQuery::default() };
    assert_eq!(changes(&subject, query).await.len(), 5);
}

/// The document has its newest content.
pub async fn include_docs_adds_documents_to_changes(subject: Subject) {
    let rev = subject.create("a", json!({"n": 1})).await;
    let rev = subject.update("a", &rev, json!({"n": 2})).await;
    let seen = changes(&subject, ChangesQuery { include_docs: true, ..ChangesQuery::default() }).await;
    let doc = seen[0].doc.as_ref().unwrap();
    assert_eq!((seen.len(), doc.rev(), content(doc)), (1, &rev, json!({"n": 2})));
}

/// A normal feed from now is empty.
pub async fn a_feed_from_now_skips_earlier_changes(subject: Subject) {
    subject.create("a", json!({})).await;
    let query = ChangesQuery { since: Since::Now, ..ChangesQuery::default() };
    assert!(changes(&subject, query).await.is_empty());
}

/// A longpoll waits only if there are no changes yet.
pub async fn a_longpoll_with_changes_answers_at_once(subject: Subject) {
    subject.create("a", json!({})).await;
    subject.create("b", json!({})).await;
    let seen = changes(&subject, ChangesQuery { feed: Feed::Longpoll, ..ChangesQuery::default() }).await;
    assert_eq!(ids(&seen), ["a", "b"]);
}

/// The write may come before or after the feed starts to wait.
pub async fn a_longpoll_wakes_on_a_write(subject: Subject) {
    subject.create("a", json!({})).await;
    let last = changes(&subject, ChangesQuery::default()).await.pop().unwrap();
    let query = ChangesQuery { feed: Feed::Longpoll, ..since(&last) };
    let waiting = tokio::spawn({
        let subject = subject.clone();
        async move { changes(&subject, query).await }
    });
    tokio::task::yield_now().await;
    let rev = subject.create("b", json!({})).await;
    let seen = waiting.await.unwrap();
    assert_eq!((ids(&seen), &seen[0].rev), (vec!["b"], &rev));
}

/// The feed returns every create, update and delete after its start.
pub async fn a_continuous_feed_sees_live_writes(subject: Subject) {
    subject.create("before", json!({})).await;
    let (told, mut heard) = mpsc::unbounded_channel();
    let reader = tokio::spawn({
        let subject = subject.clone();
        async move {
            let query = ChangesQuery {
                since: Since::Now,
                feed: Feed::Continuous,
                heartbeat: Some(Duration::from_secs(1)),
                ..ChangesQuery::default()
            };
            let mut feed = subject.store.changes(&subject.db, query);
            while let Some(change) = feed.next().await {
                told.send(change.unwrap()).unwrap();
            }
        }
    });
    // Only the feed knows when it starts, so write until it returns a change.
    let mut beats = 0;
    let first = loop {
        subject.create(&format!("beat{beats:04}"), json!({})).await;
        beats += 1;
        if let Ok(change) = timeout(Duration::from_millis(100), heard.recv()).await {
            break change.expect("the feed goes on");
        }
        assert!(beats < 300, "the feed returns nothing");
    };
    assert!(first.id.as_str().starts_with("beat"), "{first:?}");

    let created = subject.create("one", json!({})).await;
    let mut next = async |id: &str| loop {
        let change = timeout(FEED_TIMEOUT, heard.recv()).await.expect("a change in time").expect("no end");
        if !change.id.as_str().starts_with("beat") {
            assert_eq!(change.id.as_str(), id);
            return change;
        }
    };
    assert_eq!(next("one").await.rev, created);
    let updated = subject.update("one", &created, json!({"n": 2})).await;
    assert_eq!(next("one").await.rev, updated);
    let tombstone = subject.delete("one", &updated).await.unwrap();
    let change = next("one").await;
    assert_eq!((change.rev, change.deleted), (tombstone, true));

    let mut wanted = BTreeMap::new();
    for n in 0..50 {
        let id = format!("many{n:02}");
        wanted.insert(id.clone(), subject.create(&id, json!({})).await);
    }
    let mut seen = BTreeMap::new();
    while seen.len() < wanted.len() {
        let change = timeout(FEED_TIMEOUT, heard.recv()).await.expect("a change in time").expect("no end");
        assert!(seen.insert(change.id.as_str().to_owned(), change.rev).is_none(), "told twice");
    }
    assert_eq!(seen, wanted);
    reader.abort();
}

/// Waiting feeds fail too, because a retry cannot help.
pub async fn a_feed_of_a_missing_database_fails(subject: Subject) {
    let missing = subject.in_db(subject.other_db("nowhere"));
    for feed in [Feed::Normal, Feed::Longpoll, Feed::Continuous] {
        let error =
            try_changes(&missing, ChangesQuery { feed, ..ChangesQuery::default() }).await.unwrap_err();
        assert!(matches!(error, StoreError::DatabaseMissing(_)), "{error:?}");
    }
}

/// A feed does not wait for a deleted database.
pub async fn deleting_a_database_ends_its_feeds(subject: Subject) {
    subject.create("a", json!({})).await;
    let query = ChangesQuery {
        feed: Feed::Continuous,
        heartbeat: Some(Duration::from_secs(1)),
        ..ChangesQuery::default()
    };
    let mut feed = subject.store.changes(&subject.db, query);
    let first = timeout(FEED_TIMEOUT, feed.next()).await.expect("a change in time").unwrap().unwrap();
    assert_eq!(first.id.as_str(), "a");
    subject.store.delete_db(&subject.db, soon()).await.unwrap();
    let rest: Vec<Result<Change>> = timeout(FEED_TIMEOUT, feed.collect()).await.expect("the feed ends");
    assert!(matches!(rest.as_slice(), [Err(StoreError::DatabaseMissing(_))]), "{rest:?}");
}

/// The newest sequence of an empty database is a place to begin, too.
pub async fn a_feed_from_the_newest_sequence_returns_later_writes(subject: Subject) {
    for id in ["a", "b"] {
        let newest = subject.store.newest_seq(&subject.db, soon()).await.unwrap();
        let query = ChangesQuery { since: Since::Seq(newest), ..ChangesQuery::default() };
        assert!(changes(&subject, query.clone()).await.is_empty());
        subject.create(id, json!({})).await;
        assert_eq!(ids(&changes(&subject, query).await), [id]);
    }
}
