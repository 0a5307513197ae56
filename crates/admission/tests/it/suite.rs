//! A store behind the layer behaves as it does without it.

use std::sync::Arc;
use std::time::Duration;

use admission::{Admission, Limits};
use datastore::DbName;
use datastore::suite::Subject;
use embedded::{Embedded, Settings};

async fn prepare() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
    let limits = Limits { calls: 4, queue: 100, queue_wait: Duration::from_secs(60) };
    let layer = Admission::new(Arc::new(store), limits);
    Subject::new(Arc::new(layer), DbName::parse("subject").unwrap()).keeping(folder)
}

datastore::store_suite!(prepare, &[]);
