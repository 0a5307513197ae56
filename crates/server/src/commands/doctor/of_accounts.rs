//! The checks of one account.

use datastore::{StoreError, missing_views};
use futures::stream::{self, StreamExt as _};
use kazoo::{AccountId, Kind, SystemDb};

use super::super::deadline;
use super::account::{Household, MEMBER_KINDS, Named};
use super::examined::Examined;
use super::finding::Finding;

/// How many documents are asked for at once.
const AT_ONCE: usize = 8;

/// Members must exist and have a kind that Kazoo knows.
pub(super) fn members(household: &Household) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in &household.groups {
        for member in &group.members {
            let wrong = what_is_wrong(&member.id, &member.named, household.kind(&member.id));
            let finding = wrong.map(|(what, todo)| Finding::new(Some(group.id.as_str()), what, todo));
            findings.extend(finding);
        }
    }
    findings
}

/// What is wrong with a member, and what to do about it. `is` is the kind of the document with its id.
fn what_is_wrong(id: &str, named: &Named, is: Option<Kind>) -> Option<(String, &'static str)> {
    let is = is.map(Kind::as_str);
    match (named, is) {
        // Another check tells this.
        (Named::Null, _) => None,
        // Kazoo's cf_group tries it as a device and as a user.
        (Named::Nothing, Some("user" | "device")) => None,
        (Named::Nothing, Some(kind)) => Some((
            format!(
                "the member {id} has no type and is a {kind}, and Kazoo tries it as a device and as a user"
            ),
            "PATCH the member's type to what it is",
        )),
        (Named::Nothing, None) => Some((
            format!("the member {id} has no type, and there is no user, device or group with this id"),
            "remove the member, or restore it",
        )),
        (Named::Kind(word), _) if !MEMBER_KINDS.iter().any(|kind| kind.as_str() == word) => Some((
            format!("the member {id} has the type {word:?}, which Kazoo does not know"),
            "PATCH its type to user, device or group, or remove the member",
        )),
        (Named::Kind(word), Some(kind)) if kind == word => None,
        (Named::Kind(word), Some(kind)) => Some((
            format!("the member {id} is a {kind}, and the group calls it a {word}"),
            "PATCH the member's type to what it is",
        )),
        (Named::Kind(word), None) => Some((
            format!("the member {id} is a {word} that does not exist"),
            "remove the member, or restore it",
        )),
    }
}

/// Kazoo follows groups in groups without end.
pub(super) fn cycles(household: &Household) -> Vec<Finding> {
    let finding = |chain: Vec<&str>| {
        let what = format!("it contains itself: {} and again", chain.join(" > "));
        Finding::new(chain.first().copied(), what, "remove one of these groups from the one before it")
    };
    household.cycles().into_iter().map(finding).collect()
}

/// An account is in the database of all accounts.
pub(super) async fn entry(examined: &Examined, account: &AccountId) -> Vec<Finding> {
    match examined.store.fetch(SystemDb::Accounts.name(), &account.doc_id(), deadline()).await {
        Ok(_) => Vec::new(),
        Err(error) if error.is_not_found() => vec![Finding::new(
            None,
            "the account is not in the database accounts",
            "restore its document there, or delete the database of an account that is gone",
        )],
        Err(error) => vec![Finding::of_store(format!("its entry was not read: {}", crate::chain(&error)))],
    }
}

/// No storage plan puts the account elsewhere.
pub(super) async fn storage(examined: &Examined, account: &AccountId) -> Vec<Finding> {
    match examined.auth.foreign_connection(account, deadline()).await {
        Ok(None) => Vec::new(),
        Ok(Some(connection)) => vec![Finding::new(
            None,
            format!(
                "a storage plan in system_data keeps it on another server, the connection {connection:?}"
            ),
            "send the requests of this account to crossbar; this server refuses them",
        )],
        Err(error) => {
            vec![Finding::of_store(format!("the storage plans were not read: {}", crate::chain(&error)))]
        }
    }
}

/// The views of groups are there, or can be added.
pub(super) async fn views(examined: &Examined, account: &AccountId) -> Vec<Finding> {
    let design = groups::design_document();
    match missing_views(&*examined.store, &account.db(), &design, deadline()).await {
        Ok(missing) if missing.is_empty() => Vec::new(),
        Ok(missing) => vec![Finding::new(
            Some(design.id().as_str()),
            format!("views are missing: {}", missing.join(", ")),
            "run `views push` before the switch; otherwise the server adds them when a listing first needs them, and \
             that listing waits for the index",
        )],
        Err(error @ StoreError::Invalid(_)) => vec![Finding::new(
            Some(design.id().as_str()),
            crate::chain(&error),
            "restore the design document, in Kazoo with `sup kapps_maintenance refresh ACCOUNT_DATABASE`",
        )],
        Err(error) => vec![Finding::of_store(format!("its views were not read: {}", crate::chain(&error)))],
    }
}

/// A group has one content. Only a CouchDB can have others beside it.
pub(super) async fn conflicts(
    examined: &Examined,
    account: &AccountId,
    household: &Household,
) -> Vec<Finding> {
    let Some(couchdb) = &examined.couchdb else { return Vec::new() };
    let db = account.db();
    let mut asked = Vec::with_capacity(household.groups.len());
    for group in &household.groups {
        let (db, id) = (db.clone(), group.id.clone());
        asked.push(async move { (couchdb.other_leaves(&db, &id, deadline()).await, id) });
    }
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut findings = Vec::new();
    while let Some((leaves, id)) = answers.next().await {
        match leaves {
            Ok(0) => {}
            Ok(others) => findings.push(Finding::new(
                Some(id.as_str()),
                format!("replication has left {others} other contents of it"),
                "read it, save what it should be with POST, and delete the other leaves in CouchDB",
            )),
            // It was deleted meanwhile.
            Err(error) if error.is_not_found() => {}
            Err(error) => findings.push(Finding::of_store(format!("a group was not read: {error}"))),
        }
    }
    findings
}
