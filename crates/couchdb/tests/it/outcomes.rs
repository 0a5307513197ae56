//! Writes whose answer is lost: they are sent once, and count as done only if the document shows it.

use couchdb::Error;
use datastore::{Draft, Rev};
use serde_json::{Map, json};

use crate::faults::{db, id};
use crate::raw::{DELETION_ID, Raw, Script};
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

/// The answer that lists a document's leaves.
fn leaves(leaves: &str) -> Script {
    Script::answer("200 OK", &format!("[{leaves}]"))
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

/// Another writer's deletion of the same revision is not this one, and each tombstone says whose it is.
#[tokio::test]
async fn a_deletion_that_left_its_tombstone_is_done() {
    let ours =
        format!(r#"{{"ok":{{"_id":"a","_rev":"2-b","_deleted":true,"deletion_id":"{DELETION_ID}"}}}}"#);
    let deleted = delete(vec![Script::hang_up(), leaves(&ours)]).await;
    assert_eq!(deleted.unwrap(), rev("2-b"));
    let other_leaf = r#"{"ok":{"_id":"a","_rev":"1-c"}}"#;
    let deleted = delete(vec![Script::hang_up(), leaves(&format!("{other_leaf},{ours}"))]).await;
    assert_eq!(deleted.unwrap(), rev("2-b"), "it was asked to delete one leaf");
    for found in [
        r#"{"ok":{"_id":"a","_rev":"1-a"}}"#,
        r#"{"ok":{"_id":"a","_rev":"2-b"}}"#,
        r#"{"ok":{"_id":"a","_rev":"2-b","_deleted":true}}"#,
        r#"{"ok":{"_id":"a","_rev":"2-b","_deleted":true,"deletion_id":"another one's"}}"#,
        r#"{"ok":{"_id":"a","_rev":"2-b","_deleted":true,"deletion_id":7}}"#,
        r#"{"missing":"2-b"}"#,
        "",
    ] {
        let error = delete(vec![Script::hang_up(), leaves(found)]).await.unwrap_err();
        assert!(error.is_retryable(), "{found}: {error}");
    }
}

#[tokio::test]
async fn the_deletion_of_what_is_not_there_says_so() {
    let conflict = Script::answer("409 Conflict", r#"{"error":"conflict","reason":"x"}"#);
    let error = delete(vec![conflict.clone(), missing()]).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    for found in [stored("3-c", "Newer"), Script::hang_up()] {
        let error = delete(vec![conflict.clone(), found]).await.unwrap_err();
        assert!(error.is_conflict(), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_is_no_lost_answer() {
    let conflict = Script::answer("409 Conflict", r#"{"error":"conflict","reason":"x"}"#);
    let error = save(Some("1-a"), vec![conflict, stored("2-b", "Sales")]).await.unwrap_err();
    assert!(error.is_conflict());
}
