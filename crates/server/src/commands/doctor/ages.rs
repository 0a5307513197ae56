//! The facts about the versions of design documents.

use auth::Registered;
use kazoo::SystemDb;

use super::super::deadline;
use super::account::Household;
use super::examined::Examined;
use super::known_design::KnownDesign;

/// The versions of an account's design documents.
pub(super) fn ages(examined: &Examined, household: &Household) -> Vec<String> {
    let age = |known: &KnownDesign| {
        let stored = household.designs.iter().find(|document| document.id() == known.id());
        known.age(stored)
    };
    examined.designs.iter().map(age).collect()
}

/// The version of the design document over all accounts.
pub(super) async fn ages_of_accounts(examined: &Examined) -> Vec<String> {
    let Ok(own) = auth::bootstrap::system_design() else { return Vec::new() };
    let known = KnownDesign::load(&*examined.store, Registered::Accounts, own).await;
    match examined.store.fetch(SystemDb::Accounts.name(), known.id(), deadline()).await {
        Ok(stored) => vec![known.age(Some(&stored))],
        Err(error) if error.is_not_found() => vec![known.age(None)],
        // Other checks tell that the store does not answer.
        Err(_) => Vec::new(),
    }
}
