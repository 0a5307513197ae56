//! More requests than a CouchDB can answer: thousands of clients list groups at once, and then five times as
//! many requests come as can be answered. What is answered must stay as much, and as quick, as without.

use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::couch::Standin;
use crate::crowd::Served;
use crate::faults::stored;
use crate::process::{Launch, Server};
use crate::report::{Report, print_row};
use crate::settings::{Outcome, Settings};
use crate::storm::{self, Rhythm};
use crate::table::millis;
use crate::wire::{Request, connections_to};
use crate::world::Account;

const GROUPS: usize = 50;
/// The clients that find out what can be answered, and the clients of the overload.
const FEW: usize = 64;
const MANY: usize = 3_000;
const TIMES: f64 = 5.0;
/// How long each phase takes. All are measured several times in turn, and the medians count.
const DURATION: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;
/// How long a client waits after a refusal, although the answer asks it to wait for a second.
const PAUSE: Duration = Duration::from_millis(20);
/// The share of successes that must stay.
const SHARE: f64 = 0.9;
const SLOWEST: Duration = Duration::from_millis(250);
/// The most connections to CouchDB.
const CONNECTIONS: usize = 128;

/// Runs the section.
pub(crate) fn run(settings: &Settings, report: &mut Report) -> Outcome {
    let standin = Standin::start()?;
    let name = if standin.couch.is_real { "CouchDB" } else { "stand-in" };
    println!("overload: {MANY} clients, and {TIMES} times what can be answered, on {name}");
    if let Some(row) = report.earlier("overload", name) {
        print_row(&row);
        return Ok(());
    }
    let (figures, faults) = measure(settings, &standin).unwrap_or_else(|error| (Map::new(), vec![error]));
    report.add("overload", name, figures, &faults)
}

fn measure(settings: &Settings, standin: &Standin) -> Outcome<(Map<String, Value>, Vec<String>)> {
    let couch = &standin.couch;
    let launch = Launch::of(&settings.binary, &couch.url()).with(&["--cache", "off"]);
    let account = Account::create(&launch, &format!("overload {}", std::process::id()))?;
    for number in 0..GROUPS {
        couch.put(&account.db(), &format!("group{number:03}"), &stored(&account, "listed"))?;
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut server = launch.start(&folder.path().join("server.log"))?;
    let port = couch.address.port();
    let closed = Rhythm::Closed(PAUSE);
    let mut rounds: [Vec<Phase>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let few = phase(&server, &account, port, FEW, closed)?;
        let many = phase(&server, &account, port, MANY, closed)?;
        let rate = TIMES * per_second(&few.served);
        // Requests come when they are due only if a client waits for no earlier answer then. A refusal may take a
        // second.
        let clients = usize::try_from((2.0 * rate) as u64).unwrap_or(MANY).max(MANY);
        let open = phase(&server, &account, port, clients, Rhythm::Open(rate))?;
        for (phases, phase) in rounds.iter_mut().zip([few, many, open]) {
            phases.push(phase);
        }
    }
    let [few, many, open] = rounds.map(middle);
    let capacity = per_second(&few.served);
    let mut faults = Vec::new();
    for (what, phase) in [("with 3,000 clients", &many), ("at five times what can be answered", &open)] {
        let share = per_second(&phase.served) / capacity.max(1.0);
        if share < SHARE {
            faults.push(format!("{what}, {share:.2} of what {FEW} clients get is answered, not {SHARE}"));
        }
        if phase.connections > CONNECTIONS {
            faults.push(format!("{what}, {} connections to CouchDB", phase.connections));
        }
        let others: Vec<_> = phase.served.failures.keys().filter(|what| *what != "503").collect();
        if !others.is_empty() {
            faults.push(format!("{what}, failures that are no 503: {:?}", phase.served.failures));
        }
    }
    let slow = open.served.percentile(99);
    if slow > SLOWEST {
        faults.push(format!("at five times what can be answered, p99 of the successes is {slow:.0?}"));
    }
    if !server.is_alive() || server.panics() > 0 {
        faults.push(format!("the process ended or panicked ({} panics)", server.panics()));
    }
    couch.delete_db(&account.db());
    let mut figures = Map::new();
    for (name, phase) in [("few", &few), ("many", &many), ("open", &open)] {
        figures.insert(name.to_owned(), phase.figures());
    }
    Ok((figures, faults))
}

/// The phase whose number of successes is the median.
fn middle(mut phases: Vec<Phase>) -> Phase {
    phases.sort_by_key(|phase| phase.served.successes());
    phases.swap_remove(phases.len() / 2)
}

struct Phase {
    served: Served,
    connections: usize,
}

impl Phase {
    fn figures(&self) -> Value {
        json!({
            "per_s": per_second(&self.served).round(),
            "p50_ms": millis(self.served.percentile(50)),
            "p99_ms": millis(self.served.percentile(99)),
            "failures": self.served.failures,
            "connections": self.connections,
        })
    }
}

fn per_second(served: &Served) -> f64 {
    served.successes() as f64 / DURATION.as_secs_f64()
}

fn phase(server: &Server, account: &Account, port: u16, clients: usize, rhythm: Rhythm) -> Outcome<Phase> {
    let request = Request::new("GET", account.groups("")).token(&account.token);
    thread::scope(|scope| {
        let served = scope.spawn(|| storm::run(server.address, &request, clients, rhythm, DURATION));
        let mut connections = 0;
        while !served.is_finished() {
            connections = connections.max(connections_to(port));
            thread::sleep(Duration::from_secs(1));
        }
        let served = served.join().map_err(|_| "the clients ended in a panic")??;
        Ok(Phase { served, connections })
    })
}
