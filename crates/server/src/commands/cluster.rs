//! What only a CouchDB can tell: the versions of its nodes, which are checked at the start, and how each node is
//! doing.

use couchdb::{Client, NodeFigures, Version};
use datastore::Deadline;

use super::{contact, health};
use crate::failure::Failure;
use crate::metrics::{Kind, Metrics, Reading, number_of_u64, one_if};

/// Refuses a CouchDB that is too old. A node that does not answer is no reason to stop: it may answer later.
pub(super) async fn check_versions(couchdb: &Client) -> Result<(), Failure> {
    for (address, version) in couchdb.versions(Deadline::after(health::PATIENCE)).await {
        match version {
            Ok(version) => {
                if let Some(name) = too_old(&version) {
                    return Err(Failure::setup(format!(
                        "{address} is {name}, which this server cannot use: it lacks what clusters and listings \
                         need. Name a CouchDB of version 2.3 or later with --store or CROSSBAR_GROUPS_STORE"
                    )));
                }
                log::info!(node = address.as_str(), version = version.version.as_str(); "found a CouchDB");
            }
            Err(error) if contact::is_no_root(&address, &error) => {
                return Err(contact::failure(&address, &error));
            }
            Err(error) => {
                log::warn!(node = address.as_str(); "the version of a CouchDB is not known: {}", crate::chain(&error));
            }
        }
    }
    Ok(())
}

/// The name of a server that is too old.
pub(super) fn too_old(version: &Version) -> Option<String> {
    if let Some(bigcouch) = &version.bigcouch {
        return Some(format!("BigCouch {bigcouch}"));
    }
    let major = version.version.split('.').next()?.parse::<u32>().ok()?;
    (major < 2).then(|| format!("CouchDB {}", version.version))
}

/// Registers the figures of the nodes. An embedded store has none.
pub(super) fn register(metrics: &Metrics, couchdb: Option<Client>) {
    let nodes = move || couchdb.as_ref().map(Client::node_figures).unwrap_or_default();
    let here = nodes.clone();
    let used = |node: NodeFigures| (node.address, one_if(node.is_well));
    metrics.read(Reading {
        name: "couchdb_node_used",
        help: "1 if requests may go to the node, 0 if it does not answer and is left out",
        kind: Kind::Gauge,
        label: "node",
        values: Box::new(move || here().into_iter().map(used).collect()),
    });
    metrics.read(Reading::one(
        "couchdb_writes_accepted",
        "Writes that CouchDB answered with 202: not every copy had them at that moment",
        Kind::Counter,
        // Not `sum` of the numbers: without a node it is -0.
        move || number_of_u64(nodes().iter().map(|node| node.accepted).sum()),
    ));
}

#[cfg(test)]
mod tests {
    use couchdb::Version;

    use super::too_old;

    fn check(text: &str, expected: Option<&str>) {
        let version: Version = serde_json::from_str(text).unwrap();
        assert_eq!(too_old(&version).as_deref(), expected, "{text}");
    }

    #[test]
    fn old_servers_are_named() {
        check(r#"{"couchdb":"Welcome","version":"1.6.1"}"#, Some("CouchDB 1.6.1"));
        check(r#"{"couchdb":"Welcome","version":"1.1.1","bigcouch":"0.4.2"}"#, Some("BigCouch 0.4.2"));
        check(r#"{"couchdb":"Welcome","version":"2.3.1","features":["pluggable"]}"#, None);
        check(r#"{"couchdb":"Welcome","version":"3.4.3"}"#, None);
        check(r#"{"couchdb":"Welcome","version":"10.0"}"#, None);
        check(r#"{"version":"unknown"}"#, None);
    }
}
