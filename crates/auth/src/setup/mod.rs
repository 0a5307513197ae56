//! Prepares a store: the signing key, accounts, users, and the views for logging in.

pub mod bootstrap;
