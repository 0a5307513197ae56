//! Lists the sections of Kazoo's configuration documents, so that a slip in the name of a node or zone can be
//! reported.

use std::collections::BTreeSet;

use datastore::{Backend, Deadline, Result, if_found};
use kazoo::{Config, ConfigDocument, Sections, SystemDb};

/// How many sections are listed. A cluster has a few for each node and zone.
const MAX_SECTIONS: usize = 1_000;

/// Reads the names of all sections but `default`.
pub(crate) async fn load_sections(store: &dyn Backend, deadline: Deadline) -> Result<BTreeSet<String>> {
    let ids = ConfigDocument::ALL.map(ConfigDocument::id);
    let found = if_found(store.fetch_many(SystemDb::SystemConfig.name(), &ids, deadline).await)?;
    let mut sections = BTreeSet::new();
    for document in found.into_iter().flatten() {
        let Some(document) = if_found(document)? else { continue };
        let of_document = Sections::read(document.to_object()?);
        let names = of_document.iter().map(|(name, _)| name).filter(|name| *name != Config::DEFAULT);
        sections.extend(names.map(str::to_owned).take(MAX_SECTIONS.saturating_sub(sections.len())));
    }
    Ok(sections)
}
