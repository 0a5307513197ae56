//! Views that are made as Kazoo's registry defines them.

use datastore::{Databases as _, DbName, DocId, Draft, Store as _};
use groups::ListQuery;
use serde_json::{Value, json};

use crate::support::{Place, object, soon};

/// Kazoo's own view of what is registered.
const REGISTERED: &str = include_str!("registered.js");

const BY_ID: &str =
    "function(doc) { if (doc.pvt_type == 'group') emit(doc._id, {id: doc._id, by: 'kazoo'}); }";

async fn register(place: &Place, definition: Value) {
    let db = DbName::parse("system_data").unwrap();
    place.store.create_db(&db, soon()).await.unwrap();
    let views = json!({"language": "javascript", "views": {"registered": {"map": REGISTERED}}});
    let registration = json!({
        "pvt_type": "view_definition", "kazoo": {"view_map": [{"classification": "account"}]},
        "view_definition": definition,
    });
    let ids = [DocId::design("views").unwrap(), DocId::parse("account-kazoo_apps-groups").unwrap()];
    for (id, body) in ids.into_iter().zip([views, registration]) {
        place.store.save(&db, Draft { id, base: None, body: object(body) }, soon()).await.unwrap();
    }
}

/// The design document that a first listing makes.
async fn made(definition: Value) -> Value {
    let place = Place::new().await;
    register(&place, definition).await;
    let access = place.account().await;
    place.list(&access, ListQuery::default()).await.unwrap();
    let id = DocId::design("groups").unwrap();
    let mut document = place.store.fetch(access.db(), &id, soon()).await.unwrap().to_object().unwrap();
    document.retain(|name, _| name != "_rev");
    Value::Object(document)
}

#[tokio::test]
async fn a_missing_view_is_made_from_the_registry() {
    let views = json!({
        "crossbar_listing": {"map": BY_ID},
        "crossbar_listing_by_user": {"map": "function(doc) {}"},
        "count": {"map": BY_ID, "reduce": "_count"},
    });
    let definition = json!({"_id": "_design/groups", "language": "javascript", "views": views});
    assert_eq!(made(definition.clone()).await, definition);
}

#[tokio::test]
async fn a_registration_that_cannot_be_used_is_left_alone() {
    let views = json!({"crossbar_listing": {"map": BY_ID}});
    let made = made(json!({"_id": "_design/groups", "views": views})).await;
    assert!(made["views"]["crossbar_listing_by_user"]["map"].is_string(), "{made}");
    assert_ne!(made["views"]["crossbar_listing"]["map"], BY_ID);
}
