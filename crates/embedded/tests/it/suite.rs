//! Runs the test suite that every store backend must pass. Each test gets its own file.

use std::sync::Arc;

use datastore::DbName;
use datastore::suite::Subject;
use embedded::{Embedded, Settings};

async fn prepare() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
    Subject::new(Arc::new(store), DbName::parse("subject").unwrap()).keeping(folder)
}

datastore::store_suite!(prepare, &[]);
