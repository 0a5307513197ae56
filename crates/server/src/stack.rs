//! Builds the stack of stores that the rest of the server uses. A store that stands before another one
//! (a cache, notices, measurements) is added here and nowhere else.

use std::sync::Arc;

use admission::{Admission, Limits};
use couchdb::Client;
use datastore::Backend;
use embedded::Embedded;

use crate::failure::Failure;
use crate::settings::{CallSettings, CouchDbSettings, EmbeddedSettings, StoreLocation, StoreSettings};

/// Opens the store.
pub(crate) fn build(settings: &StoreSettings) -> Result<Arc<dyn Backend>, Failure> {
    let backend = backend(settings)?;
    let gate = Admission::new(backend, limits(&settings.calls));
    Ok(match &settings.location {
        // The embedded store reads a document in microseconds, on the thread of the caller.
        StoreLocation::File(_) => Arc::new(gate.with_uncounted_fetch()),
        StoreLocation::CouchDb(_) => Arc::new(gate),
    })
}

fn limits(settings: &CallSettings) -> Limits {
    Limits { calls: settings.calls, queue: settings.queue, queue_wait: settings.queue_wait }
}

fn backend(settings: &StoreSettings) -> Result<Arc<dyn Backend>, Failure> {
    match &settings.location {
        StoreLocation::File(path) => {
            let store = Embedded::open(path, embedded_settings(&settings.embedded))
                .map_err(|error| Failure::setup(crate::chain(&error)))?;
            Ok(Arc::new(store))
        }
        StoreLocation::CouchDb(url) => {
            let settings = couchdb_settings(couchdb::Settings::new(url.clone()), &settings.couchdb);
            let store = Client::new(settings).map_err(|error| Failure::setup(crate::chain(&error)))?;
            Ok(Arc::new(store))
        }
    }
}

pub(crate) fn embedded_settings(settings: &EmbeddedSettings) -> embedded::Settings {
    embedded::Settings {
        durability: settings.durability,
        writer_cache_kib: settings.writer_cache_kib,
        reader_threads: settings.reader_threads,
        write_queue: settings.write_queue,
        max_document_bytes: settings.max_document_bytes,
        batch_timeout: settings.batch_timeout,
        map_threads: settings.map_threads,
        map_time: settings.map_time,
        map_memory_bytes: settings.map_memory_bytes,
        map_stack_bytes: settings.map_stack_bytes,
        ..embedded::Settings::default()
    }
}

pub(crate) fn couchdb_settings(base: couchdb::Settings, settings: &CouchDbSettings) -> couchdb::Settings {
    couchdb::Settings {
        connect_timeout: settings.connect_timeout,
        request_timeout: settings.request_timeout,
        batch_timeout: settings.batch_timeout,
        heartbeat: settings.heartbeat,
        pool_idle_timeout: settings.pool_idle_timeout,
        read_retries: settings.read_retries,
        ..base
    }
}
