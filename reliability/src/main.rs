//! `make reliability`: a judge that drives the built server from outside and says what it saw. See
//! `docs/reliability.md` for the sections, the bounds and the figures.

#![forbid(unsafe_code)]

mod couch;
mod crowd;
mod dice;
mod fault;
mod faults;
mod files;
mod history;
mod limit;
mod overload;
mod page;
mod probe;
mod process;
mod proxy;
mod report;
mod settings;
mod short;
mod soak;
mod storm;
mod table;
mod wire;
mod world;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::faults::Extent;
use crate::files::Damages;
use crate::history::Length;
use crate::report::Report;
use crate::settings::{Outcome, Settings};

const USAGE: &str = "usage: reliability [--again] SECTION [ARGUMENT...]
  all                   every section in its full form, in 40 minutes at most
  short                 the short form, in a minute at most
  table [NAME...]       hostile inputs, each on a fresh server
  memory [MINUTES [NAME...]]
                        inputs together, with 512 MB
  faults [OPERATION...] faults between the server and CouchDB
  histories [KILLS [COUCHDB_KILLS]]
                        concurrent clients while servers are killed
  overload              more requests than a CouchDB can answer
  files [COUNT]         odd documents, damaged files, a full disk, a clock that jumps
  soak [MINUTES]        half of what the server can do, for minutes
  page                  print the report as Markdown
Rows that are in the report for the same binary are not measured again, unless --again is given.";

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            println!("{failures} rows failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("reliability: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<usize> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let again = arguments.iter().any(|argument| argument == "--again");
    arguments.retain(|argument| argument != "--again");
    let Some((section, rest)) = arguments.split_first() else { return Err(USAGE.to_owned()) };
    raise_open_files();
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let settings = Settings {
        binary: variable("CROSSBAR_GROUPS_BINARY", "target/release/crossbar-groups"),
        folder: PathBuf::from(variable("RELIABILITY_FOLDER", "target/reliability")),
        seed: variable("RELIABILITY_SEED", "1").parse().map_err(|_| "RELIABILITY_SEED is no number")?,
    };
    let mut report = Report::open(&settings.folder, &settings.binary, again)?;
    println!("binary {} ({})", settings.binary, report.binary());
    match section.as_str() {
        "table" => table::run(&settings, &mut report, rest)?,
        "faults" => faults::run(&settings, &mut report, Extent::Full, rest)?,
        "histories" => {
            let kills = number(rest.first(), 1_000)?;
            let couchdb_kills = number(rest.get(1), kills / 10)?;
            history::run(&settings, &mut report, Length { kills, couchdb_kills })?;
        }
        "all" => all(&settings, &mut report, again)?,
        "files" => files::run(&settings, &mut report, Damages(number(rest.first(), 60)?))?,
        "short" => short::run(&settings, &mut report)?,
        "page" => page::print(&report),
        "overload" => overload::run(&settings, &mut report)?,
        "memory" => {
            limit::run(&settings, &mut report, number(rest.first(), 10)?, rest.get(1..).unwrap_or_default())?
        }
        "soak" => soak::run(&settings, &mut report, number(rest.first(), 20)?)?,
        _ => return Err(USAGE.to_owned()),
    }
    Ok(report.failures())
}

/// Every section in its full form. The soak takes half of the machine, so the sections that measure no speed
/// run beside it.
fn all(settings: &Settings, report: &mut Report, again: bool) -> Outcome {
    table::run(settings, report, &[])?;
    limit::run(settings, report, 10, &[])?;
    overload::run(settings, report)?;
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut soak = Command::new(me);
    soak.args(again.then_some("--again")).arg("soak");
    let mut soak = soak.spawn().map_err(|error| format!("the soak does not start: {error}"))?;
    let beside = faults::run(settings, report, Extent::Full, &[])
        .and_then(|()| history::run(settings, report, Length { kills: 1_000, couchdb_kills: 100 }))
        .and_then(|()| files::run(settings, report, Damages(60)));
    let ended = soak.wait().map_err(|error| error.to_string())?;
    beside?;
    report.count_others(usize::from(!ended.success()));
    Ok(())
}

fn number(argument: Option<&String>, default: usize) -> Outcome<usize> {
    argument.map_or(Ok(default), |text| text.parse().map_err(|_| format!("{text:?} is no number")))
}

/// Thousands of connections need as many open files.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
