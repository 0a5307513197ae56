//! Marks in the store. A mark says that this server may have written documents of a database whose notices the
//! broker does not have yet. It names the sequence after which these writes are. If the server is killed,
//! `recovery` finds the marks. This file knows no broker.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore::{Backend, Cause, DbName, Deadline, DocId, LocalDocument, Result, StoreError, if_found};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::left_behind::{LeftBehind, is_done};
use crate::log_throttle::LogThrottle;
use crate::marked_db::{DbState, Mark, MarkedDb, OwnHold};
use crate::notice::Facts;
use crate::roster::{OwnPlace, Roster, is_same_write};
use crate::turns::Turns;

/// How long a mark stays when all notices are confirmed. The next writes of the account need no new one.
pub(crate) const LINGER: Duration = Duration::from_secs(60);

/// After this time a mark gets a new sequence, so that a recovery does not repeat many notices.
const RENEW_AFTER: Duration = Duration::from_secs(600);

/// How often the log repeats that marks are not removed.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// How many calls the background makes at once.
const AT_ONCE: usize = 4;

/// How long a call in the background may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The marks of this server.
pub(crate) struct Marks {
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) roster: Roster,
    /// The turns of the background.
    pub(crate) turns: Turns,
    dbs: Mutex<HashMap<DbName, Arc<MarkedDb>>>,
    /// Whether marks of an earlier run may be in the store.
    must_recover: AtomicBool,
    /// Whether the earlier run has sent all notices, so that its marks mean nothing.
    is_earlier_done: AtomicBool,
    sweep_log: LogThrottle,
}

impl Marks {
    pub(crate) fn new(store: Arc<dyn Backend>, node: String) -> Self {
        Self {
            roster: Roster::new(Arc::clone(&store), node),
            store,
            turns: Turns::new(AT_ONCE),
            dbs: Mutex::default(),
            must_recover: AtomicBool::new(true),
            is_earlier_done: AtomicBool::new(false),
            sweep_log: LogThrottle::new(LOG_PAUSE),
        }
    }

    fn dbs(&self) -> MutexGuard<'_, HashMap<DbName, Arc<MarkedDb>>> {
        self.dbs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a database in memory, marked or not.
    pub(crate) fn hold(&self, db: &DbName) -> OwnHold {
        let mut dbs = self.dbs();
        let found = dbs.entry(db.clone()).or_insert_with(|| Arc::new(MarkedDb::new(db.clone())));
        OwnHold::new(Arc::clone(found))
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
            // The recovery may not have been here yet. The sequence of an old mark is the older one.
            let needs_old = self.must_recover() && !self.is_earlier_done();
            let old = if needs_old { self.left_behind(db, deadline).await? } else { None };
            let is_old = old.is_some();
            let seq = match old {
                Some(left) => left.seq,
                None => self.store.newest_seq(&db.name, deadline).await?,
            };
            *mark = Mark::Doubtful;
            *mark = self.save(db, seq, is_old, deadline).await?;
        }
        db.lock().is_marked = true;
        Ok(())
    }

    /// Writes a mark. An old one is written again as well: another server that takes over the earlier run must not
    /// remove it, and knows it by what it says.
    async fn save(&self, db: &MarkedDb, seq: String, is_old: bool, deadline: Deadline) -> Result<Mark> {
        let document = self.roster.document(self.roster.name(), &json!({"seq": seq}));
        self.store.save_local(&db.name, document, deadline).await?;
        Ok(Mark::Set { seq, at: Instant::now(), is_old })
    }

    /// What this server, or an earlier run of it, has left in a database.
    pub(crate) async fn left_behind(&self, db: &MarkedDb, deadline: Deadline) -> Result<Option<LeftBehind>> {
        LeftBehind::read(&*self.store, &db.name, &self.roster.node, deadline).await
    }

    /// Takes over the mark of an earlier run. Answers what it has left behind, if anything.
    pub(crate) async fn adopt(&self, db: &MarkedDb, deadline: Deadline) -> Result<Option<LeftBehind>> {
        let mut mark = db.mark.lock().await;
        if matches!(*mark, Mark::Set { is_old: false, .. }) {
            return Ok(None);
        }
        let Some(left) = self.left_behind(db, deadline).await? else { return Ok(None) };
        *mark = self.save(db, left.seq.clone(), true, deadline).await?;
        db.lock().is_marked = true;
        Ok(Some(left))
    }

    /// The notices of the changes since an adopted mark are sent, or wait in the queue and hold the mark.
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
        let name = format!("{}/{id}", self.roster.name());
        let members = json!({"deletes": id.as_str(), "was": facts.clone().into_members()});
        let note = self.roster.document(name, &members);
        hold.note = Some(note.clone());
        self.store.save_local(&hold.db.name, note, deadline).await
    }

    /// Whether marks of an earlier run may be in the store.
    pub(crate) fn must_recover(&self) -> bool {
        self.must_recover.load(Ordering::SeqCst)
    }

    /// Whether these marks mean nothing, because the earlier run has sent all notices.
    pub(crate) fn is_earlier_done(&self) -> bool {
        self.is_earlier_done.load(Ordering::SeqCst)
    }

    pub(crate) fn end_recovery(&self) {
        self.must_recover.store(false, Ordering::SeqCst);
    }

    /// Enters this server in the roster. An entry that is there already is from an earlier run that has ended early.
    pub(crate) async fn sign_on(&self, deadline: Deadline) -> Result<()> {
        match self.roster.sign_on(deadline).await? {
            Some(entry) => self.is_earlier_done.store(is_done(&entry), Ordering::SeqCst),
            None => self.end_recovery(),
        }
        Ok(())
    }

    /// Shows in the roster that this server lives. If another one thought that it was gone, its marks are written
    /// again.
    pub(crate) async fn beat(&self, deadline: Deadline) -> Result<()> {
        if self.roster.beat(deadline).await? == OwnPlace::Taken {
            log::warn!("another server assumed that this one was dead; the marks are written again");
            self.set_again(deadline).await?;
            self.roster.end_claims(deadline).await?;
        }
        Ok(())
    }

    async fn set_again(&self, deadline: Deadline) -> Result<()> {
        for db in self.all() {
            let mut mark = db.mark.lock().await;
            if let Mark::Set { seq, is_old, .. } = &*mark {
                *mark = self.save(&db, seq.clone(), *is_old, deadline).await?;
            }
        }
        Ok(())
    }

    fn all(&self) -> Vec<Arc<MarkedDb>> {
        self.dbs().values().cloned().collect()
    }

    /// Removes the marks and notes that nobody needs any more, and gives a new sequence to marks that have
    /// been needed for long.
    pub(crate) async fn sweep(&self, linger: Duration, turns: &Turns, deadline: Deadline) {
        let sweep = |db: Arc<MarkedDb>, turn| async move {
            let _turn = turn;
            self.sweep_db(&db, linger, deadline).await
        };
        let swept = turns.for_each(self.all(), sweep).await;
        let mut errors = swept.into_iter().filter_map(Result::err);
        if let Some(error) = errors.next()
            && self.sweep_log.is_time()
        {
            let accounts = errors.count().saturating_add(1);
            log::warn!(accounts; "marks for change notices were not removed, and will be later: {error}");
        }
    }

    async fn sweep_db(&self, db: &Arc<MarkedDb>, linger: Duration, deadline: Deadline) -> Result<()> {
        loop {
            // It stays in memory until it is deleted: this call may be dropped while it waits.
            let note = db.lock().old_notes.last().cloned();
            let Some(note) = note else { break };
            // A later deletion of the same document needs its own note, which has the same name.
            let is_same = |found: &LocalDocument| is_same_write(found, &note);
            if_found(self.store.delete_local_if(&db.name, &note.name, &is_same, deadline).await)?;
            db.lock().old_notes.retain(|other| !is_same_write(other, &note));
        }
        let mut mark = db.mark.lock().await;
        if self.must_recover() && matches!(*mark, Mark::Set { is_old: true, .. }) {
            // The recovery has not been here yet, and needs the sequence.
            return Ok(());
        }
        let is_over = |state: &DbState| state.idle_since.elapsed() >= linger;
        if *mark != Mark::Unset && db.unmark_if(is_over) {
            *mark = Mark::Doubtful;
            self.delete_mark(db, deadline).await?;
            *mark = Mark::Unset;
        }
        match &*mark {
            Mark::Set { at, .. } if at.elapsed() >= RENEW_AFTER && db.unmark_if(|_| true) => {
                // No write relies on the mark now, and none begins before it is set again.
                let seq = self.store.newest_seq(&db.name, deadline).await?;
                *mark = self.save(db, seq, false, deadline).await?;
                db.lock().is_marked = true;
            }
            Mark::Unset => {
                let mut dbs = self.dbs();
                let state = db.lock();
                if state.is_free() {
                    drop(state);
                    dbs.remove(&db.name);
                }
            }
            Mark::Set { .. } | Mark::Doubtful => {}
        }
        Ok(())
    }

    /// Deletes the mark of this run. Another run's stays.
    async fn delete_mark(&self, db: &MarkedDb, deadline: Deadline) -> Result<()> {
        let is_own = |found: &LocalDocument| self.roster.is_own(found);
        let deleted = self.store.delete_local_if(&db.name, &self.roster.name(), &is_own, deadline).await;
        // A database that is gone has taken its marks along.
        if_found(deleted).map(drop)
    }

    /// How many databases may have marks.
    pub(crate) fn len(&self) -> usize {
        self.dbs().len()
    }

    /// Whether no notice needs a mark any more, whatever marks there are.
    pub(crate) fn are_needless(&self) -> bool {
        (!self.must_recover() || self.is_earlier_done()) && self.all().iter().all(|db| db.lock().holds == 0)
    }
}
