//! Kazoo's tokens: verify, mint, and who may do what. Verifying never writes.
#![forbid(unsafe_code)]
