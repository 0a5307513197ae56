//! What the benches share: accounts in a store, a server over it, and clients that send plain HTTP.
//! The built binary is driven from outside. Of the project's crates only `plain_http` is used.

#![forbid(unsafe_code)]

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

pub mod client;
pub mod direct;
pub mod herd;
pub mod load;
pub mod server;
pub mod standin;

/// Says how a measurement went, and whether it is within its bound.
pub fn report(is_within: bool, text: &str) -> bool {
    println!("  {} {text}", if is_within { "ok  " } else { "OVER" });
    is_within
}

/// The binary to measure: `CROSSBAR_GROUPS_BINARY`, otherwise the release build.
#[must_use]
pub fn binary() -> String {
    std::env::var("CROSSBAR_GROUPS_BINARY").unwrap_or_else(|_| "target/release/crossbar-groups".to_owned())
}

/// Ids like those that Kazoo makes: 32 hex digits, in order here.
#[must_use]
pub fn id(number: usize) -> String {
    format!("{number:032x}")
}

/// An id as Kazoo makes them: 32 random hex digits.
#[must_use]
pub fn random_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The median, if there are values.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
