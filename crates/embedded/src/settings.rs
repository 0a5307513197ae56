//! What can be set about an embedded store, with defaults that suit one machine.

use std::time::Duration;

/// When an acknowledged write is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every commit is synced before it is acknowledged: it survives a power cut.
    Full,
    /// Commits are synced at checkpoints: an acknowledged write survives a crash of the process, but a
    /// power cut may take the last ones. The file stays whole.
    Normal,
}

/// The settings of an embedded store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When an acknowledged write is on disk.
    pub durability: Durability,
    /// The largest document in bytes of JSON, attachments not counted; CouchDB's default.
    pub max_document_bytes: usize,
    /// The most bytes of attachments that one write may bring.
    pub max_attachment_bytes: usize,
    /// How many writes may wait for the writer; further ones wait for a place.
    pub write_queue: usize,
    /// The most writes that one commit takes together.
    pub max_commit_writes: usize,
    /// Threads that scan views and feeds.
    pub reader_threads: usize,
    /// Threads that run map functions.
    pub map_threads: usize,
    /// The most rows that a scan reads at once.
    pub page_rows: usize,
    /// A scan reads no further row at once when its rows make up so many bytes.
    pub page_bytes: usize,
    /// How long each batch of a stream after the first may take.
    pub batch_timeout: Duration,
    /// How long a map function may take for one document. Less than the deadline that callers usually
    /// give: then a document that a map hangs on is written and left out of that view, rather than
    /// refused because nobody could wait for the map.
    pub map_time: Duration,
    /// How much memory a map function may use, and how much it may emit for one document.
    pub map_memory_bytes: usize,
    /// How much stack a map function may use.
    pub map_stack_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            max_document_bytes: 8_000_000,
            max_attachment_bytes: 64 * 1024 * 1024,
            write_queue: 1_024,
            max_commit_writes: 256,
            reader_threads: 2,
            map_threads: 2,
            page_rows: 1_000,
            page_bytes: 1024 * 1024,
            batch_timeout: Duration::from_secs(5),
            map_time: Duration::from_secs(2),
            map_memory_bytes: 64 * 1024 * 1024,
            map_stack_bytes: 512 * 1024,
        }
    }
}
