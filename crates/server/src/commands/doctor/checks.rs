//! The registry of checks: each has a name, what it reads, and a function. To add one, add a row.

use datastore::{Document, StoreError, missing_views};
use futures::future::{self, BoxFuture, FutureExt as _};
use futures::stream::{self, StreamExt as _};
use groups::SchemaSource;
use jiff::Timestamp;
use kazoo::{AccountId, Kind, SystemDb, Time, is_private, member, term};
use notices::Brokers as _;
use serde_json::{Map, Value};

use super::super::{cluster, deadline, exposure, lacking};
use super::account::{Household, MEMBER_KINDS};
use super::examined::Examined;
use super::finding::Finding;
use crate::release;

/// How many documents are asked for at once.
const AT_ONCE: usize = 8;

/// A time of a document may be so far ahead of this machine's clock, in seconds.
const CLOCK_PATIENCE: i64 = 3600;

/// How far the clocks of this machine and of a node of CouchDB may be apart, in seconds.
const NODE_PATIENCE: i64 = 5;

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
}

const fn check(name: &'static str, look: Look) -> Check {
    Check { name, look }
}

/// Every check, in the order in which they are made.
pub(super) const CHECKS: &[Check] = &[
    check("reachable", Look::Store(|examined| reachable(examined).boxed())),
    check("set-up", Look::Store(|examined| set_up(examined).boxed())),
    check("permissions", Look::Store(|examined| future::ready(permissions(examined)).boxed())),
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
        "conflicts",
        Look::AccountInStore(|examined, account, household| conflicts(examined, account, household).boxed()),
    ),
];

/// No other user of the machine can open the files of an embedded store, or a settings file with a password.
fn permissions(examined: &Examined) -> Vec<Finding> {
    let files = examined.file.as_deref().map(exposure::open_files).unwrap_or_default();
    let finding = |(path, mode): (std::path::PathBuf, u32)| {
        let path = path.display();
        let what = format!("other users of this machine can open {path}, which holds keys (mode {mode:o})");
        Finding::new(None, what, &format!("run chmod 600 {path}"))
    };
    let settings = examined.file_with_secret.as_deref().and_then(|path| {
        let mode = exposure::mode_if_all_can_read(path)?;
        let path = path.display();
        let what =
            format!("every user of this machine can read {path}, which holds a password (mode {mode:o})");
        Some(Finding::new(None, what, &format!("run chmod o-rwx {path}")))
    });
    files.into_iter().map(finding).chain(settings).collect()
}

/// The clock of each node of CouchDB goes as this machine's does: tokens and the times in documents depend on it.
async fn node_clocks(examined: &Examined) -> Vec<Finding> {
    let Some(couchdb) = &examined.couchdb else { return Vec::new() };
    let before = Timestamp::now().as_second();
    let dates = couchdb.dates(deadline()).await;
    let after = Timestamp::now().as_second();
    let finding = |(address, date): (String, Result<Option<String>, couchdb::Error>)| {
        // Another check tells that a node does not answer.
        let apart = seconds_apart(&date.ok()??, before, after).filter(|apart| *apart > NODE_PATIENCE)?;
        let what = format!("the clock of {address} and the clock of this machine are {apart} seconds apart");
        Some(Finding::new(None, what, "let NTP set the clocks of both machines"))
    };
    dates.into_iter().filter_map(finding).collect()
}

/// How far a date of HTTP is from the time between two moments, in seconds. `None` if it is not readable.
fn seconds_apart(date: &str, before: i64, after: i64) -> Option<i64> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?.as_second();
    Some(before.saturating_sub(date).max(date.saturating_sub(after)).max(0))
}

/// The store answers and lets this server in, and no node is too old.
async fn reachable(examined: &Examined) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(couchdb) = &examined.couchdb {
        for (address, version) in couchdb.versions(deadline()).await {
            match version.map(|version| cluster::too_old(&version)) {
                Ok(None) => {}
                Ok(Some(name)) => findings.push(Finding::new(
                    None,
                    format!("{address} is {name}"),
                    "use CouchDB 2.3 or later",
                )),
                Err(error) => findings.push(Finding::new(
                    None,
                    format!("{address} does not answer: {}", crate::chain(&error)),
                    "see that this node of CouchDB runs, and that the address in the setting store leads to it",
                )),
            }
        }
    }
    if let Err(error) = examined.store.list_dbs(deadline()).await {
        let todo = match error {
            StoreError::Unauthorized(_) | StoreError::Forbidden(_) => {
                "check the user and the password in the setting store: the user must be a server administrator"
            }
            _ => "see that the store runs, and that the setting store leads to it",
        };
        findings.push(Finding::new(
            None,
            format!("the databases were not listed: {}", crate::chain(&error)),
            todo,
        ));
    }
    findings
}

/// There is what tokens are checked with.
async fn set_up(examined: &Examined) -> Vec<Finding> {
    match lacking::documents(&*examined.store, &std::collections::BTreeSet::new()).await {
        Ok(lines) => {
            let finding = |line: String| match line.split_once(": ") {
                Some((what, todo)) => Finding::new(None, what, todo),
                None => Finding::new(None, line, "import it"),
            };
            lines.into_iter().map(finding).collect()
        }
        Err(error) => {
            vec![Finding::of_store(format!("the configuration was not read: {}", crate::chain(&error)))]
        }
    }
}

/// The store belongs to a release of Kazoo that this server can stand in for, and it shows which.
fn release_of(examined: &Examined) -> Vec<Finding> {
    let found = match &examined.release {
        Ok(found) => found,
        Err(error) => {
            return vec![Finding::of_store(format!("the release was not read: {}", crate::chain(error)))];
        }
    };
    if matches!(examined.profile, release::ProfileSetting::Named(_)) {
        return Vec::new();
    }
    let todo = match found.release() {
        Err(_) => {
            "do not run this server beside it; if the signs are wrong, name the release in the setting profile"
        }
        Ok(_) if matches!(found, release::Finding::Unclear { .. }) => {
            "set profile to 4.3 or 5.0; without it the server behaves as 5.0"
        }
        Ok(_) => return Vec::new(),
    };
    vec![Finding::new(None, found.to_string(), todo)]
}

/// A schema that an operator has stored can be used.
fn stored_schema(examined: &Examined) -> Vec<Finding> {
    match &examined.schema_source {
        Ok(SchemaSource::BuiltIn | SchemaSource::Stored) => Vec::new(),
        Ok(SchemaSource::Unusable(error)) => vec![Finding::new(
            Some("groups"),
            format!("the schema in system_schemas cannot be used: {error}"),
            "take out what is named; until then groups are validated by the built-in schema, and not as Kazoo does",
        )],
        Err(error) => {
            vec![Finding::of_store(format!("the schema of groups was not read: {}", crate::chain(error)))]
        }
    }
}

/// The brokers have Kazoo's exchange.
async fn exchange(examined: &Examined) -> Vec<Finding> {
    let brokers = &examined.brokers;
    let mut findings = Vec::new();
    for number in 0..brokers.count() {
        let name = brokers.name(number);
        match brokers.has_exchange(number).await {
            Ok(true) => {}
            Ok(false) => findings.push(Finding::new(
                None,
                format!("{name} has no exchange for change notices"),
                "see that it is the broker of Kazoo's own zone, and that a Kazoo node is connected to it; the server \
                 declares the exchange when it needs it",
            )),
            Err(error) => findings.push(Finding::new(
                None,
                format!("{name} cannot be used: {error}"),
                "see that the broker runs, and check the user, the password and the virtual host in the setting amqp",
            )),
        }
    }
    findings
}

/// A group must pass the checks that its next save makes.
fn schema(examined: &Examined, document: &Document, members: &Map<String, Value>) -> Vec<Finding> {
    let public = members.iter().filter(|(name, _)| !is_private(name) && *name != "id");
    let mut public: Map<_, _> = public.map(|(name, value)| (name.clone(), value.clone())).collect();
    let Err(violations) = examined.schema.check(&mut public) else { return Vec::new() };
    let fields = serde_json::to_string(&violations.to_value()).unwrap_or_default();
    let what = format!("it does not validate: {fields}");
    let todo =
        "its next change is refused until these members are mended: PATCH them to values that are allowed";
    vec![Finding::new(Some(document.id().as_str()), what, todo)]
}

/// A group must fit into a request.
fn size(examined: &Examined, document: &Document, _: &Map<String, Value>) -> Vec<Finding> {
    let bytes = u64::try_from(document.text().len()).unwrap_or(u64::MAX);
    if bytes <= examined.max_body_bytes {
        return Vec::new();
    }
    let what = format!("it has {bytes} bytes, more than a request may have");
    vec![Finding::new(
        Some(document.id().as_str()),
        what,
        "remove members that nobody needs, or raise the setting max_body_bytes",
    )]
}

/// Kazoo's views fail on null members and leave the group out of listings.
fn hidden(_: &Examined, document: &Document, members: &Map<String, Value>) -> Vec<Finding> {
    let mut nulls = Vec::new();
    for name in ["endpoints", "smartpbx", "music_on_hold"] {
        match members.get(name) {
            Some(Value::Null) => nulls.push(name.to_owned()),
            Some(Value::Object(inner)) if name != "music_on_hold" => {
                let null = inner.iter().filter(|(_, value)| value.is_null());
                nulls.extend(null.map(|(key, _)| format!("{name}.{key}")));
            }
            _ => {}
        }
    }
    if nulls.is_empty() {
        return Vec::new();
    }
    let what =
        format!("Kazoo's views may leave it out, because these members are null: {}", nulls.join(", "));
    vec![Finding::new(
        Some(document.id().as_str()),
        what,
        "replace them by POST, with objects or without these members",
    )]
}

/// Times must not lie in the future.
fn clock(_: &Examined, document: &Document, members: &Map<String, Value>) -> Vec<Finding> {
    let latest = Time::now().gregorian_seconds().saturating_add(CLOCK_PATIENCE);
    let times =
        [member::CREATED, member::MODIFIED].iter().filter_map(|name| term::to_integer(members.get(*name)?));
    if times.max().is_none_or(|time| time <= i128::from(latest)) {
        return Vec::new();
    }
    let what = "it was written in the future, by the clock of this machine";
    vec![Finding::new(
        Some(document.id().as_str()),
        what,
        "compare the clocks of all machines that write to the store",
    )]
}

/// Members must exist and have a kind that Kazoo knows.
fn members(household: &Household) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in &household.groups {
        let mut tell = |what: String, todo: &str| {
            findings.push(Finding::new(Some(group.id.as_str()), what, todo));
        };
        for (id, word) in &group.members {
            if !MEMBER_KINDS.iter().any(|kind| kind.as_str() == word) {
                tell(
                    format!("the member {id} has the type {word:?}, which Kazoo does not know"),
                    "PATCH its type to user, device or group, or remove the member",
                );
            } else {
                match household.kind(id).map(Kind::as_str) {
                    Some(kind) if kind == word => {}
                    Some(kind) => tell(
                        format!("the member {id} is a {kind}, and the group calls it a {word}"),
                        "PATCH the member's type to what it is",
                    ),
                    None => tell(
                        format!("the member {id} is a {word} that does not exist"),
                        "remove the member, or restore it",
                    ),
                }
            }
        }
    }
    findings
}

/// Kazoo follows groups in groups without end.
fn cycles(household: &Household) -> Vec<Finding> {
    let finding = |chain: Vec<&str>| {
        let what = format!("it contains itself: {} and again", chain.join(" > "));
        Finding::new(chain.first().copied(), what, "remove one of these groups from the one before it")
    };
    household.cycles().into_iter().map(finding).collect()
}

/// An account is in the database of all accounts.
async fn entry(examined: &Examined, account: &AccountId) -> Vec<Finding> {
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
async fn storage(examined: &Examined, account: &AccountId) -> Vec<Finding> {
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
async fn views(examined: &Examined, account: &AccountId) -> Vec<Finding> {
    let design = groups::design_document();
    match missing_views(&*examined.store, &account.db(), &design, deadline()).await {
        Ok(missing) if missing.is_empty() => Vec::new(),
        Ok(missing) => vec![Finding::new(
            Some(design.id().as_str()),
            format!("views are missing: {}", missing.join(", ")),
            "nothing: the server adds them when a listing first needs them, which takes as long as the index",
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
async fn conflicts(examined: &Examined, account: &AccountId, household: &Household) -> Vec<Finding> {
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

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
