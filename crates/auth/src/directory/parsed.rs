//! A cache of values parsed from documents. A value is parsed again when its document has a new revision.

use std::any::{Any, TypeId};
use std::sync::Arc;

use datastore::{Document, Result, Rev};
use moka::sync::Cache;

use super::doc_key::DocKey;

/// How many parsed values are kept.
const CAPACITY: u64 = 20_000;

/// Parsed values, by document and type.
pub(super) struct Parsed(Cache<(DocKey, TypeId), Entry>);

#[derive(Clone)]
struct Entry {
    rev: Rev,
    value: Arc<dyn Any + Send + Sync>,
}

impl Parsed {
    pub(super) fn new() -> Self {
        Self(Cache::new(CAPACITY))
    }

    /// The value that `read` parses from a document. `read` runs only if no value of this revision is cached.
    pub(super) fn of<T: Send + Sync + 'static>(
        &self,
        key: &DocKey,
        document: &Document,
        read: impl FnOnce(&Document) -> Result<T>,
    ) -> Result<Arc<T>> {
        let key = (key.clone(), TypeId::of::<T>());
        let kept = self.0.get(&key).filter(|entry| entry.rev == *document.rev());
        if let Some(value) = kept.and_then(|entry| entry.value.downcast::<T>().ok()) {
            return Ok(value);
        }
        let value = Arc::new(read(document)?);
        let entry = Entry { rev: document.rev().clone(), value: Arc::<T>::clone(&value) };
        self.0.insert(key, entry);
        Ok(value)
    }
}
