//! The permissions of every persona on every account, for every operation.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::http_client::send;
use crate::process::{Server, run_ok};
use crate::seed::Seed;
use crate::tokens::{Minter, SigningKey};

/// Somebody with a token, by the names that `tokens.rs` knows.
const PERSONAS: [&str; 20] = [
    "master",
    "alpha_admin",
    "alpha_user",
    "alpha_api",
    "beta_admin",
    "gamma_admin",
    "gamma_user",
    "delta_admin",
    "delta_user",
    "delta_api",
    "disabled_admin",
    "disabled_user",
    "disabled_api",
    "deleted_admin",
    "deleted_user",
    "deleted_api",
    "echo_admin",
    "expired",
    "bad_signature",
    "nobody",
];

/// The accounts: gamma is below alpha, the others are beside it; one is deleted, one disabled.
const ACCOUNTS: [&str; 8] = ["master", "alpha", "beta", "gamma", "delta", "echo", "disabled", "deleted"];

/// The operations on an account's groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    List,
    Create,
    Read,
    Replace,
    Patch,
    Delete,
    ListByUser,
    CreateByUser,
    ReadByUser,
}

const OPERATIONS: [Operation; 9] = [
    Operation::List,
    Operation::Create,
    Operation::Read,
    Operation::Replace,
    Operation::Patch,
    Operation::Delete,
    Operation::ListByUser,
    Operation::CreateByUser,
    Operation::ReadByUser,
];

impl Operation {
    /// A request that changes nothing, and its status if it is allowed.
    fn request(self) -> (&'static str, &'static str, Option<Value>, u16) {
        let nameless = Some(json!({"data": {"name": ""}}));
        match self {
            Self::List => ("GET", "/groups", None, 200),
            Self::Create => ("PUT", "/groups", nameless, 400),
            Self::Read => ("GET", "/groups/nosuch", None, 404),
            Self::Replace => ("POST", "/groups/nosuch", nameless, 400),
            Self::Patch => ("PATCH", "/groups/nosuch", Some(json!({"data": {"name": "x"}})), 404),
            Self::Delete => ("DELETE", "/groups/nosuch", None, 404),
            Self::ListByUser => ("GET", "/users/nosuch/groups", None, 404),
            Self::CreateByUser => ("PUT", "/users/nosuch/groups", nameless, 404),
            Self::ReadByUser => ("GET", "/users/nosuch/groups/nosuch", None, 404),
        }
    }
}

/// The status of a cell.
fn expected(persona: &str, account: &str, operation: Operation) -> u16 {
    let (.., allowed) = operation.request();
    match persona {
        // These are refused for every account and operation.
        "expired" | "bad_signature" | "nobody" => 401,
        // The token's user must exist, or for an account's key the account.
        "deleted_user" | "deleted_api" => 401,
        // The trial of the token's account is over.
        "echo_admin" => 400,
        "master" => allowed,
        "alpha_admin" | "alpha_user" | "alpha_api" if matches!(account, "alpha" | "gamma") => allowed,
        "beta_admin" if account == "beta" => allowed,
        "gamma_admin" | "gamma_user" if account == "gamma" => allowed,
        // Disabled accounts and users go on until their tokens expire; an account may be deleted around
        // a user who is not.
        "disabled_admin" | "disabled_user" | "disabled_api" if account == "disabled" => allowed,
        "deleted_admin" if account == "deleted" => allowed,
        // delta's restrictions: an administrator may all, a user may list and read or patch one, a key
        // may list.
        "delta_admin" if account == "delta" => allowed,
        "delta_user" if account == "delta" => match operation {
            Operation::List
            | Operation::Read
            | Operation::Patch
            | Operation::ListByUser
            | Operation::ReadByUser => allowed,
            Operation::Create | Operation::Replace | Operation::Delete | Operation::CreateByUser => 403,
        },
        "delta_api" if account == "delta" => match operation {
            Operation::List | Operation::ListByUser => allowed,
            _ => 403,
        },
        _ => 403,
    }
}

/// Paths without an account. They mean the persona's own account.
const OWN_PATHS: [&str; 3] = ["/v2/account/groups", "/v2/token_auth", "/v2/groups"];

/// The status of a persona's answer there.
fn expected_of_own(persona: &str, path: &str) -> u16 {
    match (persona, path) {
        ("expired" | "bad_signature" | "nobody" | "deleted_user" | "deleted_api", _) => 401,
        ("echo_admin", _) => 400,
        // Restrictions that do not list an endpoint forbid it.
        ("delta_admin" | "delta_user" | "delta_api", "/v2/token_auth") => 403,
        ("master", "/v2/groups") => 404,
        (_, "/v2/groups") => 403,
        _ => 200,
    }
}

#[test]
fn every_persona_gets_the_expected_status() {
    let folder = tempfile::tempdir().unwrap();
    check_every_cell(&seed(), &format!("sqlite:{}", folder.path().join("store.db").display()));
}

/// The recordings' seed, and two accounts more: a disabled one with a user who is disabled too, and a
/// deleted one with a user who is deleted too. Both are served as long as their databases are there.
pub(crate) fn seed() -> Seed {
    let master = Seed::read().names["master"].clone();
    let made = [
        ("disabled", "d1", json!({"pvt_enabled": false}), json!({"enabled": false})),
        ("deleted", "d2", json!({"pvt_deleted": true}), json!({"pvt_deleted": true})),
    ];
    let lines = made.into_iter().flat_map(|(name, digits, of_account, of_user)| {
        let id = digits.repeat(16);
        let db = format!("account/{}/{}/{}", &id[..2], &id[2..4], &id[4..]);
        let secret = |digit: &str| json!(digit.repeat(32));
        let account = json!({
            "_id": id, "name": name, "realm": format!("{name}.example.com"), "pvt_type": "account",
            "pvt_tree": [master], "pvt_account_id": id, "pvt_signature_secret": secret("1"),
        });
        let admin = json!({
            "_id": "a1".repeat(16), "priv_level": "admin", "enabled": true, "pvt_type": "user",
            "pvt_account_id": id, "pvt_signature_secret": secret("2"),
        });
        let user = json!({
            "_id": "a2".repeat(16), "priv_level": "user", "enabled": true, "pvt_type": "user",
            "pvt_account_id": id, "pvt_signature_secret": secret("3"),
        });
        [with(account, of_account), admin, with(user, of_user)].map(|doc| json!({"db": db, "doc": doc}))
    });
    Seed::read_with(lines.collect())
}

fn with(mut document: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        document[key] = value.clone();
    }
    document
}

/// Asks for every cell on a store that holds none of the seed yet.
pub(crate) fn check_every_cell(seed: &Seed, store: &str) {
    let (key, other_key) = (SigningKey::generate(), SigningKey::generate());
    run_ok(&["import", "--store", store, "-"], seed.lines(&key).as_bytes());
    let server = Server::start(store, &[]);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let minter = Minter { seed, key: &key, other_key: &other_key, now };

    let mut wrong = Vec::new();
    for (number, persona) in PERSONAS.into_iter().enumerate() {
        let token = (persona != "nobody").then(|| minter.token(persona));
        // Each request has its own client address, so that failures do not add up to a 429.
        let headers: Vec<_> = token
            .map(|token| ("X-Auth-Token".to_owned(), token))
            .into_iter()
            .chain([("X-Forwarded-For".to_owned(), format!("192.0.2.{number}"))])
            .collect();
        let mut check = |method: &str, target: &str, body: Option<Value>, expected: u16, cell: &str| {
            let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
            let status = send(server.address, method, target, &headers, &body).status;
            if status != expected {
                wrong.push(format!("{persona} {cell}: {status}, not {expected}"));
            }
        };
        for account in ACCOUNTS {
            for operation in OPERATIONS {
                let (method, path, body, _) = operation.request();
                let target = format!("/v2/accounts/{}{path}", seed.names[account]);
                let expected = expected(persona, account, operation);
                check(method, &target, body, expected, &format!("{account} {operation:?}"));
            }
        }
        for path in OWN_PATHS {
            check("GET", path, None, expected_of_own(persona, path), path);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
