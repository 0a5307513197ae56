//! The client from outside: against a CouchDB, and against servers that misbehave.

// The helpers of tests are tests too, but clippy's settings know only functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attempts;
mod client;
mod faults;
mod feeds;
mod raw;
mod rows;
mod server;
mod standard;
