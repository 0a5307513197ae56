//! Change feeds against servers that fail: which feeds go on, from where, and which end.

use std::time::Duration;

use couchdb::{Client, Error, Settings};
use datastore::{Change, ChangesQuery, Feed, Since};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::timeout;

use crate::faults::{always, db};
use crate::raw::{Raw, Script, quick};

const PATIENCE: Duration = Duration::from_secs(20);

fn continuous() -> ChangesQuery {
    ChangesQuery { feed: Feed::Continuous, ..ChangesQuery::default() }
}

fn line(n: u32) -> String {
    format!("{{\"seq\":\"{n}-x\",\"id\":\"doc{n}\",\"changes\":[{{\"rev\":\"1-a\"}}]}}\n")
}

async fn next(feed: &mut BoxStream<'_, Result<Change, Error>>) -> Option<Result<Change, Error>> {
    timeout(PATIENCE, feed.next()).await.expect("the feed yields something in time")
}

async fn seq(feed: &mut BoxStream<'_, Result<Change, Error>>) -> String {
    next(feed).await.expect("the feed goes on").unwrap().seq
}

/// The parameters of each request so far.
fn queries(raw: &Raw) -> Vec<String> {
    let query = |head: &String| head.split(['?', ' ']).nth(2).unwrap_or_default().to_owned();
    raw.requests().iter().map(query).collect()
}

#[tokio::test]
async fn a_feed_goes_on_after_its_last_change() {
    let half = &line(2)[..20];
    let raw = Raw::start(vec![
        Script::begin().chunk(&line(1)).chunk(half),
        Script::hang_up(),
        Script::answer("503 Busy", "{}"),
        Script::begin().chunk("\n").chunk(&line(2)).chunk(&line(3)).hold(),
    ]);
    let (client, db) = (raw.client(), db());
    let mut feed = client.changes(&db, continuous());
    for n in 1..=3 {
        assert_eq!(seq(&mut feed).await, format!("{n}-x"));
    }
    let queries = queries(&raw);
    assert_eq!(queries[0], "since=0&feed=continuous&heartbeat=10000");
    assert_eq!(queries[1..], ["since=1-x&feed=continuous&heartbeat=10000"; 3]);
    // Compression would hold changes back.
    assert!(raw.requests().iter().all(|head| head.contains("accept-encoding: identity")));
}

#[tokio::test]
async fn a_change_carries_what_the_server_said() {
    let doc = "{\"_id\":\"doc1\",\"_rev\":\"2-b\",\"_deleted\":true}";
    let text = format!(
        "{{\"seq\":17,\"id\":\"doc1\",\"changes\":[{{\"rev\":\"2-b\"}},{{\"rev\":\"2-a\"}}],\"deleted\":true,\
         \"doc\":{doc}}}\n"
    );
    let raw = Raw::start(vec![Script::begin().chunk(&text), Script::begin().hold()]);
    let (client, db) = (raw.client(), db());
    let query = ChangesQuery { include_docs: true, limit: Some(1), ..continuous() };
    let mut feed = client.changes(&db, query);
    let change = next(&mut feed).await.unwrap().unwrap();
    assert_eq!((change.seq.as_str(), change.id.as_str(), change.rev.as_str()), ("17", "doc1", "2-b"));
    assert!(change.deleted);
    assert_eq!(change.doc.unwrap().text(), doc);
    assert!(next(&mut feed).await.is_none());
    assert!(queries(&raw)[0].ends_with("&limit=1&include_docs=true"));
}

#[tokio::test]
async fn a_lasting_failure_ends_the_feed() {
    for (status, error) in
        [(400, "bad_request"), (401, "unauthorized"), (403, "forbidden"), (404, "not_found")]
    {
        let server = always(status, error, "x").await;
        let (client, db) = (Client::new(quick(&server.uri())).unwrap(), db());
        for feed in [Feed::Normal, Feed::Longpoll, Feed::Continuous] {
            let mut feed = client.changes(&db, ChangesQuery { feed, ..ChangesQuery::default() });
            let error = next(&mut feed).await.unwrap().unwrap_err();
            assert_eq!(error.status(), Some(status));
            // couch_rs panics if it is polled after an error.
            for _ in 0..3 {
                assert!(next(&mut feed).await.is_none());
            }
        }
        assert_eq!(server.received_requests().await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_passing_failure_does_not_end_the_feed() {
    for status in ["408 Timeout", "429 Slow Down", "500 Oops", "502 Oops", "503 Busy", "504 Late"] {
        let raw = Raw::start(vec![Script::answer(status, "{}"), Script::begin().chunk(&line(1)).hold()]);
        let (client, db) = (raw.client(), db());
        assert_eq!(seq(&mut client.changes(&db, continuous())).await, "1-x", "{status}");
    }
}

#[tokio::test]
async fn a_normal_feed_ends_with_its_failure() {
    let raw = Raw::start(vec![Script::begin().chunk("{\"results\":[").chunk(line(1).trim_end())]);
    let (client, db) = (raw.client(), db());
    let mut feed = client.changes(&db, ChangesQuery::default());
    assert_eq!(seq(&mut feed).await, "1-x");
    assert!(matches!(next(&mut feed).await, Some(Err(Error::Transport { .. }))));
    assert!(next(&mut feed).await.is_none());
    assert_eq!(raw.requests().len(), 1);
}

/// Without a cap the twentieth pause would take nine minutes.
#[tokio::test]
async fn the_pauses_between_attempts_are_capped() {
    let mut scripts = vec![Script::hang_up(); 20];
    scripts.push(Script::begin().chunk(&line(1)).hold());
    let raw = Raw::start(scripts);
    let (client, db) = (raw.client(), db());
    assert_eq!(seq(&mut client.changes(&db, continuous())).await, "1-x");
    assert_eq!(raw.requests().len(), 21);
}

#[tokio::test]
async fn a_silent_feed_is_opened_again() {
    let raw = Raw::start(vec![
        Script::begin().chunk(&line(1)).hold(),
        Script::hang_up().hold(),
        Script::begin().chunk(&line(2)).hold(),
    ]);
    let (client, db) = (raw.client(), db());
    let query = ChangesQuery { heartbeat: Some(Duration::from_millis(20)), ..continuous() };
    let mut feed = client.changes(&db, query);
    assert_eq!(seq(&mut feed).await, "1-x");
    assert_eq!(seq(&mut feed).await, "2-x");
    assert_eq!(queries(&raw)[2], "since=1-x&feed=continuous&heartbeat=20");
}

#[tokio::test]
async fn a_heartbeat_may_have_any_length() {
    let raw = Raw::start(vec![Script::begin().chunk(&line(1)).hold()]);
    let settings = Settings {
        request_timeout: Duration::MAX,
        batch_timeout: Duration::MAX,
        heartbeat: Duration::MAX,
        ..raw.settings()
    };
    let (client, db) = (Client::new(settings).unwrap(), db());
    assert_eq!(seq(&mut client.changes(&db, continuous())).await, "1-x");
    let query = ChangesQuery { heartbeat: Some(Duration::ZERO), ..continuous() };
    assert_eq!(seq(&mut client.changes(&db, query)).await, "1-x");
}

#[tokio::test]
async fn heartbeats_keep_a_feed_open() {
    let beats = Script::begin().beat(40, Duration::from_millis(20)).chunk(&line(1)).hold();
    let raw = Raw::start(vec![beats]);
    let (client, db) = (raw.client(), db());
    let query = ChangesQuery { heartbeat: Some(Duration::from_millis(200)), ..continuous() };
    assert_eq!(seq(&mut client.changes(&db, query)).await, "1-x");
    assert_eq!(raw.requests().len(), 1);
}

/// A background task can keep the feed.
#[tokio::test]
async fn a_feed_outlives_its_client() {
    let raw = Raw::start(vec![Script::begin().chunk(&line(1)), Script::begin().chunk(&line(2)).hold()]);
    let mut feed = raw.client().changes(&db(), continuous());
    let reader = tokio::spawn(async move { (seq(&mut feed).await, seq(&mut feed).await) });
    assert_eq!(reader.await.unwrap(), ("1-x".to_owned(), "2-x".to_owned()));
}

#[tokio::test]
async fn a_feed_that_the_server_ends_goes_on_from_its_last_sequence() {
    let last = "{\"last_seq\":\"9-x\",\"pending\":0}\n";
    let raw = Raw::start(vec![
        Script::begin().chunk(&line(1)).chunk(last).end(),
        Script::begin().chunk(&line(10)).hold(),
    ]);
    let (client, db) = (raw.client(), db());
    let mut feed = client.changes(&db, continuous());
    assert_eq!(seq(&mut feed).await, "1-x");
    assert_eq!(seq(&mut feed).await, "10-x");
    assert!(queries(&raw)[1].starts_with("since=9-x&"));
}

/// Otherwise changes that happen while the connection is broken would be lost.
#[tokio::test]
async fn now_stays_the_same_moment_when_the_connection_breaks() {
    let raw = Raw::start(vec![
        Script::answer("200 OK", "{\"results\":[],\"last_seq\":\"5-x\",\"pending\":0}"),
        Script::hang_up(),
        Script::begin().chunk(&line(6)).hold(),
    ]);
    let (client, db) = (raw.client(), db());
    let mut feed = client.changes(&db, ChangesQuery { since: Since::Now, ..continuous() });
    assert_eq!(seq(&mut feed).await, "6-x");
    let queries = queries(&raw);
    assert_eq!(queries[0], "since=now&limit=1");
    assert!(queries[1..].iter().all(|query| query.starts_with("since=5-x&feed=continuous")));
}

#[tokio::test]
async fn a_longpoll_waits_until_there_is_a_change() {
    let raw = Raw::start(vec![
        Script::answer("200 OK", "{\"results\":[],\"last_seq\":\"5-x\"}"),
        Script::begin()
            .chunk("\n{\"results\":[\n")
            .chunk(line(6).trim_end())
            .chunk("],\"last_seq\":\"6-x\"}")
            .end(),
    ]);
    let (client, db) = (raw.client(), db());
    let mut feed = client.changes(&db, ChangesQuery { feed: Feed::Longpoll, ..ChangesQuery::default() });
    assert_eq!(seq(&mut feed).await, "6-x");
    assert!(next(&mut feed).await.is_none());
    assert!(queries(&raw)[1].starts_with("since=5-x&feed=longpoll"));
}

/// It has returned a change, so it need not wait for one.
#[tokio::test]
async fn a_longpoll_that_breaks_off_fetches_the_rest_without_waiting() {
    let raw = Raw::start(vec![
        Script::begin().chunk("{\"results\":[\n").chunk(line(1).trim_end()),
        Script::answer("200 OK", "{\"results\":[],\"last_seq\":\"1-x\"}"),
    ]);
    let (client, db) = (raw.client(), db());
    let mut feed = client.changes(&db, ChangesQuery { feed: Feed::Longpoll, ..ChangesQuery::default() });
    assert_eq!(seq(&mut feed).await, "1-x");
    assert!(next(&mut feed).await.is_none());
    assert_eq!(queries(&raw)[1], "since=1-x");
}

#[tokio::test]
async fn a_limit_counts_across_connections() {
    let raw = Raw::start(vec![
        Script::begin().chunk(&line(1)),
        Script::begin().chunk(&line(2)).chunk(&line(3)).hold(),
    ]);
    let (client, db) = (raw.client(), db());
    let feed = client.changes(&db, ChangesQuery { limit: Some(2), ..continuous() });
    let seen: Vec<_> = timeout(PATIENCE, feed.collect()).await.unwrap();
    assert_eq!(seen.len(), 2);
    assert!(queries(&raw)[1].ends_with("&limit=1"));
    let none = client.changes(&db, ChangesQuery { limit: Some(0), ..continuous() });
    assert_eq!(timeout(PATIENCE, none.count()).await.unwrap(), 0);
}

/// One page of a proxy is a passing failure. Many in a row mean that the address is wrong.
#[tokio::test]
async fn garbage_ends_a_feed_only_after_several_times() {
    let page = Script::answer("200 OK", "<html>");
    let raw = Raw::start(vec![page.clone(), page.clone(), Script::begin().chunk(&line(1)), page]);
    let (client, db) = (raw.client(), db());
    let mut feed = client.changes(&db, continuous());
    assert_eq!(seq(&mut feed).await, "1-x");
    assert!(matches!(next(&mut feed).await, Some(Err(Error::Unreadable { .. }))));
    assert!(next(&mut feed).await.is_none());
}
