//! The first question of a command to a CouchDB: whether one is there, and lets this program in. A mistake in the
//! setting `store` is told in one line, before the command begins.

use std::error::Error as _;

use couchdb::{Client, Error};
use datastore::Deadline;
use kazoo::SystemDb;

use crate::failure::Failure;
use crate::settings::StoreLocation;
use crate::stack::Stack;

/// Where the address of the store can be mended.
const SETTING: &str = "the setting store (--store, CROSSBAR_GROUPS_STORE or the settings file)";

/// Refuses a CouchDB that a command cannot use. Of a cluster, one node that answers is enough. An embedded store is
/// checked when it is opened.
pub(super) async fn check(
    stack: &Stack,
    location: &StoreLocation,
    deadline: Deadline,
) -> Result<(), Failure> {
    let Some(couchdb) = &stack.couchdb else { return Ok(()) };
    let sessions = couchdb.sessions(deadline).await;
    let mut wrong = None;
    let mut unknown = None;
    for (address, session) in sessions {
        match session {
            Ok(user) if user.name.is_some() || user.is_server_admin() => return Ok(()),
            Ok(_) => unknown = Some(address),
            // A proxy may keep this question from CouchDB.
            Err(Error::Unexpected(_) | Error::Unreadable { .. } | Error::DatabaseMissing(_))
                if !has_path(&address) =>
            {
                unknown = Some(address);
            }
            Err(Error::Unauthorized(refusal)) if !location.holds_password() => {
                wrong = wrong.or_else(|| Some(no_login(&address, &refusal.reason)));
            }
            Err(error) => wrong = wrong.or_else(|| Some(failure(&address, &error))),
        }
    }
    match (unknown, wrong) {
        (Some(address), _) => check_databases(couchdb, &address, deadline).await,
        (None, Some(wrong)) => Err(wrong),
        (None, None) => Ok(()),
    }
}

/// Refuses a CouchDB that shows nothing to somebody without a name. Otherwise its databases would seem to be missing.
async fn check_databases(couchdb: &Client, address: &str, deadline: Deadline) -> Result<(), Failure> {
    let found = match couchdb.db_exists(SystemDb::Accounts.name(), deadline).await {
        Ok(true) => return Ok(()),
        Ok(false) => couchdb.list_dbs(deadline).await.map(drop),
        Err(error) => Err(error),
    };
    match found {
        Err(Error::Unauthorized(refusal) | Error::Forbidden(refusal)) => {
            Err(no_login(address, &refusal.reason))
        }
        Err(error @ (Error::Unexpected(_) | Error::Unreadable { .. })) => Err(failure(address, &error)),
        // What else is wrong shows in what the command asks for.
        _ => Ok(()),
    }
}

fn no_login(address: &str, reason: &str) -> Failure {
    Failure::setup(format!(
        "{address} wants a user and a password ({reason}): write them into {SETTING}, as in \
         http://USER:PASSWORD@HOST:5984"
    ))
}

/// Whether this answer to a question about the server means that the address has a path too many.
pub(super) fn is_no_root(address: &str, error: &Error) -> bool {
    let is_other = matches!(
        error,
        Error::DatabaseMissing(_) | Error::Missing(_) | Error::Unreadable { .. } | Error::Unexpected(_)
    );
    is_other && has_path(address)
}

/// Why a CouchDB cannot be used, and what to do. The cause is told once.
pub(super) fn failure(address: &str, error: &Error) -> Failure {
    let reason = error.refusal().map(|refusal| refusal.reason.as_str()).filter(|reason| !reason.is_empty());
    let reason = reason.map_or_else(|| root_cause(error), str::to_owned);
    if matches!(error, Error::Unavailable(_)) && !is_no_root(address, error) {
        return Failure::obstacle(format!("{address} cannot answer now ({reason}): try again later"));
    }
    Failure::setup(match error {
        Error::Unauthorized(_) => format!(
            "{address} refuses the user or the password ({reason}): check both in {SETTING}; write special \
             characters of a password percent-encoded, @ as %40"
        ),
        Error::Forbidden(_) => {
            format!("{address} does not let this user in ({reason}): check it in {SETTING}")
        }
        Error::Transport { reason: all, .. } if all.contains("dns error") => {
            format!("the host in {address} is not known ({reason}): check its name in {SETTING}")
        }
        Error::Transport { .. } if reason.contains("refused") => format!(
            "nobody listens at {address} ({reason}): start the CouchDB, or check the host and the port in {SETTING}"
        ),
        Error::Transport { .. } | Error::DeadlineExceeded(_) => format!(
            "{address} gives no answer ({reason}): see whether the CouchDB works, and check the host, the port and \
             http or https in {SETTING}"
        ),
        _ if is_no_root(address, error) => format!(
            "{address} is not the address of a CouchDB, but of something in it or beside it ({reason}): leave out \
             the path in {SETTING}"
        ),
        _ => format!("no CouchDB answers at {address} ({reason}): check the host and the port in {SETTING}"),
    })
}

/// The error at the bottom of an error. Those above it only say where it was met.
fn root_cause(error: &Error) -> String {
    let mut text = match error {
        Error::Transport { reason, source: None, .. } => reason.clone(),
        _ => error.to_string(),
    };
    let mut below = error.source();
    while let Some(source) = below {
        text = source.to_string();
        below = source.source();
    }
    text
}

fn has_path(address: &str) -> bool {
    address.split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
}
