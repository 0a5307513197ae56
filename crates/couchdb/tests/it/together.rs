//! Writes of one database that go to CouchDB together, because others are under way.

use std::time::{Duration, Instant};

use couchdb::{Client, Error};
use datastore::{DbName, Deadline, Draft, Rev};
use futures::future::join_all;
use serde_json::{Map, Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::faults::{db, id};
use crate::raw::quick;
use crate::server::{client, soon};

/// Longer than it takes to begin all writes of a test, and shorter than a write waits for others.
const A_MOMENT: Duration = Duration::from_millis(40);

fn draft(name: &str) -> Draft {
    Draft { id: id(name), base: None, body: Map::from_iter([("name".to_owned(), json!(name))]) }
}

/// The revision that the servers of these tests give to a document.
fn rev_of(name: &str) -> String {
    format!("1-{}", name.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A row of the answer to several writes.
fn row(name: &str) -> Value {
    json!({"ok": true, "id": name, "rev": rev_of(name)})
}

/// The names of the documents in a request.
fn names(request: &Request) -> Vec<String> {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let docs = body["docs"].as_array().unwrap();
    docs.iter().map(|doc| doc["_id"].as_str().unwrap().to_owned()).collect()
}

/// Whether a request asks for something of the database.
fn is_of(name: &str) -> impl Fn(&Request) -> bool + use<> {
    let end = format!("/{name}");
    move |request| request.url.path().ends_with(&end)
}

/// Answers each write of one document, after a while.
fn single(wait: Duration) -> Mock {
    Mock::given(method("PUT")).respond_with(move |request: &Request| {
        let name = request.url.path().rsplit('/').next().unwrap().to_owned();
        ResponseTemplate::new(201).set_body_json(row(&name)).set_delay(wait)
    })
}

/// Answers writes of several documents.
fn several(respond: impl Respond + 'static) -> Mock {
    Mock::given(method("POST")).and(is_of("_bulk_docs")).respond_with(respond)
}

async fn server(mocks: Vec<Mock>) -> (MockServer, Client) {
    let server = MockServer::start().await;
    for mock in mocks {
        mock.mount(&server).await;
    }
    let client = Client::new(quick(&server.uri())).unwrap();
    (server, client)
}

/// The requests that the server has got: the path of each, and how many documents it has.
async fn sent(server: &MockServer) -> Vec<(String, usize)> {
    let requests = server.received_requests().await.unwrap().into_iter();
    let count = |request: &Request| if request.method.as_str() == "POST" { names(request).len() } else { 1 };
    requests.map(|request| (format!("{} {}", request.method, request.url.path()), count(&request))).collect()
}

async fn save_all(client: &Client, names: &[&str]) -> Vec<Result<Rev, Error>> {
    let db = db();
    join_all(names.iter().map(|name| client.save(&db, draft(name), soon()))).await
}

fn all_rows(request: &Request) -> ResponseTemplate {
    ResponseTemplate::new(201).set_body_json(names(request).iter().map(|name| row(name)).collect::<Vec<_>>())
}

#[tokio::test]
async fn writes_that_arrive_while_one_is_under_way_go_together() {
    let (server, client) = server(vec![single(A_MOMENT), several(all_rows)]).await;
    let all = ["a", "b", "c", "d", "e", "f"];
    let saved = save_all(&client, &all).await;
    for (name, rev) in all.iter().zip(saved) {
        assert_eq!(rev.unwrap().as_str(), rev_of(name), "each gets the answer for its own document");
    }
    let sent = sent(&server).await;
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent[1].0.ends_with("/_bulk_docs") && sent[1].1 == 5, "{sent:?}");
    // Nothing is under way any more, so nobody waits.
    client.save(&db(), draft("a"), soon()).await.unwrap();
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
}

#[tokio::test]
async fn each_document_of_an_answer_with_202_is_counted() {
    let respond = |request: &Request| {
        let rows: Vec<_> = names(request).iter().map(|name| row(name)).collect();
        ResponseTemplate::new(202).set_body_json(rows)
    };
    let (_server, client) = server(vec![single(A_MOMENT), several(respond)]).await;
    save_all(&client, &["a", "b", "c", "d"]).await;
    assert_eq!(client.node_figures()[0].accepted, 3);
}

#[tokio::test]
async fn each_document_has_an_answer_of_its_own() {
    let rows = |request: &Request| {
        let rows = names(request).into_iter().map(|name| match name.as_str() {
            "c" => json!({"id": "c", "error": "conflict", "reason": "x"}),
            "d" => json!({"id": "d", "error": "forbidden", "reason": "x"}),
            name => row(name),
        });
        ResponseTemplate::new(201).set_body_json(rows.collect::<Vec<_>>())
    };
    let (_server, client) = server(vec![single(A_MOMENT), several(rows)]).await;
    let saved = save_all(&client, &["a", "c", "d", "e"]).await;
    assert!(matches!(saved[1], Err(Error::Conflict(_))), "{saved:?}");
    assert!(matches!(saved[2], Err(Error::Forbidden(_))), "{saved:?}");
    assert_eq!(saved[3].as_ref().unwrap().as_str(), rev_of("e"));
}

#[tokio::test]
async fn what_is_refused_together_is_sent_one_by_one() {
    for status in [400, 401, 403, 404, 413] {
        let refused = ResponseTemplate::new(status).set_body_json(json!({"error": "x", "reason": "x"}));
        let (server, client) = server(vec![single(A_MOMENT), several(refused)]).await;
        let saved = save_all(&client, &["a", "b", "c", "d"]).await;
        assert!(saved.iter().all(Result::is_ok), "{status}: {saved:?}");
        let sent = sent(&server).await;
        assert_eq!(sent.iter().filter(|(what, _)| what.starts_with("PUT")).count(), 4, "{sent:?}");
    }
}

#[tokio::test]
async fn writes_whose_common_answer_is_lost_are_read_back() {
    let stored = |name: &str| {
        Mock::given(method("GET")).and(is_of(name)).respond_with(
            ResponseTemplate::new(200)
                .set_body_json(json!({"_id": name, "_rev": rev_of(name), "name": name})),
        )
    };
    for lost in [
        ResponseTemplate::new(500),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(201).set_body_json(json!([row("c")])),
    ] {
        // `e` was not written.
        let (server, client) = server(vec![single(A_MOMENT), several(lost), stored("c"), stored("d")]).await;
        let saved = save_all(&client, &["a", "c", "d", "e"]).await;
        assert!(saved[..3].iter().all(Result::is_ok), "{saved:?}");
        assert!(saved[3].as_ref().is_err_and(Error::is_retryable), "{saved:?}");
        let writes = sent(&server).await.into_iter().filter(|(what, _)| !what.starts_with("GET"));
        assert_eq!(writes.count(), 2, "nothing is written twice");
    }
}

#[tokio::test]
async fn the_write_of_a_caller_who_has_gone_is_not_sent() {
    let (server, client) = server(vec![single(A_MOMENT), several(all_rows)]).await;
    let (db, gone) = (db(), Duration::from_millis(10));
    let others = save_all(&client, &["a"]);
    // It is polled after the other one, so it waits.
    let waits = tokio::time::timeout(gone, client.save(&db, draft("c"), soon()));
    let (others, waits) = futures::future::join(others, waits).await;
    assert!(others.iter().all(Result::is_ok) && waits.is_err());
    tokio::time::sleep(A_MOMENT).await;
    assert_eq!(sent(&server).await.len(), 1);
}

/// The caller whose write is under way goes away. Those who wait do not notice.
#[tokio::test]
async fn a_caller_who_goes_away_takes_no_other_write_along() {
    let (server, client) = server(vec![single(A_MOMENT), several(all_rows)]).await;
    let (db, gone) = (db(), Duration::from_millis(10));
    let first = tokio::time::timeout(gone, client.save(&db, draft("a"), soon()));
    let (first, waits) = futures::future::join(first, save_all(&client, &["c", "d", "e"])).await;
    assert!(first.is_err() && waits.iter().all(Result::is_ok), "{waits:?}");
    assert_eq!(sent(&server).await.len(), 2, "{:?}", sent(&server).await);
}

#[tokio::test]
async fn a_write_that_hangs_holds_up_no_other() {
    let hang = Duration::from_secs(60);
    let (_server, client) = server(vec![single(hang), several(all_rows)]).await;
    let (db, by) = (db(), Deadline::after(Duration::from_secs(20)));
    let begun = Instant::now();
    let hanging = client.save(&db, draft("a"), by);
    let others = save_all(&client, &["c", "d"]);
    tokio::select! {
        biased;
        _ = hanging => panic!("it hangs"),
        others = others => assert!(others.iter().all(Result::is_ok), "{others:?}"),
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// A CouchDB that is slow gets a few requests with many documents, and not the other way round.
#[tokio::test]
async fn writes_go_together_also_if_each_request_takes_long() {
    let slow = Duration::from_millis(400);
    let respond = move |request: &Request| all_rows(request).set_delay(slow);
    let (server, client) = server(vec![single(slow), several(respond)]).await;
    let (db, names) = (db(), (0..50).map(|number| format!("n{number}")).collect::<Vec<_>>());
    let saved = join_all(names.iter().enumerate().map(async |(number, name)| {
        tokio::time::sleep(Duration::from_millis(8) * u32::try_from(number).unwrap()).await;
        client.save(&db, draft(name), soon()).await
    }))
    .await;
    assert!(saved.iter().all(Result::is_ok), "{saved:?}");
    let sent = sent(&server).await;
    assert!(sent.len() <= 12, "{sent:?}");
}

#[tokio::test]
async fn large_documents_and_other_databases_do_not_wait() {
    let (server, client) = server(vec![single(A_MOMENT), several(all_rows)]).await;
    let (other, large) = (DbName::parse("other").unwrap(), json!("x".repeat(20_000)));
    let large = Draft { body: Map::from_iter([("name".to_owned(), large)]), ..draft("large") };
    let db = db();
    let (small, others) = futures::future::join(
        save_all(&client, &["a"]),
        join_all([client.save(&db, large, soon()), client.save(&other, draft("c"), soon())]),
    )
    .await;
    assert!(small.iter().chain(&others).all(Result::is_ok));
    assert!(sent(&server).await.iter().all(|(what, _)| what.starts_with("PUT")));
}

/// On the CouchDB for tests: what is saved together is what was sent, and an id that is taken is a conflict.
#[tokio::test]
async fn many_clients_write_at_once() {
    let client = client();
    let (db, by) = (couchdb::standin::unique_db(), soon());
    client.create_db(&db, by).await.unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("{}\"é {number}", number / 2)).collect();
    let saved = join_all(names.iter().enumerate().map(async |(number, name)| {
        let twin = Draft { id: id(&format!("n{}", number / 2)), ..draft(name) };
        client.save(&db, twin, by).await
    }))
    .await;
    for (number, (results, names)) in saved.chunks(2).zip(names.chunks(2)).enumerate() {
        let winner = results.iter().position(Result::is_ok).expect("one of the two is saved");
        assert!(results[1 - winner].as_ref().is_err_and(Error::is_conflict), "{results:?}");
        let stored = client.fetch(&db, &id(&format!("n{number}")), by).await.unwrap();
        assert_eq!(stored.rev(), results[winner].as_ref().unwrap());
        assert_eq!(stored.to_object().unwrap()["name"], json!(names[winner]));
    }
    client.delete_db(&db, by).await.unwrap();
}
