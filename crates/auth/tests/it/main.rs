//! Tests of tokens and access through the public interface, on each store.

// A test reports a failure by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod bootstrap;
mod caches;
mod changes;
mod credentials;
mod epochs;
mod keys;
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
