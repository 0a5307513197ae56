//! Tests of the embedded store through its public API.

// These are tests: a panic is how they report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod beside;
mod couch_views;
mod feed;
mod files;
mod format;
mod hostile;
mod index;
mod kill;
mod large;
mod layer;
mod limits;
mod model;
mod restore;
mod suite;
mod support;
mod sync;
mod writer;
