//! The layer before a store of the tests, which answers when the test says so, and before the embedded store.

// Helpers of tests may panic too, but clippy's settings only know functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod busy;
mod large;
mod slots;
mod store;
mod suite;
