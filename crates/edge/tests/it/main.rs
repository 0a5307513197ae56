//! The edge from outside: a server with an echo behind it, over raw sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::string_slice,
    reason = "a test that cannot go on must stop, and says why"
)]

mod client;
mod echo;
mod pipelining;
mod slow_clients;
mod wire;
