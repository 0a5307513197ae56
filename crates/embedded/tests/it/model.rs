//! Runs random operations on the store and on a simple model, and compares the two.

use std::collections::BTreeMap;

use datastore::{Rev, Store, StoreError, ViewQuery};
use embedded::{Durability, Settings};
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::{TestStore, doc_id, soon};

/// Which revision a write names.
#[derive(Clone, Copy, Debug)]
enum Base {
    None,
    Newest,
    /// The revision before the newest, if there is one.
    Stale,
}

#[derive(Clone, Debug)]
enum Step {
    Save {
        id: u8,
        base: Base,
        tags: Vec<u8>,
    },
    Delete {
        id: u8,
        base: Base,
    },
    /// Replace the map of the view.
    Design {
        map: usize,
    },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let base = || {
        prop_oneof![
            3 => any::<bool>().prop_map(|_| Base::Newest),
            2 => any::<bool>().prop_map(|_| Base::None),
            1 => any::<bool>().prop_map(|_| Base::Stale),
        ]
    };
    let tags = || proptest::collection::vec(0u8..4, 0..4);
    proptest::collection::vec(
        prop_oneof![
            12 => (0u8..6, base(), tags()).prop_map(|(id, base, tags)| Step::Save { id, base, tags }),
            4 => (0u8..6, base()).prop_map(|(id, base)| Step::Delete { id, base }),
            1 => (0usize..3).prop_map(|map| Step::Design { map }),
            1 => any::<bool>().prop_map(|_| Step::Reopen),
        ],
        1..40,
    )
}

/// The maps of the view. `emitted` computes their rows without JavaScript.
const MAPS: [&str; 3] = [
    "function (doc) { for (var i = 0; i < doc.tags.length; i++) { emit(doc.tags[i], i); } }",
    "function (doc) { if (doc.tags.length > 1) { emit([doc.tags[0], doc.tags[1]], doc._rev); } }",
    "function (doc) { emit(doc._id, doc.tags); doc.tags[0].toString(); }",
];

fn emitted(map: usize, id: &str, rev: &Rev, tags: &[u8]) -> Vec<(Value, String)> {
    match map {
        0 => tags.iter().zip(0..).map(|(tag, n): (_, u32)| (json!(tag), format!("{id} {tag} {n}"))).collect(),
        1 if tags.len() > 1 => {
            let key = json!([tags[0], tags[1]]);
            vec![(key.clone(), format!("{id} {key} \"{rev}\""))]
        }
        // This map throws if there is no first tag.
        2 if !tags.is_empty() => vec![(json!(id), format!("{id} \"{id}\" {}", json!(tags)))],
        _ => Vec::new(),
    }
}

/// The revisions that a document has had, and its tags unless it is deleted.
#[derive(Clone, Debug, Default)]
struct KnownDocument {
    revs: Vec<Rev>,
    tags: Option<Vec<u8>>,
}

impl KnownDocument {
    fn base(&self, base: Base) -> Option<Rev> {
        match base {
            Base::None => None,
            Base::Newest => self.revs.last().cloned(),
            Base::Stale => self.revs.iter().rev().nth(1).cloned(),
        }
    }

    fn wrote(&mut self, rev: Rev, tags: Option<Vec<u8>>) {
        let generation = self.revs.last().map_or(0, Rev::generation) + 1;
        assert_eq!(rev.generation(), generation);
        self.revs.push(rev);
        self.tags = tags;
    }
}

fn settings() -> Settings {
    Settings { durability: Durability::Normal, page_rows: 5, ..Settings::default() }
}

async fn check(steps: Vec<Step>) {
    let mut fixture = TestStore::with(settings()).await;
    let mut known: BTreeMap<String, KnownDocument> = BTreeMap::new();
    let mut map = 0;
    fixture.design("d", &[("v", MAPS[map])]).await;
    for step in steps {
        match step {
            Step::Save { id, base, tags } => {
                let id = format!("d{id}");
                let entry = known.entry(id.clone()).or_default();
                let base = entry.base(base);
                let fits = match &base {
                    None => entry.tags.is_none(),
                    Some(base) => entry.tags.is_some() && entry.revs.last() == Some(base),
                };
                match fixture.save(&id, base.as_ref(), json!({ "tags": tags })).await {
                    Ok(rev) if fits => entry.wrote(rev, Some(tags)),
                    Err(StoreError::Conflict(_)) if !fits => {}
                    other => panic!("{other:?}, but the base is {}", if fits { "current" } else { "stale" }),
                }
            }
            Step::Delete { id, base } => {
                let id = format!("d{id}");
                let entry = known.entry(id.clone()).or_default();
                let Some(base) = entry.base(base) else { continue };
                let deleted = fixture.store.delete(&fixture.db, &doc_id(&id), &base, soon()).await;
                match deleted {
                    Ok(rev) if entry.tags.is_some() && entry.revs.last() == Some(&base) => {
                        entry.wrote(rev, None)
                    }
                    Err(StoreError::Conflict(_))
                        if entry.tags.is_some() && entry.revs.last() != Some(&base) => {}
                    Err(StoreError::Deleted(_)) if entry.tags.is_none() => {}
                    other => panic!("{other:?} from {entry:?}"),
                }
            }
            Step::Design { map: next } => {
                map = next;
                let rev = fixture.fetch("_design/d").await.unwrap().rev().clone();
                let body = json!({"views": {"v": {"map": MAPS[map]}}});
                fixture.save("_design/d", Some(&rev), body).await.unwrap();
            }
            Step::Reopen => fixture = fixture.reopen(settings()),
        }
    }
    compare(&fixture, &known, map).await;
}

async fn compare(fixture: &TestStore, known: &BTreeMap<String, KnownDocument>, map: usize) {
    let mut changed = BTreeMap::new();
    for (id, rev, doc) in fixture.everything().await {
        if !id.starts_with('_') {
            let tags = doc.map(|doc| doc.to_object().unwrap()["tags"].clone());
            assert!(changed.insert(id, (rev, tags)).is_none(), "the feed lists a document twice");
        }
    }
    let written = known.iter().filter(|(_, known)| !known.revs.is_empty());
    let wanted: BTreeMap<_, _> = written
        .map(|(id, known)| {
            (id.clone(), (known.revs.last().unwrap().clone(), known.tags.as_ref().map(|tags| json!(tags))))
        })
        .collect();
    assert_eq!(changed, wanted);

    let live = known.iter().filter(|(_, known)| known.tags.is_some());
    let ids: Vec<_> = live
        .clone()
        .map(|(id, known)| format!("{id} \"{id}\" {{\"rev\":\"{}\"}}", known.revs.last().unwrap()))
        .collect();
    let mut all = fixture.try_rows(ViewQuery::all_docs(), soon()).await.unwrap();
    all.retain(|row| !row.starts_with('_'));
    assert_eq!(all, ids);

    let mut rows: Vec<_> = live
        .flat_map(|(id, known)| {
            let (rev, tags) = (known.revs.last().unwrap(), known.tags.as_ref().unwrap());
            emitted(map, id, rev, tags)
                .into_iter()
                .zip(0..)
                .map(move |((key, row), n)| (key.to_string(), id, n, row))
        })
        .collect();
    // The keys are one-digit numbers, pairs of such numbers, or ids. Their JSON texts sort as the keys do.
    rows.sort();
    let rows: Vec<_> = rows.into_iter().map(|(.., row)| row).collect();
    assert_eq!(fixture.rows("d", "v").await, rows);
}

#[test]
fn the_store_does_what_the_model_does() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config { cases: 128, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    runner
        .run(&steps(), |steps| {
            runtime.block_on(check(steps));
            Ok(())
        })
        .unwrap();
}
