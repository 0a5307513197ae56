//! Setting up a store: signing key, accounts, users, and the views that logging in needs.

pub mod bootstrap;
pub(crate) mod views;
