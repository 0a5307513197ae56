//! Histories: clients create, replace, patch, delete, read and list while servers, and the store, are killed.
//! Every answer is noted and checked. A run has rounds; each has groups of its own.

mod checker;
mod clients;
mod nemesis;
mod tally;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Map;

use self::clients::{Client, Notebook};
use self::nemesis::{Nemesis, Served, Target};
use self::tally::Tally;
use crate::couch::Standin;
use crate::dice::Dice;
use crate::process::Launch;
use crate::proxy::Proxy;
use crate::report::{Report, print_row};
use crate::settings::{Outcome, Settings};
use crate::world::{Account, World};

/// How many clients there are, and how many groups they fight over.
const CLIENTS: usize = 6;
const GROUPS: usize = 8;
/// How many kills a round has.
const KILLS_A_ROUND: usize = 25;

/// How long a history is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    /// Kills on the embedded store.
    pub(crate) kills: usize,
    /// Kills, of each kind, on CouchDB.
    pub(crate) couchdb_kills: usize,
}

/// Runs the histories that can run here.
pub(crate) fn run(settings: &Settings, report: &mut Report, length: Length) -> Outcome {
    println!("histories: {} kills on the embedded store, seed {}", length.kills, settings.seed);
    record(report, "embedded", || {
        let world = World::copy(&settings.binary, &settings.template())?;
        let target = Target { proxy: None, has_store_commands: false };
        story(settings, &world.launch, &world.bad, target, 1, length.kills, world.folder())
    })?;
    if length.couchdb_kills == 0 {
        return Ok(());
    }
    let standin = Standin::start()?;
    let couch = &standin.couch;
    let kind = if couch.is_real { "CouchDB" } else { "stand-in" };
    let commands = couch.is_real && nemesis::has_store_commands();
    if !commands {
        println!(
            "  the store itself is not killed: that needs a real CouchDB at COUCHDB_URL, and RELIABILITY_COUCHDB_KILL and RELIABILITY_COUCHDB_START"
        );
    }
    for (servers, name) in [(1, format!("{kind}, faults between")), (2, format!("{kind}, two servers"))] {
        record(report, &name, || {
            let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
            let direct = Launch::of(&settings.binary, &couch.url());
            let account = Account::create(&direct, &format!("history {servers} {}", std::process::id()))?;
            let proxy = Proxy::start(couch.address).map_err(|error| error.to_string())?;
            let launch = Launch::of(&settings.binary, &couch.url_at(proxy.address))
                .with(&["--store-timeout-ms", "1000"]);
            let target = Target { proxy: Some(proxy), has_store_commands: commands };
            let told =
                story(settings, &launch, &account, target, servers, length.couchdb_kills, folder.path());
            couch.delete_db(&account.db());
            told
        })?;
    }
    Ok(())
}

fn record(report: &mut Report, name: &str, tell: impl FnOnce() -> Outcome<Tally>) -> Outcome {
    if let Some(row) = report.earlier("histories", name) {
        print_row(&row);
        return Ok(());
    }
    let (figures, faults) = match tell() {
        Ok(tally) => tally.figures(),
        Err(error) => (Map::new(), vec![error]),
    };
    report.add("histories", name, figures, &faults)
}

/// Plays rounds until there were enough kills.
fn story(
    settings: &Settings,
    launch: &Launch,
    account: &Account,
    target: Target,
    servers: usize,
    kills: usize,
    folder: &Path,
) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let mut dice = Dice::new(settings.seed);
    let mut served = Served::start(launch, servers, &folder.join("server.log"))?;
    let addresses = served.addresses.clone();
    let mut round = 0;
    while tally.kills < kills && tally.violations.is_empty() {
        round += 1;
        let wanted = KILLS_A_ROUND.min(kills - tally.kills);
        let notebook = Notebook::new(round, GROUPS);
        let is_over = AtomicBool::new(false);
        let outcome = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let client = Client::new(number, account, &addresses, &notebook, dice.below(usize::MAX));
                    let is_over = &is_over;
                    scope.spawn(move || client.play(is_over))
                })
                .collect();
            let played =
                Nemesis { served: &mut served, target: &target, dice: &mut dice }.play(wanted, &mut tally);
            is_over.store(true, Ordering::Relaxed);
            let events = clients.into_iter().flat_map(|client| client.join().unwrap_or_default());
            let events: Vec<_> = events.collect();
            played.map(|()| events)
        });
        let mut events = outcome?;
        if let Some(proxy) = &target.proxy {
            proxy.disarm();
        }
        events.extend(clients::last_look(account, &addresses, &notebook, Duration::from_secs(30))?);
        tally.add(&events, &notebook);
        if round % 4 == 0 {
            println!(
                "    {} kills, {} events, {} violations",
                tally.kills,
                tally.events,
                tally.violations.len()
            );
        }
    }
    let begun = Instant::now();
    tally.panics = served.end();
    if begun.elapsed() > Duration::from_secs(30) {
        tally.violations.push("the servers did not end".to_owned());
    }
    Ok(tally)
}
