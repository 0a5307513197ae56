//! The order of notices, what gives way when the queue is full, and what becomes of notices that come back.

use std::sync::Arc;
use std::time::Duration;

use datastore::{DbName, DocId, Rev};
use serde_json::Map;
use tokio::sync::mpsc;
use tokio::time::advance;

use super::{Hold, Queue, Sending};
use crate::notice::{DocKey, Event, Facts, Notice};
use crate::subscribers::RETURNED_PATIENCE;
use crate::waiting::Sent;

const LARGE: usize = 1_000_000;

fn queue_of(bytes: usize) -> Arc<Queue> {
    Queue::new(bytes, RETURNED_PATIENCE)
}

fn key(id: &str) -> Arc<DocKey> {
    let db = DbName::parse("account/11/11/2222333344445555666677778888").unwrap();
    Arc::new(DocKey { db, id: DocId::parse(id).unwrap() })
}

fn notice(id: &str, generation: u64) -> (Arc<DocKey>, Notice) {
    let (key, rev) = (key(id), Rev::parse(&format!("{generation}-abc")).unwrap());
    let notice = Notice::new(&key, rev, Event::Edited, &Facts::of(&Map::new()));
    (key, notice)
}

fn hold() -> Hold {
    Hold::Other(mpsc::channel(1).0)
}

fn push(queue: &Arc<Queue>, id: &str, generation: u64) {
    let (key, notice) = notice(id, generation);
    drop(queue.push(key, notice, hold()));
}

/// The id and the generation of a notice that is being sent.
fn name(sending: &Sending) -> (String, u64) {
    let (key, notice) = sending.notice().unwrap();
    (key.id.as_str().to_owned(), notice.generation())
}

/// Takes and delivers all that may be sent, and names it.
fn deliver_all(queue: &Arc<Queue>) -> Vec<(String, u64)> {
    let mut names = Vec::new();
    while let Some(sending) = queue.try_next() {
        names.push(name(&sending));
        sending.end(Sent::Delivered);
    }
    names
}

fn named(names: &[(&str, u64)]) -> Vec<(String, u64)> {
    names.iter().map(|(id, generation)| ((*id).to_owned(), *generation)).collect()
}

#[tokio::test]
async fn documents_take_turns_and_each_is_in_order() {
    let queue = queue_of(LARGE);
    for (id, generation) in [("a", 1), ("b", 5), ("a", 3), ("a", 2)] {
        push(&queue, id, generation);
    }
    let first = queue.next().await;
    let second = queue.try_next().unwrap();
    assert_eq!([name(&first), name(&second)], [("a".to_owned(), 1), ("b".to_owned(), 5)]);
    assert!(queue.try_next().is_none(), "one notice of a document at a time");
    assert_eq!(queue.counts().waiting, 4);
    first.end(Sent::Delivered);
    second.end(Sent::Delivered);
    assert_eq!(deliver_all(&queue), named(&[("a", 2), ("a", 3)]));
    let counts = queue.counts();
    assert_eq!((counts.waiting, counts.waiting_bytes, counts.sent), (0, 0, 4));
    assert!(queue.lock().is_blank());
}

#[tokio::test]
async fn a_notice_waits_for_the_writes_that_may_have_been_earlier() {
    let queue = queue_of(LARGE);
    let (earlier, later) = (queue.open(key("a")), queue.open(key("a")));
    push(&queue, "a", 3);
    drop(later);
    push(&queue, "b", 1);
    assert_eq!(deliver_all(&queue), named(&[("b", 1)]));
    push(&queue, "a", 2);
    // A write that begins now is a later one.
    let newest = queue.open(key("a"));
    drop(earlier);
    assert_eq!(deliver_all(&queue), named(&[("a", 2), ("a", 3)]));
    drop(newest);
    assert!(queue.lock().is_blank());
}

#[tokio::test]
async fn a_notice_that_was_not_delivered_is_sent_again_first() {
    let queue = queue_of(LARGE);
    push(&queue, "a", 1);
    let sending = queue.next().await;
    push(&queue, "a", 2);
    drop(sending);
    assert_eq!(queue.counts().waiting, 2);
    assert_eq!(deliver_all(&queue), named(&[("a", 1), ("a", 2)]));
}

#[tokio::test]
async fn older_notices_of_a_document_give_way_first() {
    let bytes = {
        let queue = queue_of(LARGE);
        push(&queue, "a", 1);
        usize::try_from(queue.counts().waiting_bytes).unwrap()
    };
    let queue = queue_of(bytes * 4);
    for (id, generation) in [("z", 1), ("a", 1), ("a", 2), ("a", 3), ("b", 1)] {
        push(&queue, id, generation);
    }
    assert_eq!(queue.counts().dropped, 1);
    push(&queue, "c", 1);
    assert_eq!(queue.counts().dropped, 2);
    // All that is left is the newest of its document, so the oldest goes.
    push(&queue, "d", 1);
    let counts = queue.counts();
    assert_eq!((counts.dropped, counts.waiting), (3, 4));
    assert_eq!(deliver_all(&queue), named(&[("a", 3), ("b", 1), ("c", 1), ("d", 1)]));
    assert_eq!(queue.counts().waiting_bytes, 0);
    assert!(queue.lock().is_blank());
}

#[tokio::test]
async fn a_notice_that_is_being_sent_does_not_give_way() {
    let queue = queue_of(1);
    push(&queue, "a", 1);
    assert_eq!(queue.counts().dropped, 1);
    let queue = queue_of(800);
    push(&queue, "a", 1);
    let sending = queue.next().await;
    push(&queue, "a", 2);
    assert_eq!((queue.counts().dropped, queue.counts().waiting), (1, 1));
    sending.end(Sent::Delivered);
    assert_eq!(queue.counts().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_comes_back_is_sent_for_a_minute() {
    let queue = queue_of(LARGE);
    push(&queue, "a", 1);
    push(&queue, "a", 2);
    let mut tries = 0;
    let began = tokio::time::Instant::now();
    while queue.counts().dropped == 0 {
        let sending = queue.next().await;
        assert_eq!(name(&sending).1, 1);
        sending.end(Sent::Returned);
        tries += 1;
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(60) && took < Duration::from_secs(80), "{took:?}");
    assert!((5..=10).contains(&tries), "{tries}");
    // The next one is tried once more, and nobody takes it either.
    queue.next().await.end(Sent::Returned);
    let counts = queue.counts();
    assert_eq!((counts.dropped, counts.waiting, counts.returned), (2, 0, tries + 1));
    // A document that was forgotten begins anew.
    push(&queue, "a", 3);
    queue.next().await.end(Sent::Returned);
    assert_eq!(queue.counts().waiting, 1);
    advance(Duration::from_secs(2)).await;
    assert_eq!(deliver_all(&queue), named(&[("a", 3)]));
}

/// Each notice has a minute of its own, however old the first one of its document is.
#[tokio::test(start_paused = true)]
async fn the_minute_of_a_notice_that_comes_back_is_its_own() {
    let queue = queue_of(LARGE);
    push(&queue, "a", 1);
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_secs(40) {
        queue.next().await.end(Sent::Returned);
    }
    push(&queue, "a", 2);
    let pushed = tokio::time::Instant::now();
    let mut last = (1, Duration::ZERO);
    while queue.counts().waiting > 0 {
        let sending = queue.next().await;
        last = (name(&sending).1, pushed.elapsed());
        sending.end(Sent::Returned);
    }
    assert_eq!((last.0, queue.counts().dropped), (2, 2));
    assert!(last.1 >= Duration::from_secs(60) && last.1 < Duration::from_secs(100), "{last:?}");
}

/// Many notices of one document that nobody takes do not wait one after the other.
#[tokio::test(start_paused = true)]
async fn notices_of_a_document_come_back_together() {
    let queue = queue_of(LARGE);
    for generation in 1..=20 {
        push(&queue, "a", generation);
    }
    let began = tokio::time::Instant::now();
    while queue.counts().waiting > 0 {
        queue.next().await.end(Sent::Returned);
    }
    assert!(began.elapsed() < Duration::from_secs(100), "{:?}", began.elapsed());
    assert_eq!(queue.counts().dropped, 20);
}

/// An earlier revision came while the notice was under way.
#[tokio::test]
async fn a_notice_that_is_put_back_goes_behind_an_earlier_one() {
    let queue = queue_of(LARGE);
    push(&queue, "a", 2);
    let sending = queue.next().await;
    push(&queue, "a", 1);
    push(&queue, "a", 3);
    drop(sending);
    assert_eq!(deliver_all(&queue), named(&[("a", 1), ("a", 2), ("a", 3)]));
    assert!(queue.lock().is_blank());
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_was_refused_waits_a_moment() {
    let queue = queue_of(LARGE);
    push(&queue, "a", 1);
    queue.next().await.end(Sent::Refused);
    push(&queue, "b", 1);
    assert_eq!(deliver_all(&queue), named(&[("b", 1)]));
    advance(Duration::from_secs(2)).await;
    assert_eq!(deliver_all(&queue), named(&[("a", 1)]));
}

#[tokio::test]
async fn waiting_ends_when_there_is_room() {
    let queue = queue_of(1_500);
    push(&queue, "a", 1);
    push(&queue, "b", 1);
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.wait_for_room().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    queue.next().await.end(Sent::Delivered);
    waiting.await.unwrap();
    queue.next().await.end(Sent::Delivered);
    queue.wait_until_empty().await;
}
