//! Tests of the cache through its public methods: the suite of behaviours on both stores, and a store that answers
//! and tells when the test says so.

// Helpers of tests may panic too, but clippy's settings only know functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod own_writes;
mod scripted;
mod suite;
mod told;
