//! Opens and closes the feeds of databases, and hands what they tell to the sessions. One task does that for all
//! of them.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use datastore::{Backend, Backoff, DbName, Result, Sign};
use futures::future::{AbortHandle, Abortable};
use futures::stream::{self, BoxStream, SelectAll, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::hints::Hints;
use crate::hot::{Hot, millis};
use crate::shared::{Figures, Shared};

/// How many feeds may be opened at the same time. Further wishes come again with the next read.
const MAX_OPENING: usize = 32;

/// A database keeps its feed against another one if it was used within this time.
const IN_USE: Duration = Duration::from_secs(10);

/// The pause after a feed failed: about a second at first, a minute at most.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(60) };

/// CouchDB looks at every shard of a database for each sign of life. So the databases that are always watched show
/// them often, and the others show one in several. It is less than the 10 seconds after which the haproxy beside
/// Kazoo ends a silent connection, if the heartbeat is the usual one.
const RARER: u32 = 3;

/// How often the watcher looks after what is over.
const ROUND: Duration = Duration::from_secs(1);

/// Watches databases for a [`Cache`](crate::Cache).
pub struct Watcher {
    inner: Arc<dyn Backend>,
    shared: Arc<Shared>,
    wanted: mpsc::Receiver<DbName>,
    feeds: SelectAll<BoxStream<'static, (Arc<Hot>, Told)>>,
    open: HashMap<DbName, (Arc<Hot>, AbortHandle)>,
    failed: HashMap<DbName, Failed>,
    over: HashSet<u64>,
    next_session: u64,
    /// When the sentinels were alive last.
    sentinels_seen: u64,
}

/// What a feed tells.
enum Told {
    Sign(Result<Sign>),
    End,
}

/// A database whose feed has failed.
struct Failed {
    times: u32,
    /// When the next attempt may be made.
    until: u64,
}

impl Watcher {
    pub(crate) fn new(inner: Arc<dyn Backend>, shared: Arc<Shared>, wanted: mpsc::Receiver<DbName>) -> Self {
        Self {
            inner,
            shared,
            wanted,
            feeds: SelectAll::new(),
            open: HashMap::new(),
            failed: HashMap::new(),
            over: HashSet::new(),
            next_session: 0,
            sentinels_seen: 0,
        }
    }

    /// The figures of the cache, at any time.
    pub fn figures(&self) -> impl Fn() -> Figures + Clone + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.figures()
    }

    /// A way to tell the cache of changes beside the feeds.
    #[must_use]
    pub fn hints(&self) -> Hints {
        Hints::new(Arc::clone(&self.shared))
    }

    /// Watches until `stopped` is ready. Then the cache remembers nothing any more.
    pub async fn run(&mut self, stopped: impl Future<Output = ()>) {
        let mut stopped = pin!(stopped);
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                Some(db) = self.wanted.recv() => self.want(db),
                Some((hot, told)) = self.feeds.next() => self.hear(&hot, told),
                _ = round.tick() => self.look_after(),
            }
        }
        let names: Vec<_> = self.open.keys().cloned().collect();
        for db in names {
            self.close(&db);
        }
        self.publish();
    }

    fn now(&self) -> u64 {
        self.shared.clock.now()
    }

    /// Opens the feed of a database if there is room.
    fn want(&mut self, db: DbName) {
        let now = self.now();
        let waits = self.failed.get(&db).is_some_and(|failed| now < failed.until);
        let opening = self.open.values().filter(|(hot, _)| !hot.has_begun()).count();
        if waits || opening >= MAX_OPENING || self.open.contains_key(&db) {
            return;
        }
        if self.open.len() >= self.shared.settings.feeds && !self.make_room(&db, now) {
            return;
        }
        self.next_session += 1;
        let shared = &self.shared;
        let memory = Arc::clone(&shared.memory);
        let often = shared.settings.heartbeat;
        let is_rare = !self.is_sentinel(&db) && shared.sentinels.are_alive(now);
        let sentinels = is_rare.then(|| Arc::clone(&shared.sentinels));
        let hot = Arc::new(Hot::new(self.next_session, db.clone(), shared.clock, memory, sentinels));
        let (abort, registration) = AbortHandle::new_pair();
        let heartbeat = if is_rare { often.saturating_mul(RARER) } else { often };
        let signs = self.inner.watch(&db, heartbeat);
        let owner = Arc::clone(&hot);
        let told = signs.map(Told::Sign).chain(stream::iter([Told::End]));
        let told = Abortable::new(told, registration).map(move |told| (Arc::clone(&owner), told));
        self.feeds.push(told.boxed());
        self.open.insert(db, (hot, abort));
        self.publish();
    }

    fn is_sentinel(&self, db: &DbName) -> bool {
        self.shared.settings.always.contains(db)
    }

    /// The feeds of the databases that are always watched have changed, or one has shown a sign of life.
    fn note_sentinels(&self) {
        let open = self.shared.settings.always.iter().filter_map(|db| self.open.get(db));
        let until = open.map(|(hot, _)| hot.alive_until()).max();
        self.shared.sentinels.are_alive_until(until.unwrap_or(0));
    }

    /// Without sentinels, the feeds that rely on them count no more. They are opened anew when they are wanted,
    /// with frequent signs of life.
    fn look_after_sentinels(&mut self, now: u64) {
        if self.shared.sentinels.are_alive(now) {
            self.sentinels_seen = now;
        } else if now.saturating_sub(self.sentinels_seen) > millis(IN_USE) {
            let of_no_use = self.open.values().filter(|(hot, _)| hot.needs_sentinels());
            let of_no_use: Vec<_> = of_no_use.map(|(hot, _)| hot.db.clone()).collect();
            for db in &of_no_use {
                self.close(db);
            }
            if !of_no_use.is_empty() {
                self.publish();
            }
        }
    }

    /// Closes the feed that was used least recently, if it is not in use.
    fn make_room(&mut self, wanted: &DbName, now: u64) -> bool {
        let others = self.open.iter().filter(|(db, _)| !self.is_sentinel(db));
        let idle = others.min_by_key(|(_, (hot, _))| hot.last_used());
        let Some((db, (hot, _))) = idle else { return false };
        if now.saturating_sub(hot.last_used()) < millis(IN_USE) && !self.is_sentinel(wanted) {
            return false;
        }
        let db = db.clone();
        self.close(&db);
        true
    }

    fn hear(&mut self, hot: &Arc<Hot>, told: Told) {
        match told {
            Told::Sign(Ok(Sign::Alive(time))) => {
                if !hot.has_begun() {
                    self.failed.remove(&hot.db);
                }
                hot.note_alive(time);
                self.shared.note_heard_until(&hot.db, hot.alive_until());
                if self.is_sentinel(&hot.db) {
                    self.note_sentinels();
                }
            }
            Told::Sign(Ok(Sign::Changed { id, rev })) => hot.note_change(id, Some(&rev)),
            Told::Sign(Err(error)) => {
                self.lost(hot, &error.to_string());
                // A database that is missing has no changes.
                if error.is_not_found() {
                    self.shared.note_heard_until(&hot.db, u64::MAX);
                }
            }
            Told::End => self.lost(hot, "it ended"),
        }
    }

    fn lost(&mut self, hot: &Arc<Hot>, why: &str) {
        if !self.open.get(&hot.db).is_some_and(|(open, _)| Arc::ptr_eq(open, hot)) {
            return;
        }
        let times = self.failed.get(&hot.db).map_or(0, |failed| failed.times).saturating_add(1);
        let pause = BACKOFF.delay(times);
        log::debug!(db = hot.db.as_str(), times; "a database is not watched any more: {why}");
        self.shared.note_unheard(&hot.db);
        self.failed.insert(hot.db.clone(), Failed { times, until: self.now().saturating_add(millis(pause)) });
        let db = hot.db.clone();
        self.close(&db);
        self.publish();
    }

    fn close(&mut self, db: &DbName) {
        if let Some((hot, abort)) = self.open.remove(db) {
            hot.end();
            abort.abort();
            self.over.insert(hot.session);
            if self.is_sentinel(db) {
                self.note_sentinels();
            }
        }
    }

    /// Shows the readers which databases are watched.
    fn publish(&self) {
        let hot = self.open.iter().map(|(db, (hot, _))| (db.clone(), Arc::clone(hot))).collect();
        self.shared.hot.store(Arc::new(hot));
    }

    fn look_after(&mut self) {
        let now = self.now();
        // A database that was deleted by this program.
        let ended: Vec<_> =
            self.open.values().filter(|(hot, _)| hot.has_ended()).map(|(hot, _)| hot.db.clone()).collect();
        for db in ended {
            self.close(&db);
            self.publish();
        }
        for db in self.shared.settings.always.clone() {
            self.want(db);
        }
        self.look_after_sentinels(now);
        // Those that nobody asks for any more.
        let forgotten = millis(BACKOFF.cap).saturating_mul(2);
        self.failed.retain(|_, failed| now < failed.until.saturating_add(forgotten));
        if !self.over.is_empty() {
            let over = std::mem::take(&mut self.over);
            self.shared.memory.forget_sessions(|session| over.contains(&session));
        }
    }
}
