//! Lists the sections of Kazoo's configuration documents, so that a slip in the name of a node or zone can be
//! reported.

use std::collections::BTreeSet;

use datastore::{Backend, Deadline, DocId, Document, Result, if_found};
use kazoo::{SystemDb, is_deleted, is_private};

/// The documents of `system_config` that authentication reads.
const DOCUMENTS: [&str; 7] = [
    "accounts",
    "auth",
    "cluster",
    "crossbar",
    "crossbar.auth",
    "crossbar.token_restrictions",
    "token_buckets",
];

/// How many sections are listed. A cluster has a few for each node and zone.
const MAX_SECTIONS: usize = 1_000;

/// Reads the names of all sections but `default`.
pub(crate) async fn load_sections(store: &dyn Backend, deadline: Deadline) -> Result<BTreeSet<String>> {
    let ids = DOCUMENTS.map(|id| DocId::from_store(id.to_owned()));
    let found = if_found(store.fetch_many(SystemDb::SystemConfig.name(), &ids, deadline).await)?;
    let mut sections = BTreeSet::new();
    for document in found.into_iter().flatten() {
        let members = if_found(document)?.as_ref().map(Document::to_object).transpose()?.unwrap_or_default();
        if is_deleted(&members) {
            continue;
        }
        let names = members
            .into_iter()
            .filter(|(name, section)| section.is_object() && name != "default" && !is_private(name));
        sections.extend(names.map(|(name, _)| name).take(MAX_SECTIONS.saturating_sub(sections.len())));
    }
    Ok(sections)
}
