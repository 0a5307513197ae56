//! The CouchDB for the tests. Each test gets a database of its own.

use std::time::Duration;

use couchdb::{Client, Settings, standin};
use datastore::{DbName, Deadline};

pub(crate) fn settings() -> Settings {
    Settings::new(standin::url().parse().unwrap())
}

pub(crate) fn client() -> Client {
    Client::new(settings()).unwrap()
}

/// A deadline that no call should reach.
pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Runs a test in a new database and deletes the database afterwards, also after a failure.
pub(crate) async fn in_fresh_db<F>(test: impl FnOnce(Client, DbName) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (client, db) = (client(), standin::unique_db());
    client.create_db(&db, soon()).await.unwrap();
    let outcome = tokio::spawn(test(client.clone(), db.clone())).await;
    let _ = client.delete_db(&db, soon()).await;
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}
