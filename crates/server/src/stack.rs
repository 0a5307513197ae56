//! Builds the stack of stores that the rest of the server uses. A store that stands before another one
//! (a cache, notices, measurements) is added here and nowhere else.

use std::sync::Arc;

use admission::{Admission, Limits};
use couchdb::Client;
use datastore::Backend;
use embedded::Embedded;
use notices::Notices;

use crate::failure::Failure;
use crate::settings::{CallSettings, CouchDbSettings, EmbeddedSettings, StoreLocation, StoreSettings};
use crate::writes::{NotedWrites, Writes};

/// The opened store.
pub(crate) struct Stack {
    /// The store, behind all its layers.
    pub(crate) store: Arc<dyn Backend>,
    /// Whether the store can write.
    pub(crate) writes: Arc<Writes>,
    /// The change notices, if anybody is told of changes.
    pub(crate) notices: Option<Arc<Notices>>,
}

/// Opens the store. Its writes are told if there are settings for that.
pub(crate) fn build(settings: &StoreSettings, notices: Option<notices::Settings>) -> Result<Stack, Failure> {
    let (backend, embedded) = backend(settings)?;
    // The embedded store reads a document in microseconds, on the thread of the caller.
    let is_quick = embedded.is_some();
    let writes = Arc::new(Writes::new(embedded));
    let noted: Arc<dyn Backend> = Arc::new(NotedWrites::new(backend, Arc::clone(&writes)));
    let notices = notices.map(|notices| Arc::new(Notices::new(Arc::clone(&noted), notices)));
    let told = notices.as_ref().map_or(noted, |notices| notices.layer());
    let gate = Admission::new(told, limits(&settings.calls));
    let store: Arc<dyn Backend> =
        if is_quick { Arc::new(gate.with_uncounted_fetch()) } else { Arc::new(gate) };
    Ok(Stack { store, writes, notices })
}

fn limits(settings: &CallSettings) -> Limits {
    Limits { calls: settings.calls, queue: settings.queue, queue_wait: settings.queue_wait }
}

/// The backend, and a handle to it if it is an embedded store.
fn backend(settings: &StoreSettings) -> Result<(Arc<dyn Backend>, Option<Embedded>), Failure> {
    match &settings.location {
        StoreLocation::File(path) => {
            let store = Embedded::open(path, embedded_settings(&settings.embedded))
                .map_err(|error| Failure::setup(crate::chain(&error)))?;
            Ok((Arc::new(store.clone()), Some(store)))
        }
        StoreLocation::CouchDb(url) => {
            let settings = couchdb_settings(couchdb::Settings::new(url.clone()), &settings.couchdb);
            let store = Client::new(settings).map_err(|error| Failure::setup(crate::chain(&error)))?;
            Ok((Arc::new(store), None))
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
