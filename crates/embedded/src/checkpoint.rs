//! Copies SQLite's log into the file. A thread of its own does that while the writer goes on, so writes do not wait
//! for it. The writer copies only what that thread has left over, so that the log begins anew.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::file::StoreFile;

/// The thread copies whenever the log has grown by so many pages, of 4 KiB.
const STEP: u32 = 1_000;

/// SQLite begins the log anew once all of it is copied, but a busy writer is always some pages ahead of the thread. From
/// so many pages on, the writer copies the last ones itself, after the thread has copied the others.
const LONG: u32 = 4 * STEP;

/// From so many pages on, the writer waits for the thread, so that the log stays bounded where the disk is slow.
const MOST: u32 = 16 * STEP;

/// What the writer and the thread know of the log.
#[derive(Debug, Default)]
struct Log {
    /// How many pages the log had after the last commit.
    pages: AtomicU32,
    /// The thread has copied, and the writer has not noticed yet.
    is_copied: AtomicBool,
    /// Held while somebody copies.
    copying: Mutex<()>,
}

impl Log {
    /// Copies what no reader needs in the log any more. Never waits for readers or for a writer.
    fn copy(&self, connection: &Connection) {
        // Nothing panics while it holds the lock.
        let _alone = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        let copied = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)");
        if let Err(error) = copied.and_then(|mut s| s.query_row([], |_| Ok(()))) {
            log::warn!("SQLite's log could not be copied into the file, and grows until it can: {error}");
        }
    }
}

/// The thread that copies, and when it has to.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    log: Arc<Log>,
    /// How many pages the log had when somebody last began to copy.
    copied_at: u32,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread. From now on the writer's connection does not copy by itself.
    pub(crate) fn start(file: &StoreFile, writer: &mut Connection) -> std::io::Result<Self> {
        let log = Arc::new(Log::default());
        let of_writer = Arc::clone(&log);
        let note = move |_: &mut Wal, pages| {
            of_writer.pages.store(u32::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        };
        // The hook takes the place of the one that copies after a commit.
        writer.wal_hook(Some(note)).map_err(std::io::Error::other)?;
        let connection = file.reader().map_err(std::io::Error::other)?;
        let (wake, woken) = mpsc::sync_channel(1);
        let of_thread = Arc::clone(&log);
        let work = move || {
            while woken.recv().is_ok() {
                of_thread.copy(&connection);
                of_thread.is_copied.store(true, Ordering::Relaxed);
            }
        };
        let thread = thread::Builder::new().name("checkpoint".to_owned()).spawn(work)?;
        Ok(Self { log, copied_at: 0, wake: Some(wake), thread: Some(thread) })
    }

    /// Keeps the log short. The writer calls this between two commits.
    pub(crate) fn tend(&mut self, writer: &Connection) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        if pages < self.copied_at {
            self.copied_at = 0;
        }
        let has_grown = pages - self.copied_at >= STEP;
        let little_is_left = self.log.is_copied.swap(false, Ordering::Relaxed);
        if (pages >= LONG && little_is_left) || (pages >= MOST && has_grown) {
            self.copied_at = pages;
            self.log.copy(writer);
        } else if has_grown {
            self.copied_at = pages;
            // If the channel is full, the thread has not begun with the last wish yet.
            let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rusqlite::Connection;

    use super::{Checkpoints, LONG, MOST, STEP};
    use crate::file::{StoreFile, beside};
    use crate::settings::Settings;

    const PAGE: u64 = 4_096;

    struct Store {
        folder: tempfile::TempDir,
        file: StoreFile,
        writer: Connection,
        checkpoints: Checkpoints,
    }

    impl Store {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (file, mut writer) =
                StoreFile::open(&folder.path().join("store.db"), &Settings::default()).unwrap();
            let checkpoints = Checkpoints::start(&file, &mut writer).unwrap();
            Self { folder, file, writer, checkpoints }
        }

        /// Commits about this many pages.
        fn write(&mut self, pages: u64) {
            let insert =
                "INSERT INTO local (db, name, text) VALUES (1, hex(randomblob(16)), hex(zeroblob(?1)))";
            self.writer.execute(insert, [i64::try_from(pages * PAGE / 2).unwrap()]).unwrap();
        }

        fn log_pages(&self) -> u64 {
            let log = beside(&self.folder.path().join("store.db"), "-wal");
            std::fs::metadata(log).unwrap().len() / PAGE
        }

        fn file_pages(&self) -> u64 {
            std::fs::metadata(self.file.path()).unwrap().len() / PAGE
        }
    }

    #[test]
    fn the_thread_copies_while_the_writer_rests() {
        let mut store = Store::new();
        let step = u64::from(STEP);
        for _ in 0..12 {
            store.write(step / 10);
        }
        assert!(store.file_pages() < step, "a commit does not copy");
        store.checkpoints.tend(&store.writer);
        let until = Instant::now() + Duration::from_secs(60);
        while store.file_pages() < step {
            assert!(Instant::now() < until, "the thread has not copied");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_log_stays_bounded_while_the_writer_is_busy() {
        let mut store = Store::new();
        let most = u64::from(MOST + STEP);
        for _ in 0..2 * most / 50 {
            store.write(50);
            store.checkpoints.tend(&store.writer);
        }
        assert!(store.log_pages() <= most, "{} pages", store.log_pages());
        assert!(store.file_pages() > most);
    }

    #[test]
    fn a_reader_that_stays_does_not_stop_the_writer() {
        let mut store = Store::new();
        let reader = store.file.reader().unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM local;").unwrap();
        for _ in 0..2 * LONG / 50 {
            store.write(50);
            store.checkpoints.tend(&store.writer);
        }
        reader.execute_batch("COMMIT").unwrap();
        let longest = store.log_pages();
        for _ in 0..2 * LONG / 50 {
            store.write(50);
            store.checkpoints.tend(&store.writer);
        }
        assert!(store.log_pages() <= longest + u64::from(LONG), "the log began anew");
    }
}
