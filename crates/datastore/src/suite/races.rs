//! Concurrent writers: no acknowledged write is lost, and each writer sees its own.

use futures::future::join_all;
use serde_json::json;

use super::Subject;
use super::subject::content;
use crate::ViewQuery;

/// Twenty writers update the same revision.
pub async fn exactly_one_of_racing_updates_wins(subject: Subject) {
    let base = subject.create("a", json!({"n": -1})).await;
    let writers = (0..20).map(|n| {
        let (subject, base) = (subject.clone(), base.clone());
        tokio::spawn(async move { (n, subject.try_save("a", Some(&base), json!({ "n": n })).await) })
    });
    let mut winner = None;
    for outcome in join_all(writers).await {
        match outcome.unwrap() {
            (n, Ok(rev)) => assert!(winner.replace((n, rev)).is_none(), "two writers won"),
            (_, Err(error)) => assert!(error.is_conflict(), "{error:?}"),
        }
    }
    let (n, rev) = winner.expect("one writer wins");
    let doc = subject.fetch("a").await.unwrap();
    assert_eq!((doc.rev(), content(&doc)), (&rev, json!({ "n": n })));
    assert_eq!(rev.generation(), 2);
}

/// Twenty writers create a document with the same id.
pub async fn exactly_one_of_racing_creates_wins(subject: Subject) {
    let writers = (0..20).map(|n| {
        let subject = subject.clone();
        tokio::spawn(async move { subject.try_save("a", None, json!({ "n": n })).await })
    });
    let mut winners = Vec::new();
    for outcome in join_all(writers).await {
        match outcome.unwrap() {
            Ok(rev) => winners.push(rev),
            Err(error) => assert!(error.is_conflict(), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(subject.fetch("a").await.unwrap().rev(), &winners[0]);
}

/// Fifty writers create one document each.
pub async fn concurrent_creates_all_succeed(subject: Subject) {
    let writers = (0..50).map(|n| {
        let subject = subject.clone();
        tokio::spawn(async move {
            let id = format!("d{n:02}");
            (subject.create(&id, json!({ "n": n })).await, id)
        })
    });
    for outcome in join_all(writers).await {
        let (rev, id) = outcome.unwrap();
        assert_eq!(subject.fetch(&id).await.unwrap().rev(), &rev);
    }
    assert_eq!(subject.ids(ViewQuery::all_docs()).await.len(), 50);
}

/// Ten writers each query the view after every write.
pub async fn a_view_shows_every_acknowledged_write(subject: Subject) {
    subject.design("d", &[("by_owner", "function (doc) { emit([doc.owner, doc.n], null); }")]).await;
    let writers = (0..10).map(|owner| {
        let subject = subject.clone();
        tokio::spawn(async move {
            let mut rev = None;
            for n in 0..10 {
                let id = format!("fixed{owner}");
                rev = Some(
                    subject.try_save(&id, rev.as_ref(), json!({"owner": owner, "n": -1 - n})).await.unwrap(),
                );
                subject.create(&format!("o{owner}n{n}"), json!({"owner": owner, "n": n})).await;
                let query = ViewQuery {
                    start_key: Some(json!([owner])),
                    end_key: Some(json!([owner, {}])),
                    ..ViewQuery::of("d", "by_owner")
                };
                let mut wanted = vec![json!([owner, -1 - n])];
                wanted.extend((0..=n).map(|n| json!([owner, n])));
                assert_eq!(subject.keys(query).await, wanted);
            }
        })
    });
    for outcome in join_all(writers).await {
        outcome.unwrap();
    }
    assert_eq!(subject.rows(ViewQuery::of("d", "by_owner")).await.len(), 110);
}
