//! Validation from outside: Kazoo's words, and the same verdicts as another validator.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must stop, and says why")]

mod differential;
mod guards;
mod words;
