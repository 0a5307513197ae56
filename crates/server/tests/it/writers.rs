//! Many writers of one group: clients of one server, clients of two servers on the same CouchDB, and another
//! program that writes into the CouchDB.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use auth::Secret;
use auth::bootstrap::NewUser;
use couchdb::standin::Standin;
use serde_json::{Value, json};

use crate::accounts::{AccountWithUser, OpenStore};
use crate::http_client::{Response, address_and_authorization, send};
use crate::process::{Server, run_ok};

/// How many clients write at the same time, and how often each.
const CLIENTS: usize = 16;
const ROUNDS: usize = 5;

/// An account in an embedded store that no server has open yet.
struct Place {
    _folder: tempfile::TempDir,
    store: String,
    account: AccountWithUser,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let user = NewUser { username: "admin", password: &Secret::new("secret"), is_admin: true };
        let account = OpenStore::open(&path).account("main", &user);
        Self { store: format!("sqlite:{}", path.display()), _folder: folder, account }
    }

    fn send(&self, address: SocketAddr, method: &str, id: &str, data: &Value) -> Response {
        let target = format!("/v2/accounts/{}/groups/{id}", self.account.id);
        let headers = [("X-Auth-Token".to_owned(), self.account.token.clone())];
        send(
            address,
            method,
            target.trim_end_matches('/'),
            &headers,
            json!({ "data": data }).to_string().as_bytes(),
        )
    }

    /// Clients of these servers change one group, each a member of its own. All of them succeed.
    fn check_that_all_writers_succeed(&self, servers: &[Server]) {
        let first = servers[0].address;
        assert_eq!(self.send(first, "PUT", "", &json!({"id": "g", "name": "n"})).status, 201);
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let address = servers[client % servers.len()].address;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let answer =
                            self.send(address, "PATCH", "g", &json!({ (format!("m{client}")): round }));
                        assert_eq!(answer.status, 200, "{}", answer.text());
                    }
                });
            }
        });
        let last: Value = serde_json::from_slice(&self.send(first, "GET", "g", &json!({})).body).unwrap();
        let is_last = |client| last["data"][format!("m{client}")] == ROUNDS - 1;
        assert!((0..CLIENTS).all(is_last), "{last}");
        assert!(
            last["revision"].as_str().unwrap().starts_with(&format!("{}-", 1 + CLIENTS * ROUNDS)),
            "{last}"
        );
    }
}

#[test]
fn clients_that_change_one_group_all_succeed() {
    let place = Place::new();
    place.check_that_all_writers_succeed(&[Server::start(&place.store, &[])]);
}

#[test]
fn clients_of_two_servers_that_change_one_group_all_succeed() {
    let (place, standin) = (Place::new(), Standin::start());
    copy(&place.store, standin.url());
    // The stand-in is slow, and it is shared by many writers.
    let start = || Server::start(standin.url(), &["--store-timeout-ms", "30000"]);
    place.check_that_all_writers_succeed(&[start(), start()]);
}

/// Another program changes the group all the time. A client that names a revision loses races to it, and a
/// client that names none does not.
#[test]
fn a_client_that_names_no_revision_loses_no_race_to_another_program() {
    let (place, standin) = (Place::new(), Standin::start());
    copy(&place.store, standin.url());
    let server = Server::start(standin.url(), &["--store-timeout-ms", "30000"]);
    assert_eq!(place.send(server.address, "PUT", "", &json!({"id": "g", "name": "n"})).status, 201);
    let rival = Rival::new(standin.url(), &place.account.id);
    rival.writes_during("g", || {
        for round in 0..10 {
            let answer = place.send(server.address, "PATCH", "g", &json!({ "round": round }));
            assert_eq!(answer.status, 200, "{}", answer.text());
            let answer = place.send(server.address, "POST", "g", &json!({"name": "n", "round": round}));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        assert_eq!(place.send(server.address, "DELETE", "g", &json!({})).status, 200);
        assert_eq!(place.send(server.address, "PATCH", "g", &json!({"name": "n"})).status, 404);
    });
}

/// Copies a store into another one.
pub(crate) fn copy(from: &str, to: &str) {
    let exported = run_ok(&["export", "--store", from], b"");
    run_ok(&["import", "--store", to, "-"], exported.as_bytes());
}

/// Another program, which writes into a CouchDB.
pub(crate) struct Rival {
    address: SocketAddr,
    authorization: (String, String),
    db: String,
}

impl Rival {
    pub(crate) fn new(url: &str, account_id: &str) -> Self {
        let (address, authorization) = address_and_authorization(url);
        let (first, second, rest) = (&account_id[..2], &account_id[2..4], &account_id[4..]);
        Self { address, authorization, db: format!("account%2F{first}%2F{second}%2F{rest}") }
    }

    /// Changes the document without a pause while `work` is done.
    pub(crate) fn writes_during<T>(&self, id: &str, work: impl FnOnce() -> T) -> T {
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    self.write(id);
                }
            });
            let _done = SetOnDrop(&is_done);
            work()
        })
    }

    /// Changes the document, unless another writer is faster or it is deleted.
    fn write(&self, id: &str) {
        let target = format!("/{}/{id}", self.db);
        let headers =
            [self.authorization.clone(), ("Content-Type".to_owned(), "application/json".to_owned())];
        let read = send(self.address, "GET", &target, &headers, b"");
        let mut doc: Value = serde_json::from_slice(&read.body).unwrap();
        if read.status != 200 || doc.get("pvt_deleted").is_some() {
            return;
        }
        doc["rival"] = json!(doc["rival"].as_u64().unwrap_or(0) + 1);
        send(self.address, "PUT", &target, &headers, doc.to_string().as_bytes());
    }
}

/// Sets the flag, also after a panic.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
