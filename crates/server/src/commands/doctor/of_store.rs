//! The checks of the store, of the settings and of the brokers.

use datastore::StoreError;
use groups::SchemaSource;
use jiff::Timestamp;
use notices::{Amqp, Brokers as _};

use super::super::{cluster, deadline, exposure, missing};
use super::examined::Examined;
use super::finding::Finding;
use crate::release;

/// How far the clocks of this machine and of a node of CouchDB may be apart, in seconds.
const NODE_PATIENCE: i64 = 5;

/// No other user of the machine can open the files of an embedded store, or a settings file with a password.
pub(super) fn permissions(examined: &Examined) -> Vec<Finding> {
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
pub(super) async fn node_clocks(examined: &Examined) -> Vec<Finding> {
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
pub(super) async fn reachable(examined: &Examined) -> Vec<Finding> {
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
pub(super) async fn set_up(examined: &Examined) -> Vec<Finding> {
    match missing::documents(&*examined.store, &std::collections::BTreeSet::new()).await {
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
pub(super) fn release_of(examined: &Examined) -> Vec<Finding> {
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
pub(super) fn stored_schema(examined: &Examined) -> Vec<Finding> {
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

/// Whether the user of the broker may send change notices. None is sent for this.
async fn writing(brokers: &Amqp, number: usize) -> Option<Finding> {
    let name = brokers.name(number);
    match brokers.may_write(number).await {
        Ok(true) => None,
        Ok(false) => Some(Finding::new(
            None,
            format!("{name} does not let its user write to the exchange for change notices"),
            "give the user the right to write to the exchange configuration, in RabbitMQ with `rabbitmqctl set_permissions`",
        )),
        Err(error) => Some(Finding::new(
            None,
            format!(
                "it is not known whether {name} lets its user write to the exchange for change notices: {error}"
            ),
            "see that the broker runs, and run doctor again",
        )),
    }
}

/// The brokers have Kazoo's exchange, and let the user write to it.
pub(super) async fn exchange(examined: &Examined) -> Vec<Finding> {
    let brokers = &examined.brokers;
    let mut findings = Vec::new();
    for number in 0..brokers.count() {
        let name = brokers.name(number);
        match brokers.has_exchange(number).await {
            Ok(true) => findings.extend(writing(brokers, number).await),
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

#[cfg(test)]
#[path = "of_store_tests.rs"]
mod tests;
