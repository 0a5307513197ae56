//! Decides which call runs, which waits and which is refused. It is a plain data structure without locks,
//! tasks or clocks: the caller passes the time, and tells the calls what was decided.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::shares::Shares;

/// A stream that has run this long counts apart from the other calls.
pub(crate) const LONG: Duration = Duration::from_secs(1);

/// How a call uses its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The call ends by itself and waits for no other call.
    Short,
    /// The caller reads rows while they arrive. Before their end it may make other calls, or be slow.
    Stream,
}

/// A call that runs or waits.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    number: u64,
    db: Arc<str>,
}

/// The decision about a call that cannot run at once. `W` tells the caller about a later decision.
#[derive(Debug)]
pub(crate) enum Queued<W> {
    /// It waits. Another call was refused if there was no room.
    Waits { ticket: Ticket, refused: Option<W> },
    /// There is no room, and no database has more waiting calls.
    Refused,
}

/// The calls that run and the calls that wait.
#[derive(Debug)]
pub(crate) struct Desk<W> {
    shares: Shares,
    max_waiting: usize,
    dbs: HashMap<Arc<str>, Db<W>>,
    /// The databases with waiting calls, in the order of their turns.
    turns: VecDeque<Arc<str>>,
    running: BTreeMap<u64, Running>,
    held: Held,
    waiting: usize,
    next_number: u64,
}

/// A running call.
#[derive(Debug)]
struct Running {
    db: Arc<str>,
    class: Class,
    clock: Clock,
    is_long: bool,
}

/// Measures how long a stream has run.
#[derive(Clone, Copy, Debug)]
enum Clock {
    /// It runs, and showed zero at this moment.
    Since(Instant),
    /// It stands and shows this time.
    Stands(Duration),
}

impl Clock {
    fn shows(self, now: Instant) -> Duration {
        match self {
            Self::Since(start) => now.saturating_duration_since(start),
            Self::Stands(time) => time,
        }
    }
}

/// Slots that are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    calls: usize,
    /// Those of `calls` that are streams.
    streams: usize,
    /// Long streams, which are not among `calls`.
    long: usize,
}

#[derive(Debug)]
struct Db<W> {
    held: Held,
    short: VecDeque<Waiting<W>>,
    streams: VecDeque<Waiting<W>>,
}

#[derive(Debug)]
struct Waiting<W> {
    number: u64,
    caller: W,
}

impl<W> Desk<W> {
    pub(crate) fn new(shares: Shares, max_waiting: usize) -> Self {
        Self {
            shares,
            max_waiting,
            dbs: HashMap::new(),
            turns: VecDeque::new(),
            running: BTreeMap::new(),
            held: Held::default(),
            waiting: 0,
            next_number: 0,
        }
    }

    /// How many calls wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether more calls of this call's database wait than may run at once.
    pub(crate) fn is_crowded(&self, ticket: &Ticket) -> bool {
        self.dbs.get(&ticket.db).is_some_and(|db| db.waiting() > self.shares.calls_of_db)
    }

    /// Starts a call if there is a slot for it. This overtakes no call that could run: such calls never wait.
    pub(crate) fn start(&mut self, db: &str, class: Class, now: Instant) -> Option<Ticket> {
        let held = self.dbs.get(db).map(|db| db.held).unwrap_or_default();
        if !self.has_slot(held, class) {
            return None;
        }
        let ticket = self.issue(db);
        self.run(&ticket, class, now);
        Some(ticket)
    }

    /// Queues a call that could not be started.
    pub(crate) fn queue(&mut self, db: &str, class: Class, caller: W) -> Queued<W> {
        let mut refused = None;
        if self.waiting >= self.max_waiting {
            let own = self.dbs.get(db).map_or(0, Db::waiting);
            let longest = self.turns.iter().max_by_key(|db| self.dbs.get(*db).map(Db::waiting)).cloned();
            refused = longest.and_then(|longest| self.refuse_newest(&longest, own));
            if refused.is_none() {
                return Queued::Refused;
            }
        }
        let ticket = self.issue(db);
        let db = self.dbs.entry(Arc::clone(&ticket.db)).or_insert_with(Db::new);
        if db.waiting() == 0 {
            self.turns.push_back(Arc::clone(&ticket.db));
        }
        db.queue(class).push_back(Waiting { number: ticket.number, caller });
        self.waiting += 1;
        Queued::Waits { ticket, refused }
    }

    /// Ends a call, whether it runs or waits. Returns the callers whose calls run now.
    pub(crate) fn leave(&mut self, ticket: &Ticket, now: Instant) -> Vec<W> {
        if let Some(running) = self.running.remove(&ticket.number) {
            self.count(&running.db, |held| held.remove(running.class, running.is_long));
            self.forget_if_idle(&running.db);
            self.start_waiting(now)
        } else {
            self.stop_waiting(ticket);
            Vec::new()
        }
    }

    /// Takes a call out of its queue. Returns whether it was in it.
    pub(crate) fn stop_waiting(&mut self, ticket: &Ticket) -> bool {
        let Some(db) = self.dbs.get_mut(&ticket.db) else { return false };
        let found = [&mut db.short, &mut db.streams].into_iter().find_map(|queue| {
            let position = queue.iter().position(|waiting| waiting.number == ticket.number)?;
            queue.remove(position)
        });
        if found.is_some() {
            self.left_queue(&ticket.db);
        }
        found.is_some()
    }

    /// Counts streams apart that have become long. Returns the callers whose calls run now.
    pub(crate) fn set_long_apart(&mut self, now: Instant) -> Vec<W> {
        let long: Vec<u64> = self
            .running
            .iter()
            .filter(|(_, call)| call.class == Class::Stream && !call.is_long && call.clock.shows(now) >= LONG)
            .map(|(number, _)| *number)
            .collect();
        for number in long {
            let Some(call) = self.running.get_mut(&number) else { continue };
            let of_db = self.dbs.get(&call.db).map_or(0, |db| db.held.long);
            if self.held.long >= self.shares.long || of_db >= self.shares.long_of_db {
                continue;
            }
            call.is_long = true;
            let db = Arc::clone(&call.db);
            self.count(&db, Held::set_long_apart);
        }
        self.start_waiting(now)
    }

    /// Stops the clock of a running call: until [`Desk::go_on`], its time does not count.
    pub(crate) fn stand(&mut self, ticket: &Ticket, now: Instant) {
        if let Some(call) = self.running.get_mut(&ticket.number) {
            call.clock = Clock::Stands(call.clock.shows(now));
        }
    }

    /// Lets the clock of a running call go on.
    pub(crate) fn go_on(&mut self, ticket: &Ticket, now: Instant) {
        if let Some(call) = self.running.get_mut(&ticket.number) {
            call.clock = Clock::Since(now.checked_sub(call.clock.shows(now)).unwrap_or(now));
        }
    }

    /// Starts waiting calls while there are slots. The databases take turns.
    fn start_waiting(&mut self, now: Instant) -> Vec<W> {
        let mut started = Vec::new();
        while self.held.calls < self.shares.calls {
            let turn = self.turns.iter().enumerate().find_map(|(turn, db)| Some((turn, self.next_of(db)?)));
            let Some((turn, class)) = turn else { break };
            let Some(name) = self.turns.remove(turn) else { break };
            let Some(db) = self.dbs.get_mut(&name) else { break };
            let Some(Waiting { number, caller }) = db.queue(class).pop_front() else { break };
            self.waiting -= 1;
            if db.waiting() > 0 {
                self.turns.push_back(Arc::clone(&name));
            }
            self.run(&Ticket { number, db: name }, class, now);
            started.push(caller);
        }
        started
    }

    /// The class of the oldest call of a database that could run now.
    fn next_of(&self, name: &str) -> Option<Class> {
        let db = self.dbs.get(name)?;
        [(Class::Short, &db.short), (Class::Stream, &db.streams)]
            .into_iter()
            .filter(|(class, _)| self.has_slot(db.held, *class))
            .filter_map(|(class, queue)| Some((queue.front()?.number, class)))
            .min_by_key(|(number, _)| *number)
            .map(|(_, class)| class)
    }

    fn has_slot(&self, of_db: Held, class: Class) -> bool {
        let shares = &self.shares;
        let has_call = self.held.calls < shares.calls && of_db.calls < shares.calls_of_db;
        let has_stream = self.held.streams < shares.streams && of_db.streams < shares.streams_of_db;
        has_call && (class == Class::Short || has_stream)
    }

    /// Refuses the newest call of a database, if more than `least` of its calls wait.
    fn refuse_newest(&mut self, name: &Arc<str>, least: usize) -> Option<W> {
        let db = self.dbs.get_mut(name).filter(|db| db.waiting() > least.saturating_add(1))?;
        let newest = |queue: &VecDeque<Waiting<W>>| queue.back().map(|waiting| waiting.number);
        let class = if newest(&db.short) > newest(&db.streams) { Class::Short } else { Class::Stream };
        let refused = db.queue(class).pop_back()?;
        self.left_queue(name);
        Some(refused.caller)
    }

    /// A call of this database has left its queue.
    fn left_queue(&mut self, name: &Arc<str>) {
        self.waiting -= 1;
        if self.dbs.get(name).is_some_and(|db| db.waiting() == 0) {
            self.turns.retain(|turn| turn != name);
        }
        self.forget_if_idle(name);
    }

    fn issue(&mut self, name: &str) -> Ticket {
        self.next_number += 1;
        let db = self.dbs.get_key_value(name).map_or_else(|| Arc::from(name), |(name, _)| Arc::clone(name));
        Ticket { number: self.next_number, db }
    }

    fn run(&mut self, ticket: &Ticket, class: Class, since: Instant) {
        let db = Arc::clone(&ticket.db);
        self.dbs.entry(Arc::clone(&db)).or_insert_with(Db::new);
        self.count(&db, |held| held.add(class));
        self.running.insert(ticket.number, Running { db, class, clock: Clock::Since(since), is_long: false });
    }

    fn count(&mut self, name: &str, change: impl Fn(&mut Held)) {
        change(&mut self.held);
        if let Some(db) = self.dbs.get_mut(name) {
            change(&mut db.held);
        }
    }

    fn forget_if_idle(&mut self, name: &str) {
        if self.dbs.get(name).is_some_and(|db| db.held == Held::default() && db.waiting() == 0) {
            self.dbs.remove(name);
        }
    }
}

impl<W> Db<W> {
    fn new() -> Self {
        Self { held: Held::default(), short: VecDeque::new(), streams: VecDeque::new() }
    }

    fn waiting(&self) -> usize {
        self.short.len() + self.streams.len()
    }

    fn queue(&mut self, class: Class) -> &mut VecDeque<Waiting<W>> {
        match class {
            Class::Short => &mut self.short,
            Class::Stream => &mut self.streams,
        }
    }
}

impl Held {
    fn add(&mut self, class: Class) {
        self.calls += 1;
        self.streams += usize::from(class == Class::Stream);
    }

    fn remove(&mut self, class: Class, is_long: bool) {
        if is_long {
            self.long -= 1;
        } else {
            self.calls -= 1;
            self.streams -= usize::from(class == Class::Stream);
        }
    }

    fn set_long_apart(&mut self) {
        self.remove(Class::Stream, false);
        self.long += 1;
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
