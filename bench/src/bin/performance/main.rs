//! How fast the server is, against limits that are measured in the same run: a bare actix server that answers
//! a fixed body, CouchDB asked directly, SQLite's own commits. `docs/performance.md` says how to read the
//! results and how to repeat them.
//!
//! All measurements are made in rounds. Each round measures everything once, so that all of it meets the same
//! machine, and the medians of the rounds count.

mod ceiling;
mod cells;
mod couch;
mod measured;
mod plot;
mod report;
mod rest;
mod single;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use bench::server::{Account, Served};
use bench::{binary, median};

use crate::ceiling::Ceiling;
use crate::cells::{Cell, Subject};
use crate::couch::Couch;
use crate::measured::Measured;
use crate::report::Results;
use bench::load::{Speed, Tools};

/// How many groups a page has.
const PAGE: usize = 50;
/// A group for each client that writes.
const WRITERS: usize = 128;

/// What the command line says.
struct Options {
    rounds: usize,
    duration: Duration,
    /// The folder with the page that gets the results.
    docs: Option<PathBuf>,
    /// Only these requests are measured, as the tables name them. None: everything is.
    rows: Vec<String>,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { rounds: 5, duration: Duration::from_secs(1), docs: None, rows: Vec::new() };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
            match name.as_str() {
                "--rounds" => options.rounds = value.parse().expect("a number of rounds"),
                "--seconds" => options.duration = Duration::from_secs(value.parse().expect("whole seconds")),
                "--docs" => options.docs = Some(value.into()),
                "--row" => options.rows.push(value),
                _ => panic!(
                    "{name} is unknown; there are --rounds N, --seconds N, --docs FOLDER and --row NAME"
                ),
            }
        }
        assert!(
            options.docs.is_none() || options.rows.is_empty(),
            "--docs writes all results: leave --row out"
        );
        options
    }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(ceiling::MODE) {
        ceiling::serve();
        return ExitCode::SUCCESS;
    }
    let options = Options::read();
    let folder = std::env::temp_dir().join(format!("bench-performance-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let results = measure(&options, &folder);
    std::fs::remove_dir_all(&folder).expect("the folder is gone");
    let is_good = results.print();
    if let Some(docs) = &options.docs {
        results.write(docs);
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(options: &Options, folder: &Path) -> Results {
    let binary = &binary();
    let is_part = !options.rows.is_empty();
    let couchdb_url = std::env::var("COUCHDB_URL").ok().filter(|url| !url.is_empty());
    let file = |name: &str| format!("sqlite:{}", folder.join(name).display());
    let mut subjects = Vec::new();
    for (number, (name, settings)) in servers(binary).into_iter().enumerate() {
        let store = file(&format!("store-{number}.db"));
        let accounts = fill(binary, &store);
        subjects.push(subject(binary, &store, ("embedded", name), settings, &accounts));
    }
    let mut couch = None;
    if let Some(url) = &couchdb_url {
        let accounts = fill(binary, url);
        for (name, settings) in servers(binary) {
            subjects.push(subject(binary, url, ("CouchDB", name), settings, &accounts));
        }
        couch = Some(Couch::new(url, &accounts[0], &accounts[1]));
    }
    for subject in &subjects {
        for account in [&subject.read, &subject.write, &subject.many] {
            single::wait_for(&subject.served, &account.path(""), account);
            single::wait_for(&subject.served, &account.path("/by-user"), account);
        }
    }

    let sqlite = folder.join("limit.db").display().to_string();
    let measured = {
        let (tools, ceiling) = (Tools::find(folder), Ceiling::start());
        let mut cells = cells::all(&subjects, &ceiling, couch.as_ref(), &sqlite);
        if is_part {
            cells.retain(|cell| options.rows.iter().any(|row| row == cell.row));
            assert!(!cells.is_empty(), "no request has this name: {:?}", options.rows);
        }
        in_rounds(&cells, &tools, options, &subjects)
    };
    let stores = match (is_part, couch.is_some()) {
        (true, _) => &[][..],
        (false, true) => &["embedded", "CouchDB"],
        (false, false) => &["embedded"],
    };
    let default = |store: &str| subjects.iter().find(|subject| subject.column == store).expect("a subject");
    let without_cache = |store: &str| {
        let name = format!("{store}{}", report::CACHE_OFF);
        subjects.iter().find(|subject| subject.column == name).unwrap_or_else(|| default(store))
    };
    let many = stores.iter().map(|store| {
        let couch = couch.as_ref().filter(|_| *store == "CouchDB");
        (*store, single::many(default(store), without_cache(store), couch))
    });
    let many = many.collect();
    let raced = stores.iter().map(|store| {
        let Subject { served, write, .. } = default(store);
        (*store, single::race(served, write))
    });
    let raced = raced.collect();

    let has_cache = servers(binary).len() > 1;
    // The servers on CouchDB share its accounts.
    let shared = if couch.is_some() { subjects.pop() } else { None };
    subjects.into_iter().for_each(|subject| subject.served.stop());
    if let (Some(shared), Some(url)) = (shared, &couchdb_url) {
        shared.served.stop();
        [shared.read, shared.write, shared.many].iter().for_each(|account| account.remove(url));
    }
    let memory_kb =
        (!is_part).then(|| single::memory(binary, couchdb_url.as_deref().unwrap_or(&file("memory.db"))));
    Results {
        measured,
        many,
        raced,
        memory_kb,
        has_cache,
        rounds: options.rounds,
        duration: options.duration,
    }
}

/// The settings that are measured: the default ones, and without a cache if the server has one.
fn servers(binary: &str) -> Vec<(&'static str, &'static [&'static str])> {
    let help = Command::new(binary).args(["serve", "--help"]).output().expect("the binary is there");
    let mut servers: Vec<(_, &[_])> = vec![("", &[])];
    if String::from_utf8_lossy(&help.stdout).contains("--cache ") {
        servers.push((report::CACHE_OFF, &["--cache", "off"]));
    }
    servers
}

/// The accounts of a store: for reads, for writes, and one with many groups.
fn fill(binary: &str, store: &str) -> [Account; 3] {
    [("read", PAGE), ("write", WRITERS), ("many", single::MANY)]
        .map(|(name, groups)| Account::fill(binary, store, name, groups))
}

fn subject(
    binary: &str,
    store: &str,
    (kind, name): (&str, &str),
    settings: &[&str],
    accounts: &[Account; 3],
) -> Subject {
    let [read, write, many] = accounts.clone();
    let served = Served::start_with(binary, store, settings);
    Subject { column: format!("{kind}{name}"), served, read, write, many }
}

/// The samples of one cell.
#[derive(Default)]
struct Samples {
    speeds: Vec<Speed>,
    of_oha: Vec<Speed>,
    /// Processor time for each answer, in microseconds.
    processor: Vec<f64>,
    resident_kb: u64,
}

/// Measures all cells in turn, round by round. The first round is a warm-up that does not count.
fn in_rounds(cells: &[Cell<'_>], tools: &Tools, options: &Options, subjects: &[Subject]) -> Vec<Measured> {
    let mut samples: Vec<Samples> = cells.iter().map(|_| Samples::default()).collect();
    for round in 0..=options.rounds {
        eprintln!("round {round} of {}{}", options.rounds, if round == 0 { ", a warm-up" } else { "" });
        let mut in_turn: Vec<_> = cells.iter().zip(&mut samples).collect();
        if round % 2 == 1 {
            // What one measurement leaves behind must not always meet the same other one. Writes still come last: CouchDB
            // brings its views up to date some seconds after them.
            in_turn.chunk_by_mut(|one, next| one.0.row == next.0.row).for_each(<[_]>::reverse);
        }
        for (cell, samples) in in_turn {
            let used = || cell.served.map_or(0.0, Served::processor_seconds);
            let before = used();
            let speed = cell.measure(tools, options.duration);
            let processor = (used() - before) * 1e6 / (speed.rate * options.duration.as_secs_f64());
            let of_oha = cell.measure_with_oha(tools, options.duration);
            if round > 0 {
                samples.speeds.push(speed);
                samples.processor.push(processor);
                samples.of_oha.extend(of_oha);
                samples.resident_kb = cell.served.map_or(0, Served::resident_kb);
            }
        }
        subjects.iter().for_each(|subject| subject.served.clear_log());
        rest::until_idle();
    }
    cells.iter().zip(samples).map(|(cell, samples)| measured(cell, samples)).collect()
}

fn measured(cell: &Cell<'_>, samples: Samples) -> Measured {
    let Samples { speeds, of_oha, processor, resident_kb } = samples;
    // oha's percentiles are exact.
    let timed = if of_oha.is_empty() { &speeds } else { &of_oha };
    let percentile = |place: usize| {
        median(timed.iter().map(|speed| speed.percentiles[place]).collect()).expect("a sample")
    };
    Measured {
        row: cell.row,
        column: cell.column.to_owned(),
        connections: cell.connections,
        percentiles: [0, 1, 2].map(percentile),
        rates: speeds.iter().map(|speed| speed.rate).collect(),
        refused: median(speeds.iter().map(|speed| speed.refused).collect()).expect("a sample"),
        rate_of_oha: median(of_oha.iter().map(|speed| speed.rate).collect()),
        processor_us: cell.served.and(median(processor)),
        resident_kb: cell.served.map(|_| resident_kb),
    }
}
