//! Large requests get short answers. Rows of `docs/compatibility.md` name these tests.

use serde_json::{Map, Value, json};

use crate::account::{Account, json_of};
use crate::http_client::Response;

/// The most bytes of a request that an error answer repeats.
const MAX_ECHO: usize = 16_000;

/// The most bytes of an error answer besides, if it has few violations.
const REST: usize = 2_000;

/// A number of texts that are all different.
fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("t{n}")).collect()
}

/// Checks that an answer refuses, and repeats no more than it should.
fn check_short(answer: &Response, status: u16) -> Value {
    assert_eq!(answer.status, status, "{:?}", String::from_utf8_lossy(&answer.body));
    assert!(answer.body.len() <= MAX_ECHO + REST, "{} bytes", answer.body.len());
    let head: usize = answer.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(head <= MAX_ECHO + REST, "{head} bytes of headers");
    json_of(answer)
}

#[test]
fn a_refusal_repeats_a_value_only_if_it_is_short() {
    let alpha = Account::served();
    let create = |data: Value| alpha.ask("PUT", "/groups", &data);
    // The token counts too.
    let room = MAX_ECHO - alpha.token.len() - 4;
    let short = check_short(&create(json!({"name": ["x".repeat(room - 2)]})), 400);
    assert_eq!(short["data"]["name"]["type"]["value"][0].as_str().unwrap().len(), room - 2);
    assert_eq!(short["auth_token"], alpha.token);
    let long = check_short(&create(json!({"name": texts(5_000)})), 400);
    assert_eq!(
        long["data"]["name"],
        json!({"type": {"message": "Value did not match type(s): string", "target": "string"}})
    );
    assert_eq!(long["auth_token"], alpha.token);
    let id = check_short(&create(json!({"name": "n", "id": "i".repeat(100_000)})), 400);
    assert_eq!(id["data"]["id"]["invalid"].get("value"), None);
    let list = check_short(&create(json!(texts(5_000))), 400);
    assert_eq!(list["data"][""]["type"]["target"], "object");
}

#[test]
fn a_refusal_names_at_most_a_hundred_violations() {
    let alpha = Account::served();
    let answer = alpha.ask("PUT", "/groups", &json!({"name": "n", "flags": vec![1; 1_000]}));
    assert_eq!((answer.status, json_of(&answer)["data"].as_object().unwrap().len()), (400, 100));
}

#[test]
fn a_login_with_large_surplus_members_gets_a_short_answer() {
    let alpha = Account::served();
    let surplus = (0..16).map(|n| (format!("{n}{}", "x".repeat(1_000)), json!(n)));
    let mut data: Map<_, _> = surplus.collect();
    data.insert("list".to_owned(), json!(texts(4_000)));
    let body = json!({"data": data}).to_string();
    let answer = alpha.send_as_stranger("PUT", "/v2/api_auth", &[], body.as_bytes());
    // The surplus members but one, and the missing key.
    assert_eq!(json_of(&answer)["data"].as_object().unwrap().len(), 17);
    // Each violation has a text of its own.
    assert!(answer.body.len() <= MAX_ECHO + 17 * 600, "{} bytes", answer.body.len());
}

#[test]
fn every_part_of_a_request_is_repeated_only_if_it_is_short() {
    let alpha = Account::served();
    let long = "x".repeat(20_000);
    let json = [("Content-Type", "application/json")];
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let put = |headers: &[(&str, &str)], body: &str| {
        alpha.send_as_stranger("PUT", "/groups", headers, body.as_bytes())
    };
    // The token, wherever it stands.
    let token = check_short(&put(&json, &json!({"data": {}, "auth_token": long}).to_string()), 401);
    assert_eq!(token.get("auth_token"), None);
    check_short(&put(&[("X-Auth-Token", &long)], r#"{"data":{}}"#), 401);
    check_short(&put(&json, &json!({"data": {}, "authorization": format!("Basic {long}")}).to_string()), 401);
    // Names and values of the body.
    let names = check_short(&put(&form, &texts(50_000).join("&")), 400);
    assert_eq!(names["data"]["data"], json!({"required": {"message": "Field is required but missing"}}));
    let text = check_short(&put(&form, &format!("a=1&data={long}")), 400);
    assert_eq!(text["data"]["data"]["type"]["target"], "object, array");
    let short = check_short(&put(&form, "A-b=1&a_B=2&c"), 400);
    assert_eq!(short["data"]["data"]["required"]["value"], json!({"a_b": "1", "c": true}));
    check_short(&put(&json, &format!(r#"{{"data":{{"{long}":1,"{long}":2}}}}"#)), 400);
    check_short(&put(&json, &json!({"texts": texts(5_000)}).to_string()), 400);
    // Headers and the path.
    check_short(&put(&[("Content-Type", &long)], ""), 400);
    check_short(&put(&[("Access-Control-Request-Method", &long)], "{"), 400);
    let boundary = [("Content-Type", "multipart/form-data; boundary=x")];
    let field = format!("--x\r\nContent-Disposition: form-data; name=\"{long}\"\r\n\r\nno end");
    check_short(&put(&boundary, &field), 400);
    let headers = [("Accept-Language", long.as_str())];
    check_short(&alpha.send("PUT", "/groups", &headers, br#"{"data":{}}"#), 400);
    let unknown = check_short(&alpha.send("GET", &format!("/groups/{long}"), &[], b""), 404);
    assert_eq!(unknown["data"], json!({"message": "bad identifier"}));
    let path = format!("/v2/accounts/{long}/groups");
    let account = check_short(&alpha.send_as_stranger("GET", &path, &[], b""), 404);
    assert!(account["data"]["message"].as_str().unwrap().starts_with("invalid account_id 'xxx"));
}

#[test]
fn csv_of_too_many_columns_is_refused() {
    let alpha = Account::served();
    let endpoints = |count: usize| -> Value {
        Value::Object((0..count).map(|n| (format!("e{n}"), json!({"type": "user"}))).collect())
    };
    for (id, count) in [("narrow", 900), ("wide", 1_001)] {
        let group = json!({"name": "n", "id": id, "endpoints": endpoints(count)});
        assert_eq!(alpha.ask("PUT", "/groups", &group).status, 201);
    }
    let csv = |path: &str| alpha.send("GET", path, &[("Accept", "text/csv")], b"");
    assert_eq!(csv("/groups/narrow").status, 200);
    let refused = check_short(&csv("/groups/wide"), 400);
    let message = refused["data"]["accept"]["maxColumns"]["message"].as_str().unwrap();
    assert!(
        message.contains("at most 1000 columns") && message.ends_with("ask for JSON instead"),
        "{message}"
    );
    assert_eq!(csv("/groups").status, 200);
}

#[test]
fn a_listing_with_too_many_filters_is_refused() {
    let alpha = Account::served();
    let list = |count: usize| {
        let filters: Vec<_> = (0..count).map(|n| format!("has_key=k{n}")).collect();
        alpha.send("GET", &format!("/groups?{}", filters.join("&")), &[], b"")
    };
    assert_eq!(list(100).status, 200);
    let refused = check_short(&list(101), 400);
    assert_eq!(refused["data"]["query"]["invalid"]["message"], "a listing can have at most 100 filters");
}

#[test]
fn a_body_of_too_many_parts_is_refused() {
    let alpha = Account::served();
    let part = "--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n{\"data\":{\"name\":\"n\"}}\r\n";
    let headers = [("Content-Type", "multipart/form-data; boundary=x")];
    let send = |count: usize| {
        let body = format!("{}--x--\r\n", part.repeat(count));
        alpha.send("PUT", "/groups", &headers, body.as_bytes())
    };
    assert_eq!(send(1_000).status, 201);
    let refused = check_short(&send(1_001), 400);
    assert_eq!(refused["data"]["body"]["invalid"]["message"], "a multipart body can have at most 1000 parts");
}
