//! The cost of failed requests, and the 429. Rows of `docs/compatibility.md` name these tests.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::account::{Account, json_of};
use crate::http_client::Response;
use crate::process::run_ok;

/// A served account whose store has documents in `system_config`.
fn configured(documents: &[(&str, Value)]) -> Account {
    let mut account = Account::served();
    let lines: String = documents
        .iter()
        .map(|(id, section)| {
            format!("{}\n", json!({"db": "system_config", "doc": {"_id": id, "default": section}}))
        })
        .collect();
    account.while_stopped(|store| run_ok(&["import", "--store", store, "-"], lines.as_bytes()));
    account
}

/// A bucket that does not fill while a test runs.
fn slow(size: u32) -> (&'static str, Value) {
    ("token_buckets", json!({"crossbar": {"max_bucket_tokens": size, "tokens_fill_time": "day"}}))
}

fn ask(account: &Account, headers: &[(&str, &str)], from: &str) -> Response {
    account.send_as_stranger("GET", "/groups", &[headers, &[("X-Forwarded-For", from)]].concat(), b"")
}

/// The status of an answer, and its `consumed` and `remaining` tokens.
fn tokens_of(answer: &Response) -> (u16, u64, u64) {
    let tokens = &json_of(answer)["tokens"];
    (answer.status, tokens["consumed"].as_u64().unwrap(), tokens["remaining"].as_u64().unwrap())
}

#[test]
fn too_many_failures_are_429() {
    let alpha = Account::served();
    let ask = |token: &str, forwarded: &str| {
        let headers = [("X-Auth-Token", token), ("X-Forwarded-For", forwarded)];
        alpha.send_as_stranger("GET", "/groups", &headers, b"")
    };
    let (mut answer, mut asked) = (ask("bad", "192.0.2.1"), 1);
    while answer.status == 401 && asked < 2_000 {
        (answer, asked) = (ask("bad", "192.0.2.1"), asked + 1);
    }
    assert_eq!(answer.status, 429, "after {asked} requests: {answer:?}");
    assert!(asked > 100, "a bucket holds a hundred: {asked}");
    let body = json_of(&answer);
    assert_eq!(
        (&body["message"], &body["data"]),
        (&json!("too_many_requests"), &json!({"message": "too many requests"}))
    );
    assert_eq!(ask("bad", "192.0.2.2").status, 401, "another client has a bucket of its own");
    let good = json_of(&ask(&alpha.token, "192.0.2.2"));
    assert_eq!(good["tokens"]["consumed"], 1);
    assert_eq!(ask(&alpha.token, "192.0.2.1").status, 200, "a good token costs nothing");
}

/// Every answer shows the tokens that remain. A good token consumes none.
#[test]
fn buckets_and_costs_come_from_kazoos_configuration() {
    let account = configured(&[slow(7), ("crossbar", json!({"token_costs": {"groups": {"GET": 3}}}))]);
    let (bad, good) = ([("X-Auth-Token", "bad")], [("X-Auth-Token", account.token.as_str())]);
    let from = "192.0.2.1";
    assert_eq!(tokens_of(&ask(&account, &good, from)), (200, 3, 7));
    assert_eq!(tokens_of(&ask(&account, &bad, from)), (401, 3, 4));
    assert_eq!(tokens_of(&ask(&account, &[], from)), (401, 3, 1));
    assert_eq!(tokens_of(&ask(&account, &bad, from)), (429, 3, 1), "a bucket with too few tokens loses none");
    assert_eq!(tokens_of(&ask(&account, &good, from)), (200, 3, 1));
    assert_eq!(tokens_of(&ask(&account, &bad, "192.0.2.2")), (401, 3, 4));
    let post = account.send_as_stranger("POST", "/groups/x", &[("X-Forwarded-For", from)], b"");
    assert_eq!(tokens_of(&post), (401, 1, 0), "a verb without a listed cost costs one");
}

/// `Basic` pays when it comes, before the account is known; the other schemes pay nothing.
#[test]
fn schemes_pay_as_in_crossbar() {
    let account = configured(&[slow(3)]);
    for scheme in ["Bearer nosuch", "Token nosuch", "nosuch"] {
        for _ in 0..4 {
            let answer = ask(&account, &[("Authorization", scheme)], "192.0.2.1");
            assert_eq!(tokens_of(&answer), (401, 1, 3), "{scheme}");
        }
    }
    for _ in 0..3 {
        // The answer shows the bucket of the account in the path.
        assert_eq!(tokens_of(&ask(&account, &[("Authorization", "Basic Og==")], "192.0.2.2")), (401, 1, 3));
    }
    assert_eq!(tokens_of(&ask(&account, &[("Authorization", "Basic Og==")], "192.0.2.2")), (429, 1, 0));
}

/// Each attempt pays twice. If `token_costs` exists, the second payment is the login's own cost.
#[test]
fn logins_pay_twice() {
    let login = |account: &Account, path: &str, from: &str| {
        let body =
            json!({"data": {"credentials": "x", "account_name": "nobody", "api_key": "x"}}).to_string();
        tokens_of(&account.send_as_stranger("PUT", path, &[("X-Forwarded-For", from)], body.as_bytes()))
    };
    let account = configured(&[slow(5)]);
    assert_eq!(login(&account, "/v2/user_auth", "192.0.2.1").2, 3);
    assert_eq!(login(&account, "/v2/api_auth", "192.0.2.1").2, 1);
    assert_eq!(login(&account, "/v2/user_auth", "192.0.2.1"), (429, 1, 0));
    let listed = json!({"token_costs": {}, "user_auth_tokens": 20});
    let account = configured(&[slow(60), ("crossbar", listed)]);
    assert_eq!(login(&account, "/v2/user_auth", "192.0.2.1").2, 39);
    assert_eq!(login(&account, "/v2/api_auth", "192.0.2.1").2, 3);
    assert_eq!(login(&account, "/v2/api_auth", "192.0.2.1"), (429, 1, 0));
}

fn digest(password: &str) -> String {
    format!("{:x}", <md5::Md5 as md5::Digest>::digest(format!("admin:{password}")))
}

fn log_in(account: &Account, name: &str, password: &str, from: &str) -> Response {
    let body = json!({"data": {"credentials": digest(password), "account_name": name}}).to_string();
    account.send_as_stranger("PUT", "/v2/user_auth", &[("X-Forwarded-For", from)], body.as_bytes())
}

/// Guesses from many addresses run into the account's own limit. A client that logged in before does not.
#[test]
fn wrong_passwords_of_one_account_run_out_and_lock_out_no_known_client() {
    let alpha = Account::served();
    let log_in = |name: &str, password: &str, from: &str| log_in(&alpha, name, password, from);
    assert_eq!(log_in("alpha", "secret", "192.0.2.1").status, 201);
    for name in ["alpha", "nobody"] {
        let mut statuses = (0..110).map(|n| log_in(name, "wrong", &format!("198.51.100.{n}")).status);
        // A bucket may get ten more if a minute passes.
        assert!(statuses.by_ref().take(100).all(|status| status == 401), "{name}");
        assert!(statuses.any(|status| status == 429), "{name}");
    }
    let refused = log_in("alpha", "secret", "192.0.2.2");
    assert_eq!((refused.status, &json_of(&refused)["message"]), (429, &json!("too_many_requests")));
    assert_eq!(log_in("alpha", "secret", "192.0.2.1").status, 201, "it logged in before");
    let is_told = |line: &str| line.contains("refused a right password") && line.contains(&alpha.id);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !alpha.server().log().lines().any(|line| is_told(line) && line.contains("192.0.2.2")) {
        assert!(Instant::now() < deadline, "{}", alpha.server().log());
        std::thread::yield_now();
    }
    assert!(!alpha.server().log().contains(&digest("secret")));
}

/// A restart forgets who logged in. Tokens survive it, and their clients are known with the next request.
#[test]
fn after_a_restart_a_good_token_makes_its_client_known() {
    let mut alpha = Account::served();
    for from in ["192.0.2.1", "192.0.2.2"] {
        assert_eq!(log_in(&alpha, "alpha", "secret", from).status, 201);
    }
    alpha.restart(&[]);
    assert_eq!(ask(&alpha, &[("X-Auth-Token", alpha.token.as_str())], "192.0.2.1").status, 200);
    assert_eq!(ask(&alpha, &[("X-Auth-Token", "bad")], "192.0.2.2").status, 401);
    let guesses = (0..120).map(|n| log_in(&alpha, "alpha", "wrong", &format!("198.51.100.{n}")).status);
    assert!(guesses.filter(|status| *status == 401).count() >= 100, "the counts are forgotten too");
    let statuses = ["192.0.2.1", "192.0.2.2"].map(|from| log_in(&alpha, "alpha", "secret", from).status);
    assert_eq!(statuses, [201, 429]);
}

#[test]
fn only_a_known_proxy_can_name_a_client_s_address() {
    let account = configured(&[slow(2), ("crossbar", json!({"reverse_proxies": ["192.0.2.0/24"]}))]);
    // Here the tests' own address is not a proxy.
    for (from, remaining) in [("198.51.100.1", 1), ("198.51.100.2", 0)] {
        assert_eq!(tokens_of(&ask(&account, &[], from)).2, remaining, "{from}");
    }
    let account = configured(&[slow(2)]);
    // A proxy may also add a line of its own.
    let two_lines = |first: &str| {
        let lines = [("X-Forwarded-For", first), ("X-Forwarded-For", "192.0.2.9")];
        tokens_of(&account.send_as_stranger("GET", "/groups", &lines, b"")).2
    };
    assert_eq!((two_lines("198.51.100.1"), two_lines("198.51.100.2")), (1, 0));
    // Clients can invent the entries before the proxy's own.
    for (from, remaining) in [("198.51.100.1, 192.0.2.1", 1), ("198.51.100.2,192.0.2.1", 0)] {
        assert_eq!(tokens_of(&ask(&account, &[], from)).2, remaining, "{from}");
    }
}

/// The setting wins over Kazoo's configuration, which trusts the tests' own address here.
#[test]
fn an_empty_list_of_proxies_trusts_no_forwarded_address() {
    let crossbar = json!({"reverse_proxies": ["127.0.0.1"]});
    let mut account = configured(&[slow(2), ("crossbar", crossbar)]);
    for from in ["198.51.100.1", "198.51.100.2"] {
        assert_eq!(tokens_of(&ask(&account, &[], from)).2, 1, "{from} has a bucket of its own");
    }
    account.restart(&["--reverse-proxies", ""]);
    for (from, remaining) in [("198.51.100.1", 1), ("198.51.100.2", 0)] {
        assert_eq!(tokens_of(&ask(&account, &[], from)).2, remaining, "{from} shares the tests' own bucket");
    }
}
