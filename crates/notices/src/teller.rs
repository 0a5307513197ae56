//! What the layer, the recovery and the sender share: which writes are told, the way into the queue, and the
//! writes of which nobody knows whether they were done.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use datastore::{Cause, ChangesQuery, DbName, Deadline, DocId, Result, Rev, Since, StoreError, if_found};
use futures::TryStreamExt as _;
use kazoo::{AccountId, Config, ConfigDocument, NodeAndZone, SystemDb, member};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::log_throttle::LogThrottle;
use crate::marked_db::{Hold, MarkedDb, OwnHold};
use crate::marks::Marks;
use crate::notice::{DocKey, Event, Facts, Notice};
use crate::queue::Queue;

/// The types that Kazoo does not tell unless its configuration says otherwise.
const UNTOLD: [&str; 6] = ["cdr", "ledger", "audit_log", "login_attempt", "pivot_debug", "notify_smtp_log"];

/// How long a write may still arrive in the store after its caller has given up.
const DOUBT_PAUSE: Duration = Duration::from_secs(5);

/// The most doubtful writes that are remembered.
const MAX_DOUBTS: usize = 10_000;

/// After so many failures, the other doubtful writes wait for the next time: the store may be down.
const MAX_FAILURES: usize = 8;

/// How often the log repeats that doubtful writes stay doubtful.
const LOG_PAUSE: Duration = Duration::from_secs(60);

pub(crate) struct Teller {
    pub(crate) marks: Marks,
    pub(crate) queue: Arc<Queue>,
    node_and_zone: NodeAndZone,
    untold: RwLock<HashSet<String>>,
    doubts: Mutex<VecDeque<Doubt>>,
    doubt_log: LogThrottle,
    prepared: OnceCell<()>,
    /// How long after the changes of a mark were read they are read once more, if at all.
    pub(crate) second_look: Option<Duration>,
}

/// A write that is being made.
pub(crate) struct Attempt {
    pub(crate) kind: AttemptKind,
    /// The revision that it replaces.
    pub(crate) base: Option<Rev>,
    pub(crate) facts: Facts,
}

pub(crate) enum AttemptKind {
    /// A save, with the members by which its document can be recognised.
    Save(Stamp),
    Delete,
}

/// The members of a document that differ from one save to the next.
#[derive(PartialEq)]
pub(crate) struct Stamp([Option<Value>; 2]);

impl Stamp {
    pub(crate) fn of(members: &Map<String, Value>) -> Self {
        Self([member::REQUEST_ID, member::MODIFIED].map(|name| members.get(name).cloned()))
    }
}

/// A write of which nobody knows whether it was done.
pub(crate) struct Doubt {
    pub(crate) hold: OwnHold,
    pub(crate) key: Arc<DocKey>,
    pub(crate) attempt: Attempt,
    since: Instant,
}

/// Doubts that are being settled. Those that are left go back if the server stops meanwhile, so that their marks stay.
struct Ripe<'a> {
    teller: &'a Teller,
    doubts: VecDeque<Doubt>,
}

impl Drop for Ripe<'_> {
    fn drop(&mut self) {
        let mut doubts = self.teller.doubts();
        while let Some(doubt) = self.doubts.pop_back() {
            doubts.push_front(doubt);
        }
    }
}

impl Teller {
    pub(crate) fn new(
        marks: Marks,
        queue: Arc<Queue>,
        node_and_zone: NodeAndZone,
        second_look: Option<Duration>,
    ) -> Self {
        let untold = UNTOLD.iter().map(|kind| (*kind).to_owned()).collect();
        Self {
            marks,
            queue,
            node_and_zone,
            untold: RwLock::new(untold),
            doubts: Mutex::default(),
            doubt_log: LogThrottle::new(LOG_PAUSE),
            second_look,
            prepared: OnceCell::new(),
        }
    }

    /// Whether writes of this document are told: those of accounts, but not of design documents.
    pub(crate) fn tells_of(&self, db: &DbName, id: &DocId) -> bool {
        id.design_name().is_none() && AccountId::of_db(db).is_some()
    }

    /// Whether writes of documents of this type are told.
    pub(crate) fn tells_kind(&self, kind: Option<&str>) -> bool {
        let untold = self.untold.read().unwrap_or_else(PoisonError::into_inner);
        kind.is_none_or(|kind| !untold.contains(kind))
    }

    /// Reads the configuration and enters this server in the roster, once, before the first write.
    pub(crate) async fn prepare(&self, deadline: Deadline) -> Result<()> {
        let prepare = || async {
            self.read_configuration(deadline).await?;
            self.marks.sign_on(deadline).await
        };
        self.prepared.get_or_try_init(prepare).await.copied()
    }

    /// Reads from Kazoo's configuration which types are not told.
    pub(crate) async fn read_configuration(&self, deadline: Deadline) -> Result<()> {
        let id = ConfigDocument::Datamgr.id();
        let found = if_found(self.marks.store.fetch(SystemDb::SystemConfig.name(), &id, deadline).await)?;
        let members = found.map(|document| document.to_object()).transpose()?.unwrap_or_default();
        let config = Config::read(members, &self.node_and_zone);
        let configured = config.get(&["change_notice_exclude_types"]).and_then(Value::as_array);
        let untold = match configured {
            Some(kinds) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => UNTOLD.iter().map(|kind| (*kind).to_owned()).collect(),
        };
        *self.untold.write().unwrap_or_else(PoisonError::into_inner) = untold;
        Ok(())
    }

    /// Tells of a write of this server.
    pub(crate) fn tell(&self, hold: OwnHold, key: Arc<DocKey>, attempt: &Attempt, rev: Rev) {
        let event = match attempt.kind {
            AttemptKind::Save(_) => Event::of_save(attempt.base.is_none(), &attempt.facts),
            AttemptKind::Delete => Event::Deleted,
        };
        let notice = Notice::new(&key, rev, event, &attempt.facts);
        let db = Arc::clone(&hold.db);
        let mut state = db.lock();
        state.note_told(&key.id);
        let left = self.queue.push(key, notice, Hold::Own(hold));
        drop(state);
        drop(left);
    }

    /// Tells of a revision that a recovery has found, unless this server has told of the document since the
    /// recovery began: then an older revision would follow a newer one.
    pub(crate) fn tell_found(&self, db: &MarkedDb, hold: Hold, key: Arc<DocKey>, notice: Notice) {
        let state = db.lock();
        let outcome =
            if state.has_told(&key.id) { Err(hold) } else { Ok(self.queue.push(key, notice, hold)) };
        drop(state);
        drop(outcome);
    }

    fn doubts(&self) -> MutexGuard<'_, VecDeque<Doubt>> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a write of which nobody knows whether it was done.
    pub(crate) fn doubt(&self, hold: OwnHold, key: Arc<DocKey>, attempt: Attempt) {
        let mut doubts = self.doubts();
        let oldest = if doubts.len() >= MAX_DOUBTS { doubts.pop_front() } else { None };
        doubts.push_back(Doubt { hold, key, attempt, since: Instant::now() });
        drop(doubts);
        if oldest.is_some() {
            self.queue.count_dropped();
        }
    }

    /// Finds out about doubtful writes, and tells those that were done. A doubt stays while the store does not
    /// answer. All of them share the deadline.
    pub(crate) async fn settle_doubts(&self, deadline: Deadline) {
        let mut ripe = {
            let mut doubts = self.doubts();
            let is_ripe = |doubt: &Doubt| doubt.since.elapsed() >= DOUBT_PAUSE;
            let count = doubts.iter().take_while(|doubt| is_ripe(doubt)).count();
            Ripe { teller: self, doubts: doubts.drain(..count).collect() }
        };
        let (mut failures, mut last_error) = (0_usize, None);
        while let Some(doubt) = ripe.doubts.front()
            && failures < MAX_FAILURES
        {
            // A later write of the document must not be told before this one, so its notice waits for the slot.
            let slot = self.queue.open(Arc::clone(&doubt.key));
            let settled = self.settle_doubt(doubt, deadline).await;
            let Some(doubt) = ripe.doubts.pop_front() else { break };
            match settled {
                Ok(Some(rev)) => self.tell(doubt.hold, doubt.key, &doubt.attempt, rev),
                Ok(None) => {}
                Err(error) => {
                    failures = failures.saturating_add(1);
                    last_error = Some(error);
                    self.doubts().push_back(Doubt { since: Instant::now(), ..doubt });
                }
            }
            drop(slot);
        }
        drop(ripe);
        if let Some(error) = last_error
            && self.doubt_log.is_time()
        {
            let writes = self.doubt_count();
            log::warn!(writes; "whether documents were written is not known yet, so they are not told: {error}");
        }
    }

    /// The revision that a doubtful write has made, if it was done.
    async fn settle_doubt(&self, doubt: &Doubt, deadline: Deadline) -> Result<Option<Rev>> {
        let settled = timeout_at(deadline.instant().into(), self.rev_of(doubt, deadline)).await;
        settled.unwrap_or_else(|_| {
            Err(StoreError::DeadlineExceeded(Cause::new("a write in doubt was not found out about in time")))
        })
    }

    async fn rev_of(&self, doubt: &Doubt, deadline: Deadline) -> Result<Option<Rev>> {
        let DocKey { db, id } = &*doubt.key;
        let fetched = self.marks.store.fetch(db, id, deadline).await;
        match (&doubt.attempt.kind, fetched) {
            (AttemptKind::Save(stamp), Ok(stored)) => {
                let follows = doubt
                    .attempt
                    .base
                    .as_ref()
                    .is_none_or(|base| stored.rev().generation() == base.generation().saturating_add(1));
                let is_ours = follows && Stamp::of(&stored.to_object()?) == *stamp;
                Ok(is_ours.then(|| stored.rev().clone()))
            }
            (AttemptKind::Delete, Err(StoreError::Deleted(_))) => self.tombstone(doubt).await,
            (_, Ok(_)) => Ok(None),
            (_, Err(error)) if error.is_not_found() => Ok(None),
            (_, Err(error)) => Err(error),
        }
    }

    /// The revision of a tombstone. Only the feed tells it.
    async fn tombstone(&self, doubt: &Doubt) -> Result<Option<Rev>> {
        let Some(seq) = self.marks.seq(&doubt.hold.db).await else { return Ok(None) };
        let query = ChangesQuery { since: Since::Seq(seq), ..ChangesQuery::default() };
        let mut changes = self.marks.store.changes(&doubt.key.db, query);
        while let Some(change) = changes.try_next().await? {
            if change.id == doubt.key.id && change.deleted {
                return Ok(Some(change.rev));
            }
        }
        Ok(None)
    }

    /// How many writes are in doubt.
    pub(crate) fn doubt_count(&self) -> usize {
        self.doubts().len()
    }
}
