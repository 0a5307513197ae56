//! Which release of Kazoo the server finds in a store, what it does then, and what it does when that changes.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use couchdb::standin::Standin;
use serde_json::{Value, json};

use crate::account::json_of;
use crate::http_client::{Response, address_and_authorization, send};
use crate::process::{Server, run, run_ok, wait_until};
use crate::seed::Seed;
use crate::tokens::{Minter, SigningKey};

/// Kazoo's own view of the views that it has registered.
const REGISTERED: &str = include_str!("../../../groups/tests/it/registered.js");

/// The databases that the checks add to those of the seed.
const MORE_DATABASES: [&str; 2] = ["system_data", "system_schemas"];

/// Every database that [`check`] makes.
pub(crate) fn databases(seed: &Seed) -> BTreeSet<String> {
    seed.databases().into_iter().chain(MORE_DATABASES.map(str::to_owned)).collect()
}

/// The document that registers a view for the databases of accounts.
fn registered(design: &str, view: &str) -> Value {
    json!({"db": "system_data", "doc": {
        "_id": format!("account-kazoo_apps-{design}"),
        "pvt_type": "view_definition",
        "kazoo": {"view_map": [{"classification": "account"}]},
        "view_definition": {"_id": format!("_design/{design}"), "views": {view: {"map": "function(doc) {}"}}},
    }})
}

/// The registry of a Kazoo 4.3 or 5.0.
fn registry() -> Vec<Value> {
    let views = json!({"registered": {"map": REGISTERED}});
    let design = json!({"_id": "_design/views", "language": "javascript", "views": views});
    vec![json!({"db": "system_data", "doc": design}), registered("groups", "crossbar_listing")]
}

/// The versions to which nodes have migrated the databases.
fn migrated(versions: &[&str]) -> Value {
    let mut doc = json!({"_id": "kapps_maintenance", "default": {"migrate_current_version": "3.22"}});
    for (number, version) in versions.iter().enumerate() {
        doc[format!("kazoo_apps@node{number}")] = json!({"migrate_current_version": version});
    }
    json!({"db": "system_config", "doc": doc})
}

fn import(store: &str, lines: &[Value]) {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    run_ok(&["import", "--store", store, "-"], lines.as_bytes());
}

/// A seeded store.
struct Place {
    store: String,
    seed: Seed,
    key: SigningKey,
}

impl Place {
    fn new(store: &str) -> Self {
        let (seed, key) = Seed::import_into(store);
        Self { store: store.to_owned(), seed, key }
    }

    fn import(&self, lines: &[Value]) {
        import(&self.store, lines);
    }

    /// Serves the store, and answers what the log says of the profile.
    fn served(&self, arguments: &[&str]) -> (Server, String) {
        let server = Server::start(&self.store, arguments);
        let log = server.log();
        let line =
            log.lines().find(|line| line.contains("chose the profile")).unwrap_or_else(|| panic!("{log}"));
        (server, line.to_owned())
    }

    /// What the server says if it does not start.
    fn refused(&self) -> String {
        let serve =
            ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store", &self.store];
        let output = run(&serve, b"");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        error
    }

    fn token(&self) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        let minter = Minter { seed: &self.seed, key: &self.key, other_key: &self.key, now };
        minter.token("alpha_admin")
    }

    fn ask(&self, server: &Server, method: &str, body: &str) -> Response {
        let headers = [("X-Auth-Token", self.token()), ("Content-Type", "application/json".to_owned())];
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        let target = format!("/v2/accounts/{}/groups", self.seed.names["alpha"]);
        send(server.address, method, &target, &headers, body.as_bytes())
    }
}

fn readiness(server: &Server) -> (u16, Value) {
    let answer = send(server.admin_address, "GET", "/health/ready", &[], b"");
    (answer.status, json_of(&answer))
}

/// Whether an error shows a token that is not there, as Kazoo 4.3 does.
fn answers_as_4_3(server: &Server) -> bool {
    json_of(&send(server.address, "GET", "/v2/nosuch", &[], b""))["auth_token"] == "undefined"
}

#[test]
fn the_release_is_found_in_an_embedded_store() {
    let folder = tempfile::tempdir().unwrap();
    check(&format!("sqlite:{}", folder.path().join("store.db").display()));
}

/// Starts the server on stores of each release.
pub(crate) fn check(store: &str) {
    let place = Place::new(store);
    let doctor = |words: &str| {
        let output = run(&["doctor", "--store", store], b"");
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.lines().any(|line| line.contains(words)), "{words}: {shown}");
        shown.lines().any(|line| line.starts_with("release "))
    };
    let found = |arguments: &[&str], words: &[&str], is_4_3: bool| {
        let (server, line) = place.served(arguments);
        assert!(words.iter().all(|words| line.contains(words)), "{line}");
        assert_eq!(answers_as_4_3(&server), is_4_3, "{line}");
        let (status, body) = readiness(&server);
        assert_eq!((status, &body["profile"]), (200, &json!(if is_4_3 { "4.3" } else { "5.0" })), "{body}");
        let log = server.log();
        assert_eq!(server.stop().0, Some(0));
        log
    };
    found(&[], &["profile=5.0", "no database that only Kazoo makes"], false);
    found(&["--profile", "4.3"], &["profile=4.3", "the setting names it"], true);

    place.import(&registry());
    let log = found(&[], &["profile=5.0", "the registry of views has groups/crossbar_listing"], false);
    assert!(
        log.contains("nothing in the store tells Kazoo 4.3 from 5.0") && log.contains("--profile 4.3"),
        "{log}"
    );

    assert!(doctor("set profile to 4.3 or 5.0"));

    place.import(&[migrated(&["4.2", "4.3.142"])]);
    assert!(!doctor("the release of Kazoo: it is Kazoo 4.3"));
    found(&[], &["profile=4.3", "migrated to 4.3"], true);
    let log = found(&["--profile", "5.0"], &["profile=5.0", "the setting names it"], false);
    assert!(log.contains("names another release than the store shows"), "{log}");

    place.import(&[registered("crossbar_listings", "by_type_id")]);
    assert!(doctor("do not run this server beside it"));
    let named = run(&["doctor", "--store", store, "--profile", "4.3"], b"");
    let named = String::from_utf8(named.stdout).unwrap();
    assert!(named.contains("the setting profile names 4.3; ") && !named.contains("\nrelease "), "{named}");
    let error = place.refused();
    assert!(
        error.contains("contradict each other")
            && error.contains("by_type_id")
            && error.contains("--profile 5.0 or 4.3"),
        "{error}"
    );
    let log = found(&["--profile", "4.3"], &["profile=4.3"], true);
    assert!(log.contains("overrides a refusal"), "{log}");
}

#[test]
fn what_is_marked_as_deleted_is_no_sign() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(&format!("sqlite:{}", folder.path().join("store.db").display()));
    place.import(&registry());
    let mut versions = migrated(&["5.1"]);
    versions["doc"]["pvt_deleted"] = json!(true);
    let properties = json!({"music_on_hold": {"properties": {"options": {}}}});
    let schema = json!({"_id": "groups", "properties": properties, "pvt_deleted": true});
    place.import(&[versions, json!({"db": "system_schemas", "doc": schema})]);
    let (_, line) = place.served(&[]);
    assert!(line.contains("profile=5.0") && line.contains("no migration is recorded"), "{line}");
}

/// Without a registry, the design documents of an account tell.
#[test]
fn a_newer_release_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(&format!("sqlite:{}", folder.path().join("store.db").display()));
    let schema = json!({"properties": {"music_on_hold": {"properties": {"media_id": {}, "options": {}}}}});
    let mut doc = schema.clone();
    doc["_id"] = json!("groups");
    let views = json!({"by_type_id": {"map": "function(doc) {}"}});
    let design = json!({"_id": "_design/crossbar_listings", "language": "javascript", "views": views});
    // The first account of the database of accounts.
    let account = ["master", "alpha", "beta", "gamma", "delta", "echo"].map(|name| &place.seed.names[name]);
    let account = account.into_iter().min().unwrap();
    let db = format!("account/{}/{}/{}", &account[..2], &account[2..4], &account[4..]);
    place.import(&[json!({"db": db, "doc": design})]);
    let error = place.refused();
    assert!(error.contains("newer than 5.0") && error.contains("an account's database has"), "{error}");
    assert!(error.contains("scopes"), "{error}");
    // So it is if there is a registry that knows neither view.
    place.import(&registry()[..1]);
    let error = place.refused();
    assert!(error.contains("newer than 5.0") && error.contains("an account's database has"), "{error}");
    place.import(&[json!({"db": "system_schemas", "doc": doc})]);
    let error = place.refused();
    assert!(error.contains("music_on_hold.options"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    // A registry of 4.3 or 5.0 does not outweigh the account.
    place.import(&registry()[1..]);
    let error = place.refused();
    assert!(error.contains("contradict each other: the registry has the views of 4.3 and 5.0"), "{error}");
    assert!(error.contains("an account's database has crossbar_listings/by_type_id"), "{error}");
}

/// Kazoo is upgraded while the server runs.
#[test]
fn a_change_of_the_release_makes_the_server_unready_and_its_writes_503() {
    let couchdb = Standin::start();
    let place = Place::new(couchdb.url());
    place.import(&registry());
    place.import(&[migrated(&["5.0"])]);
    let (server, _) = place.served(&[]);
    let (named, _) = place.served(&["--profile", "5.0"]);
    let group = r#"{"data": {"name": "x"}}"#;
    assert_eq!(place.ask(&server, "PUT", group).status, 201);
    assert_eq!(readiness(&server).0, 200);

    place.import(&[registered("crossbar_listings", "by_type_id")]);
    wait_until("the server is unready", || readiness(&server).0 == 503);
    let (_, body) = readiness(&server);
    assert!(body["status"].as_str().unwrap().contains("by_type_id"), "{body}");
    let refused = place.ask(&server, "PUT", group);
    assert_eq!((refused.status, &json_of(&refused)["message"]), (503, &json!("release_changed")));
    assert_eq!(place.ask(&server, "GET", "").status, 200);
    assert!(server.log().contains("Nothing is written until this server is restarted"));

    // Who names the release keeps it.
    wait_until("the change is told", || named.log().contains("the setting profile names another one"));
    assert_eq!(readiness(&named).0, 200);
    assert_eq!(place.ask(&named, "PUT", group).status, 201);
}

/// To ask a view may build its index, and `doctor` only reads.
#[test]
fn doctor_sees_the_registry_and_asks_no_view() {
    let couchdb = Standin::start();
    let place = Place::new(couchdb.url());
    place.import(&registry());
    let (store, heard) = relay(couchdb.url());
    let output = run(&["doctor", "--store", &store], b"");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("set profile to 4.3 or 5.0"), "{shown}");
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    assert!(heard.contains("/system_data/_all_docs"), "{heard}");
    let views: Vec<_> = heard.lines().filter(|line| line.contains("/_view/")).collect();
    assert!(views.is_empty(), "{views:?}");
}

/// Passes connections on to a CouchDB. Answers the address to use, and what clients have said.
fn relay(url: &str) -> (String, Arc<Mutex<Vec<u8>>>) {
    let (couchdb, _) = address_and_authorization(url);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(couchdb).unwrap());
            let (mut to_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut server, &mut to_client));
            let ears = Arc::clone(&ears);
            std::thread::spawn(move || {
                let mut part = [0; 4096];
                while let Ok(count @ 1..) = client.read(&mut part) {
                    ears.lock().unwrap().extend_from_slice(&part[..count]);
                    if to_server.write_all(&part[..count]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    (url.replace(&couchdb.to_string(), &address.to_string()), heard)
}
