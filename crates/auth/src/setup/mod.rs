//! Prepares a store and changes what is in it: the signing keys, accounts, users, and the views for logging in.

pub mod bootstrap;
pub mod changes;
mod find;
pub mod keys;
mod stamps;
