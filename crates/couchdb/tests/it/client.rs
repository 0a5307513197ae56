//! The client against a CouchDB: what the suite for all stores does not test.

use std::time::Duration;

use couchdb::standin::{unique_db, url};
use couchdb::{Client, Error, Settings};
use datastore::{Created, Deadline, DocId, Draft, Rev, ViewQuery};
use futures::TryStreamExt;
use serde_json::{Map, json};

use crate::server::{client, in_fresh_db, settings, soon};

fn id(text: &str) -> DocId {
    DocId::parse(text).unwrap()
}

fn draft(text: &str, base: Option<Rev>, n: u64) -> Draft {
    let mut body = Map::new();
    body.insert("n".to_owned(), n.into());
    Draft { id: id(text), base, body }
}

#[tokio::test]
async fn a_wrong_password_is_an_unauthorized_error() {
    let base = settings().url.to_string();
    let wrong = base.replace("http://", "http://admin:wrong-password@");
    let client = Client::new(Settings::new(wrong.parse().unwrap())).unwrap();
    let error = client.db_exists(&unique_db(), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("wrong-password"), "{error:?}");
}

#[tokio::test]
async fn a_database_is_created_once() {
    let (client, db) = (client(), unique_db());
    assert!(!client.db_exists(&db, soon()).await.unwrap());
    assert_eq!(client.create_db(&db, soon()).await.unwrap(), Created::Now);
    assert_eq!(client.create_db(&db, soon()).await.unwrap(), Created::Before);
    assert!(client.db_exists(&db, soon()).await.unwrap());
    client.delete_db(&db, soon()).await.unwrap();
}

/// An ETag is the revision in quotes (nano 318).
#[tokio::test]
async fn a_revision_in_quotes_is_the_same_revision() {
    in_fresh_db(async |client, db| {
        let first = client.save(&db, draft("a", None, 1), soon()).await.unwrap();
        let quoted = Rev::parse(&format!("\"{first}\"")).unwrap();
        assert_eq!(quoted, first);
        let second = client.save(&db, draft("a", Some(quoted), 2), soon()).await.unwrap();
        let doc = client.fetch(&db, &id("a"), soon()).await.unwrap();
        assert_eq!((doc.rev(), doc.rev().generation()), (&second, 2));
        let error = client.fetch(&db, &id("b"), soon()).await.unwrap_err();
        assert!(error.is_not_found(), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_large_view_is_streamed() {
    in_fresh_db(async |client, db| {
        let drafts = (0..3_000).map(|n| draft(&format!("{n:06}"), None, n)).collect();
        for rev in client.save_many(&db, drafts, soon()).await.unwrap() {
            rev.unwrap();
        }
        let query = ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
        let rows: Vec<_> = client.query(&db, &query, soon()).await.unwrap().try_collect().await.unwrap();
        assert_eq!(rows.len(), 3_000);
        assert!(rows.is_sorted_by_key(|row| row.id.as_str().to_owned()));
        assert!(rows.iter().all(|row| row.doc.as_ref().is_some_and(|doc| doc.id() == &row.id)));
    })
    .await;
}

#[tokio::test]
async fn one_bad_draft_leaves_the_others_written() {
    in_fresh_db(async |client, db| {
        let mut bad = draft("b", None, 2);
        bad.body.insert("_deleted".to_owned(), json!(true));
        let drafts = vec![draft("a", None, 1), bad, draft("c", None, 3)];
        let revs = client.save_many(&db, drafts, soon()).await.unwrap();
        assert!(matches!(revs.as_slice(), [Ok(_), Err(Error::ReservedMember(_)), Ok(_)]), "{revs:?}");
        assert_eq!(client.fetch(&db, &id("c"), soon()).await.unwrap().rev(), revs[2].as_ref().unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_slow_view_ends_at_its_deadline() {
    in_fresh_db(async |client, db| {
        let map = "function (doc) { var end = Date.now() + 1500; while (Date.now() < end) {} emit(1, 1); }";
        let design = datastore::DesignDocument::new("d", &[("v", map)]).unwrap();
        datastore::ensure_design(&client, &db, &design, soon()).await.unwrap();
        client.save(&db, draft("a", None, 1), soon()).await.unwrap();
        let deadline = Deadline::after(Duration::from_millis(100));
        let error = match client.query(&db, &ViewQuery::of("d", "v"), deadline).await {
            Ok(rows) => rows.try_collect::<Vec<_>>().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, Error::DeadlineExceeded(_)), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn the_address_is_shown_without_credentials() {
    assert!(url().contains('@'));
    assert!(!settings().url.to_string().contains('@'));
}
