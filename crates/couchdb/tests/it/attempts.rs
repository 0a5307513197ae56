//! Which requests are sent again after a failure.

use std::time::Duration;

use couchdb::{Client, Settings};
use datastore::{Rev, ViewQuery};
use futures::TryStreamExt;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::faults::{always, client, db, draft, id};
use crate::raw::{Raw, Script};
use crate::server::soon;

const DOC: &str = r#"{"_id":"a","_rev":"1-a"}"#;

async fn fails_first(times: u64, status: u16, then: &str) -> MockServer {
    let server = MockServer::start().await;
    let failure = ResponseTemplate::new(status).set_body_json(json!({"error": "x", "reason": "x"}));
    Mock::given(any()).respond_with(failure).up_to_n_times(times).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string(then)).mount(&server).await;
    server
}

async fn count(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

/// How many requests that change something the server has got.
async fn writes(server: &MockServer) -> usize {
    let requests = server.received_requests().await.unwrap();
    let reads =
        |request: &&wiremock::Request| request.method == "GET" || request.url.path().ends_with("/_all_docs");
    requests.len() - requests.iter().filter(reads).count()
}

#[tokio::test]
async fn a_read_is_tried_three_times() {
    let server = fails_first(2, 503, DOC).await;
    let doc = client(&server).fetch(&db(), &id("a"), soon()).await.unwrap();
    assert_eq!((doc.text(), count(&server).await), (DOC, 3));

    let server = fails_first(3, 503, DOC).await;
    let error = client(&server).fetch(&db(), &id("a"), soon()).await.unwrap_err();
    assert_eq!((error.status(), count(&server).await), (Some(503), 3));
}

/// While a node goes down, CouchDB answers so, and the next attempt goes to the others.
#[tokio::test]
async fn a_read_is_tried_again_if_another_node_went_down() {
    for (status, error, reason) in [
        (412, "nodedown", "progress not possible"),
        (500, "badrecord", "{nodedown,<<\"progress not possible\">>}"),
    ] {
        let server = MockServer::start().await;
        let failure = ResponseTemplate::new(status).set_body_json(json!({"error": error, "reason": reason}));
        Mock::given(any()).respond_with(failure).up_to_n_times(2).mount(&server).await;
        Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string(DOC)).mount(&server).await;
        assert_eq!(client(&server).fetch(&db(), &id("a"), soon()).await.unwrap().text(), DOC);
    }
    let server = always(412, "nodedown", "x").await;
    client(&server).save(&db(), draft("a"), soon()).await.unwrap_err();
    assert_eq!(writes(&server).await, 1, "a write is sent once");
    assert!(client(&server).create_db(&db(), soon()).await.is_err(), "it is not there");
}

#[tokio::test]
async fn a_view_asked_by_post_is_a_read() {
    let server = fails_first(2, 503, r#"{"rows":[]}"#).await;
    let query = ViewQuery { key: Some(json!(1)), ..ViewQuery::of("d", "v") };
    let rows: Vec<_> =
        client(&server).query(&db(), &query, soon()).await.unwrap().try_collect().await.unwrap();
    assert_eq!((rows.len(), count(&server).await), (0, 3));

    let server = fails_first(1, 503, r#"{"rows":[]}"#).await;
    assert!(client(&server).fetch_many(&db(), &[], soon()).await.unwrap().is_empty());
    assert_eq!(count(&server).await, 2);
}

#[tokio::test]
async fn a_write_is_sent_once() {
    let server = always(503, "x", "x").await;
    let client = client(&server);
    let rev = Rev::parse("1-a").unwrap();
    assert_eq!(client.save(&db(), draft("a"), soon()).await.unwrap_err().status(), Some(503));
    client.save_many(&db(), vec![draft("a")], soon()).await.unwrap_err();
    client.delete(&db(), &id("a"), &rev, soon()).await.unwrap_err();
    client.create_db(&db(), soon()).await.unwrap_err();
    client.delete_db(&db(), soon()).await.unwrap_err();
    assert_eq!(writes(&server).await, 5);
}

#[tokio::test]
async fn lasting_failures_are_not_retried() {
    for status in [400, 401, 403, 404, 409, 413, 429, 500] {
        let server = always(status, "x", "x").await;
        client(&server).fetch(&db(), &id("a"), soon()).await.unwrap_err();
        assert_eq!(count(&server).await, 1, "{status}");
    }
}

#[tokio::test]
async fn a_read_whose_answer_breaks_off_is_sent_again() {
    let broken = Script::begin().chunk("{\"_id\":\"a\",");
    let raw = Raw::start(vec![Script::hang_up(), broken, Script::answer("200 OK", DOC)]);
    let doc = raw.client().fetch(&db(), &id("a"), soon()).await.unwrap();
    assert_eq!((doc.text(), raw.requests().len()), (DOC, 3));
}

/// A server may close a kept connection just as the next request is sent (couchdb-nano 297).
#[tokio::test]
async fn a_read_survives_a_kept_connection_that_dies() {
    let keep = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{DOC}", DOC.len());
    let raw = Raw::start(vec![Script::hang_up().send(&keep).next_request(), Script::answer("200 OK", DOC)]);
    let client = raw.client();
    for _ in 0..2 {
        assert_eq!(client.fetch(&db(), &id("a"), soon()).await.unwrap().text(), DOC);
    }
    assert_eq!(raw.requests().len(), 3);
}

#[tokio::test]
async fn connections_are_reused() {
    let keep = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{DOC}", DOC.len());
    let raw = Raw::start(vec![
        Script::hang_up().send(&keep).next_request().send(&keep),
        Script::answer("500 Another Connection", "{}"),
    ]);
    let client = raw.client();
    for _ in 0..2 {
        client.fetch(&db(), &id("a"), soon()).await.unwrap();
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_time_in_the_settings() {
    let keep = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{DOC}", DOC.len());
    let other = r#"{"_id":"another connection","_rev":"1-a"}"#;
    let raw = Raw::start(vec![
        Script::hang_up().send(&keep).next_request().send(&keep).hold(),
        Script::answer("200 OK", other),
    ]);
    let settings = Settings { pool_idle_timeout: Duration::from_millis(20), ..raw.settings() };
    let client = Client::new(settings).unwrap();
    for expected in [DOC, other] {
        assert_eq!(client.fetch(&db(), &id("a"), soon()).await.unwrap().text(), expected);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// With one runtime for each thread, a shared connection would make one thread wait for another.
#[test]
fn each_thread_keeps_its_own_connections() {
    let named = |name: &str| {
        let doc = format!(r#"{{"_id":"{name}","_rev":"1-a"}}"#);
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{doc}", doc.len())
    };
    let raw = Raw::start(vec![
        Script::hang_up().send(&named("first")).next_request().send(&named("first again")),
        Script::hang_up().send(&named("second")),
        Script::hang_up().send(&named("after the first runtime")),
    ]);
    let client = Client::new(raw.settings()).unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fetch = |runtime: &tokio::runtime::Runtime| {
        runtime.block_on(client.fetch(&db(), &id("a"), soon())).unwrap().id().to_string()
    };
    let here = runtime();
    assert_eq!(fetch(&here), "first");
    std::thread::scope(|scope| {
        assert_eq!(scope.spawn(|| fetch(&runtime())).join().unwrap(), "second");
    });
    assert_eq!(fetch(&here), "first again");
    drop(here);
    assert_eq!(fetch(&runtime()), "after the first runtime");
}
