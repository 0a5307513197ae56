//! Two servers on one CouchDB behind haproxy, under load: what a client sees while each is restarted, and while
//! each is killed.
//!
//! `COUCHDB_CLUSTER_URLS` names the nodes of a CouchDB cluster. Without it, the stand-in for CouchDB is the store.
//! If `COUCHDB_CLUSTER_KILL` and `COUCHDB_CLUSTER_START` are shell commands, each node is killed and started too; the
//! commands find its number, from 0, in `$NODE`.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::{CLIENTS, Load, Seen, Target};
use super::{Proxy, file, free};
use crate::http_client::send;
use crate::process::{Server, binary};

/// The load.
const REQUESTS_PER_SECOND: u32 = 500;

/// How many requests can be at work at the same time: one of each client.
#[allow(clippy::as_conversions, reason = "a constant cannot call `u64::from`")]
const IN_FLIGHT: u64 = CLIENTS as u64;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store, an account in it, and a token of the account.
pub(super) struct Store {
    pub(super) urls: String,
    pub(super) account_id: String,
    pub(super) token: String,
}

impl Store {
    /// With an account of this name. A cluster may have seen other runs.
    pub(super) fn new(name: &str) -> Self {
        let urls = std::env::var("COUCHDB_CLUSTER_URLS").unwrap_or_else(|_| couchdb::standin::url());
        let mut store = Self { urls, account_id: String::new(), token: String::new() };
        let name = format!("{name}-{}", std::process::id());
        store.account_id = store.command(&["account", "create", "--name", &name]);
        store.token = store.command(&["token", "--account", &store.account_id]);
        store
    }

    /// What a load goes to: the account, and a group in it that is made now. `proxy` is where requests are sent.
    pub(super) fn target(&self, proxy: SocketAddr) -> Target {
        let (account_id, token) = (self.account_id.clone(), self.token.clone());
        let mut target = Target { proxy, account_id, token, group_id: String::new() };
        target.group_id = create_first(&target);
        target
    }

    /// Runs a command on the store, and answers what it printed.
    fn command(&self, arguments: &[&str]) -> String {
        let output = binary().args(arguments).env("CROSSBAR_GROUPS_STORE", &self.urls).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// Runs a shell command that kills or starts a node of CouchDB.
pub(super) fn on_node(node: usize, command: &str) {
    let status = Command::new("sh").args(["-c", command]).env("NODE", node.to_string()).status();
    assert!(status.unwrap().success(), "{command}");
}

/// Where a server listens, before and after it is restarted.
#[derive(Clone, Copy)]
struct Place {
    api: SocketAddr,
    admin: SocketAddr,
}

impl Place {
    fn serve(self, store: &Store) -> Server {
        let more: &[&str] = if has_drain() { &["--drain", "3"] } else { &[] };
        Server::start_at([self.api, self.admin], &store.urls, more)
    }
}

/// Whether servers can be unready for a while before they stop.
fn has_drain() -> bool {
    let help = binary().args(["serve", "--help"]).output().unwrap();
    String::from_utf8_lossy(&help.stdout).contains("--drain <")
}

/// Waits until requests come to a server through the proxy.
fn wait_for_requests(server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    let has_some = || {
        let status = send(server.admin_address, "GET", "/status.json", &[], b"");
        let status: Value = serde_json::from_slice(&status.body).unwrap();
        status["figures"]["crossbar_groups_http_requests_total"].as_array().is_some_and(|all| !all.is_empty())
    };
    while !has_some() {
        assert!(Instant::now() < deadline, "no request comes to {}", server.address);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Prints what clients saw. No answer may say what is not so.
fn report(what: &str, seen: &Seen) {
    println!(
        "{what}: {} reads and {} writes, the slowest {} ms; failed: {:?}",
        seen.reads,
        seen.writes,
        seen.slowest.as_millis(),
        seen.failed
    );
    assert!(seen.wrong.is_empty(), "{what}: {:?}", seen.wrong);
}

#[test]
#[ignore = "it needs haproxy: make acceptance"]
fn clients_see_no_restart_and_little_of_a_kill() {
    let store = Store::new("rolling");
    let places = [(); 2].map(|()| Place { api: free(), admin: free() });
    let mut servers: Vec<Server> = places.iter().map(|place| place.serve(&store)).collect();
    let address = free();
    let line = |number: usize| {
        let Place { api, admin } = places[number - 1];
        format!("groups{number} {api} check port {}", admin.port())
    };
    let text = file(
        "proxy/haproxy.cfg",
        &[
            ("bind :8000", format!("bind {address}")),
            ("groups1 groups1:8000 check port 8001", line(1)),
            ("groups2 groups2:8000 check port 8001", line(2)),
            ("log stdout format raw local0", "log stderr format raw local0 emerg".to_owned()),
        ],
    );
    let proxy = Proxy::start("haproxy", &["-db", "-f"], &text, address);
    let target = store.target(proxy.address);
    let load = Load::start(&target, REQUESTS_PER_SECOND);
    servers.iter().for_each(wait_for_requests);
    let calm = load.take();
    report("both serve", &calm);
    let mut created = calm.created;

    for number in 0..places.len() {
        let (code, took) = servers.remove(number).stop();
        assert_eq!(code, Some(0));
        servers.insert(number, places[number].serve(&store));
        wait_for_requests(&servers[number]);
        let seen = load.take();
        report(
            &format!("server {} restarted, which took {} ms to stop", number + 1, took.as_millis()),
            &seen,
        );
        assert_eq!(seen.failures("GET"), 0, "{:?}", seen.failed);
        // A server that stops at once may close a connection on which the proxy just sends a write.
        assert!(seen.failures("PUT") <= if has_drain() { 0 } else { IN_FLIGHT }, "{:?}", seen.failed);
        created.extend(seen.created);
    }

    for number in 0..places.len() {
        // A server that is dropped is killed.
        drop(servers.remove(number));
        servers.insert(number, places[number].serve(&store));
        wait_for_requests(&servers[number]);
        let seen = load.take();
        report(&format!("server {} killed", number + 1), &seen);
        assert_eq!(seen.failures("GET"), 0, "{:?}", seen.failed);
        // A client cannot know whether a write was done whose server was killed, so nobody repeats it.
        assert!(seen.failures("PUT") <= IN_FLIGHT, "{:?}", seen.failed);
        created.extend(seen.created);
    }

    let of_nodes = ["COUCHDB_CLUSTER_KILL", "COUCHDB_CLUSTER_START"].map(std::env::var);
    if let [Ok(kill), Ok(start)] = of_nodes {
        for node in 0..store.urls.split_whitespace().count() {
            for command in [&kill, &start] {
                on_node(node, command);
                // The load goes on for a while with the node gone, and with it back.
                std::thread::sleep(Duration::from_secs(5));
            }
            let seen = load.take();
            report(&format!("node {node} of CouchDB killed"), &seen);
            // What the node was at work on when it was killed may fail, and nothing later.
            assert!(seen.failed.values().sum::<u64>() <= IN_FLIGHT, "{:?}", seen.failed);
            created.extend(seen.created);
        }
    } else {
        eprintln!(
            "not tested: nodes of CouchDB that are killed; COUCHDB_CLUSTER_KILL and COUCHDB_CLUSTER_START kill and \
             start one"
        );
    }

    created.extend(load.stop().created);
    let there: Vec<String> = ids(&target);
    let lost: Vec<_> = created.iter().filter(|id| !there.contains(id)).collect();
    assert!(!created.is_empty() && lost.is_empty(), "{} acknowledged groups are lost: {lost:?}", lost.len());
}

fn headers(target: &Target) -> [(String, String); 2] {
    [
        ("X-Auth-Token".to_owned(), target.token.clone()),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ]
}

/// Creates a group through the proxy once it finds a server that is ready, and answers the group's id.
pub(super) fn create_first(target: &Target) -> String {
    let path = format!("/v2/accounts/{}/groups", target.account_id);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = send(target.proxy, "PUT", &path, &headers(target), b"{\"data\":{\"name\":\"first\"}}");
        if answer.status == 201 {
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            return body["data"]["id"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The ids of all groups.
pub(super) fn ids(target: &Target) -> Vec<String> {
    let path = format!("/v2/accounts/{}/groups?paginate=false", target.account_id);
    let answer = send(target.proxy, "GET", &path, &headers(target), b"");
    crate::account::ids_of(&serde_json::from_slice(&answer.body).unwrap())
}
