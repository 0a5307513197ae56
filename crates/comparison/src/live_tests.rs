use proptest::prelude::{any, proptest};
use serde_json::{Value, json};

use super::{Answer, compare, is_comparable};

const LISTING: &str = "/v2/accounts/a/groups";
const OF_USER: &str = "/v2/accounts/a/users/u/groups?page_size=2";

struct Whole {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Whole {
    fn answer(&self) -> Answer<'_> {
        Answer { status: self.status, headers: &self.headers, body: self.body.as_bytes() }
    }
}

fn whole(status: u16, headers: &[(&str, &str)], body: impl ToString) -> Whole {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Whole { status, headers, body: body.to_string() }
}

/// The answer of another server to the same request.
fn envelope(change: impl FnOnce(&mut Value)) -> String {
    let mut body = json!({
        "next_start_key": "k", "page_size": 1, "version": "5.0.0", "timestamp": "2026-01-01T00:00:00Z",
        "node": "0123456789abcdefghij-_", "request_id": "0123456789abcdef0123456789abcdef",
        "tokens": {"consumed": 1, "remaining": 99}, "auth_token": "secret-token",
        "revision": "0123456789abcdef0123456789abcdef",
        "data": [{"id": "g", "name": "{{int}}"}], "status": "success",
    });
    change(&mut body);
    body.to_string()
}

#[track_caller]
fn check(target: &str, there: &Whole, here: &Whole, place: Option<&str>) {
    for (expected, actual) in [(there, here), (here, there)] {
        let found = compare(target, expected.answer(), actual.answer());
        assert_eq!(found.as_ref().map(super::Difference::place), place, "{} {}", there.body, here.body);
        if let Some(found) = found {
            assert!(!found.to_string().contains("secret-token"), "{found}");
        }
    }
}

#[track_caller]
fn check_body(target: &str, change: impl FnOnce(&mut Value), place: Option<&str>) {
    check(target, &whole(200, &[], envelope(|_| {})), &whole(200, &[], envelope(change)), place);
}

#[test]
fn what_changes_from_answer_to_answer_must_have_its_form() {
    for (member, other, is_same) in [
        ("timestamp", json!("2027-02-03T04:05:06Z"), true),
        ("timestamp", json!("soon"), false),
        ("node", json!("ABCDEFGHIJ0123456789xy"), true),
        ("request_id", json!("ffffffffffffffffffffffffffffffff"), true),
        ("request_id", json!("mine"), false),
        ("version", json!("4.3.130"), true),
        ("version", json!(5), false),
        ("revision", json!("ffffffffffffffffffffffffffffffff"), true),
        ("revision", json!("1-ffffffffffffffffffffffffffffffff"), false),
        ("auth_token", json!("secret-token-2"), false),
        ("page_size", json!(2), false),
        ("next_start_key", json!("l"), false),
        ("status", json!("error"), false),
    ] {
        let place = format!("body.{member}");
        check_body(LISTING, |body| body[member] = other, (!is_same).then_some(place.as_str()));
    }
    check_body(LISTING, |body| body["tokens"]["remaining"] = json!(3), None);
    check_body(LISTING, |body| body["tokens"]["consumed"] = json!(3), Some("body.tokens.consumed"));
    check_body(LISTING, |body| body["data"][0]["name"] = json!("5"), Some("body.data[0].name"));
    check_body(LISTING, |body| drop(body.as_object_mut().unwrap().remove("status")), Some("body.status"));
}

#[test]
fn the_next_page_of_a_user_is_left_out() {
    check_body(OF_USER, |body| body["next_start_key"] = json!("u"), None);
    check_body(OF_USER, |body| drop(body.as_object_mut().unwrap().shift_remove("next_start_key")), None);
}

#[test]
fn the_order_of_members_counts_unless_an_answer_is_sent_in_chunks() {
    let one = whole(200, &[], r#"{"data":[],"status":"success"}"#);
    let other = whole(200, &[], r#"{"status":"success","data":[]}"#);
    check(LISTING, &one, &other, Some("the order of body"));
    let chunked = whole(200, &[("transfer-encoding", "chunked")], &other.body);
    check(LISTING, &one, &chunked, None);
}

#[test]
fn headers_are_equal_but_for_what_is_made_up() {
    let json = ("content-type", "application/json");
    let md5 = ["0123456789abcdef0123456789abcdef", "ffffffffffffffffffffffffffffffff"];
    let of = |headers: &[(&str, &str)], status| whole(status, headers, "");
    let tags = md5.map(|md5| format!("\"{md5}\""));
    for (there, here, status, place) in [
        (vec![json], vec![json, ("server", "Cowboy"), ("cache-control", "no-store")], 200, None),
        (vec![json], vec![("content-type", "text/csv")], 200, Some("header content-type")),
        (vec![json], vec![("content-type", "text/csv")], 404, None),
        (vec![json], vec![], 404, None),
        (vec![json], vec![], 200, Some("header content-type")),
        (vec![("etag", tags[0].as_str())], vec![("etag", tags[1].as_str())], 200, None),
        (vec![("etag", "\"1-a\"")], vec![("etag", "\"1-b\"")], 200, Some("header etag")),
        (vec![("etag", "\"1-a\"")], vec![], 200, Some("header etag")),
        (vec![("x-request-id", md5[0])], vec![("x-request-id", md5[1])], 200, None),
        (vec![("vary", "a"), ("vary", "b")], vec![("vary", "a, b")], 200, None),
    ] {
        check(LISTING, &of(&there, status), &of(&here, status), place);
    }
    check(LISTING, &of(&[], 200), &of(&[], 404), Some("status"));
}

#[test]
fn bodies_that_are_no_envelopes_must_be_equal() {
    let csv = |text: &str| whole(200, &[], text);
    check(LISTING, &csv("a,b\n1,2\n"), &csv("a,b\n1,2\n"), None);
    check(LISTING, &csv("a,b\n1,2\n"), &csv("a,b\n1,3\n"), Some("body"));
    check(LISTING, &csv("a,b\n1,2\n"), &csv(&envelope(|_| {})), Some("body"));
    let many: Vec<_> = (0..200).map(|n| format!("\"m{n}\":0")).collect();
    check(LISTING, &csv(&format!("{{{}}}", many.join(","))), &csv("{}"), Some("body"));
}

#[test]
fn requests_that_are_answered_otherwise_on_purpose_are_left_out() {
    for (target, expected) in [
        ("/v2/accounts/a/groups", true),
        ("/v2/accounts/a/groups?paginate=false&filter_name=x%20y", true),
        ("/v2/accounts/a/groups?jsonp=f", false),
        ("/v2/accounts/a/groups?%6Asonp=f", false),
        ("/v2/accounts/a/groups?x=1&verb=delete", false),
        ("/v2/accounts/a/users/u/groups", true),
        ("/v2/accounts/a/users/u/groups?paginate=false", false),
        ("/v2/accounts/a/users/u/groups?start_key=u", false),
        ("/v2/accounts/a/groups/..", false),
        ("/v2/accounts/a/groups/%2E%2e", false),
        ("/v2/accounts/a/groups/a.b", true),
    ] {
        assert_eq!(is_comparable(target), expected, "{target}");
    }
}

proptest! {
    /// The difference is short and has no control characters, even if the other server sends such.
    #[test]
    fn any_answer_can_be_compared(there in any::<Vec<u8>>(), here in ".*", text in ".*") {
        let headers = [("content-type".to_owned(), text.clone())];
        let texts = [json!({ "data": text }).to_string(), here];
        for body in &texts {
            let expected = Answer { status: 200, headers: &headers, body: &there };
            let actual = Answer { status: 200, headers: &[], body: body.as_bytes() };
            if let Some(found) = compare("/", expected, actual) {
                let shown = found.to_string();
                assert!(!shown.contains(char::is_control) && shown.chars().count() < 1_000);
            }
        }
    }
}
