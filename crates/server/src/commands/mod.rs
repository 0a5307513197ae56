//! The commands of the binary, one file for each group of them.

pub(crate) mod accounts;
mod admin;
pub(crate) mod attach;
pub(crate) mod backup;
pub(crate) mod changes;
mod cluster;
pub(crate) mod compare;
pub(crate) mod config;
mod contact;
mod demo;
pub(crate) mod doctor;
mod drop_in;
mod exposure;
mod find;
mod first_look;
mod health;
pub(crate) mod healthcheck;
pub(crate) mod keys;
mod lines;
mod listening;
mod missing;
mod notices_in;
mod notices_out;
mod pages;
mod private_file;
mod progress;
mod read_only;
mod reload;
pub(crate) mod restore;
pub(crate) mod serve;
mod shadow_worker;
pub(crate) mod shell;
pub(crate) mod signals;
mod systemd;
mod table;
pub(crate) mod transfer;
pub(crate) mod users;

use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use datastore::{Backend, Deadline, StoreError};
use tokio::runtime::Runtime;

use crate::arguments::StoreArguments;
use crate::failure::Failure;
use crate::stack::{self, Opening};

/// How long a command waits for one answer of the store.
const PATIENCE: Duration = Duration::from_secs(60);

/// The threads of a command, or of the background tasks of `serve`.
const BACKGROUND_THREADS: usize = 2;

/// Opens the store and runs a command on it.
fn with_store<F, W>(arguments: &StoreArguments, opening: Opening, work: W) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
    W: FnOnce(Arc<dyn Backend>) -> F,
{
    let settings = arguments.settings()?;
    let stack = stack::build(&settings, opening, None, None)?;
    runtime("background", BACKGROUND_THREADS)?.block_on(async {
        contact::check(&stack, &settings.location, deadline()).await?;
        work(stack.store).await
    })
}

/// A runtime with its own threads.
fn runtime(name: &str, threads: usize) -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|error| Failure::setup(format!("cannot start threads: {error}")))
}

/// The deadline of a command's next call of the store.
fn deadline() -> Deadline {
    Deadline::after(PATIENCE)
}

/// Turns an error of the store into the failure of a command.
fn store_failure(what: &str) -> impl Fn(StoreError) -> Failure {
    move |error| Failure::run(format!("{what}: {}", crate::chain(&error)))
}

/// Prints a line on standard output.
fn say(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{line}")
        .map_err(|error| Failure::run(format!("cannot write the output: {error}")))
}

/// Prints a warning on standard error. The command goes on.
fn warn(line: &str) {
    tell(&format!("warning: {line}"));
}

/// Prints a line on standard error, beside the output.
fn tell(line: &str) {
    // A command whose lines there cannot be printed still does its work.
    let _ = writeln!(std::io::stderr(), "crossbar-groups: {line}");
}
