//! The client's errors: each failure has the right variant, the request and the answer, and no secret.

use std::error::Error as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use couchdb::{Client, Error};
use datastore::{ChangesQuery, DbName, Deadline, DocId, Draft, Rev, StoreError, ViewQuery};
use futures::StreamExt;
use serde_json::{Map, json};
use wiremock::matchers::{any, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::raw::{Raw, Script, quick};
use crate::server::soon;

pub(crate) fn db() -> DbName {
    DbName::parse("account/ac/co/unt001").unwrap()
}

pub(crate) fn id(text: &str) -> DocId {
    DocId::parse(text).unwrap()
}

pub(crate) fn draft(text: &str) -> Draft {
    Draft { id: id(text), base: None, body: Map::new() }
}

pub(crate) fn client(server: &MockServer) -> Client {
    Client::new(quick(&server.uri())).unwrap()
}

/// A server that gives the same answer to every request.
pub(crate) async fn always(status: u16, error: &str, reason: &str) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).set_body_json(json!({"error": error, "reason": reason}));
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_closed_port_is_a_transport_failure_with_its_cause() {
    let client = Client::new(quick(&closed_port())).unwrap();
    let error = client.fetch(&db(), &id("a"), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }) && error.status().is_none(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("refused") && text.contains("GET http://127.0.0.1"), "{text}");
    assert!(error.call().is_some_and(|call| call.method.as_str() == "GET"), "{error:?}");
    let below = error.source().expect("the error below is kept").to_string();
    let error = StoreError::from(error);
    assert!(matches!(error, StoreError::Transport(_)), "{error:?}");
    // The store's error, its cause, the client's error, the error of the HTTP library.
    let kept = error.source().and_then(|cause| cause.source()?.source()).unwrap();
    assert_eq!(kept.to_string(), below);
    assert!(client.db_exists(&db(), soon()).await.is_err());
}

#[tokio::test]
async fn a_host_name_that_does_not_resolve_is_named_as_the_cause() {
    let client = Client::new(quick("http://no-such-host.invalid:5984")).unwrap();
    let error = client.db_exists(&db(), Deadline::after(Duration::from_secs(20))).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert!(error.to_string().contains("dns") || error.to_string().contains("resolve"), "{error}");
}

#[tokio::test]
async fn each_status_has_its_meaning() {
    let deleted = ("not_found", "deleted");
    let no_db = ("not_found", "Database does not exist.");
    for (status, (error, reason), expected) in [
        (400, ("bad_request", "invalid UTF-8 JSON"), "Invalid"),
        (401, ("unauthorized", "Name or password is incorrect."), "Unauthorized"),
        (403, ("forbidden", "no"), "Forbidden"),
        (
            403,
            ("forbidden", "Account is temporarily locked due to multiple authentication failures"),
            "Unavailable",
        ),
        (404, ("not_found", "missing"), "Missing"),
        (404, deleted, "Deleted"),
        (404, no_db, "DatabaseMissing"),
        (404, ("not_found", "no_db_file"), "DatabaseMissing"),
        (409, ("conflict", "Document update conflict."), "Conflict"),
        (412, ("precondition_failed", "x"), "Conflict"),
        (412, ("missing_stub", "x"), "Invalid"),
        (412, ("nodedown", "progress not possible"), "Unavailable"),
        (413, ("document_too_large", "a"), "TooLarge"),
        (429, ("too_many_requests", "x"), "Unavailable"),
        (500, ("compilation_error", "x"), "Invalid"),
        (500, ("internal_server_error", "x"), "Unavailable"),
        (503, ("service_unavailable", "x"), "Unavailable"),
        (302, ("found", "x"), "Unexpected"),
        (418, ("teapot", "x"), "Unexpected"),
    ] {
        let server = always(status, error, reason).await;
        let failure = client(&server).save(&db(), draft("a"), soon()).await.unwrap_err();
        assert!(format!("{failure:?}").starts_with(expected), "{status} {error}: {failure:?}");
        let refusal = failure.refusal().unwrap();
        assert_eq!(
            (refusal.status, refusal.error.as_str(), refusal.reason.as_str()),
            (Some(status), error, reason)
        );
        assert_eq!(refusal.call.method.as_str(), "PUT");
        assert_eq!(refusal.call.url, format!("{}/account%2Fac%2Fco%2Funt001/a", server.uri()));
        assert_eq!(failure.call(), Some(&refusal.call));
        let text = failure.to_string();
        assert!(
            text.contains(&status.to_string()) && text.contains(error) && text.contains(reason),
            "{text}"
        );
        let of_store = StoreError::from(failure);
        assert_eq!(of_store.is_conflict(), expected == "Conflict");
        assert_eq!(of_store.is_retryable(), expected == "Unavailable");
        assert_eq!(of_store.is_not_found(), ["Missing", "Deleted", "DatabaseMissing"].contains(&expected));
    }
}

#[tokio::test]
async fn a_404_of_another_program_is_not_a_missing_document() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(404).set_body_string("<html>Not here</html>");
    Mock::given(any()).respond_with(page).mount(&server).await;
    let client = client(&server);
    assert!(matches!(client.fetch(&db(), &id("a"), soon()).await, Err(Error::Unexpected(_))));
    assert!(matches!(client.db_exists(&db(), soon()).await, Err(Error::Unexpected(_))));
}

/// couch_rs takes every answer but 200 for a missing database, and creates it.
#[tokio::test]
async fn a_refusal_does_not_mean_that_a_database_is_missing() {
    for (status, error) in
        [(401, "unauthorized"), (403, "forbidden"), (500, "x"), (503, "service_unavailable")]
    {
        let server = always(status, error, "x").await;
        let client = client(&server);
        assert_eq!(client.db_exists(&db(), soon()).await.unwrap_err().status(), Some(status));
        let requests = server.received_requests().await.unwrap();
        assert!(requests.iter().all(|request| request.method.as_str() == "GET"), "{status}");
    }
}

#[tokio::test]
async fn each_name_is_one_segment_of_the_path() {
    let server = MockServer::start().await;
    let text = r#"{"_id":"a/b?c","_rev":"1-a"}"#;
    Mock::given(method("GET"))
        .and(path("/account%2Fac%2Fco%2Funt001/a%2Fb%3Fc"))
        .respond_with(ResponseTemplate::new(200).set_body_string(text))
        .mount(&server)
        .await;
    let doc = client(&server).fetch(&db(), &id("a/b?c"), soon()).await.unwrap();
    assert_eq!(doc.text(), text);
    let prefixed = Client::new(quick(&format!("{}/couch/", server.uri()))).unwrap();
    prefixed.fetch(&db(), &id("x"), soon()).await.unwrap_err();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.last().unwrap().url.path(), "/couch/account%2Fac%2Fco%2Funt001/x");
}

#[tokio::test]
async fn names_that_would_change_the_path_are_refused() {
    let server = always(200, "x", "x").await;
    let client = client(&server);
    for name in ["", ".", "..", "_all_docs", "_security", "_design/", "_design/..", "_design/_x"] {
        let id = DocId::from_store(name.to_owned());
        let rev = Rev::parse("1-a").unwrap();
        let draft = Draft { id: id.clone(), ..draft("a") };
        assert!(matches!(client.fetch(&db(), &id, soon()).await, Err(Error::UnusableName(_))), "{name}");
        assert!(matches!(client.save(&db(), draft, soon()).await, Err(Error::UnusableName(_))), "{name}");
        assert!(
            matches!(client.delete(&db(), &id, &rev, soon()).await, Err(Error::UnusableName(_))),
            "{name}"
        );
    }
    for name in ["", ".", ".."] {
        let query = ViewQuery::of(name, "v");
        assert!(matches!(client.query(&db(), &query, soon()).await, Err(Error::UnusableName(_))), "{name}");
        assert!(matches!(
            client.fetch_attachment(&db(), &id("a"), name, soon()).await,
            Err(Error::UnusableName(_))
        ));
    }
    assert!(server.received_requests().await.unwrap().is_empty());
    // A database cannot have the name of a resource of the server (couchdb-nano 367).
    for name in ["_db_updates", "_all_dbs", "_users"] {
        assert!(DbName::parse(name).is_err());
    }
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let (user, password) = ("kazoo", "hunter2-s3cret");
    let server = MockServer::start().await;
    let token = "Basic a2F6b286aHVudGVyMi1zM2NyZXQ=";
    Mock::given(header("authorization", token)).respond_with(ResponseTemplate::new(418)).mount(&server).await;
    let url = |base: &str| base.replace("http://", &format!("http://{user}:{password}@"));
    let truncated = Raw::start(vec![Script::begin().chunk("{\"_id\":")]);
    let bases = [
        server.uri(),
        always(401, "unauthorized", "x").await.uri(),
        always(200, "x", "x").await.uri(),
        closed_port(),
        truncated.settings().url.to_string(),
    ];
    for base in bases {
        let settings = quick(&url(&base));
        let client = Client::new(settings.clone()).unwrap();
        let mut shown = format!("{client:?} {settings:#?} {}", settings.url);
        let errors = [
            client.fetch(&db(), &id("a"), soon()).await.unwrap_err(),
            client.save(&db(), draft("a"), soon()).await.unwrap_err(),
            client.fetch(&db(), &id("a"), Deadline::after(Duration::ZERO)).await.unwrap_err(),
        ];
        for error in errors {
            shown += &format!("{error} {error:?} {error:#?}");
            let mut cause = error.source();
            while let Some(error) = cause {
                shown += &format!("{error} {error:?}");
                cause = error.source();
            }
            let error = StoreError::from(error);
            shown += &format!("{error} {error:?}");
        }
        for secret in [password, "hunter2", &token[6..20]] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

/// There is no session that could end. Every request logs in, also that of a feed.
#[tokio::test]
async fn every_request_carries_the_credentials() {
    let raw = Raw::start(vec![Script::answer("200 OK", "{\"rows\":[],\"results\":[]}")]);
    let url = raw.settings().url.to_string().replace("http://", "http://a:b@");
    let (client, db) = (Client::new(quick(&url)).unwrap(), db());
    client.db_exists(&db, soon()).await.unwrap();
    client.query(&db, &ViewQuery::all_docs(), soon()).await.map(drop).unwrap();
    assert_eq!(client.changes(&db, ChangesQuery::default()).count().await, 0);
    let requests = raw.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|head| head.contains("authorization: basic ytpi")), "{requests:?}");
}

#[tokio::test]
async fn a_failed_tls_handshake_is_a_transport_failure() {
    let raw = Raw::start(vec![Script::hang_up()]);
    let url = raw.settings().url.to_string().replace("http://", "https://");
    let mut settings = quick(&url);
    settings.connect_timeout = Duration::from_millis(300);
    let error = Client::new(settings).unwrap().db_exists(&db(), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
}

/// A view's key may be a hash of a password (`creds_by_md5`).
#[tokio::test]
async fn keys_are_sent_in_the_body_and_never_shown() {
    let server = always(500, "x", "x").await;
    let query =
        ViewQuery { key: Some(json!("5f4dcc3b5aa765d6")), limit: Some(1), ..ViewQuery::of("users", "v") };
    let Err(error) = client(&server).query(&db(), &query, soon()).await else { panic!("no error") };
    assert!(!format!("{error} {error:?}").contains("5f4dcc3b5aa765d6"));
    let requests = server.received_requests().await.unwrap();
    let request = requests.first().unwrap();
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.url.query(), Some("reduce=false&limit=1"));
    assert_eq!(request.body, br#"{"key":"5f4dcc3b5aa765d6"}"#);
}

/// CouchDB passes on the system's name of the error, in its `error` or somewhere in its `reason`.
#[tokio::test]
async fn a_full_disk_is_no_timeout() {
    for (error, reason, is_full) in [
        ("error", "enospc", true),
        ("badmatch", "{{badmatch,{error,enospc}},[{couch_file,append}]}", true),
        ("erofs", "x", true),
        ("internal_server_error", "x", false),
    ] {
        let server = always(500, error, reason).await;
        let error = datastore::Store::save(&client(&server), &db(), draft("a"), soon()).await.unwrap_err();
        assert_eq!(matches!(error, datastore::StoreError::CannotWrite(_)), is_full, "{error:?}");
    }
}

#[tokio::test]
async fn garbage_is_not_a_document() {
    for body in ["", "<html>", "[]", "{}", r#"{"_id":"a"}"#, r#"{"_id":"a","_rev":"1-a""#, "\u{0}"] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(200).set_body_string(body);
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let client = client(&server);
        let rev = Rev::parse("1-a").unwrap();
        let errors = [
            client.fetch(&db(), &id("a"), soon()).await.err(),
            client.fetch_many(&db(), &[id("a")], soon()).await.err(),
            client.save(&db(), draft("a"), soon()).await.err(),
            client.save_many(&db(), vec![draft("a")], soon()).await.err(),
            client.delete(&db(), &id("a"), &rev, soon()).await.err(),
        ];
        for (call, error) in errors.iter().enumerate() {
            assert!(matches!(error, Some(Error::Unreadable { .. })), "{body}, call {call}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_string("x".repeat(10_000));
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let mut settings = quick(&server.uri());
    settings.max_answer_bytes = 9_999;
    let error = Client::new(settings).unwrap().fetch(&db(), &id("a"), soon()).await.unwrap_err();
    assert!(matches!(error, Error::AnswerTooLarge { max_bytes: 9_999, .. }), "{error:?}");
}

#[tokio::test]
async fn the_deadline_ends_every_call_whatever_the_server_does() {
    for script in [Script::hang_up().hold(), Script::begin().chunk("{\"_id\":").hold()] {
        let raw = Raw::start(vec![script]);
        let client = raw.client();
        let rev = Rev::parse("1-a").unwrap();
        let (db, a) = (db(), id("a"));
        let in_time = || Deadline::after(Duration::from_millis(60));
        let begun = Instant::now();
        let errors = [
            client.fetch(&db, &a, in_time()).await.err(),
            client.fetch_many(&db, std::slice::from_ref(&a), in_time()).await.err(),
            client.fetch_attachment(&db, &a, "x", in_time()).await.err(),
            client.save(&db, draft("a"), in_time()).await.err(),
            client.save_many(&db, vec![draft("a")], in_time()).await.err(),
            client.delete(&db, &a, &rev, in_time()).await.err(),
            client.db_exists(&db, in_time()).await.err(),
            client.create_db(&db, in_time()).await.err(),
            client.delete_db(&db, in_time()).await.err(),
            client.list_dbs(in_time()).await.err(),
        ];
        for (call, error) in errors.iter().enumerate() {
            assert!(matches!(error, Some(Error::DeadlineExceeded(_))), "call {call}: {error:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

/// The status is enough; the client does not wait until the deadline for the rest.
#[tokio::test]
async fn a_refusal_without_its_body_is_known_by_its_status() {
    let head = "HTTP/1.1 409 Conflict\r\ncontent-length: 100\r\n\r\n{";
    let raw = Raw::start(vec![Script::hang_up().send(head).hold()]);
    let error = raw.client().save(&db(), draft("a"), soon()).await.unwrap_err();
    assert!(error.is_conflict() && error.status() == Some(409), "{error:?}");
}

#[tokio::test]
async fn the_clients_own_timeout_is_a_transport_failure() {
    let raw = Raw::start(vec![Script::hang_up().hold()]);
    let mut settings = raw.settings();
    settings.request_timeout = Duration::from_millis(40);
    let error = Client::new(settings).unwrap().save(&db(), draft("a"), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert!(error.to_string().contains("silent for 40 ms"), "{error}");
}

#[tokio::test]
async fn what_couchdb_says_is_told_once() {
    for (status, word) in [(401, "unauthorized"), (403, "forbidden"), (409, "conflict"), (503, "busy")] {
        let server = always(status, word, "Name or password is incorrect.").await;
        let client = Client::new(quick(&server.uri())).unwrap();
        let error = StoreError::from(client.fetch(&db(), &id("a"), soon()).await.unwrap_err());
        let mut told = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // As logs tell the causes of an error.
            let words = error.to_string();
            if !told.contains(&words) {
                told += &words;
            }
            cause = error.source();
        }
        assert_eq!(told.matches("Name or password is incorrect.").count(), 1, "{told}");
    }
}
