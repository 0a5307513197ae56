//! The registry of checks: each has a name, what it reads, and a function. To add one, add a row.

use datastore::Document;
use futures::future::{self, BoxFuture, FutureExt as _};
use kazoo::AccountId;
use serde_json::{Map, Value};

use super::account::Household;
use super::ages::{ages, ages_of_accounts};
use super::examined::Examined;
use super::finding::Finding;
use super::of_accounts::{conflicts, cycles, entry, members, storage, views};
use super::of_groups::{clock, hidden, schema, size};
use super::of_store::{exchange, node_clocks, permissions, reachable, release_of, set_up, stored_schema};
use super::rights::{rights, rights_in_account};

/// A check.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) look: Look,
}

/// What a check looks at.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// The store, the brokers.
    Store(for<'a> fn(&'a Examined) -> BoxFuture<'a, Vec<Finding>>),
    /// One group.
    Group(fn(&Examined, &Document, &Map<String, Value>) -> Vec<Finding>),
    /// All groups of an account and the documents that they name.
    Account(fn(&Household) -> Vec<Finding>),
    /// An account, with further questions to the store.
    AccountInStore(for<'a> fn(&'a Examined, &'a AccountId, &'a Household) -> BoxFuture<'a, Vec<Finding>>),
    /// Facts about Kazoo's own databases. Nothing about them is wrong.
    StoreFacts(for<'a> fn(&'a Examined) -> BoxFuture<'a, Vec<String>>),
    /// Facts about an account. The report counts the accounts with the same fact.
    AccountFacts(fn(&Examined, &Household) -> Vec<String>),
}

const fn check(name: &'static str, look: Look) -> Check {
    Check { name, look }
}

/// Every check, in the order in which they are made.
pub(super) const CHECKS: &[Check] = &[
    check("reachable", Look::Store(|examined| reachable(examined).boxed())),
    check("set-up", Look::Store(|examined| set_up(examined).boxed())),
    check("permissions", Look::Store(|examined| future::ready(permissions(examined)).boxed())),
    check("rights", Look::Store(|examined| rights(examined).boxed())),
    check("node-clocks", Look::Store(|examined| node_clocks(examined).boxed())),
    check("release", Look::Store(|examined| future::ready(release_of(examined)).boxed())),
    check("stored-schema", Look::Store(|examined| future::ready(stored_schema(examined)).boxed())),
    check("notices", Look::Store(|examined| exchange(examined).boxed())),
    check("schema", Look::Group(schema)),
    check("size", Look::Group(size)),
    check("hidden", Look::Group(hidden)),
    check("clock", Look::Group(clock)),
    check("members", Look::Account(members)),
    check("cycles", Look::Account(cycles)),
    check("entry", Look::AccountInStore(|examined, account, _| entry(examined, account).boxed())),
    check("storage", Look::AccountInStore(|examined, account, _| storage(examined, account).boxed())),
    check("views", Look::AccountInStore(|examined, account, _| views(examined, account).boxed())),
    check(
        "db-rights",
        Look::AccountInStore(|examined, account, _| rights_in_account(examined, account).boxed()),
    ),
    check("view-ages", Look::AccountFacts(ages)),
    check("view-ages-system", Look::StoreFacts(|examined| ages_of_accounts(examined).boxed())),
    check(
        "conflicts",
        Look::AccountInStore(|examined, account, household| conflicts(examined, account, household).boxed()),
    ),
];

#[cfg(test)]
#[path = "checks_tests.rs"]
pub(super) mod tests;
