//! Stores for tests: the embedded one and CouchDB. A test takes a [`Place`], and [`on_each_store`] runs it on
//! both.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use couchdb::{Client, standin};
use datastore::{Backend, DbName};
use embedded::{Durability, Embedded};
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::prefixed::Prefixed;
use crate::support::soon;

/// The store that a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Embedded,
    CouchDb,
}

/// Makes stores for one test.
pub(crate) struct Place {
    made: AtomicU32,
    at: At,
}

enum At {
    Folder(TempDir),
    /// A CouchDB, and the prefix of the names of this test's databases.
    CouchDb(Arc<dyn Backend>, DbName),
}

impl Place {
    pub(crate) fn new(kind: Kind) -> Self {
        let at = match kind {
            Kind::Embedded => At::Folder(tempfile::tempdir().unwrap()),
            Kind::CouchDb => {
                let settings = couchdb::Settings::new(standin::url().parse().unwrap());
                At::CouchDb(Arc::new(Client::new(settings).unwrap()), standin::unique_db())
            }
        };
        Self { made: AtomicU32::new(0), at }
    }

    /// Makes an empty store.
    pub(crate) fn store(&self) -> Arc<dyn Backend> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        match &self.at {
            At::Folder(folder) => {
                let file = folder.path().join(format!("store-{number}.db"));
                let normal =
                    embedded::Settings { durability: Durability::Normal, ..embedded::Settings::default() };
                Arc::new(Embedded::open(&file, normal).unwrap())
            }
            At::CouchDb(server, name) => {
                let prefix = DbName::parse(&format!("{name}/{number}")).unwrap();
                Arc::new(Prefixed { inner: Arc::clone(server), prefix })
            }
        }
    }

    /// Removes the test's databases. It ignores errors, since the test has reported its own result.
    async fn tear_down(&self) {
        let At::CouchDb(server, name) = &self.at else { return };
        let begin = format!("{name}/");
        for db in server.list_dbs(soon()).await.unwrap_or_default() {
            if db.as_str().starts_with(&begin) {
                let _ = server.delete_db(&db, soon()).await;
            }
        }
    }
}

/// Runs a test on a store of this kind. Afterwards it removes the test's databases, even if the test fails.
pub(crate) fn run<F: Future<Output = ()>>(kind: Kind, test: impl FnOnce(Arc<Place>) -> F) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let place = Arc::new(Place::new(kind));
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(Arc::clone(&place)))));
    runtime.block_on(place.tear_down());
    if let Err(failure) = outcome {
        resume_unwind(failure);
    }
}

/// Makes two tests of each function: one on the embedded store, one on CouchDB. The compiler warns about a
/// function that is not listed.
macro_rules! on_each_store {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            $(
                #[test]
                fn $test() {
                    crate::place::run(crate::place::Kind::Embedded, super::$test);
                }
            )*
        }

        mod couchdb {
            $(
                #[test]
                fn $test() {
                    crate::place::run(crate::place::Kind::CouchDb, super::$test);
                }
            )*
        }
    };
}

pub(crate) use on_each_store;
