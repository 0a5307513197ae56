//! Writes whose answer is lost: they are sent once, and count as done only if the document shows it.

use couchdb::Error;
use datastore::{Draft, Rev};
use serde_json::{Map, json};

use crate::faults::{db, id};
use crate::raw::{Raw, Script};
use crate::server::soon;

/// The document that the tests save.
fn sales(base: Option<&str>) -> Draft {
    let body = Map::from_iter([("name".to_owned(), json!("Sales")), ("n".to_owned(), json!(1.0))]);
    Draft { id: id("a"), base: base.map(rev), body }
}

fn rev(text: &str) -> Rev {
    Rev::parse(text).unwrap()
}

/// A stored document.
fn stored(rev: &str, name: &str) -> Script {
    Script::answer("200 OK", &format!(r#"{{"_id":"a","_rev":"{rev}","n":1.0,"name":"{name}"}}"#))
}

fn missing() -> Script {
    Script::answer("404 Object Not Found", r#"{"error":"not_found","reason":"missing"}"#)
}

/// A row of all documents.
fn newest(value: &str) -> Script {
    let row = format!(r#"{{"id":"a","key":"a","value":{value}}}"#);
    Script::answer("200 OK", &format!(r#"{{"total_rows":1,"offset":0,"rows":[{row}]}}"#))
}

/// How many writes the server has got.
fn writes(server: &Raw) -> usize {
    let is_write = |head: &&String| head.starts_with("put ") || head.starts_with("delete ");
    server.requests().iter().filter(is_write).count()
}

async fn save(base: Option<&str>, scripts: Vec<Script>) -> Result<Rev, Error> {
    let server = Raw::start(scripts);
    let saved = server.client().save(&db(), sales(base), soon()).await;
    assert_eq!(writes(&server), 1, "a write is sent once");
    saved
}

async fn delete(scripts: Vec<Script>) -> Result<Rev, Error> {
    let server = Raw::start(scripts);
    let deleted = server.client().delete(&db(), &id("a"), &rev("1-a"), soon()).await;
    assert_eq!(writes(&server), 1, "a write is sent once");
    deleted
}

#[tokio::test]
async fn a_save_that_the_document_shows_is_done() {
    for lost in [
        Script::hang_up(),
        Script::answer("500 Internal Server Error", "{}"),
        Script::answer("200 OK", "<html>"),
        Script::answer("201 Created", r#"{"ok":true}"#),
    ] {
        let saved = save(Some("1-a"), vec![lost.clone(), stored("2-b", "Sales")]).await;
        assert_eq!(saved.unwrap(), rev("2-b"));
        let created = save(None, vec![lost, missing(), stored("1-b", "Sales")]).await;
        assert_eq!(created.unwrap(), rev("1-b"), "it is done a little later");
    }
}

#[tokio::test]
async fn a_save_that_the_document_does_not_show_is_not_done() {
    for (base, found) in [
        (Some("1-a"), stored("1-a", "Before")),
        (Some("1-a"), stored("2-b", "Another writer's")),
        (Some("1-a"), stored("3-c", "Sales")),
        (Some("1-a"), missing()),
        (None, stored("1-a", "Another writer's")),
        (None, missing()),
        (None, Script::hang_up()),
    ] {
        let error = save(base, vec![Script::hang_up(), found]).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
    }
}

#[tokio::test]
async fn a_deletion_that_left_a_tombstone_is_done() {
    let deleted = delete(vec![Script::hang_up(), newest(r#"{"rev":"2-b","deleted":true}"#)]).await;
    assert_eq!(deleted.unwrap(), rev("2-b"));
    for found in [r#"{"rev":"1-a"}"#, r#"{"rev":"2-b"}"#, r#"{"rev":"3-c","deleted":true}"#] {
        let error = delete(vec![Script::hang_up(), newest(found)]).await.unwrap_err();
        assert!(error.is_retryable(), "{found}: {error}");
    }
}

#[tokio::test]
async fn a_refusal_is_no_lost_answer() {
    let conflict = Script::answer("409 Conflict", r#"{"error":"conflict","reason":"x"}"#);
    let error = save(Some("1-a"), vec![conflict, stored("2-b", "Sales")]).await.unwrap_err();
    assert!(error.is_conflict());
}
