//! Checks a history of one group. A group is a register with revisions: each write that happens gives it the
//! next generation. The checker knows what clients asked for, when, and what they were told. It reports
//! every answer that no order of the requests explains.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To give the group this content. No two writes have the same content.
    Write(String),
    /// To delete the group.
    Delete,
    /// To see the group, alone or in a listing.
    Read,
}

/// The client's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was done, and the group has this generation now.
    Done(u64),
    /// It was not done, and never will be.
    Refused,
    /// An error, or nothing: it may have been done, or may still be done.
    Unknown,
    /// The group has this content, and this generation if the answer says so.
    Seen(String, Option<u64>),
    /// There is no such group.
    Absent,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// When the client sent the request, and when it had the answer, by one clock.
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) asked: Asked,
    pub(crate) told: Told,
}

/// A generation of the group.
struct State<'a> {
    /// The content; `None` after a deletion.
    content: Option<&'a str>,
    /// When the request that led to it was sent.
    begun: u64,
}

/// Everything in a group's history that cannot be. An empty list means that the history is good.
pub(crate) fn check(events: &[Event]) -> Vec<String> {
    let mut checker = Checker { events, states: BTreeMap::new(), found: Vec::new() };
    checker.place_writes();
    checker.place_contents();
    checker.count_generations();
    let versions = checker.versions();
    checker.check_order(&versions);
    checker.found
}

struct Checker<'a> {
    events: &'a [Event],
    states: BTreeMap<u64, State<'a>>,
    found: Vec<String>,
}

impl<'a> Checker<'a> {
    /// Gives each acknowledged write its generation.
    fn place_writes(&mut self) {
        for event in self.events {
            let Told::Done(generation) = event.told else { continue };
            let content = match &event.asked {
                Asked::Write(content) => Some(content.as_str()),
                Asked::Delete => None,
                Asked::Read => continue,
            };
            let state = State { content, begun: event.begun };
            if let Some(other) = self.states.insert(generation, state) {
                let (one, two) = (other.content.unwrap_or("a deletion"), content.unwrap_or("a deletion"));
                self.found.push(format!(
                    "lost write: {one} and {two} were both acknowledged as generation {generation}"
                ));
            }
        }
    }

    /// Gives each content that was seen its generation, and finds the write that it came from.
    fn place_contents(&mut self) {
        let mut writes: HashMap<&str, &Event> = HashMap::new();
        for event in self.events {
            if let Asked::Write(content) = &event.asked {
                writes.insert(content, event);
            }
        }
        let mut misplaced = HashSet::new();
        for event in self.events {
            let Told::Seen(content, generation) = &event.told else { continue };
            let Some(write) = writes.get(content.as_str()) else {
                if misplaced.insert(content.as_str()) {
                    self.found.push(format!("made up: {content} was seen, and nobody wrote it"));
                }
                continue;
            };
            if write.begun > event.ended {
                self.found.push(format!("too early: {content} was seen before it was written"));
            }
            if write.told == Told::Refused && misplaced.insert(content.as_str()) {
                self.found.push(format!("refused and done: {content} was seen, and its write was refused"));
            }
            let Some(generation) = generation else { continue };
            match self.states.get(generation) {
                Some(state) if state.content != Some(content.as_str()) => {
                    let other = state.content.unwrap_or("nothing").to_owned();
                    if misplaced.insert(content.as_str()) {
                        self.found
                            .push(format!("two contents: generation {generation} was {other} and {content}"));
                    }
                }
                Some(_) => {}
                None => {
                    self.states.insert(*generation, State { content: Some(content), begun: write.begun });
                }
            }
        }
        let mut seen: HashMap<&str, u64> = HashMap::new();
        for (generation, state) in &self.states {
            let Some(content) = state.content else { continue };
            if let Some(other) = seen.insert(content, *generation) {
                self.found
                    .push(format!("done twice: {content} is generation {other} and generation {generation}"));
            }
        }
    }

    /// Each generation needs a request that led to it.
    fn count_generations(&mut self) {
        let Some((last, _)) = self.states.last_key_value() else { return };
        let placed: HashSet<&str> = self.states.values().filter_map(|state| state.content).collect();
        let unexplained = last.saturating_sub(u64::try_from(self.states.len()).unwrap_or(u64::MAX));
        let unknown = self.events.iter().filter(|event| {
            event.told == Told::Unknown
                && match &event.asked {
                    Asked::Write(content) => !placed.contains(content.as_str()),
                    Asked::Delete => true,
                    Asked::Read => false,
                }
        });
        let unknown = u64::try_from(unknown.count()).unwrap_or(u64::MAX);
        if unexplained > unknown {
            self.found.push(format!(
                "done twice: {unexplained} generations below {last} are nobody's, and {unknown} writes have an unknown outcome"
            ));
        }
    }

    /// The events whose generation is known, and reads that found nothing, in the order in which they began.
    fn versions(&self) -> Vec<Version<'a>> {
        let places: HashMap<&str, u64> = self
            .states
            .iter()
            .filter_map(|(generation, state)| Some((state.content?, *generation)))
            .collect();
        let version = |event: &'a Event| {
            let (generation, is_write) = match &event.told {
                Told::Done(generation) => (Some(*generation), true),
                Told::Seen(content, generation) => {
                    (Some(generation.or(places.get(content.as_str()).copied())?), false)
                }
                Told::Absent => (None, false),
                Told::Refused | Told::Unknown => return None,
            };
            Some(Version { event, generation, is_write })
        };
        let mut versions: Vec<_> = self.events.iter().filter_map(version).collect();
        versions.sort_by_key(|version| version.event.begun);
        versions
    }

    /// Whoever begins after another has ended sees the same generation or a later one.
    fn check_order(&mut self, versions: &[Version<'_>]) {
        // The lowest generation that later events allow, for each place in the order of beginnings.
        let mut ceilings = vec![u64::MAX; versions.len() + 1];
        for (place, version) in versions.iter().enumerate().rev() {
            let own =
                version.generation.map_or(u64::MAX, |generation| generation - u64::from(version.is_write));
            ceilings[place] = own.min(ceilings[place + 1]);
        }
        // Events that have begun and whose end has not been reached, by their end.
        let mut open: BTreeMap<(u64, usize), (u64, bool)> = BTreeMap::new();
        let (mut floor, mut is_floor_write) = (0, true);
        for (place, version) in versions.iter().enumerate() {
            let Event { begun, ended, .. } = *version.event;
            while let Some(first) = open.first_entry()
                && first.key().0 < begun
            {
                let (generation, is_write) = first.remove();
                if generation > floor || (generation == floor && is_write) {
                    (floor, is_floor_write) = (generation, is_write);
                }
            }
            let generation = match version.generation {
                Some(generation) => {
                    let least = floor + u64::from(version.is_write);
                    if generation < least {
                        self.found.push(describe(version, generation, floor, is_floor_write));
                    }
                    generation
                }
                None => {
                    let after = versions.partition_point(|other| other.event.begun <= ended);
                    match self.absence(floor, ceilings[after], ended) {
                        Some(generation) => generation,
                        None => {
                            let what = if is_floor_write { "lost write" } else { "went back" };
                            self.found.push(format!(
                                "{what}: nothing was found at {begun}..{ended}, after generation {floor} and with no deletion"
                            ));
                            continue;
                        }
                    }
                }
            };
            open.insert((ended, place), (generation, version.is_write));
        }
    }

    /// The first generation from `floor` to `ceiling` at which the group can have been absent.
    fn absence(&self, floor: u64, ceiling: u64, ended: u64) -> Option<u64> {
        if floor == 0 {
            return Some(0);
        }
        let may_be_deleted = self
            .events
            .iter()
            .any(|event| event.asked == Asked::Delete && event.told == Told::Unknown && event.begun < ended);
        let last = self.states.last_key_value().map_or(0, |(last, _)| *last).max(floor) + 1;
        (floor..=last.min(ceiling)).find(|generation| match self.states.get(generation) {
            Some(state) => state.content.is_none() && state.begun < ended,
            None => may_be_deleted,
        })
    }
}

/// An event with its generation. A read that found nothing has none yet.
struct Version<'a> {
    event: &'a Event,
    generation: Option<u64>,
    is_write: bool,
}

fn describe(version: &Version<'_>, generation: u64, floor: u64, is_floor_write: bool) -> String {
    let Event { begun, ended, asked, told } = version.event;
    let what = if is_floor_write || version.is_write { "lost write" } else { "went back" };
    format!(
        "{what}: {asked:?} at {begun}..{ended} was told {told:?}, generation {generation} after generation {floor} was acknowledged or seen"
    )
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
