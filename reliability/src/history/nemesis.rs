//! What happens to the servers and the store during a history: kills, restarts, and faults between the two.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::tally::Tally;
use crate::dice::Dice;
use crate::fault::FAULTS;
use crate::process::{Launch, Server};
use crate::proxy::{Plan, Proxy};
use crate::settings::Outcome;

/// After this many kills of a server, the store is killed too.
const KILLS_TO_A_STORE_KILL: usize = 20;

/// The actions on the store.
pub(super) struct Target {
    /// The proxy before a CouchDB.
    pub(super) proxy: Option<Proxy>,
    /// Whether there are commands that kill and start the CouchDB.
    pub(super) has_store_commands: bool,
}

/// Whether `RELIABILITY_COUCHDB_KILL` and `RELIABILITY_COUCHDB_START` are given.
pub(super) fn has_store_commands() -> bool {
    ["KILL", "START"].iter().all(|what| std::env::var(format!("RELIABILITY_COUCHDB_{what}")).is_ok())
}

/// The servers. Each keeps its address when it is started again.
pub(super) struct Served {
    launches: Vec<Launch>,
    servers: Vec<Option<Server>>,
    pub(super) addresses: Vec<SocketAddr>,
    log: PathBuf,
    panics: u64,
}

impl Served {
    pub(super) fn start(launch: &Launch, count: usize, log: &Path) -> Outcome<Self> {
        let mut served = Self {
            launches: Vec::new(),
            servers: Vec::new(),
            addresses: Vec::new(),
            log: log.to_owned(),
            panics: 0,
        };
        for _ in 0..count {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let address = free.map_err(|error| error.to_string())?;
            let launch = Launch { listen: address.to_string(), ..launch.clone() };
            served.servers.push(Some(launch.start(log)?));
            served.launches.push(launch);
            served.addresses.push(address);
        }
        Ok(served)
    }

    /// Kills a server and starts it again.
    fn kill(&mut self, number: usize) -> Outcome {
        let (Some(place), Some(launch)) = (self.servers.get_mut(number), self.launches.get(number)) else {
            return Err("no such server".to_owned());
        };
        if let Some(server) = place.take() {
            self.panics += server.kill();
        }
        *place = Some(launch.start(&self.log)?);
        Ok(())
    }

    /// Ends the servers, and answers how often they panicked.
    pub(super) fn end(self) -> u64 {
        self.servers.into_iter().flatten().map(Server::kill).sum::<u64>() + self.panics
    }
}

/// The enemy of a round.
pub(super) struct Nemesis<'a> {
    pub(super) served: &'a mut Served,
    pub(super) target: &'a Target,
    pub(super) dice: &'a mut Dice,
}

impl Nemesis<'_> {
    /// Kills servers `kills` times, with faults between.
    pub(super) fn play(mut self, kills: usize, tally: &mut Tally) -> Outcome {
        for _ in 0..kills {
            self.faults();
            let number = self.dice.below(self.served.addresses.len());
            self.served.kill(number)?;
            tally.kills += 1;
            if self.target.has_store_commands && tally.kills.is_multiple_of(KILLS_TO_A_STORE_KILL) {
                run_command("KILL")?;
                run_command("START")?;
                tally.store_kills += 1;
            }
        }
        self.faults();
        Ok(())
    }

    /// A while between two kills. With a proxy, half of it has a fault.
    fn faults(&mut self) {
        let pause = |dice: &mut Dice| {
            let millis = 20 + dice.below(180);
            thread::sleep(Duration::from_millis(u64::try_from(millis).unwrap_or(100)));
        };
        pause(self.dice);
        if let Some(proxy) = &self.target.proxy
            && let Some(fault) = self.dice.choose(&FAULTS)
        {
            let plan = Plan { fault: *fault, at: 1 + self.dice.below(4), stays: self.dice.below(3) == 0 };
            proxy.arm(Some(plan));
            pause(self.dice);
            proxy.disarm();
            pause(self.dice);
        }
    }
}

fn run_command(what: &str) -> Outcome {
    let name = format!("RELIABILITY_COUCHDB_{what}");
    let command = std::env::var(&name).map_err(|_| format!("{name} is not set"))?;
    let status = Command::new("sh").args(["-c", &command]).stdout(std::process::Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("{name} failed: {other:?}")),
    }
}
