//! Looks for the signs of a release of Kazoo in its databases. It writes nothing.

use auth::{Registered, registrations};
use datastore::{Backend, DbName, Deadline, DocId, Result, StoreError, ViewQuery, if_found};
use futures::{StreamExt as _, future};
use kazoo::{AccountId, ConfigDocument, Sections, SystemDb, is_deleted};
use serde_json::{Map, Value};

use super::signs::{GROUPS_VIEW, NEWER_VIEW, Places, Signs, View};

/// How many documents of `accounts` are read to find accounts, and how many accounts' databases are looked at: while
/// Kazoo is upgraded, it changes one after the other.
const ACCOUNTS_TRIED: u64 = 20;
const ACCOUNTS_SEEN: usize = 3;

/// Looks for the signs.
pub(super) async fn signs(store: &dyn Backend, deadline: Deadline) -> Result<Signs> {
    let designs = [GROUPS_VIEW.design, NEWER_VIEW.design];
    let registered = registrations(store, Registered::Account, &designs, deadline);
    let config = document(store, SystemDb::SystemConfig, ConfigDocument::KappsMaintenance.id(), deadline);
    let schema = document(store, SystemDb::SystemSchemas, DocId::from_store("groups".to_owned()), deadline);
    let databases = future::try_join(
        store.db_exists(SystemDb::SystemData.name(), deadline),
        store.db_exists(SystemDb::SystemSchemas.name(), deadline),
    );
    let (registered, config, schema, (has_registry, has_schemas)) =
        future::try_join4(registered, config, schema, databases).await?;
    let registered = registered.unwrap_or_default();
    let has = |view: View| registered.iter().any(|found| found.defines(view.design, view.name));
    // The registry is one sign. The accounts' databases may be of another release.
    let (groups_in_account, newer_in_account) = in_accounts(store, deadline).await?;
    let places = |registry, account| Places { registry, account };
    let options = "/properties/music_on_hold/properties/options";
    Ok(Signs {
        has_kazoo_databases: has_registry || has_schemas || config.is_some(),
        groups_view: places(has(GROUPS_VIEW), groups_in_account),
        newer_view: places(has(NEWER_VIEW), newer_in_account),
        migrated_to: config.map(versions).unwrap_or_default(),
        has_newer_schema: schema.is_some_and(|schema| Value::Object(schema).pointer(options).is_some()),
    })
}

/// The version of each section of `system_config/kapps_maintenance`.
fn versions(config: Map<String, Value>) -> Vec<String> {
    let sections = Sections::read(config);
    let versions = sections.iter().filter_map(|(_, section)| section.get("migrate_current_version"));
    let versions = versions.filter_map(|version| match version {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    versions.collect()
}

/// A document of Kazoo's own databases, if it is there and not marked as deleted.
async fn document(
    store: &dyn Backend,
    db: SystemDb,
    id: DocId,
    deadline: Deadline,
) -> Result<Option<Map<String, Value>>> {
    let found = if_found(store.fetch(db.name(), &id, deadline).await)?;
    let members = found.map(|document| document.to_object()).transpose()?;
    Ok(members.filter(|members| !is_deleted(members)))
}

/// Whether the databases of some accounts have the two views.
async fn in_accounts(store: &dyn Backend, deadline: Deadline) -> Result<(bool, bool)> {
    let (mut groups, mut newer) = (false, false);
    for db in account_dbs(store, deadline).await? {
        let has = async |view: View| has_view(store, &db, view, deadline).await;
        let (has_groups, has_newer) = future::try_join(has(GROUPS_VIEW), has(NEWER_VIEW)).await?;
        groups |= has_groups;
        newer |= has_newer;
    }
    Ok((groups, newer))
}

/// The databases of some accounts.
async fn account_dbs(store: &dyn Backend, deadline: Deadline) -> Result<Vec<DbName>> {
    let query = ViewQuery { limit: Some(ACCOUNTS_TRIED), ..ViewQuery::all_docs() };
    let mut rows = match store.query(SystemDb::Accounts.name(), query, deadline).await {
        Ok(rows) => rows,
        Err(StoreError::DatabaseMissing(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next().await.transpose()? {
        if let Ok(id) = AccountId::parse(row.id.as_str()) {
            found.push(id.db());
        }
        if found.len() == ACCOUNTS_SEEN {
            break;
        }
    }
    Ok(found)
}

async fn has_view(store: &dyn Backend, db: &DbName, view: View, deadline: Deadline) -> Result<bool> {
    let id = DocId::from_store(format!("_design/{}", view.design));
    let Some(document) = if_found(store.fetch(db, &id, deadline).await)? else { return Ok(false) };
    let design = document.parse_members(|name| name == "views")?;
    Ok(design.get("views").and_then(|views| views.get(view.name)).is_some())
}
