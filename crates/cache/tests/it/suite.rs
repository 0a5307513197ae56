//! A store behind the cache behaves as it does without it, and shows nothing that is old.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use cache::{Cache, Settings};
use datastore::suite::Subject;
use datastore::{Backend, DbName};
use tokio::task::JoinHandle;

/// Stops the watcher at the end of a test.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn cached(store: Arc<dyn Backend>, db: DbName) -> (Subject, Running) {
    let settings =
        Settings { bytes: 10_000_000, feeds: 8, heartbeat: Duration::from_millis(200), always: Vec::new() };
    let (cache, mut watcher) = Cache::new(Arc::clone(&store), settings);
    let running = tokio::spawn(async move { watcher.run(future::pending()).await });
    (Subject::new(Arc::new(cache), db).remembering(store), Running(running))
}

mod on_embedded {
    use std::sync::Arc;

    use datastore::DbName;
    use datastore::suite::Subject;
    use embedded::{Embedded, Settings};

    async fn prepare() -> Subject {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
        let (subject, running) = super::cached(Arc::new(store), DbName::parse("subject").unwrap());
        subject.keeping((folder, running))
    }

    datastore::store_suite!(prepare, &[]);
}

mod on_couchdb {
    use std::sync::Arc;

    use couchdb::{Client, Settings, standin};
    use datastore::suite::Subject;

    async fn prepare() -> Subject {
        let client = Client::new(Settings::new(standin::url().parse().unwrap())).unwrap();
        let (subject, running) = super::cached(Arc::new(client), standin::unique_db());
        subject.keeping(running)
    }

    /// What shows only if a document was not remembered as it was sent.
    const FORGOTTEN: [(&str, &str); 2] = [
        ("members_keep_their_order", "now and then: the stand-in does not keep it"),
        ("odd_keys_survive", "now and then: the stand-in does not keep them"),
    ];

    fn known_differences() -> Vec<(&'static str, &'static str)> {
        let forgotten = |name: &str| FORGOTTEN.iter().find(|(other, _)| *other == name);
        let all = standin::known_differences().iter();
        all.map(|known| *forgotten(known.0).unwrap_or(known)).collect()
    }

    datastore::store_suite!(prepare, &known_differences());
}
