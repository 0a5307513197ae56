//! What the client can besides the traits, against a CouchDB.

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
async fn a_server_says_what_it_is() {
    let info = client().server_info(soon()).await.unwrap();
    assert!(info.version.starts_with("3."), "{info:?}");
    assert!(info.vendor.is_some());
    client().up(soon()).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let base = settings().url.base().to_owned();
    let wrong = base.replace("http://", "http://admin:wrong-password@");
    let client = Client::new(Settings::new(wrong.parse().unwrap())).unwrap();
    let error = client.db_exists(&unique_db(), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("wrong-password"), "{error:?}");
}

#[tokio::test]
async fn a_database_is_there_once_it_is_ensured() {
    let (client, db) = (client(), unique_db());
    assert!(!client.db_exists(&db, soon()).await.unwrap());
    assert_eq!(client.ensure_db(&db, soon()).await.unwrap(), Created::Now);
    assert_eq!(client.ensure_db(&db, soon()).await.unwrap(), Created::Before);
    client.delete_db(&db, soon()).await.unwrap();
}

#[tokio::test]
async fn a_known_revision_does_not_travel_again() {
    in_fresh_db(async |client, db| {
        let first = client.save(&db, draft("a", None, 1), soon()).await.unwrap();
        // With the quotes of an ETag it is the same revision (nano 318).
        let quoted = Rev::parse(&format!("\"{first}\"")).unwrap();
        assert!(client.fetch_unless(&db, &id("a"), &quoted, soon()).await.unwrap().is_none());
        let second = client.save(&db, draft("a", Some(quoted), 2), soon()).await.unwrap();
        let doc = client.fetch_unless(&db, &id("a"), &first, soon()).await.unwrap().unwrap();
        assert_eq!(doc.rev(), &second);
        let error = client.fetch_unless(&db, &id("b"), &first, soon()).await.unwrap_err();
        assert!(error.is_not_found(), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_lost_in_a_race() {
    in_fresh_db(async |client, db| {
        client.save(&db, draft("a", None, 0), soon()).await.unwrap();
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (client, db) = (client.clone(), db.clone());
                tokio::spawn(async move {
                    let add = |body: &mut Map<_, _>| body["n"] = json!(body["n"].as_u64().unwrap() + 1);
                    client.update_with(&db, &id("a"), soon(), add).await
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        let doc = client.fetch(&db, &id("a"), soon()).await.unwrap();
        assert_eq!((&doc.to_object().unwrap()["n"], doc.rev().generation()), (&json!(4), 5));
    })
    .await;
}

#[tokio::test]
async fn an_update_gives_up_after_some_conflicts() {
    in_fresh_db(async |client, db| {
        client.save(&db, draft("a", None, 0), soon()).await.unwrap();
        let (db, mut attempts) = (&db, 0);
        // Somebody else is always faster, between read and write.
        let lose = |body: &mut Map<_, _>| {
            attempts += 1;
            let base = Rev::parse(body["_rev"].as_str().unwrap()).unwrap();
            let (rival, db) = (self::client(), db.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(rival.save(&db, draft("a", Some(base), 1), soon())).unwrap();
            })
            .join()
            .unwrap();
        };
        let error = client.update_with(db, &id("a"), soon(), lose).await.unwrap_err();
        assert!(error.is_conflict(), "{error:?}");
        assert_eq!(attempts, Client::UPDATE_ATTEMPTS);
        let error = client.update_with(db, &id("b"), soon(), |_| {}).await.unwrap_err();
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
        assert!(matches!(revs.as_slice(), [Ok(_), Err(Error::Member(_)), Ok(_)]), "{revs:?}");
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
