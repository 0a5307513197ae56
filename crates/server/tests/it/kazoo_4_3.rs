//! What Kazoo 4.3 does that its recordings do not show: who pays, large listings, what `/v1` answers, and where
//! the credentials are judged. Rows of `docs/compatibility.md` name these tests.

use serde_json::{Value, json};

use crate::account::{Account, ids_of, json_of};
use crate::http_client::Response;
use crate::process::run_ok;

/// An account that is served as Kazoo 4.3 does.
fn served() -> Account {
    let mut account = Account::served();
    account.restart(&["--profile", "4.3"]);
    account
}

/// The same, with buckets of this size that do not fill while a test runs.
pub(crate) fn with_buckets(size: u32) -> Account {
    let mut account = Account::served();
    let buckets = json!({"crossbar": {"max_bucket_tokens": size, "tokens_fill_time": "day"}});
    let line =
        json!({"db": "system_config", "doc": {"_id": "token_buckets", "default": buckets}}).to_string();
    account.while_stopped(|store| run_ok(&["import", "--store", store, "-"], line.as_bytes()));
    account.restart(&["--profile", "4.3"]);
    account
}

/// Credentials for Basic.
fn basic(account: &Account, password: &str) -> String {
    let digest = format!("{:x}", <md5::Md5 as md5::Digest>::digest(format!("admin:{password}")));
    let credentials = format!("{}:{digest}", account.id);
    format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials))
}

fn from<'a>(address: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("X-Forwarded-For", address)], more].concat()
}

#[test]
fn every_request_with_a_token_or_basic_pays_good_or_bad() {
    let account = with_buckets(3);
    let good = basic(&account, "secret");
    let ask = |headers: &[(&str, &str)]| account.send_as_stranger("GET", "/groups", headers, b"");
    for (address, header, value, expected) in [
        ("192.0.2.1", "X-Auth-Token", account.token.as_str(), 200),
        ("192.0.2.2", "X-Auth-Token", "bad", 401),
        ("192.0.2.3", "Authorization", good.as_str(), 200),
        ("192.0.2.4", "Authorization", "Basic Og==", 401),
    ] {
        let statuses: Vec<_> = (0..4).map(|_| ask(&from(address, &[(header, value)])).status).collect();
        assert_eq!(statuses, [expected, expected, expected, 429], "{header}");
    }
    let nothing: Vec<_> = (0..4).map(|_| ask(&from("192.0.2.5", &[])).status).collect();
    assert_eq!(nothing, [401, 401, 401, 429], "no token at all pays, too");
    for scheme in ["Bearer nosuch", "nosuch"] {
        let headers = from("192.0.2.6", &[("Authorization", scheme)]);
        assert!((0..4).all(|_| ask(&headers).status == 401), "{scheme} is never good and pays nothing");
    }
    let refused = json_of(&ask(&from("192.0.2.1", &[("X-Auth-Token", &account.token)])));
    assert_eq!(
        (&refused["message"], &refused["data"]),
        (&json!("too_many_requests"), &json!({"message": "too many requests"}))
    );
    assert!(refused.get("tokens").is_none());
}

/// Refusals that come before the credentials are judged cost nothing.
#[test]
fn what_is_refused_earlier_is_free() {
    let account = with_buckets(1);
    let token = ("X-Auth-Token", account.token.as_str());
    let headers = from("192.0.2.1", &[token]);
    for (method, path, expected) in [
        ("DELETE", "/groups", 405),
        ("GET", "/v2/accounts/00000000000000000000000000000000/groups", 404),
        ("GET", "/groups/a/b", 404),
    ] {
        assert_eq!(account.send_as_stranger(method, path, &headers, b"").status, expected, "{path}");
    }
    let ask = || account.send_as_stranger("GET", "/groups", &headers, b"").status;
    assert_eq!([ask(), ask()], [200, 429]);
}

#[test]
fn basic_is_judged_after_the_account() {
    let account = served();
    let good = basic(&account, "secret");
    let ask = |path: &str, authorization: &str| {
        account.send_as_stranger("GET", path, &[("Authorization", authorization)], b"")
    };
    assert_eq!(ask("/groups", &good).status, 200);
    assert_eq!(json_of(&ask("/groups", &good))["auth_token"], good["Basic ".len()..]);
    assert_eq!(ask("/v2/accounts/abc/groups", "Basic Og==").status, 404);
    // The alias of the own account needs a caller who is known earlier.
    let alias = ask("/v2/account/groups", &good);
    assert_eq!((alias.status, &json_of(&alias)["message"]), (401, &json!("invalid credentials")));
    assert_eq!(account.send("GET", "/v2/account/groups", &[], b"").status, 200);
}

#[test]
fn a_bearer_is_never_good() {
    let account = served();
    let bearer = format!("Bearer {}", account.token);
    let answer = account.send_as_stranger("GET", "/groups", &[("Authorization", &bearer)], b"");
    let body = json_of(&answer);
    assert_eq!((answer.status, &body["message"]), (401, &json!("invalid_credentials")));
    assert_eq!(body["auth_token"], account.token);
}

#[test]
fn a_refusal_shows_every_token_as_text() {
    let account = served();
    let refused = |body: &str| -> Value {
        let headers = [("Content-Type", "application/json")];
        json_of(&account.send_as_stranger("PUT", "/groups", &headers, body.as_bytes()))["auth_token"].clone()
    };
    assert_eq!(refused(r#"{"data": {"name": "x"}}"#), "undefined");
    assert_eq!(refused(r#"{"data": {"name": "x"}, "auth_token": 5}"#), "5");
    assert_eq!(refused(r#"{"data": {"name": "x"}, "auth_token": "t"}"#), "t");
}

#[test]
fn version_1_lists_everything_and_refuses_with_bare_texts() {
    let account = served();
    account.create_all(&["a", "b", "c"]);
    let v1 = |method: &str, path: &str| -> (Response, Value) {
        let path = format!("/v1/accounts/{}{path}", account.id);
        let answer = account.send(method, &path, &[], b"");
        let body = json_of(&answer);
        (answer, body)
    };
    let (_, listing) = v1("GET", "/groups?page_size=1&start_key=b");
    assert_eq!(ids_of(&listing), ["c", "b"]);
    for member in ["page_size", "start_key", "next_start_key"] {
        assert!(listing.get(member).is_none(), "{listing}");
    }
    for (method, path, status, data) in [
        ("GET", "/groups/nosuch", 404, json!("bad identifier")),
        ("DELETE", "/groups", 405, json!("method not allowed")),
        ("GET", "/groups/a/b", 404, json!("not found")),
    ] {
        let (answer, body) = v1(method, path);
        assert_eq!((answer.status, &body["data"]), (status, &data), "{path}");
    }
    let (answer, body) = v1("PUT", "/groups");
    assert_eq!((answer.status, &body["message"]), (400, &json!("validation error")));
    assert_eq!(body["data"]["name"]["required"]["value"], "name");
}

#[test]
fn a_login_of_version_1_shows_no_page() {
    let account = served();
    let digest = format!("{:x}", <md5::Md5 as md5::Digest>::digest("admin:secret"));
    let body = json!({"data": {"credentials": digest, "account_name": "alpha"}}).to_string();
    let login = |path: &str| json_of(&account.send_as_stranger("PUT", path, &[], body.as_bytes()));
    assert_eq!(login("/v2/user_auth")["page_size"], 1);
    let of_v1 = login("/v1/user_auth");
    assert!(of_v1["auth_token"].is_string() && of_v1.get("page_size").is_none(), "{of_v1}");
}

/// The groups of [`with_a_large_listing`].
const IDS: [&str; 20] =
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];

/// An account whose listing of all groups has about 400 kB, so that it is sent while it is read.
fn with_a_large_listing() -> Account {
    let account = served();
    let flags: Vec<_> = (0..1_000).map(|n| format!("flag number {n}")).collect();
    for id in IDS {
        let group = json!({"id": id, "name": format!("group {id}"), "flags": flags, "is_odd": "acegikmoqs".contains(id)});
        assert_eq!(account.ask("PUT", "/groups", &group).status, 201);
    }
    account
}

/// The ids from the last to the first.
fn turned<'a>(ids: &[&'a str]) -> Vec<&'a str> {
    ids.iter().rev().copied().collect()
}

#[test]
fn a_large_page_is_turned_while_it_is_sent() {
    let account = with_a_large_listing();
    let all = account.send("GET", "/groups?paginate=false", &[], b"");
    assert_eq!(all.header("transfer-encoding"), Some("chunked"));
    assert_eq!(ids_of(&json_of(&all)), turned(&IDS));

    let answer = account.send("GET", "/groups?page_size=18&start_key=b&ascending=true&end_key=d", &[], b"");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let page = json_of(&answer);
    assert_eq!(ids_of(&page), turned(&IDS[1..19]));
    let keys: Vec<_> = page.as_object().unwrap().keys().map(String::as_str).collect();
    let after = ["next_start_key", "page_size", "revision", "timestamp", "version", "node", "request_id"];
    assert_eq!(keys, [&["start_key", "data"][..], &after, &["status", "auth_token"]].concat());
    assert_eq!(page["page_size"], 18);
    let next = page["next_start_key"].as_str().unwrap();
    assert_eq!(account.ids(&format!("/groups?start_key={next}")), ["t"]);

    // A page that a filter thins out is found in parts, and the last part's keys are shown.
    let page = json_of(&account.send("GET", "/groups?page_size=10&filter_is_odd=true", &[], b""));
    assert_eq!(ids_of(&page), turned(&["a", "c", "e", "g", "i", "k", "m", "o", "q", "s"]));
    let start_key = page["start_key"].as_str().unwrap();
    assert_eq!(account.ids(&format!("/groups?page_size=1&start_key={start_key}")), ["s"]);
    assert_eq!(
        page["next_start_key"],
        json_of(&account.send("GET", "/groups?page_size=19", &[], b""))["next_start_key"]
    );
}

#[test]
fn large_csv_is_turned_too() {
    let account = with_a_large_listing();
    let answer = account.send("GET", "/groups?page_size=19&accept=csv", &[], b"");
    assert_eq!(answer.header("content-type"), Some("text/csv"));
    let text = answer.text();
    let ids: Vec<_> = text.lines().skip(1).map(|line| &line[1..2]).collect();
    assert_eq!(ids, turned(&IDS[..19]));
    let small = account.send("GET", "/groups?page_size=2&start_key=c&accept=csv", &[], b"").text();
    assert_eq!(small.lines().skip(1).map(|line| &line[1..2]).collect::<Vec<_>>(), ["d", "c"]);
}

#[test]
fn parameters_that_kazoo_4_3_does_not_know_change_nothing() {
    let account = served();
    account.create_all(&["a", "b", "c"]);
    for parameters in [
        "is_chunked=true",
        "chunk_size=0",
        "chunk_size=x",
        "ascending=true",
        "end_key=b",
        "page_size=0",
        "page_size=x",
    ] {
        let answer = account.send("GET", &format!("/groups?{parameters}"), &[], b"");
        assert_eq!(answer.status, 200, "{parameters}");
        assert_eq!(answer.header("transfer-encoding"), None, "{parameters}");
        assert_eq!(ids_of(&json_of(&answer)), ["c", "b", "a"], "{parameters}");
    }
    assert_eq!(account.ids("/groups?page_size=1.6"), ["b", "a"]);
}

#[test]
fn a_part_of_a_path_is_decoded_twice() {
    let account = served();
    account.create_all(&["a/b", "50%"]);
    for path in ["/groups/a%2Fb", "/groups/a%252Fb", "/groups/%2561%2Fb", "/groups/50%25"] {
        assert_eq!(account.send("GET", path, &[], b"").status, 200, "{path}");
    }
    assert_eq!(account.send("GET", "/groups/%25zz", &[], b"").status, 400);
}

#[test]
fn a_media_type_with_parameters_is_not_acceptable() {
    let account = served();
    let accept = |accept| account.send("GET", "/groups", &[("Accept", accept)], b"").status;
    assert_eq!(accept("application/json;charset=utf-8"), 406);
    assert_eq!(accept("application/json;q=0.5"), 200);
    assert_eq!(accept("application/json;charset=utf-8, */*;q=0.1"), 200);
}

#[test]
fn the_version_is_4_3_0_unless_a_setting_names_another() {
    let mut account = served();
    let version =
        |account: &Account| json_of(&account.send_as_stranger("GET", "/groups", &[], b""))["version"].clone();
    assert_eq!(version(&account), "4.3.0");
    account.restart(&["--profile", "4.3", "--api-version", "4.3.142"]);
    assert_eq!(version(&account), "4.3.142");
}
