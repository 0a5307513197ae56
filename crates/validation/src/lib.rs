//! Kazoo's JSON schemas through valico: violations and defaults in Kazoo's words.
#![forbid(unsafe_code)]
