//! The checks of what the users in the setting `store` may do. A server administrator may do everything. Another user
//! must be let in by each database.

use couchdb::{Client, Error, Right, Session};
use datastore::{DbName, missing_views};
use kazoo::{AccountId, SystemDb};

use super::super::deadline;
use super::examined::Examined;
use super::finding::Finding;

/// What to do about a user that is not let in.
pub(super) const LET_IN: &str = "name a server administrator in the setting store, or make the user a member of this \
     database (names or roles under members in its _security)";

/// The users that are no server administrators, each once.
fn others(examined: &Examined) -> Vec<&Session> {
    let mut others: Vec<&Session> = Vec::new();
    for session in examined.sessions.iter().filter_map(|(_, session)| session.as_ref().ok()) {
        if !session.is_server_admin() && !others.contains(&session) {
            others.push(session);
        }
    }
    others
}

/// The user's name.
fn name(session: &Session) -> String {
    session
        .name
        .as_ref()
        .map_or_else(|| "nobody, who is not logged in,".to_owned(), |name| format!("the user {name}"))
}

/// Each node says who the user is, and Kazoo's own databases let the user in.
pub(super) async fn rights(examined: &Examined) -> Vec<Finding> {
    let Some(couchdb) = &examined.couchdb else { return Vec::new() };
    let mut findings = Vec::new();
    for (address, session) in &examined.sessions {
        match session {
            // Another check tells these.
            Ok(_) | Err(Error::Transport { .. } | Error::DeadlineExceeded(_) | Error::Unauthorized(_)) => {}
            Err(error) => findings.push(Finding::new(
                None,
                format!("{address} does not say what its user may do: {}", crate::chain(error)),
                "let the proxy in front of CouchDB pass GET /_session",
            )),
        }
    }
    for session in others(examined) {
        for db in auth::databases().into_iter().chain([SystemDb::SystemSchemas.name().clone()]) {
            match right(couchdb, &db, session).await {
                Ok(Some(Right::None)) => findings.push(not_let_in(&db, session)),
                Ok(None) if db == *auth::own_db() => findings.push(Finding::new(
                    None,
                    format!("{} may not make the database {db}, which is missing, so nobody can log out", name(session)),
                    "name a server administrator in the setting store, let one make the database, or leave token_auth \
                     with crossbar",
                )),
                Ok(_) => {}
                Err(error) => findings.push(Finding::of_store(not_read(&db, &error))),
            }
        }
    }
    findings
}

/// An account's database lets the user add views, if some are missing. Other checks tell that it does not let the user
/// in at all.
pub(super) async fn rights_in_account(examined: &Examined, account: &AccountId) -> Vec<Finding> {
    let Some(couchdb) = &examined.couchdb else { return Vec::new() };
    let (db, mut findings) = (account.db(), Vec::new());
    for session in others(examined) {
        match right(couchdb, &db, session).await {
            Ok(Some(Right::Member)) if lacks_views(examined, &db).await => findings.push(Finding::new(
                None,
                format!("{} may not add the views that are missing in this database", name(session)),
                "name a server administrator in the setting store, or make the user an administrator of this database \
                 (names or roles under admins in its _security), or run `views push` as one",
            )),
            Ok(Some(Right::None)) => findings.push(not_let_in(&db, session)),
            Ok(_) => {}
            Err(error) => findings.push(Finding::of_store(not_read(&db, &error))),
        }
    }
    findings
}

async fn lacks_views(examined: &Examined, db: &DbName) -> bool {
    let missing = missing_views(&*examined.store, db, &groups::design_document(), deadline()).await;
    missing.is_ok_and(|missing| !missing.is_empty())
}

/// What a user may do with a database. `None` if there is no such database.
async fn right(couchdb: &Client, db: &DbName, session: &Session) -> Result<Option<Right>, Error> {
    match couchdb.security(db, deadline()).await {
        Ok(security) => Ok(Some(security.right_of(session))),
        // Only members may read it.
        Err(Error::Forbidden(_) | Error::Unauthorized(_)) => Ok(Some(Right::None)),
        Err(Error::DatabaseMissing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn not_let_in(db: &DbName, session: &Session) -> Finding {
    Finding::new(None, format!("the database {db} does not let {} in", name(session)), LET_IN)
}

fn not_read(db: &DbName, error: &Error) -> String {
    format!("the rights in the database {db} were not read: {}", crate::chain(error))
}

#[cfg(test)]
#[path = "rights_tests.rs"]
mod tests;
