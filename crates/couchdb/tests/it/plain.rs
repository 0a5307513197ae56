//! Over plain HTTP, first attempts and further ones go through two HTTP libraries. Both do the same: they send the same
//! head, take the same answers, and fail in the same ways.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use couchdb::{Client, Error, Settings};
use datastore::{DocId, ViewQuery};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::TryStreamExt as _;
use futures::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Barrier;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::faults::{always, client, db, draft, id};
use crate::raw::{Raw, Script, quick};
use crate::server::soon;

const DOC: &str = r#"{"_id":"a","_rev":"1-a"}"#;

/// How many unused connections a thread keeps.
const MAX_IDLE: usize = 16;

/// An answer after which the connection stays open.
fn keep(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The parts of a head. The order of headers means nothing.
fn parts(head: &str) -> Vec<&str> {
    let mut parts: Vec<_> = head.lines().collect();
    parts.sort_unstable();
    parts
}

#[tokio::test]
async fn the_second_attempt_sends_what_the_first_one_sent() {
    let odd = DocId::parse("a/b?c#d%2F e'\"ü<>[]|\\^`{}:@!$&()*+,;=~.").unwrap();
    let range = ViewQuery {
        start_key: Some(json!("ü & '/+?#")),
        end_key: Some(json!(["a b", null])),
        limit: Some(3),
        ..ViewQuery::of("d d", "v/v")
    };
    let key = ViewQuery { key: Some(json!("k")), ..range.clone() };
    let mut heads = Vec::new();
    for number in 0..4 {
        let raw = Raw::start(vec![Script::hang_up(), Script::answer("200 OK", r#"{"rows":[]}"#)]);
        let url = raw.settings().url.to_string().replace("http://", "http://us%20er:p%40ss@");
        let client = Client::new(quick(&format!("{url}/a%20prefix/"))).unwrap();
        match number {
            0 => drop(client.fetch(&db(), &odd, soon()).await),
            1 => drop(client.query(&db(), &range, soon()).await),
            2 => drop(client.query(&db(), &key, soon()).await),
            _ => drop(client.fetch_attachment(&db(), &odd, "ä b/c.txt", soon()).await),
        }
        let both = raw.requests();
        assert_eq!(both.len(), 2, "{both:?}");
        assert_eq!(parts(&both[0]), parts(&both[1]));
        heads.push(both[0].clone());
    }
    assert!(heads[0].starts_with("get /a%20prefix/account%2fac%2fco%2funt001/a%2fb%3fc%23d%252f%20e"));
    for header in ["accept: application/json", "accept-encoding: gzip", "authorization: basic ", "host: 127"]
    {
        assert_eq!(heads[0].matches(&format!("\r\n{header}")).count(), 1, "{}", heads[0]);
    }
    assert!(!heads[0].contains("content-") && !heads[0].contains("transfer-encoding"), "{}", heads[0]);
    assert!(heads[2].contains("\r\ncontent-type: application/json\r\n"), "{}", heads[2]);
    assert!(heads[3].contains("\r\naccept-encoding: identity\r\n"), "{}", heads[3]);
}

/// A proxy before CouchDB may compress.
#[tokio::test]
async fn a_compressed_answer_is_read_by_both_attempts() {
    let large = format!(r#"{{"_id":"a","_rev":"1-a","text":"{}"}}"#, "x".repeat(3_000_000));
    for (text, fails_first) in [(DOC, false), (DOC, true), (&*large, false), (&*large, true)] {
        let server = MockServer::start().await;
        let failure = ResponseTemplate::new(503)
            .insert_header("content-encoding", "gzip")
            .set_body_bytes(gzip(r#"{"error":"x","reason":"a reason"}"#));
        if fails_first {
            Mock::given(any()).respond_with(failure.clone()).up_to_n_times(1).mount(&server).await;
        }
        let answer =
            ResponseTemplate::new(200).insert_header("content-encoding", "gzip").set_body_bytes(gzip(text));
        Mock::given(any()).respond_with(answer).up_to_n_times(1).mount(&server).await;
        Mock::given(any()).respond_with(failure).mount(&server).await;
        let client = client(&server);
        assert_eq!(client.fetch(&db(), &id("a"), soon()).await.unwrap().text(), text);
        let error = client.fetch(&db(), &id("a"), soon()).await.unwrap_err();
        assert_eq!(error.refusal().unwrap().reason, "a reason");
    }
}

#[tokio::test]
async fn a_compressed_answer_has_the_same_bounds_as_any() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).insert_header("content-encoding", "gzip");
    let bomb = answer.clone().set_body_bytes(gzip(&"x".repeat(10_000_000)));
    Mock::given(any()).respond_with(bomb).up_to_n_times(1).mount(&server).await;
    let whole = gzip(DOC);
    let cut = answer.set_body_bytes(&whole[..whole.len() - 9]);
    Mock::given(any()).respond_with(cut).mount(&server).await;
    let settings = Settings { max_answer_bytes: 1_000_000, ..quick(&server.uri()) };
    let client = Client::new(settings).unwrap();
    let error = client.fetch(&db(), &id("a"), soon()).await.unwrap_err();
    assert!(matches!(error, Error::AnswerTooLarge { max_bytes: 1_000_000, .. }), "{error:?}");
    let error = client.fetch(&db(), &id("a"), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_shorter_than_its_length_is_a_failure() {
    let short = "HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"ok\":true,\"rev\":\"1-a\"}";
    let raw = Raw::start(vec![Script::hang_up().send(short)]);
    let client = raw.client();
    let error = client.fetch(&db(), &id("a"), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert_eq!(raw.requests().len(), 3);
    let error = client.delete_db(&db(), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert_eq!(raw.requests().len(), 4, "a write is sent once");
}

/// Another address may not get the password.
#[tokio::test]
async fn no_attempt_follows_a_redirect() {
    let other = always(200, "x", "x").await;
    let server = MockServer::start().await;
    let away = |status| ResponseTemplate::new(status).insert_header("location", format!("{}/x", other.uri()));
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).up_to_n_times(1).mount(&server).await;
    Mock::given(any()).respond_with(away(307)).up_to_n_times(1).mount(&server).await;
    Mock::given(any()).respond_with(away(301)).mount(&server).await;
    let client = client(&server);
    for status in [307, 301] {
        let error = client.fetch(&db(), &id("a"), soon()).await.unwrap_err();
        assert_eq!(error.status(), Some(status), "{error}");
    }
    assert!(other.received_requests().await.unwrap().is_empty());
}

/// The server has closed it, and the client knows.
#[tokio::test]
async fn a_write_does_not_go_to_a_kept_connection_that_was_closed() {
    let written = r#"{"ok":true,"id":"a","rev":"1-a"}"#;
    let raw = Raw::start(vec![Script::hang_up().send(&keep(DOC)), Script::answer("201 Created", written)]);
    let client = raw.client();
    client.fetch(&db(), &id("a"), soon()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.save(&db(), draft("a"), soon()).await.unwrap();
    assert_eq!(raw.requests().len(), 2);
}

async fn serve_one(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

#[tokio::test]
async fn a_thread_keeps_a_bounded_number_of_unused_connections() {
    const ALL: usize = MAX_IDLE + 8;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = quick(&format!("http://{}", listener.local_addr().unwrap()));
    let (together, closed) = (Arc::new(Barrier::new(ALL)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&closed);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (together, closed) = (Arc::clone(&together), Arc::clone(&counted));
            tokio::spawn(async move {
                assert!(serve_one(&mut stream).await);
                together.wait().await;
                stream.write_all(keep(DOC).as_bytes()).await.unwrap();
                assert!(!serve_one(&mut stream).await);
                closed.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    let client = Client::new(settings).unwrap();
    let (db, id) = (db(), id("a"));
    for fetched in join_all((0..ALL).map(|_| client.fetch(&db, &id, soon()))).await {
        fetched.unwrap();
    }
    let by = soon();
    while closed.load(Ordering::SeqCst) < ALL - MAX_IDLE {
        assert!(!by.is_over(), "{} are closed", closed.load(Ordering::SeqCst));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(closed.load(Ordering::SeqCst), ALL - MAX_IDLE);
}

#[tokio::test]
async fn an_unused_connection_is_closed_although_no_request_follows() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(serve_one(&mut stream).await);
        stream.write_all(keep(DOC).as_bytes()).await.unwrap();
        serve_one(&mut stream).await
    });
    let settings = Settings { pool_idle_timeout: Duration::from_millis(50), ..quick(&url) };
    let client = Client::new(settings).unwrap();
    client.fetch(&db(), &id("a"), soon()).await.unwrap();
    let has_followed = tokio::time::timeout(Duration::from_secs(30), server).await;
    assert!(!has_followed.expect("the connection is never closed").unwrap());
}

/// Nothing was sent, so a write may go to the next node.
#[tokio::test]
async fn a_node_that_takes_no_connection_is_given_up_in_time() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    // Its queue is full, so the system drops what comes.
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        waiting.push(stream.unwrap());
    }
    let written = r#"{"ok":true,"id":"a","rev":"1-a"}"#;
    let second = Raw::start(vec![Script::answer("201 Created", written)]);
    let alone =
        Settings { connect_timeout: Duration::from_millis(300), ..quick(&format!("http://{address}")) };
    let begun = Instant::now();
    let error = Client::new(alone.clone()).unwrap().save(&db(), draft("a"), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { was_sent: false, .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let cluster = Settings { further_urls: vec![second.settings().url], ..alone };
    Client::new(cluster).unwrap().save(&db(), draft("a"), soon()).await.unwrap();
    assert_eq!(second.requests().len(), 1);
}

#[tokio::test]
async fn a_name_with_several_addresses_is_reached_at_the_one_that_answers() {
    let raw = Raw::start(vec![Script::answer("200 OK", DOC)]);
    let url = raw.settings().url.to_string().replace("127.0.0.1", "localhost");
    let doc = Client::new(quick(&url)).unwrap().fetch(&db(), &id("a"), soon()).await.unwrap();
    assert_eq!(doc.text(), DOC);
    assert!(raw.requests()[0].contains("\r\nhost: localhost:"));
}

/// CouchDB refuses a document that is too large before it has read it.
#[tokio::test]
async fn an_answer_counts_although_the_body_was_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = quick(&format!("http://{}", listener.local_addr().unwrap()));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(serve_one(&mut stream).await);
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        // It takes nothing more until the client is served.
        stream
    });
    let mut draft = draft("a");
    draft.body.insert("text".to_owned(), "x".repeat(40_000_000).into());
    let error = Client::new(settings).unwrap().save(&db(), draft, soon()).await.unwrap_err();
    assert_eq!(error.status(), Some(413), "{error}");
    drop(server.await.unwrap());
}

#[tokio::test]
async fn rows_of_a_compressed_view_arrive() {
    let server = MockServer::start().await;
    let row = |n: usize| format!(r#"{{"id":"{n}","key":{n},"value":"{}"}}"#, "v".repeat(100));
    let rows = (0..2_000).map(row).collect::<Vec<_>>().join(",\n");
    let answer = ResponseTemplate::new(200)
        .insert_header("content-encoding", "gzip")
        .set_body_bytes(gzip(&format!("{{\"total_rows\":2000,\"offset\":0,\"rows\":[\n{rows}\n]}}")));
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let query = ViewQuery::of("d", "v");
    let rows: Vec<_> =
        client(&server).query(&db(), &query, soon()).await.unwrap().try_collect().await.unwrap();
    assert_eq!((rows.len(), rows[1_999].id.as_str()), (2_000, "1999"));
}
