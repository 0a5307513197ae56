//! Another server finishes the work of one that is gone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use datastore::{
    Backend, Databases as _, DbName, Deadline, DocId, Draft, LocalDocuments as _, Rev, Store as _,
};
use embedded::{Embedded, Settings};
use kazoo::{AccountId, NodeAndZone, SystemDb};
use serde_json::{Map, Value, json};

use crate::layer::ToldWrites;
use crate::marks::Marks;
use crate::queue::Queue;
use crate::teller::Teller;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn db() -> DbName {
    AccountId::parse("11112222333344445555666677778888").unwrap().db()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// A server that sends nothing by itself.
fn server(store: &Embedded, node: &str) -> (Arc<Teller>, ToldWrites) {
    let inner: Arc<dyn Backend> = Arc::new(store.clone());
    let marks = Marks::new(Arc::clone(&inner), node.to_owned());
    let teller = Arc::new(Teller::new(marks, Queue::new(1_000_000), NodeAndZone::default()));
    (Arc::clone(&teller), ToldWrites { inner, teller })
}

async fn create(store: &ToldWrites, id: &str) -> Rev {
    let body = object(json!({"pvt_type": "group", "name": id}));
    store.save(&db(), Draft { id: DocId::parse(id).unwrap(), base: None, body }, soon()).await.unwrap()
}

#[tokio::test]
async fn the_work_of_a_server_that_is_gone_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
    for db in [db(), SystemDb::SystemConfig.name().clone()] {
        store.create_db(&db, soon()).await.unwrap();
    }
    // The names of the two begin alike.
    let (_gone, gone_writes) = server(&store, "node");
    let (_other, other_writes) = server(&store, "node-2");
    let (here, writes) = server(&store, "here");
    let first = create(&gone_writes, "a").await;
    let tombstone = gone_writes.delete(&db(), &DocId::parse("a").unwrap(), &first, soon()).await.unwrap();
    let second = create(&gone_writes, "b").await;
    create(&other_writes, "c").await;
    create(&writes, "d").await;

    let told = Arc::new(Mutex::new(Vec::new()));
    let sender = tokio::spawn({
        let (queue, told) = (Arc::clone(&here.queue), Arc::clone(&told));
        async move {
            loop {
                let sending = queue.next().await;
                let (key, notice) = sending.notice().unwrap();
                let message = notice.message(key, "here");
                let payload: Value = serde_json::from_str(&message.payload).unwrap();
                told.lock().unwrap().push((payload["ID"].clone(), payload["Rev"].clone()));
                sending.end(crate::waiting::Sent::Delivered);
            }
        }
    });
    here.take_over("node".to_owned()).await.unwrap();
    sender.abort();
    let told = told.lock().unwrap().clone();
    for (id, rev) in [("a", &tombstone), ("b", &second)] {
        assert!(told.contains(&(json!(id), json!(rev.as_str()))), "{id}: {told:?}");
    }
    let names = |db: DbName| {
        let store = store.clone();
        async move {
            let found = store.list_local(&db, "", soon()).await.unwrap();
            found.into_iter().map(|document| document.name).collect::<Vec<_>>()
        }
    };
    let left = ["crossbar_groups-here", "crossbar_groups-node-2"];
    assert_eq!(names(db()).await, left);
    assert_eq!(names(SystemDb::SystemConfig.name().clone()).await, left);
}
