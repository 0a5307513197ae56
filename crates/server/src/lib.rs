//! crossbar-groups: Kazoo crossbar's groups API over HTTP, and its command line.
//!
//! A request goes through `pipeline`, which calls the `stage`s in crossbar's order and then a handler.
//! `catalogue` has the text of every refusal, and `answer` writes the envelopes. `commands` has the
//! subcommands of the binary.
//!
//! A request:
//! - `http`: bodies in, responses out. `request`: what a request says: route, verb, parameters. `grammar`: HTTP's
//!   grammars;
//! - `pipeline`: the order of the checks. `stage`: one check each. `handlers`: one function for each resource and verb;
//! - `answer`: the envelope, CSV, indenting, gzip. `catalogue`: every refusal;
//! - `budget` and `cost`: the memory that requests may use, and what each takes. `allocator`: gives freed memory back to
//!   the system. `lane`: threads for dear work;
//! - `profile`: what differs between the releases of Kazoo, as values. `release`: which release a store belongs to.
//!
//! The server around it:
//! - `app`: the state that all requests share. `stack`: the stores, one before another. `writes`: whether the store can
//!   write. `supervisor`: background tasks;
//! - `access_log`: the line about each request. `refusals` and `connections`: what the log and the metrics say about
//!   refused callers and connections. `logging`: the log's formats, and the queue before it. `metrics`: counters and
//!   histograms;
//! - `counterpart`: asks another server, within bounds. `shadow`: copies of requests that are compared with another
//!   server.
//!
//! The program:
//! - `cli` and `arguments`: the command line. `usage`: command lines that cannot be read. `failure`: how a command
//!   fails;
//! - `settings`: each setting once. `kazoo_config`: settings from Kazoo's own configuration;
//! - `commands`: a file for each command, the background tasks of `serve`, and in `commands/pages` the pages of the admin
//!   listener;
//! - `fuzz` is what the fuzzers call.

#![forbid(unsafe_code)]

mod access_log;
mod allocator;
mod answer;
mod app;
mod arguments;
mod budget;
mod catalogue;
pub mod cli;
mod commands;
mod connections;
mod cost;
mod counterpart;
mod failure;
#[doc(hidden)]
pub mod fuzz;
mod grammar;
mod handlers;
mod http;
mod kazoo_config;
mod lane;
#[cfg(test)]
mod linear_tests;
mod logging;
mod metrics;
mod pipeline;
mod profile;
mod reading;
mod refusals;
mod release;
mod request;
mod settings;
mod shadow;
mod stack;
mod stage;
mod supervisor;
mod usage;
mod writes;

use std::error::Error;

/// The version of this program and the commit that it was built from, as far as the build knew it.
const VERSION: &str = env!("SHOWN_VERSION");

/// The commit that this program was built from, as far as the build knew it.
const COMMIT: &str = env!("SHOWN_COMMIT");

/// An error and its sources in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut below = error.source();
    while let Some(source) = below {
        let words = source.to_string();
        // Some errors repeat their source's words, and some sources those of the error above.
        if !text.contains(&words) && (last.is_empty() || !words.ends_with(&last)) {
            text.push_str(": ");
            text.push_str(&words);
        }
        last = words;
        below = source.source();
    }
    text
}
