//! `make reliability`: a judge that drives the built server from outside and says what it saw. See
//! `docs/reliability.md` for the sections, the bounds and the figures.

#![forbid(unsafe_code)]

mod probe;
mod process;
mod report;
mod table;
mod wire;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::report::Report;

/// What a step answers, or why it could not be taken.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// What every section needs to know.
pub(crate) struct Settings {
    /// The binary that is judged.
    pub(crate) binary: String,
    /// Where stores and reports are kept between runs.
    pub(crate) folder: PathBuf,
}

impl Settings {
    /// The store that is copied for each fresh server.
    pub(crate) fn template(&self) -> PathBuf {
        self.folder.join("template")
    }
}

const USAGE: &str = "usage: reliability [--again] SECTION [ARGUMENT...]
  table [NAME...]       hostile inputs, each on a fresh server";

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
    };
    let mut report = Report::open(&settings.folder, &settings.binary, again)?;
    println!("binary {} ({})", settings.binary, report.binary());
    match section.as_str() {
        "table" => table::run(&settings, &mut report, rest)?,
        _ => return Err(USAGE.to_owned()),
    }
    Ok(report.failures())
}

/// Thousands of connections need as many open files.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
