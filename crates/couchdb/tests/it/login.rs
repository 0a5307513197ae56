//! A wrong password. CouchDB locks a user after five of them.

use couchdb::{Client, Error};
use futures::future::join_all;
use serde_json::json;
use wiremock::matchers::{any, header_exists, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::faults::{db, draft, id};
use crate::raw::quick;
use crate::server::soon;

fn client(server: &MockServer) -> Client {
    let url = server.uri().replace("http://", "http://admin:wrong@");
    Client::new(quick(&url)).unwrap()
}

fn refusal() -> ResponseTemplate {
    let reason = "Name or password is incorrect.";
    ResponseTemplate::new(401).set_body_json(json!({"error": "unauthorized", "reason": reason}))
}

#[tokio::test]
async fn a_password_that_was_refused_is_not_sent_again() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(refusal()).mount(&server).await;
    let client = client(&server);
    let (db, id) = (db(), id("a"));
    let answers = join_all((0..10).map(|_| client.fetch(&db, &id, soon()))).await;
    for answer in answers {
        assert!(matches!(answer, Err(Error::Unauthorized(_))), "{answer:?}");
    }
    let error = client.save(&db, draft("a"), soon()).await.unwrap_err();
    assert!(error.to_string().contains("Name or password is incorrect. (the same password"), "{error}");
    assert!(client.sessions(soon()).await.iter().all(|(_, session)| session.is_err()));
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

/// The answer of a proxy, or of a CouchDB that has locked the user, does not show that the password is right.
#[tokio::test]
async fn an_answer_that_nobody_logged_in_for_proves_nothing() {
    let locked = json!({"error": "forbidden", "reason": "Account is temporarily locked due to x"});
    for first in [ResponseTemplate::new(403).set_body_json(locked), ResponseTemplate::new(500)] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(first).up_to_n_times(1).mount(&server).await;
        Mock::given(any()).respond_with(refusal()).mount(&server).await;
        let client = client(&server);
        let (db, id) = (db(), id("a"));
        assert!(client.fetch(&db, &id, soon()).await.is_err());
        let answers = join_all((0..10).map(|_| client.fetch(&db, &id, soon()))).await;
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
        assert_eq!(server.received_requests().await.unwrap().len(), 2);
    }
}

/// A right password is no reason to wait, and a later refusal of it ends at once too.
#[tokio::test]
async fn a_password_that_is_changed_meanwhile_is_sent_once_more() {
    let server = MockServer::start().await;
    let doc = ResponseTemplate::new(200).set_body_json(json!({"_id": "a", "_rev": "1-a"}));
    Mock::given(any())
        .and(header_exists("authorization"))
        .respond_with(doc)
        .up_to_n_times(10)
        .mount(&server)
        .await;
    Mock::given(any()).respond_with(refusal()).mount(&server).await;
    let client = client(&server);
    let (db, id) = (db(), id("a"));
    let answers = join_all((0..10).map(|_| client.fetch(&db, &id, soon()))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    for _ in 0..5 {
        assert!(client.fetch(&db, &id, soon()).await.is_err());
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 11);
}

/// Without a password, or for another reason, a refusal says nothing about the next request.
#[tokio::test]
async fn other_refusals_do_not_count() {
    for (url, reason) in [
        ("http://", "Name or password is incorrect."),
        ("http://admin:right@", "You are not a server admin."),
    ] {
        let server = MockServer::start().await;
        let refusal =
            ResponseTemplate::new(401).set_body_json(json!({"error": "unauthorized", "reason": reason}));
        Mock::given(method("GET")).respond_with(refusal).mount(&server).await;
        let client = Client::new(quick(&server.uri().replace("http://", url))).unwrap();
        for _ in 0..3 {
            assert!(client.fetch(&db(), &id("a"), soon()).await.is_err());
        }
        assert_eq!(server.received_requests().await.unwrap().len(), 3);
    }
}
