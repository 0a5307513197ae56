//! Builds the stack of stores that the rest of the server uses. A store that stands before another one
//! (a cache, notices, measurements) is added here and nowhere else.

use std::path::Path;
use std::sync::Arc;

use admission::{Admission, Limits};
use cache::{Cache, Watcher};
use couchdb::Client;
use datastore::Backend;
use embedded::{Embedded, OpenError};
use kazoo::SystemDb;
use notices::Notices;

use crate::failure::Failure;
use crate::metrics::{Measured, StoreFigures};
use crate::settings::{
    CacheSettings, CallSettings, CouchDbSettings, EmbeddedSettings, OnOff, StoreLocation, StoreSettings,
};
use crate::writes::{NotedWrites, Writes};

/// What a command does with the file of an embedded store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It reads. Another process may have the file open.
    Read,
    /// It writes to a store that exists.
    Write,
    /// It writes, and creates the store if it is missing.
    Create,
}

/// The opened store.
pub(crate) struct Stack {
    /// The store, behind all its layers but the cache.
    pub(crate) store: Arc<dyn Backend>,
    /// Whether the store can write.
    pub(crate) writes: Arc<Writes>,
    /// The change notices, if a broker is set.
    pub(crate) notices: Option<Arc<Notices>>,
    /// The client of a CouchDB, for what only a CouchDB can tell.
    pub(crate) couchdb: Option<Client>,
}

/// Opens the store. `figures` are those of its calls, if somebody looks at them. A broker gets notices of its writes if there are
/// settings for that.
pub(crate) fn build(
    settings: &StoreSettings,
    opening: Opening,
    figures: Option<StoreFigures>,
    notices: Option<notices::Settings>,
) -> Result<Stack, Failure> {
    let Opened { mut backend, embedded, couchdb } = backend(settings, opening)?;
    if let Some(figures) = figures {
        backend = Arc::new(Measured::new(backend, figures));
    }
    // The embedded store reads a small document in microseconds, on the thread of the caller.
    let is_quick = embedded.is_some();
    let writes = Arc::new(Writes::new(embedded));
    let noted: Arc<dyn Backend> = Arc::new(NotedWrites::new(backend, Arc::clone(&writes)));
    let notices = notices.map(|settings| {
        // A file is its only copy.
        let second_look = settings.second_look.filter(|_| !is_quick);
        Arc::new(Notices::new(Arc::clone(&noted), notices::Settings { second_look, ..settings }))
    });
    let told = notices.as_ref().map_or(noted, |notices| notices.layer());
    let gate = Admission::new(told, limits(&settings.calls));
    let store: Arc<dyn Backend> =
        Arc::new(if is_quick { gate.with_uncounted_fetch() } else { gate.with_large_turns() });
    Ok(Stack { store, writes, notices, couchdb })
}

/// Puts a cache before a store, unless it is turned off. The cache remembers nothing until its watcher runs.
pub(crate) fn cached(
    store: Arc<dyn Backend>,
    settings: &CacheSettings,
) -> (Arc<dyn Backend>, Option<Watcher>) {
    if settings.cache == OnOff::Off {
        return (store, None);
    }
    let settings = cache::Settings {
        // The other half is for authentication.
        bytes: settings.bytes / 2,
        feeds: settings.feeds,
        heartbeat: settings.heartbeat,
        always: [auth::databases(), vec![SystemDb::SystemSchemas.name().clone()]].concat(),
    };
    let (cache, watcher) = Cache::new(store, settings);
    (Arc::new(cache), Some(watcher))
}

fn limits(settings: &CallSettings) -> Limits {
    Limits { calls: settings.calls, queue: settings.queue, queue_wait: settings.queue_wait }
}

/// A backend, and a handle to it by its own type.
struct Opened {
    backend: Arc<dyn Backend>,
    embedded: Option<Embedded>,
    couchdb: Option<Client>,
}

fn backend(settings: &StoreSettings, opening: Opening) -> Result<Opened, Failure> {
    match &settings.location {
        StoreLocation::File(path) => {
            let embedded = embedded_settings(&settings.embedded);
            let store = match opening {
                Opening::Create => Embedded::open(path, embedded),
                Opening::Write => {
                    check_exists(path)?;
                    Embedded::open(path, embedded)
                }
                Opening::Read => {
                    check_exists(path)?;
                    Embedded::open_to_read(path, embedded)
                }
            };
            let store = store.map_err(|error| unopened(&error))?;
            Ok(Opened { backend: Arc::new(store.clone()), embedded: Some(store), couchdb: None })
        }
        StoreLocation::CouchDb(url, further) => {
            let base =
                couchdb::Settings { further_urls: further.clone(), ..couchdb::Settings::new(url.clone()) };
            let settings = couchdb_settings(base, &settings.couchdb);
            let store = Client::new(settings).map_err(|error| Failure::setup(crate::chain(&error)))?;
            Ok(Opened { backend: Arc::new(store.clone()), embedded: None, couchdb: Some(store) })
        }
    }
}

/// Why a file cannot be opened. A server that is about to end holds its store a little longer, and somebody may make
/// room on a full disk.
pub(crate) fn unopened(error: &OpenError) -> Failure {
    let message = crate::chain(error);
    if error.may_pass() { Failure::obstacle(message) } else { Failure::setup(message) }
}

/// Refuses a file that is missing or empty. A slip in the name must not make a second, empty store.
pub(crate) fn check_exists(path: &Path) -> Result<(), Failure> {
    let what = match std::fs::metadata(path) {
        Ok(data) if data.len() == 0 && data.is_file() => "is empty",
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "does not exist",
        // Opening the file says what else is wrong with it.
        _ => return Ok(()),
    };
    Err(Failure::setup(format!(
        "no such store: the file {} {what}; name another with --store or CROSSBAR_GROUPS_STORE, or the settings file \
         that names it with --config or CROSSBAR_GROUPS_CONFIG, or create one with `account create`, `import` or \
         `serve --demo`",
        path.display()
    )))
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
