//! Change notices from outside: a store in a file, and a broker that can be down.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop, and says why"
)]

mod broker;
mod failover;
mod heard;
mod killed;
mod marks;
mod recorded;
mod world;
