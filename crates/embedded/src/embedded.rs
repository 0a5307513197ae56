//! The store: its parts, and how they start and stop.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use datastore::{DbName, Deadline, StoreError};
use rusqlite::Connection;
use tokio::sync::watch;

use crate::catalogue::{Catalogue, Db, MapSource, Phase, View};
use crate::error::{SqliteResult as _, closed, in_time};
use crate::file::StoreFile;
use crate::format::VERSION;
use crate::housekeeper::Housekeeper;
use crate::in_use::InUse;
use crate::index::{Build, Chore};
use crate::maps::Maps;
use crate::open_error::OpenError;
use crate::read::{Readers, Scanner};
use crate::sandbox::Limits;
use crate::settings::Settings;
use crate::transaction::{Counters, Transaction};
use crate::workers::Workers;
use crate::write_queue::Turn;
use crate::writer::Writer;

/// A store in one SQLite file. This process holds the lock on the file.
///
/// Cloning gives another handle. Dropping the last handle, or [`Embedded::close`], ends the store after it
/// has committed every earlier write. Another process can open the file once the last handle is dropped.
/// A change feed counts as a handle until it is dropped.
///
/// Its calls must run inside a tokio runtime with timers. Reads of small documents by id run on the
/// caller's thread; everything else runs on the store's own threads.
#[derive(Clone)]
pub struct Embedded {
    pub(crate) inner: Arc<Inner>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// What the writer has done since the store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Commits, each synced as [`Settings::durability`] says.
    pub commits: u64,
    /// Documents written or deleted by these commits.
    pub writes: u64,
}

/// The parts that all handles of a store share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) catalogue: Arc<Catalogue>,
    // The fields are dropped in this order: the threads close their connections before the last one is closed
    // here. SQLite removes its log with the last connection, but not if two are closed at the same moment.
    pub(crate) scanners: Workers<Scanner>,
    pub(crate) readers: Readers,
    pub(crate) maps: Arc<Maps>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) in_use: Arc<InUse>,
    pub(crate) chores: mpsc::Sender<Chore>,
    pub(crate) closed: watch::Sender<bool>,
    housekeeper: Housekeeper,
    counters: Arc<Counters>,
    closing: Arc<AtomicBool>,
    file: Arc<StoreFile>,
}

impl Embedded {
    /// Opens the store in the file at `path`, which is created where it is missing, its folder too.
    ///
    /// # Errors
    /// [`OpenError`], which says what is wrong with the file and what to do. A file that is not ours is
    /// left as it is.
    pub fn open(path: &Path, settings: Settings) -> Result<Self, OpenError> {
        let (file, connection) = StoreFile::open(path, &settings)?;
        let (catalogue, chores) = load(&file, &connection)?;
        let store = Self::start(file, connection, catalogue, settings)?;
        for chore in chores {
            // If the housekeeper has already ended, the chores run after the next start.
            let _ = store.inner.chores.send(chore);
        }
        Ok(store)
    }

    /// Opens the store in the file at `path` for reading, also while another process has it open. Writes
    /// fail. Databases and views that the other process creates later are not seen.
    ///
    /// # Errors
    /// [`OpenError`]. The file must exist and have this version's format; nothing is created or changed.
    pub fn open_to_read(path: &Path, settings: Settings) -> Result<Self, OpenError> {
        let (file, connection) = StoreFile::open_to_read(path)?;
        // The chores belong to the process that writes.
        let (catalogue, _chores) = load(&file, &connection)?;
        Self::start(file, connection, catalogue, settings)
    }

    fn start(
        file: StoreFile,
        connection: Connection,
        catalogue: Catalogue,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let path = file.path().to_owned();
        let threads = |source| OpenError::Io { path: path.clone(), source };
        let file = Arc::new(file);
        let catalogue = Arc::new(catalogue);
        let closing = Arc::new(AtomicBool::new(false));
        let counters = Arc::new(Counters::default());
        let limits = Limits {
            time: settings.map_time,
            memory_bytes: settings.map_memory_bytes,
            emitted_bytes: settings.map_memory_bytes / 2,
            stack_bytes: settings.map_stack_bytes,
            closing: Arc::clone(&closing),
        };
        let maps = Arc::new(Maps::start(settings.map_threads, limits).map_err(threads)?);
        let (new_chores, waiting_chores) = mpsc::channel();
        let in_use = {
            let chores = new_chores.clone();
            InUse::new(move || {
                // If the housekeeper has ended, it removes the garbage after the next start.
                let _ = chores.send(Chore::Purge);
            })
        };
        let writer = Writer::start(
            connection,
            Arc::clone(&catalogue),
            Arc::clone(&counters),
            Arc::clone(&in_use),
            Arc::clone(&file),
            &settings,
        );
        let writer = Arc::new(writer.map_err(threads)?);
        let unreadable = |error| threads(std::io::Error::other(file.with_advice(error)));
        let readers = Readers::new(Arc::clone(&file)).map_err(unreadable)?;
        let scanners = {
            // Every thread has its connection from the start, so that it can read when the file is moved away.
            let opened = (0..settings.reader_threads).map(|_| file.reader()).collect::<Result<Vec<_>, _>>();
            let opened = Arc::new(Mutex::new(opened.map_err(unreadable)?));
            let (file, closing) = (Arc::clone(&file), Arc::clone(&closing));
            Workers::start("reader", settings.reader_threads, move || {
                let connection = opened.lock().unwrap_or_else(PoisonError::into_inner).pop();
                Scanner::new(Arc::clone(&file), connection, Arc::clone(&closing))
            })
        };
        let scanners = scanners.map_err(threads)?;
        let housekeeper = Housekeeper::start(
            &file,
            Arc::clone(&maps),
            settings.map_time,
            Arc::clone(&writer),
            Arc::clone(&in_use),
            Arc::clone(&closing),
            (new_chores.clone(), waiting_chores),
        )
        .map_err(threads)?;
        let inner = Inner {
            settings,
            catalogue,
            readers,
            scanners,
            maps,
            writer,
            in_use,
            chores: new_chores,
            closed: watch::Sender::new(false),
            housekeeper,
            counters,
            closing,
            file,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Closes the store. Earlier writes are committed, feeds end, and every later call fails with
    /// `Unavailable`. Blocks until all this is done.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Finds out whether the store can write. Waits for its turn as a write does, and writes the number of the
    /// format once more.
    ///
    /// # Errors
    /// `CannotWrite` if the disk is full or fails, or if the file was moved away. `DeadlineExceeded`.
    pub async fn probe_write(&self, deadline: Deadline) -> Result<(), StoreError> {
        let probe = |transaction: &mut Transaction<'_>| {
            transaction.connection.pragma_update(None, "user_version", VERSION).during("a trial")
        };
        self.inner.call(deadline, self.inner.writer.run(Turn::of_the_store(), deadline, probe)).await
    }

    /// What the writer has done since the store was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            commits: self.inner.counters.commits.load(Ordering::Relaxed),
            writes: self.inner.counters.writes.load(Ordering::Relaxed),
        }
    }
}

impl Inner {
    /// Fails if the store is closed or the deadline has passed.
    pub(crate) fn begin(&self, deadline: Deadline) -> Result<(), StoreError> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(closed());
        }
        in_time(deadline)
    }

    /// Makes a call of the store, unless the store is closed or the deadline has passed.
    pub(crate) async fn call<R>(
        &self,
        deadline: Deadline,
        work: impl Future<Output = Result<R, StoreError>>,
    ) -> Result<R, StoreError> {
        self.begin(deadline)?;
        self.advised(work.await)
    }

    /// Adds the file's name and how to recover to an error about damaged data. Every error that leaves the store
    /// passes here.
    pub(crate) fn advised<R>(&self, outcome: Result<R, StoreError>) -> Result<R, StoreError> {
        outcome.map_err(|error| self.file.with_advice(error))
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.closed.send_replace(true);
        self.housekeeper.stop();
        self.writer.stop();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Loads the databases and views of a file, and its unfinished chores.
fn load(file: &StoreFile, connection: &Connection) -> Result<(Catalogue, Vec<Chore>), OpenError> {
    let refused = |source| file.refused("its list of databases", source);
    let catalogue = Catalogue::default();
    let mut chores = Vec::new();
    let mut views = load_views(file, connection)?;
    let mut statement = connection
        .prepare("SELECT db, name, coalesce((SELECT max(seq) FROM doc WHERE doc.db = db.db), 0) FROM db")
        .map_err(refused)?;
    let mut rows = statement.query([]).map_err(refused)?;
    while let Some(row) = rows.next().map_err(refused)? {
        let read = || -> rusqlite::Result<(i64, String, i64)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
        let (id, name, seq) = read().map_err(refused)?;
        let name = DbName::parse(&name)
            .map_err(|error| file.damaged(format!("a database is called {name:?}: {error}")))?;
        let views = views.remove(&id).unwrap_or_default();
        // Views that were created together are built together.
        let mut builds: HashMap<(i64, i64), Vec<Arc<View>>> = HashMap::new();
        for loaded in &views {
            if *loaded.view.phase.borrow() == Phase::Building {
                builds
                    .entry((loaded.built_seq, loaded.until_seq))
                    .or_default()
                    .push(Arc::clone(&loaded.view));
            }
        }
        chores.extend(builds.into_iter().map(|((built_seq, until_seq), views)| {
            Chore::Build(Build { db: id, views, built_seq, until_seq })
        }));
        catalogue.publish(Db::new(id, name, seq, views.into_iter().map(|loaded| loaded.view).collect()));
    }
    let garbage: bool = connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM garbage) OR EXISTS (SELECT 1 FROM emission WHERE live = 0)",
            [],
            |row| row.get(0),
        )
        .map_err(refused)?;
    if garbage {
        chores.push(Chore::Purge);
    }
    Ok((catalogue, chores))
}

struct LoadedView {
    view: Arc<View>,
    built_seq: i64,
    until_seq: i64,
}

fn load_views(file: &StoreFile, connection: &Connection) -> Result<HashMap<i64, Vec<LoadedView>>, OpenError> {
    let refused = |source| file.refused("its list of views", source);
    let mut sources: HashMap<[u8; 16], Arc<MapSource>> = HashMap::new();
    let mut views: HashMap<i64, Vec<LoadedView>> = HashMap::new();
    let mut statement = connection
        .prepare(
            "SELECT view.db, view.view, view.design, view.name, view.ready, view.built_seq, view.until_seq,
                 map.hash, map.source
             FROM view JOIN map ON map.hash = view.map ORDER BY view.view",
        )
        .map_err(refused)?;
    let mut rows = statement.query([]).map_err(refused)?;
    while let Some(row) = rows.next().map_err(refused)? {
        let mut read = || -> rusqlite::Result<(i64, LoadedView)> {
            let hash: [u8; 16] = row.get(7)?;
            let text: String = row.get(8)?;
            let map = sources.entry(hash).or_insert_with(|| Arc::new(MapSource { hash, text }));
            let phase = if row.get(4)? { Phase::Ready } else { Phase::Building };
            let view = View {
                id: row.get(1)?,
                design: row.get(2)?,
                name: row.get(3)?,
                map: Arc::clone(map),
                phase: watch::Sender::new(phase),
            };
            let loaded = LoadedView { view: Arc::new(view), built_seq: row.get(5)?, until_seq: row.get(6)? };
            Ok((row.get(0)?, loaded))
        };
        let (db, loaded) = read().map_err(refused)?;
        views.entry(db).or_default().push(loaded);
    }
    Ok(views)
}
