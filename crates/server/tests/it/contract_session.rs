//! Logins and logouts, unusual tokens, and restrictions on paths without an account, where the recordings do
//! not cover them. Rows of `docs/compatibility.md` name these tests.

use serde_json::{Value, json};

use crate::account::json_of;
use crate::contract_auth::Kazoo;
use crate::http_client::{Response, send};
use crate::process::{Server, run_ok};

/// The recordings' accounts, served.
struct Served {
    kazoo: Kazoo,
    server: Server,
}

impl Served {
    fn new() -> Self {
        let kazoo = Kazoo::new();
        let server = Server::start(&kazoo.store(), &[]);
        Self { kazoo, server }
    }

    fn name(&self, name: &str) -> &str {
        &self.kazoo.seed.names[name]
    }

    fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(self.server.address, method, target, &headers, body.as_bytes())
    }

    /// Sends a request with a persona's token.
    fn send_as(&self, persona: &str, method: &str, target: &str, body: &Value) -> Response {
        self.send(method, target, &[("X-Auth-Token", &self.kazoo.token(persona))], body)
    }

    /// A login to alpha that would be refused for its credentials, with members of its own.
    fn login(&self, target: &str, more: Value) -> Response {
        let mut data = json!({
            "credentials": format!("{:x}", <md5::Md5 as md5::Digest>::digest(b"nobody:nothing")),
            "account_name": self.name("alpha_name"),
        });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.send("PUT", target, &[], &json!({ "data": data }))
    }
}

fn message(answer: &Response) -> Value {
    json_of(answer)["message"].clone()
}

/// It is refused before the data is looked at, wherever the action stands.
#[test]
fn a_login_with_an_action_is_forbidden() {
    let served = Served::new();
    let key = json!({"data": {"credentials": "x"}, "action": "impersonate_user"});
    for answer in [
        served.login("/v2/user_auth", json!({"action": "impersonate_user"})),
        served.login("/v2/user_auth?action=x", json!({})),
        served.send("PUT", "/v2/user_auth", &[], &key),
        served.send("PUT", "/v2/user_auth", &[], &json!({"data": {"action": null}})),
        served.send("PUT", "/v2/user_auth", &[("Accept", "text/html")], &json!({"data": {"action": 1}})),
    ] {
        assert_eq!((answer.status, json_of(&answer)["data"].clone()), (403, json!({"message": "forbidden"})));
        assert_eq!(answer.header("content-language"), None);
    }
    let answer = served.send("PUT", "/v2/api_auth?action=x", &[], &json!({"data": {"api_key": "x"}}));
    assert_eq!(answer.status, 400, "the other way in knows no actions");
}

#[test]
fn private_members_and_an_empty_id_are_no_part_of_a_login() {
    let served = Served::new();
    for (more, status) in
        [(json!({"_x": 1, "pvt_y": 2, "id": ""}), 201), (json!({"x": 1}), 400), (json!({"id": "x"}), 400)]
    {
        let mut data = json!({"api_key": served.name("alpha_key")});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = served.send("PUT", "/v2/api_auth", &[], &json!({ "data": data }));
        assert_eq!(answer.status, status, "{more}: {answer:?}");
    }
}

#[test]
fn a_login_has_a_page_size_unless_paging_is_off() {
    let served = Served::new();
    for (target, expected) in [("", json!(0)), ("?paginate=false", json!(null))] {
        let answer = served.login(&format!("/v2/user_auth{target}"), json!({}));
        assert_eq!((answer.status, &json_of(&answer)["page_size"]), (401, &expected), "{target}");
    }
    let unknown = "0".repeat(64);
    for (key, target, status, expected) in [
        (served.name("alpha_key"), "", 201, json!(1)),
        (served.name("alpha_key"), "?paginate=false", 201, json!(null)),
        (unknown.as_str(), "", 404, json!(0)),
        (unknown.as_str(), "?paginate=false", 404, json!(null)),
    ] {
        let body = json!({"data": {"api_key": key}});
        let answer = served.send("PUT", &format!("/v2/api_auth{target}"), &[], &body);
        assert_eq!((answer.status, &json_of(&answer)["page_size"]), (status, &expected), "{target}");
    }
}

/// Crossbar looks for it in a database that nothing writes any more.
#[test]
fn a_token_in_the_path_below_user_auth_is_404() {
    let served = Served::new();
    let token = served.kazoo.token("alpha_admin");
    let own = format!("/v2/user_auth/{token}");
    for (persona, method, target, status, text) in [
        (Some("alpha_admin"), "GET", "/v2/user_auth/x", 401, "invalid_credentials"),
        (Some("alpha_admin"), "GET", own.as_str(), 403, "forbidden"),
        (None, "GET", "/v2/user_auth/x", 401, "invalid_credentials"),
        (Some("alpha_admin"), "PUT", "/v2/user_auth/x", 405, "invalid_method"),
        (Some("delta_admin"), "GET", "/v2/user_auth/x", 403, "forbidden"),
        (Some("alpha_admin"), "GET", "/v2/user_auth/x/y", 404, "not_found"),
        (Some("alpha_admin"), "PUT", "/v2/user_auth/recovery", 404, "not_found"),
    ] {
        let answer = match persona {
            // The very token that the path names: each that is minted differs in its time.
            Some("alpha_admin") => served.send(method, target, &[("X-Auth-Token", &token)], &Value::Null),
            Some(persona) => served.send_as(persona, method, target, &Value::Null),
            None => served.send(method, target, &[], &Value::Null),
        };
        assert_eq!((answer.status, message(&answer)), (status, json!(text)), "{persona:?} {method} {target}");
    }
}

#[test]
fn a_logout_answers_without_data_even_for_credentials_that_are_no_token() {
    let served = Served::new();
    let basic = format!("Basic {}", served.name("basic:alpha_admin"));
    for _ in 0..2 {
        let answer = served.send("DELETE", "/v2/token_auth", &[("Authorization", &basic)], &Value::Null);
        assert_eq!((answer.status, json_of(&answer).get("data")), (200, None), "{answer:?}");
    }
    let answer = served.send_as("beta_admin", "DELETE", "/v2/token_auth", &Value::Null);
    assert_eq!((answer.status, json_of(&answer).get("data")), (200, None), "{answer:?}");
}

/// A value of another type is no token. The answer repeats it unchanged.
#[test]
fn a_token_that_is_no_text_is_refused_and_repeated() {
    let served = Served::new();
    let target = format!("/v2/accounts/{}/groups", served.name("alpha"));
    for (query, body, echo) in [
        ("?auth_token", json!(null), Some(json!(true))),
        ("", json!({"data": {"auth_token": 5}}), Some(json!(5))),
        ("", json!({"data": {"auth_token": {"a": 1}}}), Some(json!({"a": 1}))),
        ("", json!({"data": {"auth_token": null}}), None),
        ("", json!({"data": {"authorization": 7}}), Some(json!(7))),
        ("", json!({"data": {}, "auth_token": "x"}), Some(json!("x"))),
    ] {
        let answer = served.send("GET", &format!("{target}{query}"), &[], &body);
        assert_eq!(
            (answer.status, json_of(&answer).get("auth_token")),
            (401, echo.as_ref()),
            "{query} {body}"
        );
    }
}

#[test]
fn an_account_header_that_names_no_account_is_401() {
    let served = Served::new();
    let target = format!("/v2/accounts/{}/groups", served.name("alpha"));
    let token = served.kazoo.token("alpha_admin");
    for (wanted, status) in [(served.name("alpha"), 200), ("\u{e9}", 401), ("", 401)] {
        let headers = [("X-Auth-Token", token.as_str()), ("X-Auth-Account-ID", wanted)];
        assert_eq!(served.send("GET", &target, &headers, &Value::Null).status, status, "{wanted:?}");
    }
}

/// Restrictions win over every other refusal, even if the path has no account.
#[test]
fn a_path_without_an_account_is_restricted_too() {
    let served = Served::new();
    let restricted = json!("access denied by token restrictions");
    for (persona, method, target, status, cause) in [
        ("delta_admin", "GET", "/v2/token_auth", 403, restricted.clone()),
        ("delta_user", "DELETE", "/v2/token_auth", 403, restricted.clone()),
        ("delta_user", "GET", "/v2/groups", 403, restricted.clone()),
        ("delta_admin", "GET", "/v2/groups", 403, json!(null)),
        ("delta_admin", "GET", "/v2/nosuch", 403, restricted.clone()),
        ("alpha_admin", "GET", "/v2/nosuch", 404, json!(null)),
        ("alpha_admin", "GET", "/v2/groups", 403, json!(null)),
        ("alpha_admin", "GET", "/v2/users/x/groups", 403, json!(null)),
    ] {
        let answer = served.send_as(persona, method, target, &Value::Null);
        let body = json_of(&answer);
        assert_eq!((answer.status, &body["data"]["cause"]), (status, &cause), "{persona} {method} {target}");
    }
}

/// There are no groups without an account, but other faults of the request are reported first.
#[test]
fn a_superuser_gets_404_for_groups_without_an_account() {
    let served = Served::new();
    for (method, target, body, status) in [
        ("GET", "/v2/groups", json!(null), 404),
        ("GET", "/v2/users/x/groups", json!(null), 404),
        ("PUT", "/v2/groups", json!({"data": {"name": "x"}}), 404),
        ("PUT", "/v2/groups", json!({"data": {"name": ""}}), 400),
        ("POST", "/v2/groups", json!({"data": {"name": ""}}), 405),
    ] {
        let answer = served.send_as("master", method, target, &body);
        assert_eq!(answer.status, status, "{method} {target} {body}: {answer:?}");
    }
    let headers = [("X-Auth-Token", served.kazoo.token("master")), ("Accept", "text/html".to_owned())];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(served.send("GET", "/v2/groups", &headers, &Value::Null).status, 406);
}

/// The right to write groups must not give the right to write the account's restrictions and settings.
#[test]
fn no_group_replaces_the_restrictions_or_settings_of_an_account() {
    let served = Served::new();
    let groups = format!("/v2/accounts/{}/groups", served.name("delta"));
    for id in ["token_restrictions", "configs_crossbar.auth"] {
        for key in ["_id", "id"] {
            let body = json!({"data": {key: id, "name": "x", "restrictions": {"_": {"_": []}}}});
            let answer = served.send_as("delta_admin", "PUT", &groups, &body);
            assert_eq!(answer.status, 400, "{body}: {answer:?}");
            assert!(json_of(&answer)["data"]["id"]["invalid"].is_object(), "{answer:?}");
        }
        let body = json!({"data": {"name": "x"}});
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            let answer = served.send_as("delta_admin", method, &format!("{groups}/{id}"), &body);
            assert_eq!(answer.status, 404, "{method} {id}: {answer:?}");
        }
    }
    let body = json!({"data": {"id": "my_token_restrictions", "name": "x"}});
    assert_eq!(served.send_as("delta_admin", "PUT", &groups, &body).status, 201);
}

/// Kazoo opens these by name, so a new group under one would stand in Kazoo's way. A group that is there
/// already can still be read, changed and deleted.
#[test]
fn no_new_group_has_an_id_that_kazoo_opens_by_name() {
    let kazoo = Kazoo::new();
    let alpha = kazoo.seed.names["alpha"].clone();
    let db = format!("account/{}/{}/{}", &alpha[..2], &alpha[2..4], &alpha[4..]);
    let ids = ["limits", "whitelabel", "notification.x", "+14155550100", "911", "192.0.2.1"];
    let line =
        |id: &&str| json!({"db": db, "doc": {"_id": id, "pvt_type": "group", "name": "old"}}).to_string();
    let lines: Vec<_> = ids.iter().map(line).collect();
    run_ok(&["import", "--store", &kazoo.store(), "-"], lines.join("\n").as_bytes());
    let server = Server::start(&kazoo.store(), &[]);
    let served = Served { kazoo, server };
    let groups = format!("/v2/accounts/{alpha}/groups");
    for id in ids.into_iter().chain(["dialplans", "apps_store", "parking-slot-7"]) {
        let answer = served.send_as("alpha_admin", "PUT", &groups, &json!({"data": {"id": id, "name": "x"}}));
        assert_eq!(answer.status, 400, "{id}: {answer:?}");
        assert_eq!(json_of(&answer)["data"]["id"]["invalid"]["value"], id);
    }
    for id in ids {
        let target = format!("{groups}/{}", id.replace('+', "%2B"));
        for (method, status) in [("GET", 200), ("PATCH", 200), ("POST", 200), ("DELETE", 200), ("GET", 404)] {
            let answer = served.send_as("alpha_admin", method, &target, &json!({"data": {"name": "x"}}));
            assert_eq!(answer.status, status, "{method} {id}: {answer:?}");
        }
    }
}

#[test]
fn strict_tokens_refuses_tokens_without_an_expiry_or_an_identity_s_signature() {
    let kazoo = Kazoo::new();
    let server = Server::start(&kazoo.store(), &["--strict-tokens"]);
    let served = Served { kazoo, server };
    let target = format!("/v2/accounts/{}/groups", served.name("alpha"));
    for (persona, status) in [("alpha_admin", 200), ("no_exp", 401), ("no_sig", 401)] {
        assert_eq!(served.send_as(persona, "GET", &target, &Value::Null).status, status, "{persona}");
    }
    // The server accepts the tokens that it issues.
    let key = json!({"data": {"api_key": served.name("alpha_key")}});
    let login = json_of(&served.send("PUT", "/v2/api_auth", &[], &key));
    let headers = [("X-Auth-Token", login["auth_token"].as_str().unwrap())];
    assert_eq!(served.send("GET", &target, &headers, &Value::Null).status, 200);
}

#[test]
fn answers_without_credentials_stay_small() {
    let served = Served::new();
    let surplus: serde_json::Map<_, _> = (0..5_000).map(|n| (format!("a{n}"), json!(1))).collect();
    let answer = served.send("PUT", "/v2/api_auth", &[], &json!({ "data": surplus }));
    assert_eq!(answer.status, 400);
    assert_eq!(json_of(&answer)["data"].as_object().unwrap().len(), 17, "some of it, and the missing key");

    let target = format!("/v2/accounts/{}/groups?pretty_print=true", served.name("alpha"));
    let deep = (0..100).fold(json!(vec![0; 20_000]), |inside, _| json!([inside]));
    let answer = served.send("GET", &target, &[], &json!({"data": {}, "auth_token": deep}));
    assert_eq!((answer.status, json_of(&answer).get("auth_token")), (401, None));
    let many = json!({"data": {"a": vec![0; 300_000]}});
    assert_eq!(served.send("GET", &target, &[], &many).status, 400);

    let key = json!({"data": {"api_key": served.name("alpha_key")}});
    let languages = "a,".repeat(20_000);
    let answer = served.send("PUT", "/v2/api_auth", &[("Accept-Language", &languages)], &key);
    assert!(matches!(answer.status, 201 | 400 | 406), "{answer:?}");

    let wanted = json!({"account_id": "x".repeat(1_000), "owner_id": "y"});
    let answer = served.login("/v2/user_auth", json!({ "as": wanted }));
    assert_eq!((answer.status, message(&answer)), (400, json!("validation error")));
}

/// The views that credentials are looked up in are there as soon as a store has been imported.
#[test]
fn basic_works_in_an_imported_store() {
    let served = Served::new();
    let target = format!("/v2/accounts/{}/groups", served.name("alpha"));
    let basic = format!("Basic {}", served.name("basic:alpha_admin"));
    assert_eq!(served.send("GET", &target, &[("Authorization", &basic)], &Value::Null).status, 200);
}
