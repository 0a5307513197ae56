//! Setting up an empty store.

use std::sync::Arc;

use auth::bootstrap::{self, NewAccount, NewUser};
use auth::{Asked, Authenticator, Secret, Settings};
use datastore::{Backend, StoreError};
use kazoo::AccountId;
use serde_json::{Map, Value, json};

use crate::place::{Place, on_each_store};
use crate::support::{World, db, object, revisions, soon};

const GET: Asked<'static> = Asked { endpoint: "groups", params: &[], verb: "GET" };

async fn read(store: &dyn Backend, db_name: &str, doc: &str) -> Map<String, Value> {
    let doc = datastore::DocId::from_store(doc.to_owned());
    store.fetch(&db(db_name), &doc, soon()).await.unwrap().to_object().unwrap()
}

async fn account(store: &dyn Backend, name: &str, parent: Option<&AccountId>) -> AccountId {
    bootstrap::create_account(store, &NewAccount { name, realm: None, parent }, soon()).await.unwrap()
}

async fn user(store: &dyn Backend, account: &AccountId, name: &str) -> datastore::DocId {
    let user = NewUser { username: name, password: &Secret::new("password"), is_admin: true };
    bootstrap::create_user(store, account, &user, soon()).await.unwrap()
}

async fn is_superduper(store: &dyn Backend, id: &AccountId) -> [bool; 2] {
    let own = read(store, id.db().as_str(), id.as_str()).await;
    let copy = read(store, "accounts", id.as_str()).await;
    [own, copy].map(|document| document.get("pvt_superduper_admin") == Some(&json!(true)))
}

/// The names of the members of a document in the recorded seed. It leaves out optional members that Kazoo's
/// users fill in.
fn seeded(kind: &str, is_wanted: impl Fn(&Map<String, Value>) -> bool) -> Vec<String> {
    let seed = include_str!("../../../../conformance/seed.ndjson");
    let documents =
        seed.lines().map(|line| object(serde_json::from_str::<Value>(line).unwrap()["doc"].take()));
    let document =
        documents.into_iter().find(|doc| doc.get("pvt_type") == Some(&json!(kind)) && is_wanted(doc));
    members(&document.unwrap())
}

fn members(document: &Map<String, Value>) -> Vec<String> {
    let public = ["_rev", "_attachments", "timezone"];
    let mut names: Vec<_> =
        document.keys().filter(|name| !public.contains(&name.as_str())).cloned().collect();
    names.sort();
    names
}

async fn documents_have_kazoos_layout(place: Arc<Place>) {
    let store = place.store();
    let master = account(&*store, "Master & Co.", None).await;
    let child = account(&*store, "child", Some(&master)).await;
    let admin = user(&*store, &child, "Admin").await;

    let document = read(&*store, master.db().as_str(), master.as_str()).await;
    assert_eq!(members(&document), seeded("account", |doc| doc.contains_key("pvt_superduper_admin")));
    assert_eq!(document["pvt_alphanum_name"], "masterco");
    assert_eq!(document["realm"], "masterco.crossbar-groups.local");
    assert_eq!(document["pvt_tree"], json!([]));
    assert_eq!(document["pvt_account_db"], master.db().encoded());
    assert_eq!(document["pvt_api_key"].as_str().unwrap().len(), 64);

    let document = read(&*store, child.db().as_str(), child.as_str()).await;
    assert_eq!(members(&document), seeded("account", |doc| !doc.contains_key("pvt_superduper_admin")));
    assert_eq!(document["pvt_tree"], json!([master.as_str()]));
    let copy = read(&*store, "accounts", child.as_str()).await;
    let without_rev = |mut document: Map<String, Value>| {
        document.shift_remove("_rev");
        document
    };
    assert_eq!(without_rev(copy), without_rev(document));

    let document = read(&*store, child.db().as_str(), admin.as_str()).await;
    assert_eq!(members(&document), seeded("user", |_| true));
    assert_eq!((&document["username"], &document["priv_level"]), (&json!("admin"), &json!("admin")));
    assert_eq!(document["pvt_md5_auth"], crate::support::md5("admin:password"));
    assert_eq!(document["pvt_sha1_auth"], crate::support::sha1("admin:password"));

    let config = read(&*store, "system_config", "auth").await;
    let default = config["default"].as_object().unwrap();
    assert_eq!(default.keys().collect::<Vec<_>>(), ["system_key", "secret_for_user_signature"]);
    let key = read(&*store, "system_auth", default["system_key"].as_str().unwrap()).await;
    assert_eq!(key["pvt_type"], "system_key");
    assert_eq!(key["_attachments"]["private_key.pem"]["content_type"], "application/x-pem-file");
    assert_eq!(
        read(&*store, "system_config", "accounts").await["default"]["master_account_id"],
        master.as_str()
    );
}

async fn setting_up_twice_changes_nothing(place: Arc<Place>) {
    let store = place.store();
    assert!(!bootstrap::is_set_up(&*store, soon()).await.unwrap());
    bootstrap::ensure_system(&*store, soon()).await.unwrap();
    assert!(bootstrap::is_set_up(&*store, soon()).await.unwrap());
    assert!(bootstrap::has_named_key(&*store, soon()).await.unwrap());
    let before = revisions(&*store).await;
    bootstrap::ensure_system(&*store, soon()).await.unwrap();
    assert_eq!(revisions(&*store).await, before);

    let id = account(&*store, "first", None).await;
    let before = revisions(&*store).await;
    bootstrap::push_views(&*store, &id, soon()).await.unwrap();
    assert_eq!(revisions(&*store).await, before);
    assert_eq!(bootstrap::find_account(&*store, "FIRST!", soon()).await.unwrap(), Some(id.clone()));
    assert_eq!(bootstrap::find_account(&*store, "second", soon()).await.unwrap(), None);
    let admin = user(&*store, &id, "admin").await;
    assert_eq!(bootstrap::find_user(&*store, &id, "ADMIN", soon()).await.unwrap(), Some(admin));
    let again = NewUser { username: "Admin", password: &Secret::new("other"), is_admin: true };
    let again = bootstrap::create_user(&*store, &id, &again, soon()).await;
    assert!(again.is_err_and(|error| error.is_conflict()));
}

async fn what_is_kazoos_is_not_completed(place: Arc<Place>) {
    for section in [
        json!({}),
        json!({"default": {}}),
        json!({"default": {"system_key": "k"}}),
        json!({"default": {"secret_for_user_signature": "s"}}),
        json!({"default": {"system_key": "undefined", "secret_for_user_signature": "s"}}),
        json!({"somewhere": {"system_key": "k", "secret_for_user_signature": "s"}}),
    ] {
        let world = World::without_accounts(&place, Settings::default()).await;
        world.put("system_config", "auth", section.clone()).await;
        let before = revisions(&*world.store).await;
        assert!(!bootstrap::is_set_up(&*world.store, soon()).await.unwrap(), "{section}");
        let refused = bootstrap::ensure_system(&*world.store, soon()).await;
        assert!(
            matches!(refused, Err(StoreError::Invalid(cause)) if cause.reason().contains("system_key")),
            "{section}"
        );
        let new = NewAccount { name: "a", realm: None, parent: None };
        assert!(bootstrap::create_account(&*world.store, &new, soon()).await.is_err());
        assert_eq!(revisions(&*world.store).await, before, "{section}");
    }
}

/// As in Kazoo, configuration that is marked as deleted is absent. Nothing is written into it: whoever removes the mark
/// gets back what was there.
async fn deleted_configuration_is_absent(place: Arc<Place>) {
    let world = World::without_accounts(&place, Settings::default()).await;
    world.change("system_config", "auth", json!({"pvt_deleted": true})).await;
    let before = revisions(&*world.store).await;
    assert!(!bootstrap::is_set_up(&*world.store, soon()).await.unwrap());
    assert!(bootstrap::has_named_key(&*world.store, soon()).await.unwrap(), "no key is named");
    let refused = bootstrap::ensure_system(&*world.store, soon()).await;
    assert!(
        matches!(&refused, Err(StoreError::Invalid(cause)) if cause.reason().contains("marked as deleted")),
        "{refused:?}"
    );
    assert_eq!(revisions(&*world.store).await, before);
}

async fn a_deleted_account_has_no_name(place: Arc<Place>) {
    let store = place.store();
    let first = account(&*store, "first", None).await;
    let id = first.doc_id();
    let document = store.fetch(&db("accounts"), &id, soon()).await.unwrap();
    let mut body = document.to_object().unwrap();
    kazoo::mark_deleted(&mut body);
    let draft = datastore::Draft { id, base: Some(document.rev().clone()), body };
    store.save(&db("accounts"), draft, soon()).await.unwrap();
    assert_eq!(bootstrap::find_account(&*store, "first", soon()).await.unwrap(), None);
    let second = account(&*store, "first", None).await;
    assert_eq!(bootstrap::find_account(&*store, "first", soon()).await.unwrap(), Some(second));
}

async fn a_zones_section_counts_in_the_zone(place: Arc<Place>) {
    let world = World::without_accounts(&place, Settings::default()).await;
    let section = json!({"zone": {"system_key": "k", "secret_for_user_signature": "s"}});
    world.put("system_config", "auth", section).await;
    for (zone, expected) in [(Some("zone"), true), (Some("other"), false), (None, false)] {
        let settings = Settings {
            node_and_zone: kazoo::NodeAndZone { node: None, zone: zone.map(str::to_owned) },
            ..Settings::default()
        };
        assert_eq!(
            bootstrap::is_set_up_for(&*world.store, &settings, soon()).await.unwrap(),
            expected,
            "{zone:?}"
        );
        // It names a key that is not there. Elsewhere, no key is named.
        let has_key = bootstrap::has_named_key_for(&*world.store, &settings, soon()).await.unwrap();
        assert_eq!(has_key, !expected, "{zone:?}");
    }
}

async fn the_first_account_without_a_parent_is_the_only_master(place: Arc<Place>) {
    let store = place.store();
    let first = account(&*store, "first", None).await;
    let second = account(&*store, "second", None).await;
    let child = account(&*store, "child", Some(&first)).await;
    assert_eq!(is_superduper(&*store, &first).await, [true, true]);
    assert_eq!(is_superduper(&*store, &second).await, [false, false]);
    assert_eq!(is_superduper(&*store, &child).await, [false, false]);

    let authenticator = Authenticator::new(Arc::clone(&store), Settings::default());
    let token = authenticator.mint(&first, None, 60, soon()).await.unwrap();
    let caller = authenticator.verify(&token, None, soon()).await.unwrap();
    let target = authenticator.load_account(&second, soon()).await.unwrap().unwrap();
    authenticator.authorise(&caller, &target, GET, soon()).await.unwrap();
}

/// If a creation stops at any point, no account becomes the master.
async fn a_store_with_accounts_has_no_new_master(place: Arc<Place>) {
    // There are accounts, but no document names a master: a Kazoo store, or a creation that stopped early.
    let world = World::new(&place).await;
    let late = account(&*world.store, "late", None).await;
    assert_eq!(is_superduper(&*world.store, &late).await, [false, false]);
    assert!(!world.store.list_dbs(soon()).await.unwrap().is_empty());
    let accounts = datastore::DocId::from_store("accounts".to_owned());
    let claimed = world.store.fetch(&db("system_config"), &accounts, soon()).await;
    assert!(claimed.is_err_and(|error| error.is_not_found()));

    // A document names a master, but that account does not exist.
    let store = place.store();
    bootstrap::ensure_system(&*store, soon()).await.unwrap();
    let draft = datastore::Draft {
        id: accounts,
        base: None,
        body: object(json!({"default": {"master_account_id": "somebody"}})),
    };
    store.save(&db("system_config"), draft, soon()).await.unwrap();
    let late = account(&*store, "late", None).await;
    assert_eq!(is_superduper(&*store, &late).await, [false, false]);
}

async fn of_two_first_accounts_at_most_one_is_master(place: Arc<Place>) {
    for _ in 0..5 {
        let store = place.store();
        let (one, two) =
            futures::future::join(account(&*store, "one", None), account(&*store, "two", None)).await;
        let masters = [is_superduper(&*store, &one).await, is_superduper(&*store, &two).await];
        assert_eq!(masters.iter().filter(|flags| **flags == [true, true]).count(), 1);
        assert_eq!(masters.iter().filter(|flags| **flags == [false, false]).count(), 1);
    }
}

async fn a_child_needs_its_parent(place: Arc<Place>) {
    let store = place.store();
    let nobody = crate::support::account_id("nobody");
    let new = NewAccount { name: "child", realm: None, parent: Some(&nobody) };
    assert!(bootstrap::create_account(&*store, &new, soon()).await.is_err_and(|error| error.is_not_found()));
    let user = NewUser { username: "u", password: &Secret::new("p"), is_admin: false };
    let user = bootstrap::create_user(&*store, &nobody, &user, soon()).await;
    assert!(user.is_err_and(|error| error.is_not_found()));
}

on_each_store![
    documents_have_kazoos_layout,
    setting_up_twice_changes_nothing,
    what_is_kazoos_is_not_completed,
    deleted_configuration_is_absent,
    a_deleted_account_has_no_name,
    a_zones_section_counts_in_the_zone,
    the_first_account_without_a_parent_is_the_only_master,
    a_store_with_accounts_has_no_new_master,
    of_two_first_accounts_at_most_one_is_master,
    a_child_needs_its_parent,
];
