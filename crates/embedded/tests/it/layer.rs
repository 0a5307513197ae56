//! A layer that only forwards passes the whole store suite. A changes feed keeps working after the layer and
//! the store handle are dropped.

use std::sync::Arc;
use std::time::Duration;

use datastore::suite::Subject;
use datastore::{Backend, ChangesQuery, DbName, Deadline, DocId, Draft, Feed, Layer};
use embedded::{Embedded, Settings};
use futures::StreamExt;
use serde_json::Map;

struct Forwarding(Arc<dyn Backend>);

impl Layer for Forwarding {
    fn inner(&self) -> &dyn Backend {
        &*self.0
    }
}

async fn prepare() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
    let layer = Forwarding(Arc::new(Forwarding(Arc::new(store))));
    Subject::new(Arc::new(layer), DbName::parse("subject").unwrap()).keeping(folder)
}

datastore::store_suite!(prepare, &[]);

#[tokio::test]
async fn a_feed_outlives_its_layer_and_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
    let layer = Forwarding(Arc::new(store));
    let db = DbName::parse("subject").unwrap();
    let soon = || Deadline::after(Duration::from_secs(60));
    layer.create_db(&db, soon()).await.unwrap();
    let draft = Draft { id: DocId::parse("a").unwrap(), base: None, body: Map::new() };
    let rev = layer.save(&db, draft, soon()).await.unwrap();
    let mut feed = layer.changes(&db, ChangesQuery { feed: Feed::Continuous, ..ChangesQuery::default() });
    drop(layer);
    let reader = tokio::spawn(async move { feed.next().await });
    assert_eq!(reader.await.unwrap().unwrap().unwrap().rev, rev);
}
