//! The suite for all backends of `datastore`, run on the client.

use std::sync::Arc;

use couchdb::standin;
use datastore::suite::Subject;

use crate::server;

async fn subject() -> Subject {
    Subject::new(Arc::new(server::client()), standin::unique_db())
}

datastore::store_suite!(subject, standin::known_differences());
