//! Views as streams: rows as they arrive, and an error for every answer that is not complete.

use std::time::Duration;

use couchdb::{Client, Error};
use datastore::{Deadline, ViewQuery, ViewRow};
use futures::{Stream, StreamExt};

use crate::faults::{db, id};
use crate::raw::{Raw, Script};
use crate::server::soon;

const HEAD: &str = "{\"total_rows\":2,\"offset\":0,\"rows\":[\r\n";
const ROW: &str = "{\"id\":\"a\",\"key\":[1.0, null],\"value\":{\"z\":1,\"a\":1e2}}";

async fn query(client: &Client) -> impl Stream<Item = Result<ViewRow, Error>> + Unpin + use<> {
    client.query(&db(), &ViewQuery::of("d", "v"), soon()).await.unwrap()
}

/// The number of rows, and the error after them.
async fn outcome(script: Script) -> (usize, Option<Error>) {
    let raw = Raw::start(vec![script]);
    let mut settings = raw.settings();
    settings.batch_timeout = Duration::from_millis(50);
    settings.max_row_bytes = 1000;
    let mut rows = query(&Client::new(settings).unwrap()).await;
    let mut count = 0;
    let error = loop {
        match rows.next().await {
            Some(Ok(_)) => count += 1,
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    // The stream stays at its end.
    for _ in 0..3 {
        assert!(rows.next().await.is_none());
    }
    (count, error)
}

#[tokio::test]
async fn rows_keep_their_text() {
    let raw = Raw::start(vec![Script::begin().chunk(HEAD).chunk(ROW).chunk("]}").end()]);
    let row = query(&raw.client()).await.next().await.unwrap().unwrap();
    assert_eq!((row.key.get(), row.value.get()), ("[1.0, null]", "{\"z\":1,\"a\":1e2}"));
    assert_eq!((row.id.as_str(), row.doc.is_none()), ("a", true));
    // Large listings may be compressed.
    assert!(raw.requests().iter().all(|head| head.contains("accept-encoding: gzip")));
}

#[tokio::test]
async fn rows_come_before_the_answer_ends() {
    let raw = Raw::start(vec![Script::begin().chunk(HEAD).chunk(ROW).chunk(",\n{\"id\"").hold()]);
    let mut settings = raw.settings();
    settings.batch_timeout = Duration::from_millis(50);
    let mut rows = query(&Client::new(settings).unwrap()).await;
    assert_eq!(rows.next().await.unwrap().unwrap().id.as_str(), "a");
    // The deadline was for the first row. The settings limit the wait for the rest.
    let error = rows.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded(_)), "{error:?}");
    assert!(rows.next().await.is_none());
}

#[tokio::test]
async fn the_deadline_is_for_the_first_row() {
    let raw = Raw::start(vec![Script::begin().chunk(HEAD).hold()]);
    let client = raw.client();
    let deadline = Deadline::after(Duration::from_millis(500));
    let mut rows = client.query(&db(), &ViewQuery::all_docs(), deadline).await.unwrap();
    let error = rows.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_ends_early_is_an_error_after_its_rows() {
    // The server ends the answer.
    let (count, error) = outcome(Script::begin().chunk(HEAD).chunk(ROW).end()).await;
    assert!(matches!((count, error), (1, Some(Error::Unreadable { .. }))));
    let (count, error) = outcome(Script::begin().chunk(HEAD).chunk(&ROW[..20]).end()).await;
    assert!(matches!((count, error), (0, Some(Error::Unreadable { .. }))));
    // The connection breaks.
    let (count, error) = outcome(Script::begin().chunk(HEAD).chunk(ROW).chunk(",")).await;
    assert!(matches!((count, error), (1, Some(Error::Transport { .. }))));
}

#[tokio::test]
async fn an_error_inside_the_answer_is_an_error_of_the_stream() {
    let timeout = "{\"error\":\"timeout\",\"reason\":\"The request could not be processed in time.\"}";
    for after in [
        format!(",\n{timeout}\n]}}"),
        format!("\n{timeout}\n"),
        format!("],\"errors\":[{timeout}]}}"),
        format!("],{}", &timeout[1..]),
    ] {
        let (count, error) = outcome(Script::begin().chunk(HEAD).chunk(ROW).chunk(&after).end()).await;
        let error = error.unwrap();
        assert_eq!(count, 1, "{after}");
        assert!(matches!(error, Error::Unavailable(_)) && error.status().is_none(), "{after}: {error:?}");
        assert!(error.to_string().contains("could not be processed in time"), "{error}");
    }
    let (_, error) = outcome(Script::answer("200 OK", timeout)).await;
    assert!(matches!(error, Some(Error::Unavailable(_))), "{error:?}");
}

#[tokio::test]
async fn garbage_is_not_a_view() {
    for body in ["", "<html>", "[]", "{}", "{\"rows\":{}}", "{\"rows\":[1]}", "{\"rows\":[{\"id\":\"a\"}]}"] {
        let (count, error) = outcome(Script::answer("200 OK", body)).await;
        assert!(matches!((count, &error), (0, Some(Error::Unreadable { .. }))), "{body}: {error:?}");
    }
    let (_, error) = outcome(Script::begin().chunk("{\"rows\":[{\"id\":\"\u{1}\"}]}").end()).await;
    assert!(matches!(error, Some(Error::Unreadable { .. })), "{error:?}");
}

#[tokio::test]
async fn a_row_that_is_too_large_is_refused() {
    let long = "x".repeat(600);
    let script = Script::begin().chunk(HEAD).chunk(ROW).chunk(",{\"id\":\"").chunk(&long).chunk(&long).hold();
    let (count, error) = outcome(script).await;
    assert!(matches!((count, &error), (1, Some(Error::AnswerTooLarge { max_bytes: 1000, .. }))), "{error:?}");
}

#[tokio::test]
async fn several_documents_have_one_deadline() {
    let found =
        "{\"id\":\"a\",\"key\":\"a\",\"value\":{\"rev\":\"1-a\"},\"doc\":{\"_id\":\"a\",\"_rev\":\"1-a\"}}";
    let raw = Raw::start(vec![Script::begin().chunk("{\"rows\":[").chunk(found).hold()]);
    let deadline = Deadline::after(Duration::from_millis(60));
    let error = raw.client().fetch_many(&db(), &[id("a"), id("b")], deadline).await.unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded(_)), "{error:?}");

    let raw = Raw::start(vec![Script::answer("200 OK", &format!("{{\"rows\":[{found}]}}"))]);
    let error = raw.client().fetch_many(&db(), &[id("a"), id("b")], soon()).await.unwrap_err();
    assert!(error.to_string().contains("1 rows for 2 documents"), "{error}");
}

/// Who asked for one row takes one, and does not look for the end.
#[tokio::test]
async fn a_connection_is_kept_when_as_many_rows_were_read_as_were_asked_for() {
    for limit in 1..=3 {
        let rows = vec![ROW; limit].join(",\n");
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = |script: Script, text: &str| script.chunk(text);
        let answer = |script: Script| chunk(chunk(chunk(script.send(head), HEAD), &rows), "\r\n]}").end();
        let kept = answer(answer(Script::hang_up()).next_request());
        let raw = Raw::start(vec![kept, Script::answer("500 Another Connection", "{}")]);
        let client = raw.client();
        for _ in 0..2 {
            let query = ViewQuery { limit: Some(u64::try_from(limit).unwrap()), ..ViewQuery::of("d", "v") };
            let mut rows = client.query(&db(), &query, soon()).await.unwrap();
            for _ in 0..limit {
                rows.next().await.unwrap().unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_limit_holds_and_an_error_after_the_last_row_counts() {
    let query = ViewQuery { limit: Some(1), ..ViewQuery::of("d", "v") };
    let more = Script::begin().chunk(HEAD).chunk(ROW).chunk(",").chunk(ROW).chunk("]}").end();
    let raw = Raw::start(vec![more]);
    let mut rows = raw.client().query(&db(), &query, soon()).await.unwrap();
    assert_eq!(rows.next().await.unwrap().unwrap().id.as_str(), "a");
    assert!(rows.next().await.is_none());

    let broken = Script::begin().chunk(HEAD).chunk(ROW).chunk("],\"error\":\"x\",\"reason\":\"y\"}").end();
    let raw = Raw::start(vec![broken]);
    let mut rows = raw.client().query(&db(), &query, soon()).await.unwrap();
    assert!(matches!(rows.next().await, Some(Err(Error::Unavailable(_)))));
    assert!(rows.next().await.is_none());

    // The deadline is for the one row and for the end.
    let raw = Raw::start(vec![Script::begin().chunk(HEAD).chunk(ROW).hold()]);
    let deadline = Deadline::after(Duration::from_millis(500));
    let mut rows = raw.client().query(&db(), &query, deadline).await.unwrap();
    assert!(matches!(rows.next().await, Some(Err(Error::DeadlineExceeded(_)))));
}
