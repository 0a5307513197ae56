//! The settings of an embedded store. The defaults suit one machine.

use std::time::Duration;

/// When a write reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every commit is synced before it is acknowledged. Acknowledged writes survive a power cut.
    Full,
    /// Commits are synced at checkpoints. Acknowledged writes survive a crash of the process, but a power
    /// cut can lose the last ones. It does not damage the file.
    Normal,
}

/// The settings of an embedded store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When a write reaches the disk.
    pub durability: Durability,
    /// The writer's page cache, in KiB. Every write walks the inner pages of every index, so they should
    /// stay cached.
    pub writer_cache_kib: u32,
    /// The largest document, in bytes of JSON without attachments. The default is CouchDB's.
    pub max_document_bytes: usize,
    /// The most bytes of new attachments in one write.
    pub max_attachment_bytes: usize,
    /// The length of the writer's queue. Further writes wait until there is room in it.
    pub write_queue: usize,
    /// The most writes in one commit.
    pub max_commit_writes: usize,
    /// Threads that scan views and feeds.
    pub reader_threads: usize,
    /// Threads that run map functions.
    pub map_threads: usize,
    /// The most rows that a scan reads at once.
    pub page_rows: usize,
    /// A scan ends its page when the rows have this many bytes.
    pub page_bytes: usize,
    /// How long a stream may take for each batch after the first.
    pub batch_timeout: Duration,
    /// How much processor time a map function may take for one document. If it takes more, a write of the
    /// document is refused as too large. If the caller's deadline passes before that, for instance on a
    /// busy machine, the write fails with `DeadlineExceeded` and may be tried again.
    pub map_time: Duration,
    /// How many bytes of memory a map function may use. It may emit half as many for one document. A write
    /// of a document that needs more is refused as too large. The default is enough for any document of 8 MB
    /// with 250,000 values.
    pub map_memory_bytes: usize,
    /// How many bytes of stack a map function may use.
    pub map_stack_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            writer_cache_kib: 16 * 1024,
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
            map_memory_bytes: 128 * 1024 * 1024,
            map_stack_bytes: 512 * 1024,
        }
    }
}
