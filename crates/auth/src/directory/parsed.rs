//! A cache of values parsed from documents. A value is parsed again when its document has a new revision.

use std::any::{Any, TypeId};
use std::sync::Arc;

use datastore::{Document, Result, Rev};
use moka::sync::Cache;

use super::doc_key::DocKey;

/// The memory that a value takes for each byte of its document, and beside that. In bytes, estimated.
const PER_BYTE: u32 = 4;
const OVERHEAD: u32 = 800;

/// Parsed values, by document and type.
pub(super) struct Parsed(Cache<(DocKey, TypeId), Entry>);

#[derive(Clone)]
struct Entry {
    rev: Rev,
    value: Arc<dyn Any + Send + Sync>,
    bytes: u32,
}

impl Parsed {
    /// Values that together take at most so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        Self(Cache::builder().max_capacity(bytes).weigher(|_, entry: &Entry| entry.bytes).build())
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
        let length = u32::try_from(document.text().len()).unwrap_or(u32::MAX);
        let bytes = length.saturating_mul(PER_BYTE).saturating_add(OVERHEAD);
        let entry = Entry { rev: document.rev().clone(), value: Arc::<T>::clone(&value), bytes };
        self.0.insert(key, entry);
        Ok(value)
    }
}
