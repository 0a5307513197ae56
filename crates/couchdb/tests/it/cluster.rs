//! Several nodes of a cluster: which one gets a request, and what happens when one is gone.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use couchdb::{Client, Copies, NodeFigures, Settings};
use datastore::{ChangesQuery, Deadline, Draft, Feed, Rev, Sign};
use futures::StreamExt;
use serde_json::{Map, json};
use wiremock::matchers::{any, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::faults::{db, draft, id};
use crate::raw::{Raw, Script, quick};
use crate::server::soon;

/// A document of which one can see who answered.
fn doc(node: &str) -> String {
    format!(r#"{{"_id":"{node}","_rev":"1-a"}}"#)
}

/// An address that nobody listens to.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn settings(urls: &[&str]) -> Settings {
    let further_urls = urls[1..].iter().map(|url| url.parse().unwrap()).collect();
    Settings { further_urls, ..quick(urls[0]) }
}

fn cluster(urls: &[&str]) -> Client {
    Client::new(settings(urls)).unwrap()
}

/// A node that answers everything with its own name.
async fn node(name: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({"ok": true, "id": name, "rev": "1-a"})))
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string(doc(name)))
        .mount(&server)
        .await;
    server
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

/// Who answers a read.
async fn answers(client: &Client) -> String {
    client.fetch(&db(), &id("a"), soon()).await.unwrap().id().to_string()
}

fn are_used(client: &Client) -> Vec<bool> {
    client.node_figures().iter().map(|node| node.is_well).collect()
}

#[tokio::test]
async fn the_first_node_gets_everything_while_it_is_well() {
    let (first, second) = (node("first").await, node("second").await);
    let client = cluster(&[&first.uri(), &second.uri()]);
    for _ in 0..5 {
        assert_eq!(answers(&client).await, "first");
        client.save(&db(), draft("a"), soon()).await.unwrap();
    }
    assert_eq!((requests(&first).await, requests(&second).await), (10, 0));
}

/// A connection that was never opened has carried no write.
#[tokio::test]
async fn reads_and_writes_go_to_the_next_node_if_the_first_takes_no_connection() {
    let second = node("second").await;
    let client = cluster(&[&nobody(), &nobody(), &second.uri()]);
    client.save(&db(), draft("a"), soon()).await.unwrap();
    assert_eq!(answers(&client).await, "second");
    assert_eq!(are_used(&client), [false, false, true]);
    let rev = Rev::parse("1-a").unwrap();
    let alone = cluster(&[&nobody(), &nobody()]);
    let error = alone.delete(&db(), &id("a"), &rev, soon()).await.unwrap_err();
    assert!(error.is_retryable() && error.refusal().is_none(), "{error}");
}

/// A write that may have arrived is sent to no other node. The document is read back there.
#[tokio::test]
async fn a_write_whose_answer_is_lost_is_read_back_on_the_next_node() {
    let first = Raw::start(vec![Script::hang_up()]);
    let second = MockServer::start().await;
    let stored = r#"{"_id":"a","_rev":"1-x","name":"n"}"#;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_string(stored))
        .mount(&second)
        .await;
    let client = cluster(&[&first.settings().url.to_string(), &second.uri()]);
    let mut sent = draft("a");
    sent.body = json!({"name": "n"}).as_object().unwrap().clone();
    assert_eq!(client.save(&db(), sent, soon()).await.unwrap().as_str(), "1-x");
    let puts = second.received_requests().await.unwrap();
    assert!(puts.iter().all(|request| request.method == "GET"), "{puts:?}");
    assert_eq!(first.requests().iter().filter(|head| head.starts_with("put")).count(), 1);
}

#[tokio::test]
async fn a_read_that_a_node_cannot_serve_goes_to_the_next() {
    let second = node("second").await;
    for script in [Script::hang_up(), Script::answer("503 Busy", "{}"), Script::begin().chunk("{\"_id\":")] {
        let first = Raw::start(vec![script]);
        let client = cluster(&[&first.settings().url.to_string(), &second.uri()]);
        assert_eq!(answers(&client).await, "second");
        assert_eq!(first.requests().len(), 1);
    }
}

/// The node comes back at the same address.
#[tokio::test]
async fn the_first_node_is_used_again_when_it_answers_again() {
    let address = nobody();
    let second = node("second").await;
    let client = cluster(&[&address, &second.uri()]);
    assert_eq!(answers(&client).await, "second");
    let listener = TcpListener::bind(address.trim_start_matches("http://")).unwrap();
    let first = MockServer::builder().listener(listener).start().await;
    Mock::given(path("/_up"))
        .respond_with(ResponseTemplate::new(404).set_body_json(json!({"status": "maintenance_mode"})))
        .up_to_n_times(1)
        .mount(&first)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string(doc("first")))
        .mount(&first)
        .await;
    let by = soon();
    while answers(&client).await != "first" {
        assert!(!by.is_over(), "{:?}", client.node_figures());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(are_used(&client), [true, true]);
    let asked = first.received_requests().await.unwrap();
    let questions = asked.iter().filter(|request| request.url.path() == "/_up").count();
    assert_eq!(questions, 2, "one that is being maintained is asked again");
}

/// A node that is cut off from the network says nothing at all. The caller does not wait for its deadline.
#[tokio::test]
async fn a_silent_node_is_left_out_after_a_moment() {
    let first = Raw::start(vec![Script::hang_up().hold()]);
    let second = node("second").await;
    let client = cluster(&[&first.settings().url.to_string(), &second.uri()]);
    let begun = Instant::now();
    assert_eq!(answers(&client).await, "second");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(are_used(&client), [false, true]);
    let begun = Instant::now();
    assert_eq!(answers(&client).await, "second");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// A slow view is no reason to go to another node, where it would be slow too.
#[tokio::test]
async fn a_slow_node_that_answers_questions_is_waited_for() {
    let (first, second) = (MockServer::start().await, node("second").await);
    Mock::given(path("/_up")).respond_with(ResponseTemplate::new(200)).mount(&first).await;
    let slow =
        ResponseTemplate::new(200).set_body_string(doc("first")).set_delay(Duration::from_millis(3_500));
    Mock::given(any()).respond_with(slow).mount(&first).await;
    let client = cluster(&[&first.uri(), &second.uri()]);
    assert_eq!(answers(&client).await, "first");
    assert_eq!((are_used(&client), requests(&second).await), (vec![true, true], 0));
    assert!(requests(&first).await > 1, "it was asked");
}

#[tokio::test]
async fn feeds_go_to_the_next_node() {
    let line = "{\"seq\":\"1-x\",\"id\":\"doc1\",\"changes\":[{\"rev\":\"1-a\"}]}\n";
    let second = Raw::start(vec![Script::begin().chunk(line).hold()]);
    let client = cluster(&[&nobody(), &second.settings().url.to_string()]);
    let query = ChangesQuery { feed: Feed::Continuous, ..ChangesQuery::default() };
    let change = client.changes(&db(), query).next().await.unwrap().unwrap();
    assert_eq!(change.seq, "1-x");
    let sign = client.watch(&db(), Duration::from_secs(2)).next().await.unwrap().unwrap();
    assert!(matches!(sign, Sign::Changed { .. }), "{sign:?}");
}

#[tokio::test]
async fn each_node_gets_its_own_credentials() {
    let (first, second) = (node("first").await, node("second").await);
    let with_login = |url: String, login: &str| url.replace("http://", &format!("http://{login}@"));
    let client = cluster(&[&with_login(first.uri(), "a:b"), &with_login(second.uri(), "c:d")]);
    let version = client.versions(soon()).await;
    assert_eq!(version.len(), 2);
    for (server, expected) in [(&first, "Basic YTpi"), (&second, "Basic Yzpk")] {
        let request = server.received_requests().await.unwrap().remove(0);
        assert_eq!(request.headers.get("authorization").unwrap(), expected);
    }
    let shown = format!("{client:?} {:?} {version:?}", client.node_figures());
    assert!(!shown.contains("b@") && !shown.contains("YTpi"), "{shown}");
}

/// Fewer nodes than usual have the write. It is acknowledged all the same, as Kazoo does.
#[tokio::test]
async fn an_accepted_write_is_a_write_and_is_counted() {
    let server = MockServer::start().await;
    let accepted = ResponseTemplate::new(202).set_body_json(json!({"ok": true, "id": "a", "rev": "1-a"}));
    Mock::given(any()).respond_with(accepted).mount(&server).await;
    let client = cluster(&[&server.uri()]);
    for _ in 0..3 {
        assert_eq!(client.save(&db(), draft("a"), soon()).await.unwrap().as_str(), "1-a");
    }
    let expected = NodeFigures { address: server.uri(), is_well: true, accepted: 3 };
    assert_eq!(client.node_figures(), [expected]);
}

/// A node of a cluster that keeps three copies of each document. It answers a write that waits for all of them
/// after `time`.
async fn three_copies(time: Duration) -> MockServer {
    let server = MockServer::start().await;
    let written = || ResponseTemplate::new(201).set_body_json(json!({"ok": true, "id": "a", "rev": "1-a"}));
    Mock::given(method("PUT"))
        .and(query_param("w", "3"))
        .respond_with(written().set_delay(time))
        .mount(&server)
        .await;
    Mock::given(method("PUT")).respond_with(written()).mount(&server).await;
    Mock::given(path(format!("/{}", db().encoded())))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(json!({"cluster": {"q": 2, "n": 3, "w": 2, "r": 2}})),
        )
        .mount(&server)
        .await;
    let stored = json!({"_id": "a", "_rev": "1-a"});
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(stored)).mount(&server).await;
    server
}

/// The requests for writes that a node has got: whether each waited for all copies.
async fn waits(server: &MockServer) -> Vec<bool> {
    let requests = server.received_requests().await.unwrap();
    let writes = requests.iter().filter(|request| request.method == "PUT");
    writes.map(|request| request.url.query() == Some("w=3")).collect()
}

/// Otherwise a view could be asked for a copy that does not have the write yet.
#[tokio::test]
async fn a_write_waits_for_every_copy() {
    let server = three_copies(Duration::ZERO).await;
    let client = Client::new(Settings { copies: Copies::Every, ..settings(&[&server.uri()]) }).unwrap();
    for _ in 0..2 {
        client.save(&db(), Draft { body: Map::new(), ..draft("a") }, soon()).await.unwrap();
    }
    assert_eq!(waits(&server).await, [true, true]);
    assert_eq!(requests(&server).await, 3, "the number of copies is asked for once");
}

#[tokio::test]
async fn a_copy_that_hangs_holds_up_one_write() {
    let server = three_copies(Duration::from_secs(60)).await;
    let client = Client::new(Settings { copies: Copies::Every, ..settings(&[&server.uri()]) }).unwrap();
    for _ in 0..2 {
        let draft = Draft { body: Map::new(), ..draft("a") };
        // The document shows that the first write was done.
        let rev = client.save(&db(), draft, Deadline::after(Duration::from_millis(1_500))).await.unwrap();
        assert_eq!(rev.as_str(), "1-a");
    }
    assert_eq!(waits(&server).await, [true, false]);
}

/// A real cluster, where `COUCHDB_CLUSTER_URLS` names its nodes.
#[tokio::test]
async fn a_real_cluster_serves_on_through_each_of_its_nodes() {
    let Ok(urls) = std::env::var("COUCHDB_CLUSTER_URLS") else {
        eprintln!("not tested: no real cluster; COUCHDB_CLUSTER_URLS names the nodes of one");
        return;
    };
    let urls: Vec<&str> = urls.split_whitespace().collect();
    let (gone, db) = (nobody(), couchdb::standin::unique_db());
    let by = soon;
    cluster(&urls).create_db(&db, by()).await.unwrap();
    for first in &urls {
        // The node before it is gone.
        let client = cluster(&[&gone, first]);
        for (_, version) in client.versions(by()).await.into_iter().skip(1) {
            assert!(version.unwrap().version.starts_with(|digit: char| digit.is_ascii_digit()));
        }
        let name = format!("doc{}", urls.iter().position(|url| url == first).unwrap());
        let rev = client.save(&db, draft(&name), by()).await.unwrap();
        for other in &urls {
            let read = cluster(&[other]).fetch(&db, &id(&name), by()).await.unwrap();
            assert_eq!(read.rev(), &rev);
        }
        let mut feed =
            client.changes(&db, ChangesQuery { feed: Feed::Continuous, ..ChangesQuery::default() });
        assert!(feed.next().await.unwrap().is_ok());
    }
    cluster(&urls).delete_db(&db, by()).await.unwrap();
}
