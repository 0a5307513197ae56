//! Tokens and access, seen from outside, over each store.

// These are tests: a panic is how they report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod bootstrap;
mod caches;
mod credentials;
mod login;
mod mutations;
mod place;
mod prefixed;
mod read_only;
mod restrictions;
mod rounds;
mod secrecy;
mod support;
mod tokens;
