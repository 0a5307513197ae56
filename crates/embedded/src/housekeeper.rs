//! The thread that fills new views and removes what was deleted. It works in slices and takes its chores
//! in turn, so that no database waits long for another one's.

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
use crate::index::{Build, Chore, Read, fill};
use crate::maps::{Mapped, Maps, RowsByMap};
use crate::writer::{Company, Writer};

/// A slice ends when it has taken so long; the next document may still take the map's whole time.
const SLICE: Duration = Duration::from_millis(200);

/// The most documents that a slice, or one call of the map threads, takes.
const SLICE_DOCS: usize = 512;
const CALL_DOCS: usize = 64;

/// The most bytes of documents that a slice reads.
const SLICE_BYTES: usize = 8 << 20;

/// Rows and documents that one commit removes.
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
        let keeper = Keeper { connection, maps, map_time, writer, closing };
        let thread =
            thread::Builder::new().name("housekeeper".to_owned()).spawn(move || keeper.run(&waiting))?;
        Ok(Self { chores, thread: Mutex::new(Some(thread)) })
    }

    /// Where chores are handed in.
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

struct Keeper {
    connection: Connection,
    maps: Arc<Maps>,
    map_time: Duration,
    writer: Arc<Writer>,
    closing: Arc<AtomicBool>,
}

impl Keeper {
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
                    // A store that closes, or is busy, puts its work off; what is left is done later, at
                    // the latest when it opens again. Anything else is a fault.
                    let level = if error.is_retryable() { log::Level::Debug } else { log::Level::Warn };
                    log::log!(level, "work in the background is put off: {error}");
                    pause = PAUSE;
                    chores.push_back(chore);
                }
            }
        }
    }

    /// Takes a build on by a slice, and says whether it is done.
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
        self.writer.run_blocking(Company::Any, move |transaction| {
            fill(transaction, &views, &mapped, built_seq, done)
        })?;
        build.built_seq = built_seq;
        Ok(done)
    }

    /// The next documents of a build, and whether they are the last.
    fn read(&self, build: &Build) -> Result<(Vec<Read>, bool), StoreError> {
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
            let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Read> {
                let text = Arc::from(row.get_ref(3)?.as_str()?);
                Ok(Read { doc: row.get(0)?, seq: row.get(1)?, mapped: Mapped { id: row.get(2)?, text } })
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

    /// The rows of as many of the documents as a slice has time for, and whether these are all.
    fn map(&self, docs: &[Read], views: &[Arc<View>]) -> Result<(Vec<RowsByMap>, bool), StoreError> {
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
            // Each run ends at its own limit; this is only so that nothing waits for ever.
            let patience = self.map_time.saturating_mul(runs.saturating_add(1)).saturating_add(PAUSE * 60);
            let started = Instant::now();
            rows.extend(self.maps.rows_blocking(part, maps.clone(), patience)?);
            // A map that turns out to be slow gets its documents one by one.
            call = if started.elapsed() < SLICE / 4 { (call * 2).min(CALL_DOCS) } else { 1 };
        }
        let all = rows.len() == docs.len();
        Ok((rows, all))
    }

    /// Removes a little of what is not needed any more, and says whether that was all.
    fn purge(&self) -> Result<bool, StoreError> {
        self.writer.run_blocking(Company::Any, |transaction| {
            let connection = transaction.connection;
            let what = "removing what was deleted";
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
