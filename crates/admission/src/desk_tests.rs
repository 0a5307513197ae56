//! The desk against its rules, over random sequences of calls that come, end, go away and wait too long.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use tokio::time::Instant;

use super::{Class, Desk, LONG, Queued, Ticket};
use crate::shares::{Shares, half, most_streams};

/// An event at the desk.
#[derive(Clone, Debug)]
enum Step {
    /// A call of a database arrives.
    Arrive(usize, Class),
    /// One of the running calls ends, or its caller goes away.
    End(usize),
    /// One of the waiting calls has waited too long, or its caller goes away.
    GiveUp(usize),
    /// Time passes.
    Pass(u32),
}

const DBS: [&str; 3] = ["a", "b", "c"];
const MAX: usize = 12;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let class = prop_oneof![Just(Class::Short), Just(Class::Stream)];
    let step = prop_oneof![
        // Most calls are of one database.
        6 => (prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2)], class)
            .prop_map(|(db, class)| Step::Arrive(db, class)),
        4 => (0_usize..100).prop_map(Step::End),
        1 => (0_usize..100).prop_map(Step::GiveUp),
        1 => (0_u32..1_500).prop_map(Step::Pass),
    ];
    vec(step, 1..150)
}

/// A call, as the test sees it.
#[derive(Clone, Debug)]
struct Call {
    ticket: Ticket,
    db: &'static str,
    class: Class,
}

/// A desk, and what the test knows of its calls. A call is named by its number of arrival.
struct Model {
    desk: Desk<usize>,
    now: Instant,
    limit: usize,
    max_waiting: usize,
    running: BTreeMap<usize, Call>,
    waiting: BTreeMap<usize, Call>,
    arrived: usize,
    refused: BTreeSet<usize>,
    finished: usize,
}

impl Model {
    fn new(limit: usize, max_waiting: usize) -> Self {
        Self {
            desk: Desk::new(Shares::of(limit), max_waiting),
            now: Instant::now(),
            limit,
            max_waiting,
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            arrived: 0,
            refused: BTreeSet::new(),
            finished: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Arrive(db, class) => self.arrive(DBS[db], class),
            Step::End(which) => {
                if let Some(name) = nth(&self.running, which) {
                    self.end(name);
                }
            }
            Step::GiveUp(which) => {
                if let Some(name) = nth(&self.waiting, which) {
                    let call = self.waiting.remove(&name).unwrap();
                    assert!(self.desk.stop_waiting(&call.ticket));
                    assert!(!self.desk.stop_waiting(&call.ticket), "once");
                    self.finished += 1;
                }
            }
            Step::Pass(ms) => {
                self.now += std::time::Duration::from_millis(ms.into());
                let started = self.desk.set_long_apart(self.now);
                self.started(&started);
            }
        }
        self.check();
    }

    fn arrive(&mut self, db: &'static str, class: Class) {
        let name = self.arrived;
        self.arrived += 1;
        if let Some(ticket) = self.desk.start(db, class, self.now) {
            let overtakes = self.waiting.values().any(|call| call.db == db && call.class == class);
            assert!(!overtakes, "first come, first served");
            self.running.insert(name, Call { ticket, db, class });
            return;
        }
        let counts = || DBS.map(|db| self.waiting.values().filter(|call| call.db == db).count());
        let (longest, own) = (counts().into_iter().max().unwrap(), self.waiting_of(db));
        match self.desk.queue(db, class, name) {
            Queued::Refused => {
                assert!(self.waiting.len() == self.max_waiting && longest <= own + 1);
                self.refused.insert(name);
            }
            Queued::Waits { ticket, refused } => {
                if let Some(refused) = refused {
                    assert_eq!(self.waiting.len(), self.max_waiting);
                    let call = self.waiting.remove(&refused).unwrap();
                    assert_eq!(self.waiting_of(call.db) + 1, longest, "the longest queue pays");
                    let newest = self.waiting.iter().rfind(|(_, other)| other.db == call.db);
                    assert!(newest.is_none_or(|(newest, _)| *newest < refused), "its newest call pays");
                    self.refused.insert(refused);
                    assert!(self.desk.leave(&call.ticket, self.now).is_empty(), "its slot is gone already");
                }
                self.waiting.insert(name, Call { ticket, db, class });
            }
        }
    }

    fn end(&mut self, name: usize) {
        let call = self.running.remove(&name).unwrap();
        self.finished += 1;
        let started = self.desk.leave(&call.ticket, self.now);
        self.started(&started);
        assert!(self.desk.leave(&call.ticket, self.now).is_empty(), "a slot is given back once");
    }

    fn started(&mut self, names: &[usize]) {
        for name in names {
            let call = self.waiting.remove(name).unwrap();
            let first =
                self.waiting.iter().find(|(_, other)| other.db == call.db && other.class == call.class);
            assert!(first.is_none_or(|(first, _)| first > name), "first come, first served");
            self.running.insert(*name, call);
        }
    }

    fn waiting_of(&self, db: &str) -> usize {
        self.waiting.values().filter(|call| call.db == db).count()
    }

    fn check(&self) {
        let Self { desk, running, waiting, .. } = self;
        assert_eq!(desk.waiting(), waiting.len());
        assert!(waiting.len() <= self.max_waiting);
        assert_eq!(desk.running.len(), running.len());
        assert_eq!(self.arrived, running.len() + waiting.len() + self.refused.len() + self.finished);
        let limit = self.limit;
        assert!(desk.held.calls <= limit && desk.held.streams <= most_streams(limit));
        assert!(desk.held.long <= half(limit));
        assert_eq!(desk.held.calls + desk.held.long, running.len());
        for db in DBS {
            let held = desk.dbs.get(db).map(|db| db.held).unwrap_or_default();
            assert!(held.calls <= half(limit) && held.streams <= most_streams(half(limit)));
        }
        // No call waits that could run.
        for call in waiting.values() {
            let held = desk.dbs.get(call.db).map(|db| db.held).unwrap_or_default();
            assert!(!desk.has_slot(held, call.class), "{call:?} waits beside a free slot");
        }
    }
}

fn nth<V>(calls: &BTreeMap<usize, V>, which: usize) -> Option<usize> {
    calls.keys().nth(which.checked_rem(calls.len())?).copied()
}

proptest! {
    #[test]
    fn the_rules_hold_in_every_order(limit in 1_usize..=MAX, max_waiting in 1_usize..8, steps in steps()) {
        let mut model = Model::new(limit, max_waiting);
        for step in &steps {
            model.take(step);
        }
        // When all callers are done, nothing is left.
        while let Some(name) = nth(&model.running, 0) {
            model.end(name);
        }
        assert!(model.waiting.is_empty(), "nobody is lost");
        let Desk { dbs, turns, running, held, waiting, .. } = &model.desk;
        assert!(dbs.is_empty() && turns.is_empty() && running.is_empty());
        assert_eq!((*held, *waiting), (super::Held::default(), 0));
    }
}

fn order(limit: usize, arrivals: &[(&'static str, Class)]) -> Vec<usize> {
    let mut model = Model::new(limit, 1_000);
    let mut order = Vec::new();
    for (db, class) in arrivals {
        model.arrive(db, *class);
    }
    while let Some(name) = nth(&model.running, 0) {
        order.push(name);
        model.end(name);
    }
    order
}

#[test]
fn databases_take_turns() {
    let mut arrivals = vec![("a", Class::Short); 6];
    arrivals.extend([("b", Class::Short); 3]);
    // One slot: the first call of `a` has it. Then they take turns.
    assert_eq!(order(1, &arrivals), [0, 1, 6, 2, 7, 3, 8, 4, 5]);
}

#[test]
fn a_burst_leaves_half_of_the_slots() {
    let mut model = Model::new(8, 100);
    for _ in 0..50 {
        model.arrive("a", Class::Short);
    }
    assert_eq!(model.running.len(), 4);
    model.arrive("b", Class::Short);
    assert_eq!(model.running.len(), 5, "another database does not wait");
}

/// Callers that read streams and make another call meanwhile do not wait for each other.
#[test]
fn streams_leave_a_slot_for_the_calls_of_their_callers() {
    for limit in 4..=64 {
        let mut model = Model::new(limit, 1_000);
        for db in DBS {
            for _ in 0..50 {
                model.arrive(db, Class::Stream);
            }
        }
        for db in DBS {
            model.arrive(db, Class::Short);
            let name = model.arrived - 1;
            assert!(model.running.contains_key(&name), "{limit}: a call beside streams waits");
            model.end(name);
        }
    }
}

#[test]
fn long_streams_do_not_keep_the_slots_of_others() {
    let mut model = Model::new(8, 100);
    for _ in 0..10 {
        model.arrive("a", Class::Stream);
    }
    assert_eq!((model.running.len(), model.waiting.len()), (3, 7));
    model.take(&Step::Pass(u32::try_from(LONG.as_millis()).unwrap()));
    // Two long ones beside three others: the most of one database.
    assert_eq!((model.desk.held.long, model.desk.held.streams, model.waiting.len()), (2, 3, 5));
    model.take(&Step::Pass(u32::try_from(LONG.as_millis()).unwrap()));
    assert_eq!((model.desk.held.long, model.desk.held.streams, model.waiting.len()), (2, 3, 5));
}
