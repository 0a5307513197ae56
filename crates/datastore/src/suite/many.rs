//! Calls with several documents.

use futures::StreamExt;
use serde_json::json;

use super::Subject;
use super::subject::{content, doc_id, draft, soon};
use crate::{StoreError, ViewQuery};

/// Each id has its own result, also an id that is listed twice.
pub async fn fetch_many_keeps_the_order_of_the_ids(subject: Subject) {
    for id in ["a", "b", "c d/e?"] {
        subject.create(id, json!({"at": id})).await;
    }
    let gone = subject.create("gone", json!({})).await;
    subject.delete("gone", &gone).await.unwrap();
    let wanted = ["c d/e?", "never", "a", "gone", "b", "a"];
    let docs = subject.store.fetch_many(&subject.db, &wanted.map(doc_id), soon()).await.unwrap();
    assert_eq!(docs.len(), wanted.len());
    for (id, doc) in wanted.into_iter().zip(docs) {
        match (id, doc) {
            ("never", Err(StoreError::Missing(_))) | ("gone", Err(StoreError::Deleted(_))) => {}
            (_, Ok(doc)) => {
                assert_eq!((doc.id().as_str(), content(&doc)), (id, json!({"at": id})));
                assert_eq!(doc.rev().generation(), 1);
            }
            (_, Err(error)) => panic!("{id}: {error:?}"),
        }
    }
}

/// An empty call has an empty result.
pub async fn empty_bulk_calls_succeed(subject: Subject) {
    assert!(subject.store.fetch_many(&subject.db, &[], soon()).await.unwrap().is_empty());
    assert!(subject.store.save_many(&subject.db, Vec::new(), soon()).await.unwrap().is_empty());
}

/// A long listing is complete and in order, from a view and from all documents. A reader may drop it
/// early.
pub async fn a_thousand_documents_are_saved_at_once_and_streamed_back(subject: Subject) {
    subject.design("d", &[("by_n", "function (doc) { emit(doc.n, {n: doc.n}); }")]).await;
    let drafts = (0..1_000).map(|n| draft(&format!("{:04}", 999 - n), None, json!({"n": n}))).collect();
    let revs = subject.store.save_many(&subject.db, drafts, soon()).await.unwrap();
    assert_eq!(revs.len(), 1_000);
    assert!(revs.iter().all(|rev| rev.as_ref().unwrap().generation() == 1));

    let rows = subject.rows(ViewQuery { include_docs: true, ..ViewQuery::of("d", "by_n") }).await;
    assert_eq!(rows.len(), 1_000);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!((&row.key, &row.value), (&json!(n), &json!({ "n": n })));
        assert_eq!(content(row.doc.as_ref().unwrap()), json!({ "n": n }));
    }
    let ids = subject.ids(ViewQuery::all_docs()).await;
    let wanted: Vec<String> = (0..1_000).map(|n| format!("{n:04}")).collect();
    assert_eq!(ids.iter().filter(|id| !id.starts_with('_')).cloned().collect::<Vec<_>>(), wanted);

    let mut early = subject.store.query(&subject.db, ViewQuery::of("d", "by_n"), soon()).await.unwrap();
    assert_eq!(early.next().await.unwrap().unwrap().id.as_str(), "0999");
    drop(early);
    subject.create("afterwards", json!({})).await;
}

/// Each document of a bulk write has its own result.
pub async fn a_conflict_does_not_stop_the_other_writes(subject: Subject) {
    let taken = subject.create("taken", json!({"n": 0})).await;
    let first = subject.create("updated", json!({"n": 0})).await;
    let old = subject.create("stale", json!({"n": 0})).await;
    subject.update("stale", &old, json!({"n": 1})).await;
    let drafts = vec![
        draft("new", None, json!({"n": 9})),
        draft("taken", None, json!({"n": 9})),
        draft("updated", Some(&first), json!({"n": 9})),
        draft("stale", Some(&old), json!({"n": 9})),
        draft("last", None, json!({"n": 9})),
    ];
    let revs = subject.store.save_many(&subject.db, drafts, soon()).await.unwrap();
    let told: Vec<Option<u64>> = revs
        .iter()
        .map(|rev| match rev {
            Ok(rev) => Some(rev.generation()),
            Err(error) if error.is_conflict() => None,
            Err(error) => panic!("{error:?}"),
        })
        .collect();
    assert_eq!(told, [Some(1), None, Some(2), None, Some(1)]);
    let stored = |id: &'static str| {
        let subject = subject.clone();
        async move { content(&subject.fetch(id).await.unwrap()) }
    };
    for id in ["new", "updated", "last"] {
        assert_eq!(stored(id).await, json!({"n": 9}), "{id}");
    }
    assert_eq!(stored("stale").await, json!({"n": 1}));
    assert_eq!(subject.fetch("taken").await.unwrap().rev(), &taken);
}
