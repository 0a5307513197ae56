//! The memory of the cache. All databases share one bound in bytes. Entries that are rarely used are dropped first.

use std::sync::Arc;

use datastore::{Cause, DocId, Document, Result, SMALL, StoreError, ViewQuery, ViewRow};
use moka::sync::Cache;

/// What entries take beside their texts, and a row of a page beside its own. In bytes, as `memory_tests.rs` measures.
const DOCUMENT_OVERHEAD: usize = 680;
const ABSENCE_OVERHEAD: usize = 450;
const PAGE_OVERHEAD: usize = 900;
const ROW_OVERHEAD: usize = 270;

/// No entry may take more than this share of the bound.
const LARGEST_SHARE: u64 = 16;

/// The question that an entry answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Document(DocId),
    Page(Arc<ViewQuery>),
}

/// The answer of the store.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Document(Document),
    Absent(Absence),
    /// All rows of a query, read in this epoch.
    Page(u64, Page),
    /// The query has too many rows to be remembered, in this epoch.
    LongPage(u64),
}

/// The rows of a page.
pub(crate) type Page = Arc<[ViewRow]>;

/// Why there is no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    Missing,
    Deleted,
}

impl Absence {
    pub(crate) fn of(error: &StoreError) -> Option<Self> {
        match error {
            StoreError::Missing(_) => Some(Self::Missing),
            StoreError::Deleted(_) => Some(Self::Deleted),
            _ => None,
        }
    }

    pub(crate) fn error(self) -> StoreError {
        let cause = Cause::new("remembered");
        match self {
            Self::Missing => StoreError::Missing(cause),
            Self::Deleted => StoreError::Deleted(cause),
        }
    }
}

impl Entry {
    /// The epoch in which it counts. `None` if only a change of its own document ends it.
    pub(crate) fn epoch(&self) -> Option<u64> {
        match self {
            Self::Document(_) | Self::Absent(_) => None,
            Self::Page(epoch, _) | Self::LongPage(epoch) => Some(*epoch),
        }
    }

    pub(crate) fn document(self) -> Option<Result<Document>> {
        match self {
            Self::Document(document) => Some(Ok(document)),
            Self::Absent(absence) => Some(Err(absence.error())),
            Self::Page(..) | Self::LongPage(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Document(document) => DOCUMENT_OVERHEAD
                .saturating_add(document.text().len())
                .saturating_add(document.places_bytes()),
            Self::Absent(_) => ABSENCE_OVERHEAD,
            Self::LongPage(_) => PAGE_OVERHEAD,
            Self::Page(_, rows) => rows.iter().map(row_bytes).fold(PAGE_OVERHEAD, usize::saturating_add),
        }
    }
}

/// How much memory a row takes.
pub(crate) fn row_bytes(row: &ViewRow) -> usize {
    let doc = row.doc.as_ref().map_or(0, |doc| doc.text().len());
    row.key.get().len() + row.value.get().len() + doc + ROW_OVERHEAD
}

impl Key {
    /// Whether an empty answer is worth an entry. A client may name any place to begin at, and behind most of them
    /// nothing comes.
    pub(crate) fn is_worth_an_empty_page(&self) -> bool {
        match self {
            Self::Document(_) => true,
            Self::Page(query) => {
                let begins_amid = query.start_key.is_some() && query.start_key != query.end_key;
                query.start_key_doc_id.is_none() && !begins_amid
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Document(id) => id.as_str().len(),
            Self::Page(query) => {
                let texts = [&query.start_key_doc_id, &query.end_key_doc_id];
                let keys = [&query.key, &query.start_key, &query.end_key];
                texts.into_iter().flatten().map(String::len).sum::<usize>()
                    + keys.into_iter().flatten().map(|key| key.as_str().map_or(64, str::len)).sum::<usize>()
            }
        }
    }
}

/// The entries of all sessions.
pub(crate) struct Memory {
    entries: Cache<(u64, Key), Entry>,
    largest: u32,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        let weigh = |(_, key): &(u64, Key), entry: &Entry| weight(key, entry);
        Self {
            entries: Cache::builder().max_capacity(bytes).weigher(weigh).build(),
            largest: u32::try_from(bytes / LARGEST_SHARE).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn get(&self, session: u64, key: &Key) -> Option<Entry> {
        self.entries.get(&(session, key.clone()))
    }

    pub(crate) fn put(&self, session: u64, key: Key, entry: Entry) {
        if let Entry::Document(document) = &entry
            && document.text().len() <= SMALL
        {
            // Now the document knows how many places it remembers, and is counted with them. A reader would look for
            // its members anyway.
            let _ = document.members();
        }
        if weight(&key, &entry) <= self.largest {
            self.entries.insert((session, key), entry);
        }
    }

    pub(crate) fn forget(&self, session: u64, key: &Key) {
        self.entries.invalidate(&(session, key.clone()));
    }

    /// Gives back the memory of sessions that are over. Their entries are never found again anyway.
    pub(crate) fn forget_sessions(&self, is_over: impl Fn(u64) -> bool) {
        for (key, _) in &self.entries {
            if is_over(key.0) {
                self.entries.invalidate(&*key);
            }
        }
    }

    /// How many entries there are, and how many bytes they take.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

fn weight(key: &Key, entry: &Entry) -> u32 {
    let bytes = key.bytes().saturating_add(entry.bytes());
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
