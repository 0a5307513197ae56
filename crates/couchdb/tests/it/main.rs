//! Tests of the client through its public methods, against a CouchDB and against servers that misbehave.

// Helpers of tests may panic too, but clippy's settings only know functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attempts;
mod client;
mod cluster;
mod faults;
mod feeds;
mod large;
mod leaves;
mod login;
mod outcomes;
mod plain;
mod raw;
mod rows;
mod server;
mod standard;
mod together;
