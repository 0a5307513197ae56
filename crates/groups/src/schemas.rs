//! The schema of groups: Kazoo's own, which is built in, or the one that an operator has stored in its place, in
//! `system_schemas`. A stored one that cannot be used is told once, and the built-in one counts.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use datastore::{Deadline, DocId, Document, Epoch, Result, Rev, Store, StoreError, if_found};
use futures::lock::Mutex;
use kazoo::{SystemDb, is_deleted};
use validation::{Schema, SchemaError};

/// How long a schema counts where the store does not learn of changes, and how long its absence does.
const PRESENT: Duration = Duration::from_secs(60);
const ABSENT: Duration = Duration::from_secs(5);

/// The schema that groups are validated by, and where it comes from.
pub struct LoadedSchema {
    /// The schema.
    pub schema: Schema,
    /// Where it comes from.
    pub source: SchemaSource,
}

/// Where the schema of groups comes from.
#[derive(Debug)]
pub enum SchemaSource {
    /// None is stored, so it is the one that is part of this program.
    BuiltIn,
    /// The one in `system_schemas`.
    Stored,
    /// The one in `system_schemas` cannot be used, so it is the one that is part of this program.
    Unusable(SchemaError),
}

/// Reads the schema of groups.
///
/// # Errors
/// Errors from the store.
pub async fn load_schema(store: &dyn Store, deadline: Deadline) -> Result<LoadedSchema> {
    Ok(read(fetch(store, deadline).await?.as_ref()))
}

/// The stored schema, if there is one.
async fn fetch(store: &dyn Store, deadline: Deadline) -> Result<Option<Document>> {
    let id = DocId::from_store("groups".to_owned());
    if_found(store.fetch(SystemDb::SystemSchemas.name(), &id, deadline).await)
}

fn read(stored: Option<&Document>) -> LoadedSchema {
    let members = stored.map(Document::to_object);
    let parsed = match members {
        Some(Ok(members)) if !is_deleted(&members) => Schema::of_operator(members),
        Some(Err(error)) => Err(SchemaError::Invalid { reason: error.to_string() }),
        _ => return LoadedSchema { schema: Schema::groups(), source: SchemaSource::BuiltIn },
    };
    match parsed {
        Ok(schema) => LoadedSchema { schema, source: SchemaSource::Stored },
        Err(error) => LoadedSchema { schema: Schema::groups(), source: SchemaSource::Unusable(error) },
    }
}

/// The epoch of the database of schemas, if the store tells it.
fn epoch_now(store: &dyn Store) -> Option<Epoch> {
    store.epoch(SystemDb::SystemSchemas.name())
}

/// The schema that counts now.
pub(crate) struct CurrentSchema {
    known: RwLock<Known>,
    /// Whoever reads the schema again holds it.
    turn: Mutex<()>,
}

struct Known {
    schema: Arc<Schema>,
    /// The revision that it was read from, if there is one. `None` until it was read once.
    rev: Option<Option<Rev>>,
    /// When it was read, unless it must be read again.
    read: Option<ReadAt>,
}

struct ReadAt {
    at: Instant,
    /// The epoch in which it was read, if the store tells it.
    epoch: Option<Epoch>,
}

impl Known {
    fn counts(&self, store: &dyn Store) -> bool {
        let Some(ReadAt { at, epoch }) = &self.read else { return false };
        match epoch {
            Some(epoch) => epoch.is_current(),
            // It was read before the store began to learn of changes.
            None if epoch_now(store).is_some() => false,
            None => at.elapsed() < if matches!(self.rev, Some(Some(_))) { PRESENT } else { ABSENT },
        }
    }
}

impl CurrentSchema {
    /// The built-in one, until it is read.
    pub(crate) fn new() -> Self {
        let known = Known { schema: Arc::new(Schema::groups()), rev: None, read: None };
        Self { known: RwLock::new(known), turn: Mutex::new(()) }
    }

    /// The schema that was read last.
    pub(crate) fn get(&self) -> Arc<Schema> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).schema)
    }

    /// Reads the schema again the next time that it is needed.
    pub(crate) fn forget(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).read = None;
    }

    /// Reads the schema again if it may have changed. If the store does not answer, the last one counts on; without
    /// one, that is an error.
    pub(crate) async fn refresh(&self, store: &dyn Store, deadline: Deadline) -> Result<()> {
        if self.counts(store) {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        if self.counts(store) {
            return Ok(());
        }
        // Asked before the read, so that a change during it counts.
        let read = ReadAt { at: Instant::now(), epoch: epoch_now(store) };
        match fetch(store, deadline).await {
            Ok(stored) => {
                self.keep(stored.as_ref(), read);
                Ok(())
            }
            Err(error) => self.keep_last(error),
        }
    }

    fn counts(&self, store: &dyn Store) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).counts(store)
    }

    fn keep(&self, stored: Option<&Document>, read_at: ReadAt) {
        let rev = stored.map(Document::rev);
        {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if known.rev.as_ref().is_some_and(|known| known.as_ref() == rev) {
                known.read = Some(read_at);
                return;
            }
        }
        let LoadedSchema { schema, source } = read(stored);
        match &source {
            SchemaSource::BuiltIn => log::debug!("groups are validated by the built-in schema"),
            SchemaSource::Stored => log::info!("groups are validated by the schema in system_schemas"),
            SchemaSource::Unusable(error) => log::error!(
                "the schema groups in system_schemas cannot be used, so groups are validated by the built-in one: \
                 {error}"
            ),
        }
        let known = Known { schema: Arc::new(schema), rev: Some(rev.cloned()), read: Some(read_at) };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn keep_last(&self, error: StoreError) -> Result<()> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.rev.is_none() {
            return Err(error);
        }
        log::debug!(
            "the schema groups in system_schemas was not read again, so the last one counts on: {error}"
        );
        Ok(())
    }
}
