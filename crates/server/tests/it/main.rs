//! The server from outside: the built binary, over a socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::string_slice,
    reason = "a test that cannot go on must stop, and says why"
)]

mod access;
mod account;
mod accounts;
mod administering;
mod beside;
mod bounds;
mod broker;
mod commands;
mod compare;
mod compatibility;
mod compose;
mod conformance;
mod contract;
mod contract_answers;
mod contract_auth;
mod contract_session;
mod deep;
mod documentation;
mod edge;
mod fuzz;
mod http_client;
mod kazoo_4_3;
mod large;
mod links;
mod mistakes;
mod moving;
mod neighbour;
mod notice_figures;
mod old_designs;
mod operating;
mod packaging;
mod pages;
mod partial_stores;
mod process;
mod proxy;
mod rates;
mod readiness;
mod release;
mod result_matrix;
mod secrets;
mod seed;
mod serving;
mod shadow;
mod signals;
mod store_in_use;
mod telling;
mod tokens;
mod writers;
