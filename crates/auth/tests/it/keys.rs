//! New keys in the place of old ones, and the end of old ones.

use std::sync::Arc;

use auth::bootstrap::{self, NewAccount};
use auth::{Authenticator, Settings, keys};
use datastore::{Backend, StoreError};
use kazoo::{AccountId, Time};
use serde_json::json;

use crate::place::{Place, on_each_store};
use crate::support::{KID, World, account_id, db, doc_id, id, object, soon};

async fn account(store: &dyn Backend) -> AccountId {
    let account = NewAccount { name: "first", realm: None, parent: None };
    bootstrap::create_account(store, &account, soon()).await.unwrap()
}

fn authenticator(store: &Arc<dyn Backend>) -> Authenticator {
    Authenticator::new(Arc::clone(store), Settings::default())
}

async fn a_new_key_signs_and_an_old_one_verifies_until_it_is_retired(place: Arc<Place>) {
    let store = place.store();
    let account_id = account(&*store).await;
    let old_token = authenticator(&store).mint(&account_id, None, 60, soon()).await.unwrap();
    let [old] = keys::list(&*store, soon()).await.unwrap().try_into().unwrap();
    assert!(old.signs && old.replaced.is_none());
    let refused = keys::retire(&*store, &old.id, soon()).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");

    let rotated = keys::rotate(&*store, soon()).await.unwrap();
    assert_eq!((rotated.old.as_deref(), rotated.other_sections.len()), (Some(old.id.as_str()), 0));
    let listed = keys::list(&*store, soon()).await.unwrap();
    assert_eq!(listed.len(), 2);
    for key in &listed {
        let is_new = key.id == rotated.new;
        assert_eq!((key.signs, key.replaced.is_some()), (is_new, !is_new), "{key:?}");
        let made = key.made.unwrap();
        assert!(made <= Time::now() && key.replaced.is_none_or(|replaced| replaced >= made), "{key:?}");
    }
    assert!(bootstrap::is_set_up(&*store, soon()).await.unwrap());
    let new_token = authenticator(&store).mint(&account_id, None, 60, soon()).await.unwrap();
    let auth = authenticator(&store);
    for token in [&old_token, &new_token] {
        auth.verify(token, None, soon()).await.unwrap();
    }

    keys::retire(&*store, &old.id, soon()).await.unwrap();
    let auth = authenticator(&store);
    assert!(auth.verify(&old_token, None, soon()).await.is_err());
    auth.verify(&new_token, None, soon()).await.unwrap();
    assert_eq!(keys::list(&*store, soon()).await.unwrap().len(), 1);
    let again = keys::retire(&*store, &old.id, soon()).await;
    assert!(matches!(again, Err(StoreError::Deleted(_))), "{again:?}");
}

/// Nodes and zones may have keys of their own. A document without a key is never deleted.
async fn only_keys_that_sign_for_nobody_are_retired(place: Arc<Place>) {
    let world = World::without_accounts(&place, Settings::default()).await;
    let config = json!({"default": {"system_key": "undefined"}, "zone": {"system_key": KID}});
    world.change("system_config", "auth", config).await;
    world.put("system_auth", "bearer", json!({"Token": "t"})).await;
    for refused in [KID, "bearer"] {
        let retired = keys::retire(&*world.store, &doc_id(refused), soon()).await;
        assert!(matches!(retired, Err(StoreError::Invalid(_))), "{refused}: {retired:?}");
    }
    let missing = keys::retire(&*world.store, &doc_id("nobody"), soon()).await;
    assert!(matches!(missing, Err(StoreError::Missing(_))), "{missing:?}");
    let listed = keys::list(&*world.store, soon()).await.unwrap();
    assert_eq!(listed.iter().map(|key| (key.id.as_str(), key.signs)).collect::<Vec<_>>(), [(KID, true)]);
    let rotated = keys::rotate(&*world.store, soon()).await.unwrap();
    assert_eq!(rotated.other_sections, ["zone"]);
    let listed = keys::list(&*world.store, soon()).await.unwrap();
    assert!(listed.len() == 2 && listed.iter().all(|key| key.signs), "{listed:?}");
}

async fn a_key_of_unknown_age_has_no_end(place: Arc<Place>) {
    let world = World::without_accounts(&place, Settings::default()).await;
    keys::rotate(&*world.store, soon()).await.unwrap();
    let listed = keys::list(&*world.store, soon()).await.unwrap();
    let old = listed.iter().find(|key| key.id.as_str() == KID).unwrap();
    assert_eq!((old.signs, old.made, old.replaced), (false, None, None));
}

async fn a_store_that_is_not_set_up_has_no_keys(place: Arc<Place>) {
    let store = place.store();
    assert!(keys::list(&*store, soon()).await.unwrap().is_empty());
    let refused = keys::rotate(&*store, soon()).await;
    assert!(refused.is_err_and(|error| error.is_not_found()));
    assert!(!store.db_exists(&db("system_auth"), soon()).await.unwrap(), "nothing is made");
}

async fn deleted_configuration_names_no_key_and_no_lifetime(place: Arc<Place>) {
    let world = World::new(&place).await;
    let modules = json!({"auth_modules": {"cb_api_auth": {"token_auth_expiry_s": 86_400}}});
    world.put("system_config", "crossbar.auth", json!({"default": modules, "pvt_deleted": true})).await;
    let mut own = object(modules);
    kazoo::mark_deleted(&mut own);
    world.put(account_id("gamma").db().as_str(), "configs_crossbar.auth", own.into()).await;
    assert_eq!(keys::longest_lifetime(&*world.store, &soon).await.unwrap(), Some(3600));

    world.change("system_config", "auth", json!({"pvt_deleted": true})).await;
    let listed = keys::list(&*world.store, soon()).await.unwrap();
    assert_eq!(listed.iter().map(|key| (key.id.as_str(), key.signs)).collect::<Vec<_>>(), [(KID, false)]);
    let refused = keys::rotate(&*world.store, soon()).await;
    assert!(
        matches!(&refused, Err(StoreError::Invalid(cause)) if cause.reason().contains("marked as deleted")),
        "{refused:?}"
    );
    assert_eq!(keys::list(&*world.store, soon()).await.unwrap().len(), 1, "nothing is made");
}

async fn the_longest_lifetime_is_that_of_any_login(place: Arc<Place>) {
    let world = World::new(&place).await;
    let longest = async || keys::longest_lifetime(&*world.store, &soon).await.unwrap();
    assert_eq!(longest().await, Some(3600));
    let modules = |seconds: i64| json!({"auth_modules": {"cb_api_auth": {"token_auth_expiry_s": seconds}}});
    let system = json!({"default": modules(60), "zone": modules(7200)});
    world.put("system_config", "crossbar.auth", system).await;
    assert_eq!(longest().await, Some(7200));
    let own = format!("account/{}/{}/{}", &id("gamma")[..2], &id("gamma")[2..4], &id("gamma")[4..]);
    world.put(&own, "configs_crossbar.auth", modules(86_400)).await;
    assert_eq!(longest().await, Some(86_400));
    world.change("system_config", "crossbar.auth", json!({"default": {"token_auth_expiry_s": 0}})).await;
    assert_eq!(longest().await, None, "tokens without an expiry");
}

on_each_store![
    a_new_key_signs_and_an_old_one_verifies_until_it_is_retired,
    only_keys_that_sign_for_nobody_are_retired,
    a_key_of_unknown_age_has_no_end,
    a_store_that_is_not_set_up_has_no_keys,
    deleted_configuration_names_no_key_and_no_lifetime,
    the_longest_lifetime_is_that_of_any_login,
];
