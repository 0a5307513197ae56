//! Tests of Kazoo's messages, and comparisons with another validator.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must stop, and says why")]

mod bounds;
mod differential;
mod guards;
mod operator;
mod words;
