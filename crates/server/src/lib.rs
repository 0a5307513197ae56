//! crossbar-groups: Kazoo crossbar's groups API over HTTP, and its command line.
//!
//! A request goes through `pipeline`, which calls the `stage`s in crossbar's order and then a handler.
//! `catalogue` has the text of every refusal, and `answer` writes the envelopes. `commands` has the
//! subcommands of the binary.

#![forbid(unsafe_code)]

mod access_log;
mod answer;
mod app;
mod arguments;
mod budget;
mod catalogue;
pub mod cli;
mod commands;
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

/// An error and its sources in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        let words = source.to_string();
        // Some errors repeat their source's words.
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        below = source.source();
    }
    text
}
