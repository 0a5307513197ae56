//! All hostile inputs together, for minutes, on one server that may use 512 MB, with good clients beside.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::crowd::{self, Pace};
use crate::process::{Server, Watch};
use crate::report::{Report, print_row};
use crate::settings::{Outcome, Settings};
use crate::table::input::{Input, Victim};
use crate::table::{inputs, millis, send_all};
use crate::world::{Account, World};

const LIMIT_BYTES: u64 = 512 * 1024 * 1024;
/// Where no cgroup limits it, a server above this is ended, so that the machine survives.
const DANGER_KB: u64 = 2 * 1024 * 1024;
/// How many inputs are sent at once.
const AT_ONCE: usize = 4;
/// An input that goes on for longer makes room for another.
const TURN: Duration = Duration::from_secs(15);
const GOOD_CLIENTS: usize = 4;
const PACE: Pace = Pace { request: crowd::mix, interval: Some(Duration::from_millis(100)) };
/// The share of the good clients' requests that must succeed, in thousandths.
const GOOD_SHARE: u64 = 990;

/// Runs the section with every input, or with those that are named.
pub(crate) fn run(settings: &Settings, report: &mut Report, minutes: usize, only: &[String]) -> Outcome {
    println!("all inputs together for {minutes} minutes, with 512 MB");
    let name = match only {
        [] => format!("{minutes} minutes"),
        names => format!("{minutes} minutes of {}", names.join(", ")),
    };
    if let Some(row) = report.earlier("memory", &name) {
        print_row(&row);
        return Ok(());
    }
    let duration = Duration::from_secs(60) * u32::try_from(minutes).map_err(|error| error.to_string())?;
    let (figures, faults) =
        measure(settings, duration, only).unwrap_or_else(|error| (Map::new(), vec![error]));
    report.add("memory", &name, figures, &faults)
}

fn measure(
    settings: &Settings,
    duration: Duration,
    only: &[String],
) -> Outcome<(Map<String, Value>, Vec<String>)> {
    let world = World::copy(&settings.binary, &settings.template())?;
    world.import(&crowd::seed(&world.good, GOOD_CLIENTS))?;
    let attackers = attackers(&world, only)?;
    let mut server = world.start()?;
    let cgroup = Cgroup::limit(&server);
    println!("  limited by {}", cgroup.as_ref().map_or("watching resident memory", |_| "a cgroup"));
    let watch = Watch::begin(server.pid());
    let begun = Instant::now();
    let end = begun + duration;
    let (stop, next, sent) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicU64::new(0));
    let rounds: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let address = server.address;
    let (served, ended_after) = thread::scope(|scope| {
        let good = scope.spawn(|| crowd::run(address, &world.good, GOOD_CLIENTS, PACE, &stop));
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let turn = next.fetch_add(1, Ordering::Relaxed) % attackers.len().max(1);
                    let Some((input, account)) = attackers.get(turn) else { return };
                    let loads = (input.loads)(&Victim::whole(account));
                    send_all(address, &loads, &sent, end.min(Instant::now() + TURN));
                    let mut rounds = rounds.lock().unwrap_or_else(PoisonError::into_inner);
                    *rounds.entry(input.name).or_insert(0) += 1;
                }
            });
        }
        let ended_after = guard(&mut server, end, begun);
        stop.store(true, Ordering::Relaxed);
        (good.join().unwrap_or_default(), ended_after)
    });
    let peak = watch.end();
    let rounds = rounds.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut faults = Vec::new();
    if let Some(after) = ended_after {
        faults.push(format!("the process ended after {after:.0?}"));
    }
    // A cgroup sees to its limit itself, and does not count what the process shares with others.
    if cgroup.is_none() && peak > LIMIT_BYTES / 1024 {
        faults.push(format!("resident memory reached {peak} kB"));
    }
    if served.thousandths() < GOOD_SHARE {
        let share = served.thousandths();
        faults.push(format!(
            "{share} of 1000 good requests succeeded, not {GOOD_SHARE}: {:?}",
            served.failures
        ));
    }
    if server.panics() > 0 {
        faults.push(format!("{} panics", server.panics()));
    }
    let figures = json!({
        "limited_by": if cgroup.is_some() { "cgroup" } else { "watching" },
        "peak_kb": peak,
        "sent_mb": sent.into_inner() / 1_000_000,
        "inputs_sent": rounds.values().sum::<u64>(),
        "inputs": rounds.len(),
        "good_requests": served.count(),
        "good_per_1000": served.thousandths(),
        "good_p50_ms": millis(served.percentile(50)),
        "good_p99_ms": millis(served.percentile(99)),
        "good_slowest_ms": millis(served.percentile(100)),
        "good_failures": served.failures,
    });
    Ok((figures.as_object().cloned().unwrap_or_default(), faults))
}

/// Waits until the end. Answers how long the process lived, if it ended before or had to be ended.
fn guard(server: &mut Server, end: Instant, begun: Instant) -> Option<Duration> {
    let mut told = Instant::now();
    while Instant::now() < end {
        if server.resident_kb() > DANGER_KB {
            server.signal(rustix::process::Signal::KILL);
        }
        if !server.is_alive() {
            return Some(begun.elapsed());
        }
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            println!("    {:.0?}: {} MB", begun.elapsed(), server.resident_kb() / 1024);
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Every input with its account. Inputs that need something in the store have accounts of their own; those that
/// need the same share one.
fn attackers(world: &World, only: &[String]) -> Outcome<Vec<(Input, Account)>> {
    let mut attackers = Vec::new();
    let mut accounts: HashMap<u64, Account> = HashMap::new();
    let is_wanted = |input: &Input| only.is_empty() || only.iter().any(|name| name == input.name);
    for input in inputs().into_iter().filter(is_wanted) {
        let needed = (input.seed)(&Victim::whole(&world.bad));
        if needed.is_empty() {
            attackers.push((input, world.bad.clone()));
            continue;
        }
        let mut hasher = DefaultHasher::new();
        needed.hash(&mut hasher);
        let account = match accounts.entry(hasher.finish()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => {
                let begun = Instant::now();
                let account = Account::create(&world.launch, input.name)?;
                world.import(&(input.seed)(&Victim::whole(&account)))?;
                println!("    {}: its groups are there after {:.0?}", input.name, begun.elapsed());
                place.insert(account).clone()
            }
        };
        attackers.push((input, account));
    }
    println!("  {} accounts are ready", accounts.len());
    Ok(attackers)
}

/// A cgroup that holds one process and limits its memory.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Limits a server. `None` where this program may not make cgroups.
    fn limit(server: &Server) -> Option<Self> {
        let name = format!("crossbar-groups-reliability-{}", std::process::id());
        let has_memory = |folder: &Path| {
            fs::read_to_string(folder.join("cgroup.controllers")).is_ok_and(|list| list.contains("memory"))
        };
        let roots = [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];
        for (root, file) in roots {
            if file == "memory.max" && !has_memory(Path::new(root)) {
                continue;
            }
            let folder = Path::new(root).join(&name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let cgroup = Self(folder);
            let written = fs::write(cgroup.0.join(file), LIMIT_BYTES.to_string())
                .and_then(|()| fs::write(cgroup.0.join("cgroup.procs"), server.pid().to_string()));
            if written.is_ok() {
                return Some(cgroup);
            }
        }
        None
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The process has ended or ends now, which takes a moment.
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }
}
