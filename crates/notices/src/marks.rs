//! Marks in the store. A mark says that this server may have written documents of a database whose notices the
//! broker does not have yet. It names the sequence after which these writes are. If the server is killed,
//! `recovery` finds the marks. This file knows no broker.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore::{Backend, Cause, DbName, Deadline, DocId, LocalDocument, Result, StoreError};
use futures::stream::{self, StreamExt as _};
use kazoo::SystemDb;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::left_behind::{LeftBehind, PREFIX};
use crate::notice::Facts;

/// How long a mark stays when all notices are confirmed. The next writes of the account need no new one.
pub(crate) const LINGER: Duration = Duration::from_secs(60);

/// After this time a mark gets a new sequence, so that a recovery does not tell much that was told before.
const RENEW_AFTER: Duration = Duration::from_secs(600);

/// How many databases are worked on at once in the background.
pub(crate) const AT_ONCE: usize = 4;

/// How long a call in the background may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The marks of this server.
pub(crate) struct Marks {
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) node: String,
    dbs: Mutex<HashMap<DbName, Arc<MarkedDb>>>,
    /// Whether marks of an earlier run may be in the store.
    must_recover: AtomicBool,
    beat: AtomicU64,
}

/// A database that this server has written.
pub(crate) struct MarkedDb {
    pub(crate) name: DbName,
    /// Held while the mark in the store changes.
    mark: tokio::sync::Mutex<Mark>,
    pub(crate) state: Mutex<DbState>,
}

/// The mark of a database in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// There is none.
    Unset,
    /// There may be one that nobody needs.
    Doubtful,
    /// There is one. An old one is left from an earlier run.
    Set { seq: String, at: Instant, is_old: bool },
}

/// What is going on in a database.
pub(crate) struct DbState {
    /// The writes and notices that need the mark.
    holds: usize,
    /// Whether the mark is set, so that a write need not look.
    is_marked: bool,
    idle_since: Instant,
    /// The notes of deletions that nobody needs any more.
    old_notes: Vec<String>,
    /// The recoveries that read the database now.
    recoveries: usize,
    /// The documents whose writes this server has told during these recoveries.
    told: HashSet<DocId>,
}

impl DbState {
    /// Notes that a write was told, so that a recovery does not tell an older revision after it.
    pub(crate) fn note_told(&mut self, id: &DocId) {
        if self.recoveries > 0 {
            self.told.insert(id.clone());
        }
    }

    pub(crate) fn has_told(&self, id: &DocId) -> bool {
        self.told.contains(id)
    }
}

/// Keeps something in the store until a notice is confirmed.
pub(crate) enum Hold {
    /// A mark of this server.
    Own(#[expect(dead_code, reason = "it is there to be dropped")] OwnHold),
    /// A mark of another server, whose work this one finishes. The receiver waits until all are gone.
    Other(#[expect(dead_code, reason = "it is there to be dropped")] mpsc::Sender<()>),
}

/// Keeps a mark of this server.
pub(crate) struct OwnHold {
    pub(crate) db: Arc<MarkedDb>,
    /// The note of a deletion, which goes with this hold.
    pub(crate) note: Option<String>,
}

impl Drop for OwnHold {
    fn drop(&mut self) {
        let note = self.note.take();
        let mut state = self.db.lock();
        state.holds = state.holds.saturating_sub(1);
        state.idle_since = Instant::now();
        state.old_notes.extend(note);
    }
}

/// A recovery that reads a database. While it lives, the documents that are told meanwhile are noted.
pub(crate) struct Recovering(Arc<MarkedDb>);

impl Drop for Recovering {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.recoveries = state.recoveries.saturating_sub(1);
        if state.recoveries == 0 {
            state.told = HashSet::new();
        }
    }
}

impl MarkedDb {
    /// Nothing panics while it holds this lock, so a poisoned one is still whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, DbState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to note which documents are told.
    pub(crate) fn recovering(self: &Arc<Self>) -> Recovering {
        let mut state = self.lock();
        state.recoveries = state.recoveries.saturating_add(1);
        Recovering(Arc::clone(self))
    }

    /// Stops writes from relying on the mark, if none does now.
    fn unmark_if(&self, may: impl FnOnce(&DbState) -> bool) -> bool {
        let mut state = self.lock();
        let may = state.holds == 0 && state.old_notes.is_empty() && may(&state);
        if may {
            state.is_marked = false;
        }
        may
    }
}

impl Marks {
    pub(crate) fn new(store: Arc<dyn Backend>, node: String) -> Self {
        Self {
            store,
            node,
            dbs: Mutex::default(),
            must_recover: AtomicBool::new(true),
            beat: AtomicU64::new(0),
        }
    }

    fn dbs(&self) -> MutexGuard<'_, HashMap<DbName, Arc<MarkedDb>>> {
        self.dbs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of this server's marks, and of its entry in the roster.
    pub(crate) fn name(&self) -> String {
        format!("{PREFIX}{}", self.node)
    }

    /// Keeps a database in memory, marked or not.
    pub(crate) fn hold(&self, db: &DbName) -> OwnHold {
        let mut dbs = self.dbs();
        let found = dbs.entry(db.clone()).or_insert_with(|| {
            let state = DbState {
                holds: 0,
                is_marked: false,
                idle_since: Instant::now(),
                old_notes: Vec::new(),
                recoveries: 0,
                told: HashSet::new(),
            };
            let mark = tokio::sync::Mutex::new(Mark::Unset);
            Arc::new(MarkedDb { name: db.clone(), mark, state: Mutex::new(state) })
        });
        let db = Arc::clone(found);
        let mut state = db.lock();
        state.holds = state.holds.saturating_add(1);
        drop(state);
        OwnHold { db, note: None }
    }

    /// Marks a database before a write. The mark stays as long as the hold.
    pub(crate) async fn begin(&self, db: &DbName, deadline: Deadline) -> Result<OwnHold> {
        let hold = self.hold(db);
        if !hold.db.lock().is_marked {
            let marked = timeout_at(deadline.instant().into(), self.set(&hold.db, deadline)).await;
            marked.map_err(|_| {
                StoreError::DeadlineExceeded(Cause::new("a mark for change notices was not set in time"))
            })??;
        }
        Ok(hold)
    }

    async fn set(&self, db: &MarkedDb, deadline: Deadline) -> Result<()> {
        let mut mark = db.mark.lock().await;
        if !matches!(*mark, Mark::Set { .. }) {
            let old = if self.must_recover() { self.old_mark(db, deadline).await? } else { None };
            let is_old = old.is_some();
            let seq = match old {
                // The recovery has not been here yet. Its sequence is the older one.
                Some(seq) => seq,
                None => {
                    let seq = self.store.newest_seq(&db.name, deadline).await?;
                    *mark = Mark::Doubtful;
                    self.save(db, &seq, deadline).await?;
                    seq
                }
            };
            *mark = Mark::Set { seq, at: Instant::now(), is_old };
        }
        db.lock().is_marked = true;
        Ok(())
    }

    async fn save(&self, db: &MarkedDb, seq: &str, deadline: Deadline) -> Result<()> {
        let body = object(json!({"node": self.node, "seq": seq}));
        self.store.save_local(&db.name, LocalDocument { name: self.name(), body }, deadline).await
    }

    /// The sequence of a mark that an earlier run of this server has left.
    async fn old_mark(&self, db: &MarkedDb, deadline: Deadline) -> Result<Option<String>> {
        Ok(LeftBehind::read(&*self.store, &db.name, &self.node, deadline).await?.seq)
    }

    /// Takes over the mark of an earlier run. Answers what it has left behind, if anything.
    pub(crate) async fn adopt(&self, db: &MarkedDb, deadline: Deadline) -> Result<Option<LeftBehind>> {
        let mut mark = db.mark.lock().await;
        if matches!(*mark, Mark::Set { is_old: false, .. }) {
            return Ok(None);
        }
        let left = LeftBehind::read(&*self.store, &db.name, &self.node, deadline).await?;
        let Some(seq) = left.seq.clone() else { return Ok(None) };
        *mark = Mark::Set { seq, at: Instant::now(), is_old: true };
        db.lock().is_marked = true;
        Ok(Some(left))
    }

    /// The changes since an adopted mark are told, or wait as notices that hold the mark.
    pub(crate) async fn recovered(&self, db: &MarkedDb) {
        if let Mark::Set { is_old, .. } = &mut *db.mark.lock().await {
            *is_old = false;
        }
    }

    /// The sequence of a database's mark, if it is set.
    pub(crate) async fn seq(&self, db: &MarkedDb) -> Option<String> {
        match &*db.mark.lock().await {
            Mark::Set { seq, .. } => Some(seq.clone()),
            Mark::Unset | Mark::Doubtful => None,
        }
    }

    /// Notes that a document is about to be deleted for good, and what its notice must say: the store keeps
    /// nothing of it. The note goes with the hold.
    pub(crate) async fn note_deletion(
        &self,
        hold: &mut OwnHold,
        id: &DocId,
        facts: &Facts,
        deadline: Deadline,
    ) -> Result<()> {
        let name = format!("{}/{id}", self.name());
        let body = json!({"node": self.node, "deletes": id.as_str(), "was": facts.clone().into_members()});
        hold.note = Some(name.clone());
        let note = LocalDocument { name, body: object(body) };
        self.store.save_local(&hold.db.name, note, deadline).await
    }

    /// Whether marks of an earlier run may be in the store.
    pub(crate) fn must_recover(&self) -> bool {
        self.must_recover.load(Ordering::SeqCst)
    }

    pub(crate) fn end_recovery(&self) {
        self.must_recover.store(false, Ordering::SeqCst);
    }

    /// Enters this server in the roster. Other servers look there for servers that are gone. An entry that is
    /// there already is from an earlier run that has ended early.
    pub(crate) async fn sign_on(&self, deadline: Deadline) -> Result<()> {
        let found = self.roster(deadline).await?;
        if !found.iter().any(|entry| entry.name == self.name()) {
            self.end_recovery();
        }
        self.beat(deadline).await
    }

    /// The entries of all servers.
    pub(crate) async fn roster(&self, deadline: Deadline) -> Result<Vec<LocalDocument>> {
        self.store.list_local(SystemDb::SystemConfig.name(), PREFIX, deadline).await
    }

    /// Changes this server's entry in the roster, so that others see that it lives.
    pub(crate) async fn beat(&self, deadline: Deadline) -> Result<()> {
        let beat = self.beat.fetch_add(1, Ordering::Relaxed);
        let body = object(json!({"node": self.node, "beat": beat}));
        let entry = LocalDocument { name: self.name(), body };
        self.store.save_local(SystemDb::SystemConfig.name(), entry, deadline).await
    }

    /// Sets every mark once more. Another server took this one for gone and has removed them.
    pub(crate) async fn set_again(&self, deadline: Deadline) -> Result<()> {
        for db in self.all() {
            let mark = db.mark.lock().await;
            if let Mark::Set { seq, .. } = &*mark {
                self.save(&db, seq, deadline).await?;
            }
        }
        Ok(())
    }

    fn all(&self) -> Vec<Arc<MarkedDb>> {
        self.dbs().values().cloned().collect()
    }

    /// Removes the marks and notes that nobody needs any more, and gives a new sequence to marks that have
    /// been needed for long.
    pub(crate) async fn sweep(&self, linger: Duration, deadline: Deadline) {
        let swept = stream::iter(self.all()).for_each_concurrent(AT_ONCE, |db| async move {
            if let Err(error) = self.sweep_db(&db, linger, deadline).await {
                log::warn!(db = db.name.as_str(); "a mark for change notices was not removed: {error}");
            }
        });
        swept.await;
    }

    async fn sweep_db(&self, db: &Arc<MarkedDb>, linger: Duration, deadline: Deadline) -> Result<()> {
        let notes = std::mem::take(&mut db.lock().old_notes);
        for (done, note) in notes.iter().enumerate() {
            if let Err(error) = self.delete(db, note, deadline).await {
                db.lock().old_notes.extend(notes.iter().skip(done).cloned());
                return Err(error);
            }
        }
        let mut mark = db.mark.lock().await;
        if self.must_recover() && matches!(*mark, Mark::Set { is_old: true, .. }) {
            // The recovery has not been here yet, and needs the sequence.
            return Ok(());
        }
        let is_over = |state: &DbState| state.idle_since.elapsed() >= linger;
        if *mark != Mark::Unset && db.unmark_if(is_over) {
            *mark = Mark::Doubtful;
            self.delete(db, &self.name(), deadline).await?;
            *mark = Mark::Unset;
        }
        match &*mark {
            Mark::Set { at, .. } if at.elapsed() >= RENEW_AFTER && db.unmark_if(|_| true) => {
                // No write relies on the mark now, and none begins before it is set again.
                let seq = self.store.newest_seq(&db.name, deadline).await?;
                self.save(db, &seq, deadline).await?;
                *mark = Mark::Set { seq, at: Instant::now(), is_old: false };
                db.lock().is_marked = true;
            }
            Mark::Unset => {
                let mut dbs = self.dbs();
                let state = db.lock();
                if state.holds == 0 && state.old_notes.is_empty() {
                    drop(state);
                    dbs.remove(&db.name);
                }
            }
            Mark::Set { .. } | Mark::Doubtful => {}
        }
        Ok(())
    }

    async fn delete(&self, db: &MarkedDb, name: &str, deadline: Deadline) -> Result<()> {
        match self.store.delete_local(&db.name, name, deadline).await {
            // The mark went with the database.
            Err(StoreError::DatabaseMissing(_)) => Ok(()),
            deleted => deleted,
        }
    }

    /// Leaves the roster, unless something is left to recover.
    pub(crate) async fn sign_off(&self, deadline: Deadline) -> Result<()> {
        let is_clean = !self.must_recover() && self.dbs().is_empty();
        if is_clean {
            self.store.delete_local(SystemDb::SystemConfig.name(), &self.name(), deadline).await?;
        }
        Ok(())
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
