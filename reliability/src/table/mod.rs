//! The table: hostile inputs, each sent to a fresh server while a client of another account reads. It measures
//! memory, what was sent and the slowest read, and judges them by the project's bounds.

mod basic;
mod deep;
pub(crate) mod input;
mod makers;
mod memories;
mod shares;
mod slow;
mod stored;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use self::input::{Ending, Input, Load, Store, Victim};
use crate::couch::Couch;
use crate::probe::Probe;
use crate::process::{Server, Watch};
use crate::report::{Report, print_row};
use crate::settings::{Outcome, Settings};
use crate::wire::{self, Raw, Read};
use crate::world::World;

/// Memory that any input may take above rest, and that may stay afterwards.
const FREE_KB: u64 = 64 * 1024;
/// How many times the bytes that were sent an input may take in memory.
const MEMORY_TIMES: u64 = 4;
/// What another tenant's slowest read may take beside any input, and how many times its quiet slowest.
const FREE_TIME: Duration = Duration::from_millis(250);
const TIME_TIMES: u32 = 4;
/// When memory must be at rest again.
const REST_AFTER: Duration = Duration::from_secs(3);

/// How large inputs are made, and how long another tenant reads before they come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) divisor: usize,
    pub(crate) quiet: Duration,
}

const FULL: Form = Form { divisor: 1, quiet: Duration::from_millis(700) };

/// Every input.
pub(crate) fn inputs() -> Vec<Input> {
    [basic::inputs(), deep::inputs(), slow::inputs(), shares::inputs(), stored::inputs(), memories::inputs()]
        .concat()
}

/// Runs the table, or those of its inputs that are named.
pub(crate) fn run(settings: &Settings, report: &mut Report, only: &[String]) -> Outcome {
    println!("the table: peak memory and another tenant's slowest read");
    let inputs = inputs();
    if let Some(unknown) = only.iter().find(|name| inputs.iter().all(|input| input.name != name.as_str())) {
        let names: Vec<_> = inputs.iter().map(|input| input.name).collect();
        return Err(format!("there is no input {unknown}; there are: {}", names.join(" ")));
    }
    for input in inputs.iter().filter(|input| only.is_empty() || only.iter().any(|name| name == input.name)) {
        if let Some(row) = report.earlier("table", input.name) {
            print_row(&row);
            continue;
        }
        if input.store == Store::CouchDb && Couch::of_environment().is_none() {
            println!("  {}: left out, it needs a CouchDB at COUCHDB_URL", input.name);
            continue;
        }
        let (figures, faults) = match measure(settings, input, FULL) {
            Ok(measured) => measured,
            Err(error) => (Map::new(), vec![error]),
        };
        report.add("table", input.name, figures, &faults)?;
    }
    Ok(())
}

/// Measures one input on a fresh server.
pub(crate) fn measure(
    settings: &Settings,
    input: &Input,
    form: Form,
) -> Outcome<(Map<String, Value>, Vec<String>)> {
    let world = match input.store {
        Store::Embedded => World::copy(&settings.binary, &settings.template())?,
        Store::CouchDb => {
            World::in_couchdb(&settings.binary, Couch::of_environment().ok_or("there is no COUCHDB_URL")??)?
        }
    };
    let victim = Victim::small(&world.bad, form.divisor);
    world.import(&(input.seed)(&victim))?;
    let log = world.folder().join("server.log");
    let mut server = world.launch.clone().with(input.arguments).start(&log)?;
    let loads = (input.loads)(&victim);
    let probe = Probe::asking(server.address, (input.quiet)(&world.good));
    thread::sleep(form.quiet / 3);
    probe.next_phase();
    thread::sleep(form.quiet);
    let quiet = probe.next_phase();
    let rest = server.resident_kb();
    let watch = Watch::begin(server.pid());

    let sent = AtomicU64::new(0);
    let begun = Instant::now();
    let answers = send_all(server.address, &loads, &sent, begun + input.limit);
    let took = begun.elapsed();
    let during = probe.next_phase();
    wait_for_rest(&server, rest);
    let peak = watch.end();
    let after = server.resident_kb();
    let reads = during.and(&probe.end());
    let is_alive = server.is_alive();
    let panics = server.panics();

    let mut measured = Measured {
        sent: sent.into_inner(),
        peak_kb: peak.saturating_sub(rest),
        held_kb: after.saturating_sub(rest),
        quiet: quiet.slowest,
        slowest: reads.slowest,
        unanswered: 0,
        is_alive,
        panics,
    };
    if input.must_be_answered {
        measured.unanswered = answers.get(&Read::Unanswered).copied().unwrap_or(0);
    }
    let mut faults = measured.faults();
    faults.extend(reads.faults("another tenant"));
    faults.extend(quiet.faults("another tenant, before the input,"));
    let figures = json!({
        "about": input.about,
        "sent_kb": measured.sent / 1024,
        "rest_kb": rest,
        "peak_above_kb": measured.peak_kb,
        "held_kb": measured.held_kb,
        "quiet_ms": millis(quiet.slowest),
        "slowest_ms": millis(reads.slowest),
        "reads": reads.count,
        "took_ms": millis(took),
        "answers": describe(&answers),
    });
    Ok((figures.as_object().cloned().unwrap_or_default(), faults))
}

/// What the bounds are about.
struct Measured {
    /// The bytes sent by all connections together.
    sent: u64,
    /// Memory above rest, at its peak and afterwards.
    peak_kb: u64,
    held_kb: u64,
    /// Another tenant's slowest reads, before and beside the input.
    quiet: Duration,
    slowest: Duration,
    /// Connections that must have ended and have not.
    unanswered: usize,
    is_alive: bool,
    panics: u64,
}

impl Measured {
    /// Everything that is beyond its bound.
    fn faults(&self) -> Vec<String> {
        let allowed_kb = FREE_KB + MEMORY_TIMES * self.sent / 1024;
        let allowed_time = FREE_TIME + self.quiet * TIME_TIMES;
        let mut faults = Vec::new();
        if !self.is_alive {
            faults.push("the process ended".to_owned());
        }
        if self.panics > 0 {
            faults.push(format!("{} panics", self.panics));
        }
        if self.peak_kb > allowed_kb {
            faults.push(format!("peak memory {} kB above rest, allowed {allowed_kb} kB", self.peak_kb));
        }
        if self.held_kb > FREE_KB {
            faults.push(format!("{} kB above rest are held 3 s later, allowed {FREE_KB} kB", self.held_kb));
        }
        if self.slowest > allowed_time {
            faults.push(format!("another tenant waited {:.2?}, allowed {allowed_time:.2?}", self.slowest));
        }
        if self.unanswered > 0 {
            faults.push(format!("{} connections had no whole answer and were not closed", self.unanswered));
        }
        faults
    }
}

/// Waits until memory is at rest again, or the time for that is over.
fn wait_for_rest(server: &Server, rest: u64) {
    let begun = Instant::now();
    // What a client no longer waits for may still go on.
    thread::sleep(REST_AFTER / 6);
    while begun.elapsed() < REST_AFTER && server.resident_kb().saturating_sub(rest) > FREE_KB {
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Answers and their numbers, as text.
fn describe(answers: &BTreeMap<Read, usize>) -> String {
    let texts = answers.iter().map(|(read, count)| match read {
        Read::Answered(status) => format!("{count}×{status}"),
        Read::Closed => format!("{count}×closed"),
        Read::Unanswered => format!("{count}×none"),
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// Sends all loads at once and counts the answers.
pub(crate) fn send_all(
    address: SocketAddr,
    loads: &[Load],
    sent: &AtomicU64,
    end: Instant,
) -> BTreeMap<Read, usize> {
    let answers = Mutex::new(BTreeMap::new());
    let count = |read| {
        if let Ok(mut answers) = answers.lock() {
            *answers.entry(read).or_insert(0) += 1;
        }
    };
    let gone = AtomicBool::new(false);
    thread::scope(|scope| {
        for load in loads {
            // Connections that wait for nothing share threads.
            let threads = if load.ending.is_held() { load.connections.min(32) } else { load.connections };
            for first in 0..threads {
                let numbers = (first..load.connections).step_by(threads.max(1));
                let (count, gone) = (&count, &gone);
                let work = move || {
                    let mut held = Vec::new();
                    for number in numbers {
                        for round in 0..load.rounds {
                            if gone.load(Ordering::Relaxed) || Instant::now() >= end {
                                break;
                            }
                            let Ok(raw) = Raw::open(address, sent, end) else {
                                count(Read::Closed);
                                continue;
                            };
                            if let Some(raw) = load.drive(raw, number, round, count) {
                                held.push(raw);
                            }
                        }
                    }
                    load.hold(held, end, count);
                };
                if thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, work).is_err() {
                    count(Read::Closed);
                }
            }
        }
    });
    answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Load {
    /// Sends on one connection. Answers the connection if it is held.
    fn drive<'a>(
        &self,
        mut raw: Raw<'a>,
        number: usize,
        round: usize,
        count: &impl Fn(Read),
    ) -> Option<Raw<'a>> {
        for bytes in (self.bytes)(number, round).chunks(self.piece.max(1)) {
            if !raw.send(bytes) {
                break;
            }
            if !self.pause.is_zero() {
                if raw.is_past_end() || raw.is_closed() {
                    break;
                }
                thread::sleep(self.pause);
            }
        }
        match self.ending {
            Ending::ReadAll => count(raw.read(64 * 1024, Duration::ZERO)),
            Ending::ReadSlowly { piece, pause } => count(raw.read(piece, pause)),
            Ending::Reset => {
                raw.reset();
                count(Read::Closed);
            }
            Ending::Hold(_) => return Some(raw),
        }
        None
    }

    /// Holds connections for a while, reading nothing.
    fn hold(&self, held: Vec<Raw<'_>>, end: Instant, count: &impl Fn(Read)) {
        let Ending::Hold(duration) = self.ending else { return };
        let until = end.min(Instant::now() + duration);
        thread::sleep(until.saturating_duration_since(Instant::now()));
        let established = wire::established_ports();
        for mut raw in held {
            let is_open = !raw.is_closed() && established.contains(&raw.port());
            count(if is_open { Read::Unanswered } else { Read::Closed });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::{Measured, inputs};

    const GOOD: Measured = Measured {
        sent: 1_024 * 1_024,
        peak_kb: 68 * 1_024,
        held_kb: 64 * 1_024,
        quiet: Duration::from_millis(10),
        slowest: Duration::from_millis(290),
        unanswered: 0,
        is_alive: true,
        panics: 0,
    };

    #[test]
    fn each_bound_is_judged() {
        assert!(GOOD.faults().is_empty(), "{:?}", GOOD.faults());
        for bad in [
            Measured { peak_kb: GOOD.peak_kb + 1, ..GOOD },
            Measured { sent: GOOD.sent - 1_024, ..GOOD },
            Measured { held_kb: GOOD.held_kb + 1, ..GOOD },
            Measured { slowest: Duration::from_millis(291), ..GOOD },
            Measured { quiet: Duration::from_millis(9), ..GOOD },
            Measured { unanswered: 1, ..GOOD },
            Measured { is_alive: false, ..GOOD },
            Measured { panics: 1, ..GOOD },
        ] {
            assert_eq!(bad.faults().len(), 1, "{:?}", bad.faults());
        }
    }

    #[test]
    fn inputs_have_names_of_their_own() {
        let names: HashSet<_> = inputs().iter().map(|input| input.name).collect();
        assert_eq!(names.len(), inputs().len());
    }
}
