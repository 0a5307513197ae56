//! Large bodies and rows: a client reads only a few of them at once.

use std::time::Duration;

use couchdb::{Client, Error};
use datastore::{Deadline, ViewQuery};
use futures::StreamExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::faults::{db, id};
use crate::raw::{Raw, Script};
use crate::server::soon;

/// How many large bodies of a database a client reads at once.
const TURNS: usize = 2;

fn large_document() -> String {
    format!(r#"{{"_id":"a","_rev":"1-967a00dff5e02add41819138abb3284d","x":"{}"}}"#, "x".repeat(300_000))
}

/// Fetches the large document.
async fn fetch(client: &Client, patience: Duration) -> Result<(), Error> {
    client.fetch(&db(), &id("a"), Deadline::after(patience)).await.map(|_| ())
}

/// Checks that a large document can be fetched once the first `TURNS` answers, which never end, are given up.
async fn check(unfinished: Script, read: impl Fn(Client) -> JoinHandle<()>) {
    let mut scripts = vec![unfinished; TURNS];
    scripts.push(Script::answer("200 OK", &large_document()));
    let raw = Raw::start(scripts);
    let client = raw.client();
    let readers: Vec<_> = (0..TURNS).map(|_| read(client.clone())).collect();
    let begun = Instant::now();
    let wait_until = async |wanted: fn(&Result<(), Error>) -> bool| {
        loop {
            let fetched = fetch(&client, Duration::from_millis(200)).await;
            if wanted(&fetched) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{fetched:?}");
        }
    };
    while raw.requests().len() < TURNS {
        tokio::task::yield_now().await;
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    wait_until(|fetched| matches!(fetched, Err(Error::DeadlineExceeded(_)))).await;
    for reader in readers {
        reader.abort();
    }
    wait_until(Result::is_ok).await;
}

#[tokio::test]
async fn few_large_bodies_are_read_at_once() {
    let half = Script::begin().chunk(&large_document().split_off(1)).hold();
    check(half, |client| {
        tokio::spawn(async move {
            let _ = client.fetch(&db(), &id("a"), soon()).await;
        })
    })
    .await;
}

#[tokio::test]
async fn few_large_rows_are_read_at_once() {
    let small = r#"{"id":"a","key":1,"value":2}"#;
    let half = format!(r#"{{"id":"b","key":"{}"#, "x".repeat(300_000));
    let script = Script::begin().chunk(r#"{"rows":["#).chunk(small).chunk(",").chunk(&half).hold();
    check(script, |client| {
        tokio::spawn(async move {
            let mut rows = client.query(&db(), &ViewQuery::of("d", "v"), soon()).await.unwrap();
            while rows.next().await.is_some_and(|row| row.is_ok()) {}
        })
    })
    .await;
}

/// A client that reads one large row after another needs one turn for each, not for all.
#[tokio::test]
async fn a_row_gives_its_turn_back() {
    let row = format!(r#"{{"id":"b","key":"{}","value":2}}"#, "x".repeat(300_000));
    let mut script = Script::begin().chunk(r#"{"rows":["#).chunk(&row);
    for _ in 0..2 * TURNS {
        script = script.chunk(",").chunk(&row);
    }
    let raw = Raw::start(vec![script.chunk("]}").end()]);
    let rows = raw.client().query(&db(), &ViewQuery::of("d", "v"), soon()).await.unwrap();
    let rows: Vec<_> = rows.collect().await;
    assert_eq!(rows.len(), 2 * TURNS + 1);
    assert!(rows.iter().all(Result::is_ok));
}
