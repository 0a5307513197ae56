//! What the server hears through RabbitMQ: Kazoo's nodes, other servers of this program, and not itself.

use std::time::{Duration, Instant};

use auth::Secret;
use auth::bootstrap::NewUser;
use couchdb::standin::Standin;
use datastore::{DbName, Deadline, DocId, Draft, Rev};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

use super::rabbit::{Listener, Rabbit, runtime};
use crate::accounts::OpenStore;
use crate::http_client::send;
use crate::process::{Server, run_ok};
use crate::writers::copy;

/// An account on a CouchDB that other programs write to, a server without a cache, and a broker.
struct World {
    rabbit: Rabbit,
    standin: Standin,
    server: Server,
    /// It takes the notices of servers, as Kazoo does.
    kazoo: Listener,
    account: crate::accounts::AccountWithUser,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let user = NewUser { username: "admin", password: &Secret::new("secret"), is_admin: true };
        // No restrictions hold for the first account of a store.
        let store = OpenStore::open(&path);
        store.account("main", &user);
        let account = store.account("other", &user);
        drop(store);
        let (rabbit, standin) = (Rabbit::start(), Standin::start());
        copy(&format!("sqlite:{}", path.display()), standin.url());
        let server = start(&rabbit, &standin, "crossbar_groups@one");
        let kazoo = Listener::to(&rabbit);
        let world = Self { rabbit, standin, server, kazoo, account };
        world.wait_until_it_listens(&world.server);
        world
    }

    /// A server listens once it has seen that others take its notices.
    fn wait_until_it_listens(&self, server: &Server) {
        self.create(server, "heard by others");
        self.wait_until("a listener", || notices(server)["listening"] == true);
        self.wait_until("the confirmation", || notices(server)["sent"] == 1);
    }

    /// Creates a group through a server.
    fn create(&self, server: &Server, name: &str) {
        let target = format!("/v2/accounts/{}/groups", self.account.id);
        let headers = [
            ("X-Auth-Token".to_owned(), self.account.token.clone()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ];
        let body = json!({"data": {"name": name}}).to_string();
        assert_eq!(send(server.address, "PUT", &target, &headers, body.as_bytes()).status, 201);
    }

    fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !condition() {
            assert!(Instant::now() < deadline, "{what}\n{}", self.server.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The status of a listing.
    fn status(&self) -> u16 {
        let target = format!("/v2/accounts/{}/groups", self.account.id);
        let token = ("X-Auth-Token".to_owned(), self.account.token.clone());
        send(self.server.address, "GET", &target, &[token], b"").status
    }

    /// Kazoo writes the account's restrictions, and does not tell of it yet.
    fn restrict(&self, base: Option<Rev>, verbs: &Value) -> Rev {
        let db = self.db();
        let rules = json!({"groups": [{"rules": {"#": verbs}}]});
        let body = json!({"pvt_type": "token_restrictions", "restrictions": {"_": {"_": rules}}});
        let Value::Object(body) = body else { unreachable!() };
        let draft = Draft { id: DocId::parse("token_restrictions").unwrap(), base, body };
        runtime().block_on(async {
            let client =
                couchdb::Client::new(couchdb::Settings::new(self.standin.url().parse().unwrap())).unwrap();
            client.save(&db, draft, Deadline::after(Duration::from_secs(30))).await.unwrap()
        })
    }

    fn db(&self) -> DbName {
        kazoo::AccountId::parse(&self.account.id).unwrap().db()
    }

    /// A Kazoo node tells that the restrictions have changed, or their database.
    fn tell(&self, event: &str, rev: &Rev) {
        let db = self.db().encoded();
        let (kind, id) = match event.starts_with("doc_") {
            true => ("token_restrictions", "token_restrictions"),
            false => ("database", db.as_str()),
        };
        let payload = json!({
            "Origin-Cache": "kazoo_data_cache", "Type": kind, "Rev": rev.as_str(), "Database": db, "ID": id,
            "Node": "kazoo_apps@host", "Msg-ID": "x", "Event-Name": event, "Event-Category": "configuration",
            "App-Version": "4.0.0", "App-Name": "datamgr",
        });
        let key = format!("{event}.{db}.{kind}.{}", id.replace('%', "%25"));
        runtime().block_on(async {
            let connection =
                Connection::connect(&self.rabbit.url(), ConnectionProperties::default()).await.unwrap();
            let channel = connection.create_channel().await.unwrap();
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            let text = payload.to_string();
            channel
                .basic_publish("configuration".into(), key.into(), options, text.as_bytes(), properties)
                .await
                .unwrap()
                .await
                .unwrap();
            connection.close(200, "done".into()).await.unwrap();
        });
    }
}

fn start(rabbit: &Rabbit, standin: &Standin, node: &str) -> Server {
    let more =
        ["--amqp", &rabbit.url(), "--node-name", node, "--cache", "off", "--store-timeout-ms", "30000"];
    Server::start(standin.url(), &more)
}

/// The part of the health check that is about notices.
fn notices(server: &Server) -> Value {
    let answer = send(server.admin_address, "GET", "/health/ready", &[], b"");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["notices"].clone()
}

/// Without a cache, authentication would remember the old restrictions for a minute.
#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn what_kazoo_has_changed_counts_as_soon_as_it_tells() {
    let world = World::new();
    let first = world.restrict(None, &json!(["_"]));
    assert_eq!(world.status(), 200);
    let second = world.restrict(Some(first), &json!([]));
    assert_eq!(world.status(), 200, "the old restrictions are remembered");
    world.tell("doc_edited", &second);
    world.wait_until("the new restrictions", || world.status() == 403);
    let third = world.restrict(Some(second), &json!(["_"]));
    assert_eq!(world.status(), 403, "the old restrictions are remembered");
    world.tell("db_edited", &third);
    world.wait_until("the new restrictions", || world.status() == 200);
}

#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn other_servers_are_heard_and_the_server_itself_is_not() {
    let world = World::new();
    let other = start(&world.rabbit, &world.standin, "crossbar_groups@other");
    world.wait_until_it_listens(&other);
    world.wait_until("the notice of the other", || notices(&world.server)["heard"] == 1);
    for n in 0..3 {
        world.create(&world.server, &format!("group {n}"));
    }
    world.wait_until("the notices", || notices(&other)["heard"] == 3);
    world.wait_until("the confirmations", || notices(&world.server)["sent"] == 4);
    assert_eq!(notices(&world.server)["heard"], 1);
    assert_eq!(world.kazoo.heard().len(), 5);
}

/// Commands write to the CouchDB themselves. They have told the broker before they end.
#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn a_command_has_told_its_changes_when_it_ends() {
    let world = World::new();
    let listener = Listener::to(&world.rabbit);
    let change = |arguments: &[&str], input: &[u8]| {
        let store = ["--store", world.standin.url(), "--amqp", &world.rabbit.url()];
        run_ok(&[arguments, &store].concat(), input)
    };
    let user = ["--account", &world.account.id, "--user", &world.account.user_id];
    change(&[&["user", "passwd", "--password-stdin"], &user[..]].concat(), b"another one");
    change(&[&["user", "disable"], &user[..]].concat(), b"");
    change(&["account", "disable", &world.account.id], b"");
    change(&[&["user", "delete"], &user[..]].concat(), b"");
    // Each command has ended, so the broker has all notices.
    let heard = listener.wait_until("the notices", |heard| heard.len() >= 4);
    let told: Vec<_> = heard.iter().map(|heard| (heard.says("Event-Name"), heard.says("ID"))).collect();
    let (user, account) = (world.account.user_id.as_str(), world.account.id.as_str());
    let expected =
        [("doc_edited", user), ("doc_edited", user), ("doc_edited", account), ("doc_deleted", user)];
    assert_eq!(told, expected);
    for heard in &heard {
        assert!(heard.says("Node").starts_with("crossbar_groups_command_"), "{}", heard.text);
    }
    // A server with the same settings hears of them too, and forgets what it knew.
    world.wait_until("the notices", || notices(&world.server)["heard"] == 4);
    // `import` tells nobody.
    let db = world.db().to_string();
    let line = json!({"db": db, "doc": {"_id": "imported", "pvt_type": "group"}}).to_string();
    let import = ["import", "--store", world.standin.url(), "-"];
    run_ok(&import, line.as_bytes());
    change(&["account", "enable", &world.account.id], b"");
    let heard = listener.wait_until("the last notice", |heard| heard.len() >= 5);
    assert_eq!((heard.len(), heard[4].says("ID")), (5, account));
}
