//! Faults between the server and CouchDB: each fault, once and for good, at each call of each operation. The
//! client must get a true answer of the catalogue in time. What a write did is read back from CouchDB.

mod operation;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

pub(crate) use self::operation::stored;
use self::operation::{Caches, Case, OPERATIONS, Operation, Seen};
use crate::couch::{Couch, Standin};
use crate::fault::{FAULTS, Fault};
use crate::process::{Launch, Server};
use crate::proxy::{Call, Plan, Proxy};
use crate::report::{Report, print_row};
use crate::settings::{Outcome, Settings};
use crate::world::{Account, GROUP};

/// The deadline of the server's calls, and what an answer may take beyond it on a busy machine.
const STORE_TIMEOUT: Duration = Duration::from_millis(1_000);
const MARGIN: Duration = Duration::from_millis(1_500);
/// How long a client waits before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the first query of a view may take.
const VIEWS_PATIENCE: Duration = Duration::from_secs(60);
/// Memory that may stay, and connections, once all is over.
const FREE_KB: u64 = 64 * 1024;
const IDLE_CONNECTIONS: usize = 32;
/// Caches of authentication live for a minute. A server is started again before that.
const SERVER_LIFE: Duration = Duration::from_secs(40);

/// Which part of the table is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Full,
    /// A few faults, once each, for the quick tests.
    Short,
}

impl Extent {
    fn faults(self) -> Vec<Fault> {
        match self {
            Self::Full => FAULTS.to_vec(),
            Self::Short => vec![
                Fault::Refuse,
                Fault::Cut,
                Fault::ResetInBody,
                Fault::Status503,
                Fault::Truncated,
                Fault::Html,
            ],
        }
    }

    fn stays(self) -> &'static [bool] {
        match self {
            Self::Full => &[false, true],
            Self::Short => &[false],
        }
    }
}

/// Runs the table of faults.
pub(crate) fn run(settings: &Settings, report: &mut Report, extent: Extent, only: &[String]) -> Outcome {
    let standin = Standin::start()?;
    let couch = standin.couch.clone();
    let section = if couch.is_real { "faults-couchdb" } else { "faults" };
    println!("{section}: every fault at every call of every operation");
    let mut todo = Vec::new();
    for operation in OPERATIONS {
        let is_wanted = only.is_empty() || only.iter().any(|name| name == operation.name);
        if !is_wanted || (extent == Extent::Short && !operation.is_short) {
            continue;
        }
        match report.earlier(section, operation.name) {
            Some(row) => print_row(&row),
            None => {
                // Accounts are made one after another, because the first one also makes the signing key.
                let launch = Launch::of(&settings.binary, &couch.url()).with(&["--cache", "off"]);
                let name = format!("faults {} {}", operation.name, std::process::id());
                todo.push((operation, Account::create(&launch, &name)?));
            }
        }
    }
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for (operation, account) in &todo {
            let (couch, results) = (&couch, &results);
            scope.spawn(move || {
                let result =
                    Table::new(settings, couch, operation, account).and_then(|mut table| table.fill(extent));
                if let Ok(mut results) = results.lock() {
                    results.push((operation.name, result));
                }
            });
        }
    });
    let results = results.into_inner().map_err(|_| "a table of faults panicked")?;
    for (name, result) in results {
        let (figures, faults) = result.unwrap_or_else(|error| (Map::new(), vec![error]));
        report.add(section, name, figures, &faults)?;
    }
    for (_, account) in &todo {
        couch.delete_db(&account.db());
    }
    Ok(())
}

/// The cells of one operation.
struct Table<'a> {
    settings: &'a Settings,
    couch: &'a Couch,
    operation: &'a Operation,
    account: &'a Account,
    proxy: Proxy,
    server: Option<(Server, Instant)>,
    log: tempfile::TempDir,
    cases: usize,
    panics: u64,
    rest_kb: u64,
}

impl<'a> Table<'a> {
    fn new(
        settings: &'a Settings,
        couch: &'a Couch,
        operation: &'a Operation,
        account: &'a Account,
    ) -> Outcome<Self> {
        for number in 0..20 {
            let group = operation::stored(account, &format!("seed {number}"));
            let id = if number == 0 { GROUP.to_owned() } else { format!("seed{number:02}") };
            couch.put(&account.db(), &id, &group)?;
        }
        Ok(Self {
            settings,
            couch,
            operation,
            account,
            proxy: Proxy::start(couch.address)
                .map_err(|error| format!("the proxy does not listen: {error}"))?,
            server: None,
            log: tempfile::tempdir().map_err(|error| error.to_string())?,
            cases: 0,
            panics: 0,
            rest_kb: 0,
        })
    }

    /// Measures every cell.
    fn fill(&mut self, extent: Extent) -> Outcome<(Map<String, Value>, Vec<String>)> {
        let calm = self.without_a_fault()?;
        let calls = calm.len();
        let mut answers: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        let (mut cells, mut slowest) = (0_u64, Duration::ZERO);
        let mut faults = BTreeMap::<String, Vec<String>>::new();
        for fault in extent.faults() {
            for stays in extent.stays() {
                for at in 1..=calls {
                    let plan = Plan { fault, at, stays: *stays };
                    let seen = self.cell_at(plan, &calm)?;
                    let name = format!("{fault:?}{}", if *stays { ", for good" } else { "" });
                    cells += 1;
                    slowest = slowest.max(seen.took);
                    *answers.entry(name.clone()).or_default().entry(seen.answer.clone()).or_insert(0) += 1;
                    for fault in seen.faults {
                        faults.entry(format!("{name}: {fault}")).or_default().push(format!("call {at}"));
                    }
                }
            }
        }
        let mut faults: Vec<_> =
            faults.into_iter().map(|(what, calls)| format!("{what} ({})", calls.join(", "))).collect();
        faults.extend(self.at_rest());
        let figures = json!({
            "calls": calls,
            "cells": cells,
            "slowest_ms": crate::table::millis(slowest),
            "most_connections": self.proxy.most_open(),
            "answers": answers,
        });
        Ok((figures.as_object().cloned().unwrap_or_default(), faults))
    }

    /// The methods of the operation's calls. The first query of a view builds it, which takes time.
    fn without_a_fault(&mut self) -> Outcome<Vec<String>> {
        let deadline = Instant::now() + VIEWS_PATIENCE;
        loop {
            match self.cell(None) {
                Ok((calls, _)) if calls.is_empty() => {
                    return Err("without a fault, the operation asked CouchDB for nothing".to_owned());
                }
                Ok((calls, _)) => return Ok(calls.into_iter().map(|call| call.method).collect()),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// Measures one cell. What authentication remembers can expire just then, which adds a call, and calls that
    /// are made at the same time can change places. If the fault hit a call of another kind, the cell is measured
    /// again, three times at most.
    fn cell_at(&mut self, plan: Plan, calm: &[String]) -> Outcome<Seen> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (calls, seen) = self.cell(Some(plan))?;
            let hit = calls.iter().find(|call| call.was_faulted).map(|call| &call.method);
            if attempts == 3 || !seen.faults.is_empty() || hit.is_none() || hit == calm.get(plan.at - 1) {
                return Ok(seen);
            }
        }
    }

    /// Measures one cell, and answers its calls.
    fn cell(&mut self, plan: Option<Plan>) -> Outcome<(Vec<Call>, Seen)> {
        self.cases += 1;
        let case = Case { couch: self.couch, account: self.account, number: self.cases };
        let before = (self.operation.prepare)(&case)?;
        self.refresh()?;
        let Some((server, _)) = &self.server else { return Err("no server".to_owned()) };
        if self.operation.caches == Caches::Warm {
            self.proxy.arm(None);
            warm_up(server, self.account)?;
        }
        self.proxy.arm(plan);
        let begun = Instant::now();
        let request = (self.operation.request)(&case);
        let answer = request.ask(server.address, PATIENCE);
        let took = begun.elapsed();
        let calls = self.proxy.disarm();
        self.settle();
        let mut seen = operation::judge(self.operation, &case, plan, &calls, &before, answer, took)?;
        let limit = (STORE_TIMEOUT + MARGIN) * self.operation.deadlines;
        if took >= PATIENCE {
            seen.faults.push(format!("hung for {PATIENCE:?}"));
        } else if took > limit {
            seen.faults.push(format!("answered later than {limit:?}"));
        }
        if server.panics() > 0 {
            seen.faults.push("the server panicked".to_owned());
            self.panics += server.panics();
        }
        if plan.is_none() && !seen.faults.is_empty() {
            return Err(format!("without a fault: {}", seen.faults.join("; ")));
        }
        (self.operation.clean)(&case);
        Ok((calls, seen))
    }

    /// Starts a new server if the operation needs cold caches, or the old one is too old or has panicked.
    fn refresh(&mut self) -> Outcome {
        let is_good = self.server.as_ref().is_some_and(|(server, begun)| {
            self.operation.caches == Caches::Warm && begun.elapsed() < SERVER_LIFE && server.panics() == 0
        });
        if is_good {
            return Ok(());
        }
        self.server = None;
        self.proxy.arm(None);
        let timeout = STORE_TIMEOUT.as_millis().to_string();
        let launch = Launch::of(&self.settings.binary, &self.couch.url_at(self.proxy.address))
            .with(&["--cache", "off"])
            .with(&["--store-timeout-ms", &timeout, "--couchdb-batch-timeout-ms", &timeout]);
        let server = launch.start(&self.log.path().join("server.log"))?;
        self.rest_kb = server.resident_kb();
        self.server = Some((server, Instant::now()));
        Ok(())
    }

    /// Waits until calls that were held back are done.
    fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.proxy.is_at_work() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The resources that are still in use at the end.
    fn at_rest(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some((server, _)) = &self.server {
            let held = server.resident_kb().saturating_sub(self.rest_kb);
            if held > FREE_KB {
                faults.push(format!("{held} kB above rest are held"));
            }
            if self.proxy.open() > IDLE_CONNECTIONS {
                faults.push(format!("{} connections to CouchDB are open", self.proxy.open()));
            }
        }
        self.server = None;
        faults
    }
}

/// Reads until the server has read the account and the keys. On a busy machine, CouchDB may miss a deadline.
fn warm_up(server: &Server, account: &Account) -> Outcome {
    let deadline = Instant::now() + VIEWS_PATIENCE;
    loop {
        let answer = operation::warm_up(account).ask(server.address, PATIENCE);
        match answer {
            Ok(answer) if answer.status == 200 => return Ok(()),
            other if Instant::now() >= deadline => {
                let what = other.map_or_else(|error| error.to_string(), |answer| answer.status.to_string());
                return Err(format!("without a fault, a read was answered with {what}"));
            }
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
}
