//! The background thread that fills new views and removes the rows of deleted databases and views. It does
//! a small slice of each chore in turn, so that one database does not wait long for another.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use datastore::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use crate::catalogue::{Phase, View};
use crate::error::{SqliteResult, closed};
use crate::file::StoreFile;
use crate::in_use::InUse;
use crate::index::{Build, Chore, DocToIndex, fill};
use crate::maps::{BUILD_EFFORT, LimitReached, MapInput, Maps, RowsByMap};
use crate::rows::Rows;
use crate::staging::{Progress, Staging};
use crate::transaction::Transaction;
use crate::write::NewRows;
use crate::write_queue::Turn;
use crate::writer::Writer;

/// How long a slice may take. The slice can run over by the map time of one document.
const SLICE: Duration = Duration::from_millis(200);

/// The most documents in one slice.
const SLICE_DOCS: usize = 512;

/// The most documents that one call hands to the map threads.
const CALL_DOCS: usize = 64;

/// A slice reads no further document once it has read this many bytes.
const SLICE_BYTES: usize = 8 << 20;

/// The most view rows, or documents, that one commit removes.
const PURGED_ROWS: i64 = 1_000;
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
        in_use: Arc<InUse>,
        closing: Arc<AtomicBool>,
        (chores, waiting): (mpsc::Sender<Chore>, mpsc::Receiver<Chore>),
    ) -> std::io::Result<Self> {
        let connection = file.reader().map_err(std::io::Error::other)?;
        let file = Arc::clone(file);
        let housekeeper = HousekeeperThread { file, connection, maps, map_time, writer, in_use, closing };
        let thread =
            thread::Builder::new().name("housekeeper".to_owned()).spawn(move || housekeeper.run(&waiting))?;
        Ok(Self { chores, thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn stop(&self) {
        let _ = self.chores.send(Chore::Stop);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

struct HousekeeperThread {
    file: Arc<StoreFile>,
    connection: Connection,
    maps: Arc<Maps>,
    map_time: Duration,
    writer: Arc<Writer>,
    in_use: Arc<InUse>,
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
                    let error = self.file.with_advice(error);
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
        let (rows, all_mapped) = self.map(build.db, &docs, &build.views)?;
        let done = all && all_mapped;
        let mut mapped = Vec::with_capacity(rows.len());
        let mut bytes = 0usize;
        for (doc, rows) in docs.into_iter().zip(rows) {
            let new = self.stage(build, &doc.mapped.id, rows, &mut bytes)?;
            mapped.push((doc, new));
        }
        let built_seq = match mapped.last() {
            _ if done => build.until_seq,
            Some((doc, _)) => doc.seq,
            None => build.built_seq,
        };
        let views = build.views.clone();
        self.writer.run_blocking(Turn::of(build.db).writing(bytes), move |transaction| {
            fill(transaction, &views, &mapped, built_seq, done)
        })?;
        build.built_seq = built_seq;
        Ok(done)
    }

    /// Prepares a document's rows in the views, and counts the bytes that are still to be written. If a map
    /// reached a limit, the document has no rows in that view.
    fn stage(
        &self,
        build: &Build,
        id: &str,
        rows: RowsByMap,
        bytes: &mut usize,
    ) -> Result<Vec<NewRows>, StoreError> {
        let mut new = Vec::with_capacity(rows.len());
        for (view, rows) in build.views.iter().zip(rows) {
            let rows = rows.unwrap_or_else(|LimitReached(reason)| {
                log::error!("document {id} has no rows in the view {}: {reason}", view.name);
                Rows::default()
            });
            new.push(if rows.is_large() {
                let digest = rows.digest();
                let mut staging = Staging::new((build.db, view.id), id, Arc::new(rows), digest, &self.in_use);
                loop {
                    let turn = staging.turn();
                    match self.writer.run_blocking(turn, move |transaction| staging.write(transaction))? {
                        Progress::More(more) => staging = more,
                        Progress::Done(staged) => break NewRows::Staged(staged),
                        Progress::ViewGone => break NewRows::Put(Rows::default()),
                    }
                }
            } else {
                *bytes = bytes.saturating_add(rows.bytes());
                NewRows::Put(rows)
            });
        }
        Ok(new)
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
    fn map(
        &self,
        db: i64,
        docs: &[DocToIndex],
        views: &[Arc<View>],
    ) -> Result<(Vec<RowsByMap>, bool), StoreError> {
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
            let patience = self.map_time.saturating_mul(BUILD_EFFORT).saturating_mul(runs.saturating_add(1));
            let patience = patience.saturating_add(PAUSE * 60);
            let started = Instant::now();
            rows.extend(self.maps.rows_blocking(db, part, maps.clone(), patience)?);
            // If a map is slow, hand its documents over one by one.
            call = if started.elapsed() < SLICE / 4 { (call * 2).min(CALL_DOCS) } else { 1 };
        }
        let all = rows.len() == docs.len();
        Ok((rows, all))
    }

    /// Removes some rows that nobody can see any more. Returns whether nothing is left to remove.
    fn purge(&self) -> Result<bool, StoreError> {
        let in_use = Arc::clone(&self.in_use);
        self.writer.run_blocking(Turn::of_the_store(), move |transaction| {
            Ok(!purge_emission(transaction, &in_use)? && !purge_garbage(transaction)?)
        })
    }
}

/// Removes some rows of an emission that is not live, and then the emission. Returns whether there was one.
fn purge_emission(transaction: &mut Transaction<'_>, in_use: &InUse) -> Result<bool, StoreError> {
    const WHAT: &str = "removing the rows of an old emission";
    let dead: Vec<(i64, i64, String)> = transaction
        .connection
        .prepare_cached("SELECT emission, view, id FROM emission WHERE live = 0")
        .and_then(|mut s| {
            s.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .filter(|dead| !dead.as_ref().is_ok_and(|(emission, ..)| in_use.contains(*emission)))
                .take(1)
                .collect()
        })
        .during(WHAT)?;
    let Some((emission, view, id)) = dead.into_iter().next() else { return Ok(false) };
    transaction.whole(|transaction| {
        let connection = transaction.connection;
        let removed = connection
            .prepare_cached(
                "DELETE FROM view_row WHERE view = ?1 AND sort IN
                     (SELECT sort FROM view_row INDEXED BY view_row_by_doc
                      WHERE view = ?1 AND id = ?2 AND emission = ?3 LIMIT ?4)",
            )
            .and_then(|mut s| s.execute(params![view, id, emission, PURGED_ROWS]))
            .during(WHAT)?;
        if i64::try_from(removed).unwrap_or(i64::MAX) < PURGED_ROWS {
            connection
                .prepare_cached("DELETE FROM emission WHERE emission = ?1")
                .and_then(|mut s| s.execute([emission]))
                .during(WHAT)?;
        }
        Ok(true)
    })
}

/// Removes some rows of a deleted database or view. Returns whether there was one.
fn purge_garbage(transaction: &mut Transaction<'_>) -> Result<bool, StoreError> {
    const WHAT: &str = "removing deleted rows";
    let next = transaction
        .connection
        .prepare_cached("SELECT rowid, kind, number FROM garbage ORDER BY rowid LIMIT 1")
        .and_then(|mut s| {
            s.query_row([], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
            })
            .optional()
        })
        .during(WHAT)?;
    let Some((garbage, kind, number)) = next else { return Ok(false) };
    let steps: &[(&str, i64)] = if kind == "view" {
        &[
            (
                "DELETE FROM view_row WHERE view = ?1 AND sort < coalesce(
                     (SELECT sort FROM view_row WHERE view = ?1 ORDER BY sort LIMIT 1 OFFSET ?2), x'FF')",
                PURGED_ROWS,
            ),
            (
                "DELETE FROM emission WHERE emission IN
                     (SELECT emission FROM emission WHERE view = ?1 LIMIT ?2)",
                PURGED_ROWS,
            ),
        ]
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
        let mut removed = 0usize;
        for (sql, most) in steps {
            let rows = transaction.connection.prepare_cached(sql);
            let rows = rows.and_then(|mut s| s.execute(params![number, most])).during(WHAT)?;
            removed = removed.saturating_add(rows);
        }
        if removed == 0 {
            transaction
                .connection
                .prepare_cached("DELETE FROM garbage WHERE rowid = ?1")
                .and_then(|mut s| s.execute([garbage]))
                .during(WHAT)?;
        }
        Ok(true)
    })
}
