//! Databases whose design documents were made by an older Kazoo, or by somebody else: each view that is
//! missing is added to the document, by the server or by `views push`, and everything else in it stays.

use std::sync::Arc;
use std::time::Duration;

use datastore::{Backend, Deadline, DocId, Draft};
use embedded::Embedded;
use kazoo::AccountId;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::account::{ids_of, json_of};
use crate::http_client::send;
use crate::process::{Server, run_ok};

const FOUND: &str = "found";
const ADDED: &str = "added";
const LEFT: &str = "found with another map (left as it is)";

/// An account in a store.
struct World<'a> {
    store: &'a str,
    open: &'a dyn Fn() -> Arc<dyn Backend>,
    runtime: Runtime,
    account_id: AccountId,
    user_id: String,
    token: String,
}

impl<'a> World<'a> {
    fn new(store: &'a str, open: &'a dyn Fn() -> Arc<dyn Backend>) -> Self {
        let command = |arguments: &[&str], input: &str| {
            let arguments = [arguments, &["--store", store]].concat();
            run_ok(&arguments, input.as_bytes()).trim().to_owned()
        };
        let account_id = command(&["account", "create", "--name", "alpha"], "");
        let user = ["user", "create", "--account", &account_id, "--username", "admin", "--admin"];
        let user_id = command(&[&user[..], &["--password-stdin"]].concat(), "secret");
        let token = command(&["token", "--account", &account_id, "--user", &user_id], "");
        let account_id = AccountId::parse(&account_id).unwrap();
        Self { store, open, runtime: Runtime::new().unwrap(), account_id, user_id, token }
    }

    /// Replaces a design document, past the server.
    fn put_design(&self, name: &str, body: &Value) -> u64 {
        let (store, db, id) = ((self.open)(), self.account_id.db(), DocId::design(name).unwrap());
        self.runtime.block_on(async {
            let base = store.fetch(&db, &id, soon()).await.ok().map(|document| document.rev().clone());
            let draft = Draft { id, base, body: body.as_object().unwrap().clone() };
            store.save(&db, draft, soon()).await.unwrap().generation()
        })
    }

    /// A design document's members, and the generation of its revision.
    fn design(&self, name: &str) -> (Map<String, Value>, u64) {
        let (store, db, id) = ((self.open)(), self.account_id.db(), DocId::design(name).unwrap());
        let document = self.runtime.block_on(store.fetch(&db, &id, soon())).unwrap();
        let mut members = document.to_object().unwrap();
        members.retain(|name, _| !name.starts_with('_'));
        (members, document.rev().generation())
    }

    fn ids(&self, server: &Server, path: &str) -> Vec<String> {
        let target = format!("/v2/accounts/{}{path}", self.account_id);
        let headers = [("X-Auth-Token".to_owned(), self.token.clone())];
        let answer = send(server.address, "GET", &target, &headers, b"");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        ids_of(&json_of(&answer))
    }

    fn create_group(&self) {
        let server = Server::start(self.store, &[]);
        let data = json!({"id": "g", "name": "g", "endpoints": {self.user_id.as_str(): {"type": "user"}}});
        let target = format!("/v2/accounts/{}/groups", self.account_id);
        let headers = [("X-Auth-Token", self.token.as_str()), ("Content-Type", "application/json")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let answer =
            send(server.address, "PUT", &target, &headers, json!({ "data": data }).to_string().as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

#[test]
fn missing_views_are_added_on_the_embedded_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = format!("sqlite:{}", path.display());
    check(&store, &|| Arc::new(Embedded::open(&path, embedded::Settings::default()).unwrap()));
}

/// Checks every case on an empty store.
pub(crate) fn check(store: &str, open: &dyn Fn() -> Arc<dyn Backend>) {
    let world = World::new(store, open);
    world.create_group();
    let (ours, _) = world.design("groups");
    let (listing, by_user) = (&ours["views"]["crossbar_listing"], &ours["views"]["crossbar_listing_by_user"]);
    let other =
        json!({"map": "function (doc) { if (doc.pvt_type == 'group') emit(doc._id, {id: 'other'}); }"});
    for (old, states, listed) in [
        (json!({"crossbar_listing": listing}), [FOUND, ADDED], "g"),
        (json!({"crossbar_listing": listing, "crossbar_listing_by_user": by_user}), [FOUND, FOUND], "g"),
        (json!({"foreign": other}), [ADDED, ADDED], "g"),
        (json!({"crossbar_listing": other, "crossbar_listing_by_user": by_user}), [LEFT, FOUND], "other"),
    ] {
        let design = json!({"language": "javascript", "foreign": [1], "views": old});
        let mut expected = design.clone();
        for (name, view) in [("crossbar_listing", listing), ("crossbar_listing_by_user", by_user)] {
            expected["views"].as_object_mut().unwrap().entry(name).or_insert_with(|| view.clone());
        }
        let generations = u64::from(states.contains(&ADDED));

        let generation = world.put_design("groups", &design);
        let server = Server::start(store, &[]);
        assert_eq!(world.ids(&server, &format!("/users/{}/groups", world.user_id)), ["g"], "{old}");
        assert_eq!(world.ids(&server, "/groups"), [listed], "{old}");
        drop(server);
        let (members, after) = world.design("groups");
        assert_eq!((Value::Object(members), after), (expected.clone(), generation + generations), "{old}");

        let generation = world.put_design("groups", &design);
        let said = run_ok(&["views", "push", "--store", store], b"");
        let line = format!(
            "{} _design/groups: crossbar_listing {}, crossbar_listing_by_user {}\n",
            world.account_id.db(),
            states[0],
            states[1]
        );
        assert!(said.contains(&line) && said.contains("all views exist ("), "{old}: {said}");
        let (members, after) = world.design("groups");
        assert_eq!((Value::Object(members), after), (expected, generation + generations), "{old}");
    }

    let (users, _) = world.design("users");
    world.put_design("users", &json!({"views": {"creds_by_md5": users["views"]["creds_by_md5"]}}));
    let said = run_ok(&["views", "push", "--store", store], b"");
    assert!(said.contains(" _design/users: creds_by_md5 found, creds_by_sha added\n"), "{said}");
    assert_eq!(world.design("users").0["views"], users["views"]);
    let (store, db) = ((world.open)(), world.account_id.db());
    world.runtime.block_on(store.delete_db(&db, soon())).unwrap();
}
