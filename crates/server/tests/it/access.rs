//! Who may do what: every persona on every account with every operation, no cell left out.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::http_client::send;
use crate::process::{Server, run_ok};
use crate::seed::Seed;
use crate::tokens::{Minter, SigningKey};

/// Somebody with a token. The names are those of `tokens.rs`, and some that this file adds.
const PERSONAS: [&str; 14] = [
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
    "echo_admin",
    "expired",
    "bad_signature",
    "nobody",
];

/// The accounts: gamma is below alpha, the others are beside it; one is deleted, one disabled.
const ACCOUNTS: [&str; 8] = ["master", "alpha", "beta", "gamma", "delta", "echo", "disabled", "deleted"];

/// What can be done to an account's groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    List,
    Create,
    Read,
    Replace,
    Patch,
    Delete,
    ListByUser,
}

const OPERATIONS: [Operation; 7] = [
    Operation::List,
    Operation::Create,
    Operation::Read,
    Operation::Replace,
    Operation::Patch,
    Operation::Delete,
    Operation::ListByUser,
];

impl Operation {
    /// The request, made so that nothing is changed, and what it is answered when it is allowed.
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
        }
    }
}

/// The status of a cell.
fn expected(persona: &str, account: &str, operation: Operation) -> u16 {
    let (.., allowed) = operation.request();
    match persona {
        // Good once, told first; nobody and bad signatures are told nothing.
        "expired" | "bad_signature" | "nobody" => 401,
        // The trial of the token's account is over.
        "echo_admin" => 400,
        "master" => allowed,
        "alpha_admin" | "alpha_user" | "alpha_api" if matches!(account, "alpha" | "gamma") => allowed,
        "beta_admin" if account == "beta" => allowed,
        "gamma_admin" | "gamma_user" if account == "gamma" => allowed,
        // delta's restrictions: an administrator may all, a user may list and read or patch one, a key
        // may list.
        "delta_admin" if account == "delta" => allowed,
        "delta_user" if account == "delta" => match operation {
            Operation::List | Operation::Read | Operation::Patch | Operation::ListByUser => allowed,
            Operation::Create | Operation::Replace | Operation::Delete => 403,
        },
        "delta_api" if account == "delta" => match operation {
            Operation::List | Operation::ListByUser => allowed,
            _ => 403,
        },
        _ => 403,
    }
}

#[test]
fn every_cell_is_as_the_rules_say() {
    let folder = tempfile::tempdir().unwrap();
    check_every_cell(&format!("sqlite:{}", folder.path().join("store.db").display()));
}

/// The accounts that this file adds to the seed: a disabled one and a deleted one, which are served as
/// long as their databases are there. Their names, ids, and what makes them so.
fn added_accounts() -> [(&'static str, String, &'static str, bool); 2] {
    [("disabled", "d1".repeat(16), "pvt_enabled", false), ("deleted", "d2".repeat(16), "pvt_deleted", true)]
}

fn database(id: &str) -> String {
    format!("account/{}/{}/{}", &id[..2], &id[2..4], &id[4..])
}

/// The databases that are made beside those of the seed.
pub(crate) fn added_databases() -> Vec<String> {
    added_accounts().iter().map(|(_, id, ..)| database(id)).collect()
}

/// Asks for every cell on a store that holds none of the seed yet.
pub(crate) fn check_every_cell(store: &str) {
    let seed = Seed::read();
    let (key, other_key) = (SigningKey::generate(), SigningKey::generate());
    run_ok(&["import", "--store", store, "-"], seed.lines(&key).as_bytes());
    let added = added_accounts();
    let lines: String = added
        .iter()
        .map(|(name, id, flag, value)| {
            let mut doc =
                json!({"_id": id, "name": name, "pvt_type": "account", "pvt_tree": [seed.names["master"]]});
            doc[*flag] = json!(value);
            format!("{}\n", json!({"db": database(id), "doc": doc}))
        })
        .collect();
    run_ok(&["import", "--store", store, "-"], lines.as_bytes());
    let server = Server::start(store, &[]);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let minter = Minter { seed: &seed, key: &key, other_key: &other_key, now };

    let mut wrong = Vec::new();
    for persona in PERSONAS {
        let token = (persona != "nobody").then(|| minter.token(persona));
        for account in ACCOUNTS {
            let added = added.iter().find(|(name, ..)| *name == account).map(|(_, id, ..)| id);
            let account_id = added.unwrap_or_else(|| &seed.names[account]);
            for operation in OPERATIONS {
                let (method, path, body, _) = operation.request();
                let headers: Vec<_> =
                    token.iter().map(|token| ("X-Auth-Token".to_owned(), token.clone())).collect();
                let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
                let target = format!("/v2/accounts/{account_id}{path}");
                let status = send(server.address, method, &target, &headers, &body).status;
                let expected = expected(persona, account, operation);
                if status != expected {
                    wrong.push(format!("{persona} {account} {operation:?}: {status}, not {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
