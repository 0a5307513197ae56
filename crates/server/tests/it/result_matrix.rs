//! Which refusal a caller gets: the contract's matrix of results, row by row, on each store.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::access;
use crate::account::json_of;
use crate::http_client::send;
use crate::process::{Server, run_ok};
use crate::seed::Seed;
use crate::tokens::{Minter, SigningKey};

/// The expected answer: the status, and for a refusal `message` and `data`.
#[derive(Clone, Debug, PartialEq)]
struct Expected(u16, Value, Value);

fn allowed() -> Expected {
    Expected(200, Value::Null, Value::Null)
}

/// The 401 for bad or missing credentials.
fn unknown_caller() -> Expected {
    Expected(401, json!("invalid_credentials"), json!({"message": "invalid credentials"}))
}

/// The 401 for an expired token. Crossbar writes its message with a space.
fn expired() -> Expected {
    Expected(401, json!("invalid credentials"), json!({}))
}

fn forbidden() -> Expected {
    Expected(403, json!("forbidden"), json!({"message": "forbidden"}))
}

fn not_found(id: &str) -> Expected {
    Expected(404, json!("bad_identifier"), json!({"cause": id, "message": "bad identifier"}))
}

#[test]
fn every_row_of_the_matrix_is_answered_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    check_every_row(&format!("sqlite:{}", folder.path().join("store.db").display()));
}

/// Asks for every row on a store that holds none of the seed yet.
pub(crate) fn check_every_row(store: &str) {
    let (key, other_key) = (SigningKey::generate(), SigningKey::generate());
    let seed = access::seed();
    run_ok(&["import", "--store", store, "-"], seed.lines(&key).as_bytes());
    run_ok(&["views", "push", "--store", store], b"");
    let server = Server::start(store, &[]);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    // An account that is gone for good was never imported, but there are tokens of it.
    let with_gone = Seed::read_with(gone_account());
    let minter = Minter { seed: &seed, key: &key, other_key: &other_key, now };
    let minter_of_gone = Minter { seed: &with_gone, ..minter };

    let name = |name: &str| seed.names.get(name).unwrap_or_else(|| &with_gone.names[name]).clone();
    let groups = |account: &str| format!("/v2/accounts/{}/groups", name(account));
    let token = |persona: &str| match persona.strip_prefix("unsigned:") {
        Some(user) => minter_of_gone.unsigned(user),
        None if persona.starts_with("gone") => minter_of_gone.token(persona),
        None => minter.token(persona),
    };
    let none = "0".repeat(32);
    let basic = name("basic:alpha_admin");
    let restricted = json!({"cause": "access denied by token restrictions", "message": "forbidden"});
    let trial = json!({"account": {"expired": {"message": "account expired", "cause": 63_900_000_000_i64}}});

    let nobody = |target: &str, expected| ("no token", "GET", target.to_owned(), Vec::new(), expected);
    let with = |row: &'static str, persona: &str, target: String, expected| {
        (row, "GET", target, vec![("X-Auth-Token", token(persona))], expected)
    };
    let mut rows = vec![
        nobody(&groups("alpha"), unknown_caller()),
        nobody(&format!("/v2/accounts/{none}/groups"), not_found(&none)),
        nobody(
            "/v2/accounts/abc/groups",
            Expected(404, json!("bad identifier"), json!({"message": "invalid account_id 'abc'"})),
        ),
        nobody(
            "/v2/accounts//groups",
            Expected(404, json!("bad identifier"), json!({"message": "missing account_id"})),
        ),
        nobody("/v2/account/groups", expired()),
        with("unknown account", "alpha_admin", format!("/v2/accounts/{none}/groups"), not_found(&none)),
        with("expired comes before the account", "expired", format!("/v2/accounts/{none}/groups"), expired()),
        with("expired", "expired", groups("alpha"), expired()),
        with("expired, bad signature", "expired_bad", groups("alpha"), unknown_caller()),
        with("own account", "alpha_admin", groups("alpha"), allowed()),
        with("own user", "alpha_user", groups("alpha"), allowed()),
        with("an account's key", "alpha_api", groups("alpha"), allowed()),
        with("parent to descendant", "alpha_admin", groups("gamma"), allowed()),
        with("child to parent", "gamma_admin", groups("alpha"), forbidden()),
        with("child to the root", "gamma_admin", groups("master"), forbidden()),
        with("sibling", "alpha_admin", groups("beta"), forbidden()),
        with(
            "403 wins over an unknown user",
            "alpha_admin",
            format!("/v2/accounts/{}/users/nosuch/groups", name("beta")),
            forbidden(),
        ),
        with("superduper", "master", groups("echo"), allowed()),
        with("disabled account", "disabled_admin", groups("disabled"), allowed()),
        with("disabled user", "disabled_user", groups("disabled"), allowed()),
        with("disabled target", "master", groups("disabled"), allowed()),
        with("target on an expired trial", "master", groups("echo"), allowed()),
        with("deleted target", "master", groups("deleted"), allowed()),
        with("deleted user", "deleted_user", groups("deleted"), unknown_caller()),
        with("expired trial", "echo_admin", groups("echo"), Expected(400, json!("validation error"), trial)),
        with("an account that is gone, itself", "gone_admin", groups("gone"), not_found(&name("gone"))),
        with("an account that is gone, another", "gone_admin", groups("alpha"), unknown_caller()),
        with("gone and unsigned, by the tree", "unsigned:gone_admin", groups("alpha"), forbidden()),
        with("acts for who is not below", "as_parent", groups("alpha"), unknown_caller()),
        with("acts for who is below", "as_child", groups("gamma"), allowed()),
        with(
            "restricted, and out of reach as well",
            "delta_api",
            format!("{}/nosuch", groups("alpha")),
            Expected(403, json!("forbidden"), restricted),
        ),
    ];
    for garbage in ["", "x", "a.b.c", &none] {
        rows.push((
            "garbage",
            "GET",
            groups("alpha"),
            vec![("X-Auth-Token", garbage.to_owned())],
            unknown_caller(),
        ));
    }
    for persona in
        ["bad_signature", "other_key", "alg_none", "hs256", "no_kid", "wrong_sig", "empty_sig", "tampered"]
    {
        rows.push(with("a bad token", persona, groups("alpha"), unknown_caller()));
    }
    let method = Expected(405, json!("invalid_method"), json!({"message": "method not allowed"}));
    rows.push(("wrong method", "POST", groups("alpha"), Vec::new(), method.clone()));
    rows.push((
        "wrong method, unknown account",
        "POST",
        format!("/v2/accounts/{none}/groups"),
        Vec::new(),
        method,
    ));
    let late = vec![("X-Auth-Token", token("expired"))];
    rows.push(("expired comes before the method", "POST", groups("alpha"), late, expired()));
    for (authorization, expected) in [
        (format!("Bearer {}", token("alpha_admin")), unknown_caller()),
        (token("alpha_admin"), unknown_caller()),
        (format!("Basic {basic}"), allowed()),
        (format!("basic {basic}"), unknown_caller()),
        ("Basic !".to_owned(), unknown_caller()),
    ] {
        rows.push((
            "Authorization",
            "GET",
            groups("alpha"),
            vec![("Authorization", authorization)],
            expected,
        ));
    }
    for (wanted, expected) in
        [(name("alpha"), allowed()), (name("beta"), unknown_caller()), (String::new(), unknown_caller())]
    {
        let headers = vec![("X-Auth-Token", token("alpha_admin")), ("X-Auth-Account-ID", wanted)];
        rows.push(("X-Auth-Account-ID", "GET", groups("alpha"), headers, expected));
    }

    for (number, (row, method, target, headers, expected)) in rows.into_iter().enumerate() {
        // Each request has its own client address, so that failures do not add up to a 429.
        let headers: Vec<_> = headers
            .into_iter()
            .chain([("X-Forwarded-For", format!("192.0.2.{number}"))])
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let answer = send(server.address, method, &target, &headers, b"");
        let body = json_of(&answer);
        let seen = match answer.status {
            200 => allowed(),
            status => Expected(status, body["message"].clone(), body["data"].clone()),
        };
        assert_eq!(seen, expected, "{row}: {method} {target}");
    }
}

/// An account and its administrator.
fn gone_account() -> Vec<Value> {
    let (id, user) = ("d3".repeat(16), "a3".repeat(16));
    let db = format!("account/{}/{}/{}", &id[..2], &id[2..4], &id[4..]);
    let account = json!({
        "_id": id, "name": "gone", "pvt_type": "account", "pvt_account_id": id,
        "pvt_signature_secret": "1".repeat(32),
    });
    let admin = json!({
        "_id": user, "priv_level": "admin", "pvt_type": "user", "pvt_account_id": id,
        "pvt_signature_secret": "2".repeat(32),
    });
    vec![json!({"db": db, "doc": account}), json!({"db": db, "doc": admin})]
}
