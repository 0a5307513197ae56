//! What Kazoo's own databases say beside the groups: storage plans that put an account elsewhere, and a schema of
//! groups that an operator has edited.

use couchdb::standin::Standin;
use serde_json::{Value, json};

use crate::account::json_of;
use crate::http_client::{Response, send};
use crate::process::{Server, run, run_ok, wait_until};
use crate::seed::Seed;
use crate::tokens::Minter;

/// A seeded store.
struct Place {
    store: String,
    seed: Seed,
    token: String,
}

impl Place {
    fn new(store: &str) -> Self {
        let (seed, key) = Seed::import_into(store);
        let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let token = Minter { seed: &seed, key: &key, other_key: &key, now }.token("master");
        Self { store: store.to_owned(), seed, token }
    }

    fn import(&self, db: &str, doc: &Value) {
        let line = json!({"db": db, "doc": doc}).to_string();
        run_ok(&["import", "--store", &self.store, "-"], line.as_bytes());
    }

    fn plan(&self, account: &str, connection: &str) {
        let plan = json!({"account": {"connection": connection}});
        self.import(
            "system_data",
            &json!({"_id": self.seed.names[account], "pvt_type": "storage", "plan": plan}),
        );
    }

    fn ask(&self, server: &Server, method: &str, account: &str, body: &Value) -> Response {
        let headers = [("X-Auth-Token", self.token.as_str()), ("Content-Type", "application/json")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let target = format!("/v2/accounts/{}/groups", self.seed.names[account]);
        let body = if body.is_null() { String::new() } else { json!({ "data": body }).to_string() };
        send(server.address, method, &target, &headers, body.as_bytes())
    }

    /// What doctor says, if it finds something.
    fn doctor(&self) -> String {
        let output = run(&["doctor", "--store", &self.store], b"");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn check_elsewhere(answer: &Response) {
    let body = json_of(answer);
    assert_eq!((answer.status, &body["message"]), (503, &json!("stored_elsewhere")), "{body}");
    assert!(body["data"]["message"].as_str().unwrap().contains("another server"), "{body}");
}

#[test]
fn an_account_that_a_plan_puts_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(&format!("sqlite:{}", folder.path().join("store.db").display()));
    place.plan("alpha", "far-away");
    place.plan("beta", "local");
    let found = place.doctor();
    let alpha = &place.seed.names["alpha"];
    let line = found.lines().find(|line| line.starts_with("storage ")).unwrap_or_else(|| panic!("{found}"));
    assert!(line.contains(alpha) && line.contains("\"far-away\"") && line.contains("crossbar"), "{line}");
    assert_eq!(found.lines().filter(|line| line.starts_with("storage ")).count(), 1, "{found}");

    let server = Server::start(&place.store, &[]);
    for (method, body) in [("GET", Value::Null), ("PUT", json!({"name": "x"}))] {
        check_elsewhere(&place.ask(&server, method, "alpha", &body));
        let answer = place.ask(&server, method, "beta", &body);
        assert!(answer.status < 300, "{answer:?}");
    }
    let log = server.log();
    assert!(
        log.contains("keeps this account on another server") && log.contains("connection=far-away"),
        "{log}"
    );
    drop(server);
    let stored = run_ok(&["export", "--store", &place.store], b"");
    assert_eq!(stored.lines().filter(|line| line.contains("\"pvt_type\":\"group\"")).count(), 1);
}

/// The plan of all accounts, and the edited schema, while the server runs.
#[test]
fn changes_of_plans_and_of_the_schema_count_while_the_server_runs() {
    let couchdb = Standin::start();
    let place = Place::new(couchdb.url());
    let schema =
        |rules: Value| json!({"type": "object", "required": ["name"], "properties": {"color": rules}});
    let mut stored = schema(json!({"type": "string", "enum": ["red"]}));
    stored["_id"] = json!("groups");
    place.import("system_schemas", &stored);
    let server = Server::start(&place.store, &["--cache-heartbeat-ms", "200"]);
    let refused = place.ask(&server, "PUT", "alpha", &json!({"name": "x", "color": "blue"}));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(json_of(&refused)["data"]["color"]["enum"].is_object(), "{refused:?}");
    assert_eq!(place.ask(&server, "PUT", "alpha", &json!({"name": "x", "color": "red"})).status, 201);

    couchdb_put(couchdb.url(), "system_schemas", &json!({"_id": "groups", "type": "integer"}));
    wait_until("the schema is refused", || {
        let answer = place.ask(&server, "PUT", "alpha", &json!({"name": "x", "color": "blue"}));
        answer.status == 201
    });
    wait_until("the reason is told", || {
        server.log().contains("the schema groups in system_schemas cannot be used")
    });
    assert!(place.doctor().contains("stored-schema"), "{}", place.doctor());
    // The built-in one counts.
    assert_eq!(place.ask(&server, "PUT", "alpha", &json!({"name": ""})).status, 400);

    let plan = json!({"_id": "system", "plan": {"account": {"connection": "far-away"}}});
    place.import("system_data", &plan);
    wait_until("accounts are refused", || place.ask(&server, "GET", "beta", &Value::Null).status == 503);
    place.plan("beta", "local");
    wait_until("one account is served", || place.ask(&server, "GET", "beta", &Value::Null).status == 200);
    check_elsewhere(&place.ask(&server, "GET", "alpha", &Value::Null));
}

/// Replaces a document in a CouchDB.
fn couchdb_put(url: &str, db: &str, doc: &Value) {
    let (address, authorization) = crate::http_client::address_and_authorization(url);
    let target = format!("/{db}/{}", doc["_id"].as_str().unwrap());
    let authorization = [authorization, ("Content-Type".to_owned(), "application/json".to_owned())];
    let old = json_of(&send(address, "GET", &target, &authorization, b""));
    let mut doc = doc.clone();
    doc["_rev"] = old["_rev"].clone();
    let answer = send(address, "PUT", &target, &authorization, doc.to_string().as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
}
