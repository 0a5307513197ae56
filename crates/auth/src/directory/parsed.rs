//! Values that were parsed from documents, kept for as long as the document's revision stays the same.

use std::any::{Any, TypeId};
use std::sync::Arc;

use datastore::{Document, Result, Rev};
use moka::sync::Cache;

use super::doc_key::DocKey;

/// How many parsed values are kept.
const CAPACITY: u64 = 20_000;

/// Parsed values, by the document's place and the type that it was parsed into.
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

    /// What `read` makes of a document; read anew only if the document has another revision.
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
