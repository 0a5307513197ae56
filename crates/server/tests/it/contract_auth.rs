//! Credentials that crossbar accepts and this server refuses, and the effects of verifying a token. The
//! recordings do not cover these. Rows of `docs/compatibility.md` name these tests.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::account::{Account, json_of};
use crate::http_client::{Response, send};
use crate::process::{Server, run_ok};
use crate::seed::Seed;
use crate::tokens::{Minter, SigningKey};

/// Headers of a request.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// The recordings' accounts on an embedded store, without a recording.
pub(crate) struct Kazoo {
    folder: tempfile::TempDir,
    pub(crate) seed: Seed,
    key: SigningKey,
    other_key: SigningKey,
}

impl Kazoo {
    pub(crate) fn new() -> Self {
        let kazoo = Self {
            folder: tempfile::tempdir().unwrap(),
            seed: Seed::read(),
            key: SigningKey::generate(),
            other_key: SigningKey::generate(),
        };
        run_ok(&["import", "--store", &kazoo.store(), "-"], kazoo.seed.lines(&kazoo.key).as_bytes());
        kazoo
    }

    pub(crate) fn store(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("store.db").display())
    }

    pub(crate) fn token(&self, persona: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        Minter { seed: &self.seed, key: &self.key, other_key: &self.other_key, now }.token(persona)
    }

    fn get(&self, server: &Server, token: &str) -> Response {
        let target = format!("/v2/accounts/{}/groups", self.seed.names["alpha"]);
        send(server.address, "GET", &target, &[("X-Auth-Token".to_owned(), token.to_owned())], b"")
    }

    /// All documents of a database, as text.
    fn dump(&self, db: &str) -> String {
        run_ok(&["export", "--store", &self.store(), "--db", db], b"")
    }
}

#[test]
fn a_token_of_another_issuer_is_refused() {
    let kazoo = Kazoo::new();
    let server = Server::start(&kazoo.store(), &[]);
    assert_eq!(kazoo.get(&server, &kazoo.token("alpha_admin")).status, 200);
    let refused = kazoo.get(&server, &kazoo.token("iss_other"));
    assert_eq!((refused.status, &json_of(&refused)["message"]), (401, &json!("invalid_credentials")));
}

#[test]
fn verifying_a_token_writes_nothing() {
    let kazoo = Kazoo::new();
    let dbs = ["system_auth", "system_config", "accounts"];
    let before: Vec<_> = dbs.iter().map(|db| kazoo.dump(db)).collect();
    let server = Server::start(&kazoo.store(), &[]);
    // An unknown key id, an identity without a document, a trial that is over: crossbar writes at each.
    for (persona, status) in
        [("no_kid", 401), ("other_key", 401), ("owner_unknown", 401), ("no_sig", 200), ("echo_admin", 400)]
    {
        assert_eq!(kazoo.get(&server, &kazoo.token(persona)).status, status, "{persona}");
    }
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
    let after: Vec<_> = dbs.iter().map(|db| kazoo.dump(db)).collect();
    assert!(before == after, "what tokens are checked with has changed");
}

/// `pvt_auth_…` names the user that the token acts as, `pvt_original_auth_…` the user who signed it.
#[test]
fn a_group_says_who_acted_as_whom() {
    let kazoo = Kazoo::new();
    let server = Server::start(&kazoo.store(), &[]);
    let names = &kazoo.seed.names;
    let gamma = &names["gamma"];
    let groups = format!("/v2/accounts/{gamma}/groups");
    for (persona, method, name) in [
        ("as_child", "PUT", "acted"),
        ("alpha_admin", "PUT", "plain"),
        ("as_child", "PUT", "acted-then-plain"),
        ("alpha_admin", "PATCH", "acted-then-plain"),
    ] {
        let headers = [("X-Auth-Token".to_owned(), kazoo.token(persona))];
        let body = json!({"data": {"id": name, "name": name}}).to_string();
        let target = if method == "PUT" { groups.clone() } else { format!("{groups}/{name}") };
        let answer = send(server.address, method, &target, &headers, body.as_bytes());
        assert!(matches!(answer.status, 200 | 201), "{persona}: {answer:?}");
    }
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
    let dump = kazoo.dump(&format!("account/{}/{}/{}", &gamma[..2], &gamma[2..4], &gamma[4..]));
    let stored = |id: &str| {
        let lines = dump.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["doc"].take());
        lines.into_iter().find(|document| document["_id"] == id).unwrap()
    };
    for (id, member, expected) in [
        ("acted", "pvt_auth_account_id", json!(gamma)),
        ("acted", "pvt_auth_user_id", json!(names["gamma_admin"])),
        ("acted", "pvt_original_auth_account_id", json!(names["alpha"])),
        ("acted", "pvt_original_auth_owner_id", json!(names["alpha_admin"])),
        ("plain", "pvt_auth_user_id", json!(names["alpha_admin"])),
        ("plain", "pvt_original_auth_account_id", Value::Null),
        ("plain", "pvt_original_auth_owner_id", Value::Null),
        // The second save was nobody's but the administrator's.
        ("acted-then-plain", "pvt_auth_user_id", json!(names["alpha_admin"])),
        ("acted-then-plain", "pvt_original_auth_account_id", Value::Null),
        ("acted-then-plain", "pvt_original_auth_owner_id", Value::Null),
    ] {
        assert_eq!(stored(id)[member], expected, "{id} {member}");
    }
}

#[test]
fn a_login_ignores_a_bad_token_in_the_header() {
    let kazoo = Kazoo::new();
    let server = Server::start(&kazoo.store(), &[]);
    let names = &kazoo.seed.names;
    for persona in ["expired", "bad_signature", "echo_admin"] {
        let headers = [("X-Auth-Token".to_owned(), kazoo.token(persona))];
        let body = json!({"data": {"api_key": names["alpha_key"]}}).to_string();
        let answer = send(server.address, "PUT", "/v2/api_auth", &headers, body.as_bytes());
        assert_eq!(answer.status, 201, "{persona}: {answer:?}");
    }
}

#[test]
fn basic_is_refused_where_a_login_would_be() {
    for (settings, status, message) in [
        (json!({}), 200, Value::Null),
        (json!({"cb_user_auth": {"multi_factor": {"enabled": true}}}), 401, json!("invalid_credentials")),
        (json!({"cb_basic_auth": {"enabled": false}}), 401, json!("invalid credentials")),
    ] {
        let kazoo = Kazoo::new();
        let alpha = &kazoo.seed.names["alpha"];
        let db = format!("account/{}/{}/{}", &alpha[..2], &alpha[2..4], &alpha[4..]);
        let doc =
            json!({"_id": "configs_crossbar.auth", "pvt_type": "account_config", "auth_modules": settings});
        run_ok(
            &["import", "--store", &kazoo.store(), "-"],
            json!({"db": db, "doc": doc}).to_string().as_bytes(),
        );
        let server = Server::start(&kazoo.store(), &[]);
        let basic = format!("Basic {}", kazoo.seed.names["basic:alpha_admin"]);
        let target = format!("/v2/accounts/{alpha}/groups");
        let answer = send(server.address, "GET", &target, &[("Authorization".to_owned(), basic)], b"");
        assert_eq!((answer.status, &json_of(&answer)["message"]), (status, &message), "{settings}");
    }
}

#[test]
fn a_token_is_accepted_in_every_place_and_the_first_one_wins() {
    let alpha = Account::served();
    let token = alpha.token.as_str();
    let bad = ("X-Auth-Token", "bad");
    let authorization = format!("Token {token}");
    let rows: [(&str, Headers<'_>, String, u16); 7] = [
        ("/groups", &[("X-Auth-Token", token)], String::new(), 200),
        (&format!("/groups?auth_token={token}"), &[], String::new(), 200),
        (&format!("/groups?auth_token={token}"), &[bad], String::new(), 401),
        ("/groups?auth_token=bad", &[], json!({"data": {"auth_token": token}}).to_string(), 200),
        ("/groups", &[], json!({"data": {}, "auth_token": token}).to_string(), 200),
        ("/groups", &[("Authorization", &authorization)], String::new(), 401),
        ("/groups", &[("X-Auth-Token", ""), ("Authorization", &authorization)], String::new(), 401),
    ];
    for (path, headers, body, status) in rows {
        let answer = alpha.send_as_stranger("GET", path, headers, body.as_bytes());
        assert_eq!(answer.status, status, "{path} {headers:?}: {answer:?}");
    }
    let digest = format!("{:x}", <md5::Md5 as md5::Digest>::digest(b"admin:secret"));
    let basic =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{}:{digest}", alpha.id));
    let basic_header = format!("Basic {basic}");
    let answer = alpha.send_as_stranger("GET", "/groups", &[("Authorization", &basic_header)], b"");
    assert_eq!((answer.status, &json_of(&answer)["auth_token"]), (200, &Value::from(basic)));
}

#[test]
fn without_credentials_a_bad_body_or_an_unknown_account_is_reported_before_the_401() {
    let alpha = Account::served();
    let unknown = format!("/v2/accounts/{}/groups", "0".repeat(32));
    for (method, path, body, status) in [
        ("PUT", "/groups", "{bad", 400),
        ("PUT", "/groups/a/b", "{}", 400),
        ("POST", "/groups", "", 405),
        ("GET", unknown.as_str(), "", 404),
        ("GET", "/v2/accounts/abc/groups", "", 404),
        ("GET", "/groups/a/b", "", 404),
        ("GET", "/groups", "", 401),
        ("GET", "/v2/nonsense", "", 401),
        ("GET", "/v2/account/groups", "", 401),
    ] {
        let answer = alpha.send_as_stranger(method, path, &[], body.as_bytes());
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
    let own = alpha.send("PUT", "/v2/account/groups", &[], br#"{"data":{"id":"x","name":"x"}}"#);
    assert_eq!((own.status, own.header("location")), (201, Some("/v2/account/groups/x")));
}
