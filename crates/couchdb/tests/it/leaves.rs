//! Documents that replication has left with several leaves.

use couchdb::{Client, standin};
use datastore::{ChangesQuery, DbName, Rev, Since, Store, StoreError, ViewQuery};
use futures::TryStreamExt as _;
use serde_json::{Value, json};

use crate::faults::{db, id};
use crate::raw::{DELETION_ID, Raw, Script};
use crate::server::{in_fresh_db, soon};

/// Writes revisions as replication does: it may add leaves.
async fn replicate(db: &DbName, docs: Value) {
    let mut url = reqwest::Url::parse(&standin::url()).unwrap();
    url.path_segments_mut().unwrap().pop_if_empty().extend([db.as_str(), "_bulk_docs"]);
    let body = json!({"new_edits": false, "docs": docs}).to_string();
    let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// A document with two leaves and one that is deleted. The one with `c` is shown.
async fn conflicted(db: &DbName) -> Rev {
    let leaf = |start: u64, ids: [&str; 2], x: u64| {
        let rev = format!("{start}-{}", ids[0].repeat(32));
        let ids: Vec<_> = ids.iter().map(|id| id.repeat(32)).collect();
        json!({"_id": "g", "_rev": rev, "_revisions": {"start": start, "ids": ids}, "x": x})
    };
    let mut gone = leaf(3, ["e", "d"], 3);
    gone["_deleted"] = json!(true);
    gone["_revisions"]["ids"].as_array_mut().unwrap().push(json!("a".repeat(32)));
    replicate(db, json!([leaf(2, ["b", "a"], 1), leaf(2, ["c", "a"], 2), gone])).await;
    Rev::parse(&format!("2-{}", "c".repeat(32))).unwrap()
}

async fn ids(client: &Client, db: &DbName) -> Vec<String> {
    let rows = Store::query(client, db, ViewQuery::all_docs(), soon()).await.unwrap();
    rows.map_ok(|row| row.id.as_str().to_owned()).try_collect().await.unwrap()
}

#[tokio::test]
async fn a_deletion_deletes_every_leaf_at_once() {
    in_fresh_db(async |client, db| {
        let shown = conflicted(&db).await;
        assert_eq!(client.fetch(&db, &id("g"), soon()).await.unwrap().rev(), &shown);
        let seen: Vec<_> =
            Client::changes(&client, &db, ChangesQuery::default()).try_collect().await.unwrap();
        let since = Since::Seq(seen.last().unwrap().seq.clone());
        let rev = Store::delete(&client, &db, &id("g"), &shown, soon()).await.unwrap();
        assert_eq!(rev.generation(), 3);
        assert!(client.fetch(&db, &id("g"), soon()).await.unwrap_err().is_not_found());
        assert_eq!(ids(&client, &db).await, Vec::<String>::new());
        let query = ChangesQuery { since, ..ChangesQuery::default() };
        let changes: Vec<_> = Client::changes(&client, &db, query).try_collect().await.unwrap();
        assert_eq!(changes.iter().map(|change| change.deleted).collect::<Vec<_>>(), [true], "{changes:?}");
    })
    .await;
}

#[tokio::test]
async fn a_leaf_that_is_not_shown_is_no_base_of_a_deletion() {
    in_fresh_db(async |client, db| {
        let shown = conflicted(&db).await;
        let other = Rev::parse(&format!("2-{}", "b".repeat(32))).unwrap();
        let error = Store::delete(&client, &db, &id("g"), &other, soon()).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
        assert_eq!(client.fetch(&db, &id("g"), soon()).await.unwrap().rev(), &shown);
    })
    .await;
}

/// Deletes a document on a server that answers with these scripts. Returns the requests that the server got,
/// and the result of the deletion.
async fn delete(scripts: Vec<Script>) -> (Vec<String>, datastore::Result<Rev>) {
    let server = Raw::start(scripts);
    let deleted = Store::delete(&server.client(), &db(), &id("g"), &rev("1-a"), soon()).await;
    let methods = server.requests().iter().map(|head| head.split(' ').next().unwrap().to_owned()).collect();
    (methods, deleted)
}

fn rev(text: &str) -> Rev {
    Rev::parse(text).unwrap()
}

fn ok(body: &str) -> Script {
    Script::answer("200 OK", body)
}

#[tokio::test]
async fn a_deletion_whose_answer_is_lost_is_done_if_no_leaf_is_left() {
    let conflicted = ok(r#"{"_id":"g","_rev":"1-a","_conflicts":["1-b"]}"#);
    let ours =
        format!(r#"{{"ok":{{"_id":"g","_rev":"2-z","_deleted":true,"deletion_id":"{DELETION_ID}"}}}}"#);
    let leaves = |other: &str| ok(&format!(r#"[{{"ok":{{"_id":"g","_rev":{other}}}}},{ours}]"#));
    let lost = vec![conflicted.clone(), Script::hang_up(), leaves(r#""5-y","_deleted":true"#)];
    let (methods, deleted) = delete(lost).await;
    assert_eq!((methods.join(" ").as_str(), deleted.unwrap()), ("get post get", rev("2-z")));
    let (_, deleted) = delete(vec![conflicted, Script::hang_up(), leaves(r#""1-b""#)]).await;
    assert!(deleted.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_leaf_that_changes_meanwhile_is_a_conflict() {
    let conflicted = ok(r#"{"_id":"g","_rev":"1-a","_conflicts":["1-b"]}"#);
    let rows = r#"[{"ok":true,"id":"g","rev":"2-x"},{"id":"g","error":"conflict","reason":"x"}]"#;
    let (_, deleted) = delete(vec![conflicted, Script::answer("201 Created", rows)]).await;
    assert!(deleted.unwrap_err().is_conflict());
}

#[tokio::test]
async fn a_document_with_one_leaf_is_deleted_by_itself() {
    let deletion = Script::answer("200 OK", r#"{"ok":true,"id":"g","rev":"2-x"}"#);
    let (methods, deleted) = delete(vec![ok(r#"{"_id":"g","_rev":"1-a"}"#), deletion]).await;
    assert_eq!((methods.join(" ").as_str(), deleted.unwrap()), ("get put", rev("2-x")));
}
