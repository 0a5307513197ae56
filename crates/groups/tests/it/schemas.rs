//! The schema that an operator has stored in `system_schemas`.

use std::sync::Arc;

use datastore::{Databases as _, DbName, DocId, Draft, Store as _};
use groups::{GroupsError, SchemaSource, load_schema};
use serde_json::{Value, json};

use crate::support::{Place, object, soon};

fn db() -> DbName {
    DbName::parse("system_schemas").unwrap()
}

/// Stores a schema in place of the one that is there.
async fn store(place: &Place, schema: Value) {
    let id = DocId::parse("groups").unwrap();
    place.store.create_db(&db(), soon()).await.ok();
    let base = place.store.fetch(&db(), &id, soon()).await.ok().map(|document| document.rev().clone());
    place.store.save(&db(), Draft { id, base, body: object(schema) }, soon()).await.unwrap();
}

async fn violations(place: &Place, data: Value) -> Vec<String> {
    // Somebody tells the change. Without that, a schema counts for a minute on a store without epochs.
    place.groups.forget_schema();
    place.groups.refresh_schema(soon()).await.unwrap();
    match place.groups.prepare_new(data) {
        Ok(_) => Vec::new(),
        Err(GroupsError::Invalid(violations)) => {
            violations.to_value().as_object().unwrap().keys().cloned().collect()
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_edited_schema_counts_until_it_is_gone() {
    let place = Place::new().await;
    let group = json!({"name": "n", "color": "red"});
    assert!(violations(&place, group.clone()).await.is_empty());
    let color = json!({"type": "string", "enum": ["blue"]});
    store(&place, json!({"type": "object", "required": ["name"], "properties": {"color": color}})).await;
    assert_eq!(violations(&place, group.clone()).await, ["color"]);
    assert_eq!(violations(&place, json!({"color": "blue"})).await, ["name"]);
    store(&place, json!({"pvt_deleted": true, "type": "object", "properties": {"color": color}})).await;
    assert!(violations(&place, group).await.is_empty());
}

/// The document as Kazoo stores it. Its id and its private members are no part of the schema.
#[tokio::test]
async fn kazoos_own_document_is_taken() {
    let place = Place::new().await;
    let mut stored = object(serde_json::from_str(include_str!("../../../../schemas/groups.json")).unwrap());
    stored.insert("id".to_owned(), json!("groups"));
    stored.insert("pvt_type".to_owned(), json!("schema"));
    store(&place, stored.into()).await;
    let loaded = load_schema(&*place.store, soon()).await.unwrap();
    assert!(matches!(loaded.source, SchemaSource::Stored), "{:?}", loaded.source);
    assert_eq!(violations(&place, json!({"flags": [1]})).await, ["flags.0", "name"]);
}

#[tokio::test]
async fn the_built_in_schema_counts_in_place_of_one_that_cannot_be_used() {
    let place = Place::new().await;
    store(&place, json!({"type": "object", "properties": {"name": {"type": "integer"}}})).await;
    assert_eq!(violations(&place, json!({"name": ""})).await, ["name"]);
    let loaded = load_schema(&*place.store, soon()).await.unwrap();
    assert!(matches!(loaded.source, SchemaSource::Unusable(_)), "{:?}", loaded.source);
}

/// On a store that tells its changes, nobody need tell them otherwise.
#[tokio::test]
async fn the_feed_of_the_database_tells_a_change() {
    let place = Place::new().await;
    store(&place, json!({"type": "object"})).await;
    let settings = cache::Settings {
        bytes: 10_000_000,
        feeds: 20,
        heartbeat: std::time::Duration::from_millis(200),
        always: vec![db()],
    };
    let (cache, mut watcher) = cache::Cache::new(place.store.clone(), settings);
    let watching = tokio::spawn(async move { watcher.run(std::future::pending()).await });
    let cache = Arc::new(cache);
    let groups = groups::Groups::new(Arc::<cache::Cache>::clone(&cache));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let wait = || {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now()
    };
    while cache.epoch(&db()).is_none() {
        wait().await;
    }
    groups.refresh_schema(soon()).await.unwrap();
    assert!(groups.prepare_new(json!({})).is_ok());
    store(&place, json!({"type": "object", "required": ["name"]})).await;
    loop {
        groups.refresh_schema(soon()).await.unwrap();
        if groups.prepare_new(json!({})).is_err() {
            break;
        }
        wait().await;
    }
    watching.abort();
}
