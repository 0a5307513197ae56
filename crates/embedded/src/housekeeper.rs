//! The background thread that fills new views and removes the rows of deleted databases and views. It does
//! a small slice of each chore in turn, so that one database does not wait long for another.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use datastore::StoreError;
use rusqlite::{Connection, params};

use crate::catalogue::{Phase, View};
use crate::error::{SqliteResult, closed};
use crate::file::StoreFile;
use crate::index::{Build, Chore, DocToIndex, fill};
use crate::maps::{MapInput, Maps, RowsByMap};
use crate::writer::{Batching, Writer};

/// How long a slice may take. The slice can run over by the map time of one document.
const SLICE: Duration = Duration::from_millis(200);

/// The most documents in one slice.
const SLICE_DOCS: usize = 512;

/// The most documents that one call hands to the map threads.
const CALL_DOCS: usize = 64;

/// A slice reads no further document once it has read this many bytes.
const SLICE_BYTES: usize = 8 << 20;

/// The most view rows, or documents, that one commit removes.
const PURGED_ROWS: i64 = 2_000;
const PURGED_DOCS: i64 = 200;

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// The thread that does chores.
pub(crate) struct Housekeeper {
    chores: mpsc::Sender<Chore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Housekeeper {
    pub(crate) fn start(
        file: &Arc<StoreFile>,
        maps: Arc<Maps>,
        map_time: Duration,
        writer: Arc<Writer>,
        closing: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let (chores, waiting) = mpsc::channel();
        let connection = file.reader().map_err(std::io::Error::other)?;
        let housekeeper = HousekeeperThread { connection, maps, map_time, writer, closing };
        let thread =
            thread::Builder::new().name("housekeeper".to_owned()).spawn(move || housekeeper.run(&waiting))?;
        Ok(Self { chores, thread: Mutex::new(Some(thread)) })
    }

    /// The channel that takes new chores.
    pub(crate) fn chores(&self) -> mpsc::Sender<Chore> {
        self.chores.clone()
    }

    pub(crate) fn stop(&self) {
        let _ = self.chores.send(Chore::Stop);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

struct HousekeeperThread {
    connection: Connection,
    maps: Arc<Maps>,
    map_time: Duration,
    writer: Arc<Writer>,
    closing: Arc<AtomicBool>,
}

impl HousekeeperThread {
    /// Does a slice of each chore in turn.
    fn run(mut self, waiting: &mpsc::Receiver<Chore>) {
        let mut chores = VecDeque::new();
        let mut pause = Duration::ZERO;
        loop {
            let next = if chores.is_empty() {
                waiting.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else if pause.is_zero() {
                waiting.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                })
            } else {
                waiting.recv_timeout(pause)
            };
            match next {
                Ok(Chore::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(chore) => chores.push_back(chore),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let Some(mut chore) = chores.pop_front() else { continue };
            let done = match &mut chore {
                Chore::Build(build) => self.build(build),
                Chore::Purge => self.purge(),
                Chore::Stop => return,
            };
            pause = Duration::ZERO;
            match done {
                Ok(true) => {}
                Ok(false) => chores.push_back(chore),
                Err(error) => {
                    // The store is closing or busy if the error is retryable. The chore is then done
                    // later, or after the next start. Any other error is a fault.
                    let level = if error.is_retryable() { log::Level::Debug } else { log::Level::Warn };
                    log::log!(level, "background work failed and will be retried: {error}");
                    pause = PAUSE;
                    chores.push_back(chore);
                }
            }
        }
    }

    /// Does one slice of a build. Returns whether the build is complete.
    fn build(&mut self, build: &mut Build) -> Result<bool, StoreError> {
        build.views.retain(|view| *view.phase.borrow() != Phase::Gone);
        if build.views.is_empty() {
            return Ok(true);
        }
        let (docs, all) = self.read(build)?;
        let (rows, all_mapped) = self.map(&docs, &build.views)?;
        let done = all && all_mapped;
        let mapped = docs.into_iter().zip(rows).collect::<Vec<_>>();
        let built_seq = match mapped.last() {
            _ if done => build.until_seq,
            Some((doc, _)) => doc.seq,
            None => build.built_seq,
        };
        let views = build.views.clone();
        self.writer.run_blocking(Batching::Shared, move |transaction| {
            fill(transaction, &views, &mapped, built_seq, done)
        })?;
        build.built_seq = built_seq;
        Ok(done)
    }

    /// Reads the next documents of a build. The flag says whether they are the last.
    fn read(&self, build: &Build) -> Result<(Vec<DocToIndex>, bool), StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT doc, seq, id, text FROM doc
                 WHERE db = ?1 AND seq > ?2 AND seq <= ?3 AND text IS NOT NULL
                     AND NOT (id >= '_design/' AND id < '_design0')
                 ORDER BY seq",
            )
            .during("reading documents for an index")?;
        let mut rows = statement
            .query(params![build.db, build.built_seq, build.until_seq])
            .during("reading documents for an index")?;
        let (mut docs, mut bytes) = (Vec::new(), 0usize);
        while let Some(row) = rows.next().during("reading documents for an index")? {
            let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<DocToIndex> {
                let text = Arc::from(row.get_ref(3)?.as_str()?);
                Ok(DocToIndex {
                    doc: row.get(0)?,
                    seq: row.get(1)?,
                    mapped: MapInput { id: row.get(2)?, text },
                })
            };
            let doc = read(row).during("reading documents for an index")?;
            bytes = bytes.saturating_add(doc.mapped.text.len());
            docs.push(doc);
            if docs.len() >= SLICE_DOCS || bytes >= SLICE_BYTES {
                return Ok((docs, false));
            }
        }
        Ok((docs, true))
    }

    /// Computes the rows of the documents until the slice's time is over. The flag says whether every
    /// document was mapped.
    fn map(&self, docs: &[DocToIndex], views: &[Arc<View>]) -> Result<(Vec<RowsByMap>, bool), StoreError> {
        let maps: Vec<_> = views.iter().map(|view| Arc::clone(&view.map)).collect();
        let began = Instant::now();
        let mut rows = Vec::with_capacity(docs.len());
        let mut call = 1;
        while rows.len() < docs.len() && (rows.is_empty() || began.elapsed() < SLICE) {
            if self.closing.load(Ordering::Relaxed) {
                return Err(closed());
            }
            let part: Vec<_> =
                docs.iter().skip(rows.len()).take(call).map(|doc| doc.mapped.clone()).collect();
            let runs = u32::try_from(part.len().saturating_mul(maps.len())).unwrap_or(u32::MAX);
            // Each map run already has its own time limit. This limit only makes sure that the housekeeper
            // never waits forever.
            let patience = self.map_time.saturating_mul(runs.saturating_add(1)).saturating_add(PAUSE * 60);
            let started = Instant::now();
            rows.extend(self.maps.rows_blocking(part, maps.clone(), patience)?);
            // If a map is slow, hand its documents over one by one.
            call = if started.elapsed() < SLICE / 4 { (call * 2).min(CALL_DOCS) } else { 1 };
        }
        let all = rows.len() == docs.len();
        Ok((rows, all))
    }

    /// Removes some rows of a deleted database or view. Returns whether nothing is left to remove.
    fn purge(&self) -> Result<bool, StoreError> {
        self.writer.run_blocking(Batching::Shared, |transaction| {
            let connection = transaction.connection;
            let what = "removing deleted rows";
            let next = connection
                .prepare_cached("SELECT rowid, kind, number FROM garbage ORDER BY rowid LIMIT 1")
                .and_then(|mut s| {
                    let mut rows = s.query([])?;
                    rows.next()?
                        .map(|row| {
                            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
                        })
                        .transpose()
                })
                .during(what)?;
            let Some((garbage, kind, number)) = next else { return Ok(true) };
            let steps: &[(&str, i64)] = if kind == "view" {
                &[(
                    "DELETE FROM view_row WHERE view = ?1 AND sort < coalesce(
                         (SELECT sort FROM view_row WHERE view = ?1 ORDER BY sort LIMIT 1 OFFSET ?2), x'FF')",
                    PURGED_ROWS,
                )]
            } else {
                &[
                    (
                        "DELETE FROM attachment WHERE doc IN
                             (SELECT doc FROM doc WHERE db = ?1 ORDER BY seq LIMIT ?2)",
                        PURGED_DOCS,
                    ),
                    (
                        "DELETE FROM doc WHERE doc IN
                             (SELECT doc FROM doc WHERE db = ?1 ORDER BY seq LIMIT ?2)",
                        PURGED_DOCS,
                    ),
                ]
            };
            transaction.whole(|transaction| {
                let mut removed = 0;
                for (sql, most) in steps {
                    removed = transaction
                        .connection
                        .prepare_cached(sql)
                        .and_then(|mut s| s.execute(params![number, most]))
                        .during(what)?;
                }
                if removed == 0 {
                    transaction
                        .connection
                        .prepare_cached("DELETE FROM garbage WHERE rowid = ?1")
                        .and_then(|mut s| s.execute([garbage]))
                        .during(what)?;
                }
                Ok(false)
            })
        })
    }
}
