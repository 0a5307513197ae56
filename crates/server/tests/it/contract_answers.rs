//! The forms of answers, preconditions, and the order of listings, where the recordings do not cover them.
//! Rows of `docs/compatibility.md` name these tests.

use serde_json::{Value, json};

use crate::account::{Account, ids_of, json_of};
use crate::http_client::Response;
use crate::process::run_ok;

/// A header of a request.
type Header<'a> = (&'a str, &'a str);

#[test]
fn the_accept_parameter_comes_after_negotiation() {
    let alpha = Account::served();
    alpha.create_all(&["a"]);
    for (query, content_type) in [
        ("csv", "text/csv"),
        ("text%2Fcsv", "text/csv"),
        ("application%2Foctet-stream", "text/csv"),
        ("pdf", "application/json"),
        ("text%2Fhtml", "application/json"),
        ("json", "application/json"),
    ] {
        let answer = alpha.send("GET", &format!("/groups?accept={query}"), &[], b"");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{query}");
    }
    // A write answers JSON even if the client asks for CSV. A type that is not served is refused before the write.
    let data = br#"{"data":{"name":"x"}}"#;
    let csv = alpha.send("PUT", "/groups", &[("Accept", "text/csv")], data);
    assert_eq!((csv.status, csv.header("content-type")), (201, Some("application/json")));
    let html = alpha.send("PUT", "/groups", &[("Accept", "text/html")], data);
    assert_eq!((html.status, html.body.len(), alpha.ids("/groups").len()), (406, 0, 2));
}

#[test]
fn an_accept_header_without_entries_accepts_nothing() {
    let alpha = Account::served();
    alpha.create_all(&["a"]);
    for (method, path, body) in [
        ("GET", "/groups", ""),
        ("GET", "/groups/a", ""),
        ("GET", "/groups?accept=csv", ""),
        ("GET", "/v2/token_auth", ""),
        ("PUT", "/groups", r#"{"data":{}}"#),
        ("POST", "/groups/a", r#"{"data":{"name":""}}"#),
        ("PATCH", "/groups/a", r#"{"data":{"name":5}}"#),
        ("DELETE", "/groups/a", ""),
        ("DELETE", "/groups/nosuch", ""),
        ("PUT", "/v2/user_auth", r#"{"data":{}}"#),
        ("PUT", "/v2/api_auth", r#"{"data":{}}"#),
    ] {
        for accept in ["", ",", " , "] {
            let answer = alpha.send(method, path, &[("Accept", accept)], body.as_bytes());
            assert_eq!((answer.status, answer.body.len()), (406, 0), "{method} {path} {accept:?}");
        }
    }
    assert_eq!(alpha.send("GET", "/groups/a", &[("Accept", ",application/json,")], b"").status, 200);
}

#[test]
fn an_error_is_json_even_if_the_client_asks_for_csv() {
    let alpha = Account::served();
    for path in ["/groups/nosuch", "/groups?page_size=0"] {
        let answer = alpha.send("GET", path, &[("Accept", "text/csv")], b"");
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/json")), "{path}");
        assert_eq!(json_of(&answer)["status"], "error");
    }
}

#[test]
fn an_empty_listing_as_csv_is_a_bare_204() {
    let alpha = Account::served();
    let answer = alpha.send("GET", "/groups", &[("Accept", "text/csv")], b"");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!((answer.header("x-request-id"), answer.header("content-type")), (None, None));
}

#[test]
fn errors_before_negotiation_have_the_type_json() {
    let alpha = Account::served();
    let long_account = format!("/v2/accounts/{}a/groups", alpha.id);
    for (method, path, body, status) in [
        ("PUT", "/groups", "{bad", 400),
        ("GET", "/groups", "", 401),
        ("GET", long_account.as_str(), "", 404),
        ("POST", "/groups", "", 405),
        ("GET", "/v1/accounts", "", 410),
    ] {
        let answer = alpha.send_as_stranger(method, path, &[], body.as_bytes());
        let seen = (answer.status, answer.header("content-type"));
        assert_eq!(seen, (status, Some("application/json")), "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{method} {path}");
    }
}

#[test]
fn preconditions_are_answered_as_by_cowboy() {
    let alpha = Account::served();
    let empty = |header: (&str, &str)| alpha.send("GET", "/groups", &[header], b"").status;
    assert_eq!(empty(("If-None-Match", "\"x\"")), 412, "an empty listing has no tag");
    assert_eq!(empty(("If-None-Match", "*")), 304);
    alpha.create_all(&["a"]);
    let etag = alpha.send("GET", "/groups/a", &[], b"").header("etag").unwrap().to_owned();
    let weak = format!("W/{etag}");
    let patch = br#"{"data":{}}"#;
    let create = br#"{"data":{"name":"new"}}"#;
    let rows: [(&str, &str, &[u8], Header<'_>, u16); 16] = [
        ("GET", "/groups/a", b"", ("If-None-Match", &weak), 304),
        ("GET", "/groups/a", b"", ("If-Match", &weak), 412),
        ("GET", "/groups/a", b"", ("If-Match", "*"), 200),
        ("GET", "/groups/a", b"", ("If-Unmodified-Since", "Fri, 01 Jan 1999 00:00:00 GMT"), 200),
        ("GET", "/groups", b"", ("If-None-Match", "\"x\""), 200),
        ("GET", "/groups", b"", ("If-None-Match", "*"), 304),
        ("GET", "/groups", b"", ("If-Match", "\"x\""), 412),
        ("GET", "/groups", b"", ("If-Match", "*"), 200),
        ("PATCH", "/groups/a", patch, ("If-None-Match", &etag), 412),
        ("PATCH", "/groups/a", patch, ("If-Match", "1-abc"), 400),
        ("DELETE", "/groups/a", b"", ("If-Match", "\"1-abc\""), 412),
        ("PUT", "/groups", create, ("If-Match", "*"), 412),
        ("PUT", "/groups", create, ("If-Match", "\"x\""), 412),
        ("PUT", "/groups", create, ("If-None-Match", "*"), 201),
        ("POST", "/groups/nosuch", create, ("If-Match", "\"x\""), 404),
        ("POST", "/groups/a", patch, ("If-Match", "\"x\""), 400),
    ];
    for (method, path, body, header, status) in rows {
        let answer = alpha.send(method, path, &[header], body);
        assert_eq!(answer.status, status, "{method} {path} {header:?}: {answer:?}");
        if matches!(status, 304 | 412) {
            assert!(answer.body.is_empty() && answer.header("content-type").is_none(), "{answer:?}");
        }
    }
}

#[test]
fn a_write_has_no_etag_and_each_listing_has_a_new_one() {
    let alpha = Account::served();
    let created = alpha.ask("PUT", "/groups", &json!({"id": "a", "name": "x"}));
    let replaced = alpha.ask("POST", "/groups/a", &json!({"name": "y"}));
    assert_eq!((created.header("etag"), replaced.header("etag")), (None, None));
    let tags: Vec<_> = (0..2)
        .map(|_| {
            let listing = alpha.send("GET", "/groups", &[], b"");
            let revision = json_of(&listing)["revision"].as_str().unwrap().to_owned();
            assert_eq!(listing.header("etag"), Some(format!("\"{revision}\"").as_str()));
            revision
        })
        .collect();
    assert_ne!(tags[0], tags[1]);
    let deleted = json_of(&alpha.send("DELETE", "/groups/a", &[], b""));
    assert_eq!(deleted["revision"], json_of(&replaced)["revision"], "the revision before the deletion");
}

/// Answers repeat the token, and a shared cache does not know its header.
#[test]
fn no_shared_cache_may_keep_an_answer() {
    let alpha = Account::served();
    alpha.create_all(&["g"]);
    let etag = alpha.send("GET", "/groups/g", &[], b"").header("etag").unwrap().to_owned();
    let check = |answer: &Response, status: u16, expected: &str| {
        assert_eq!((answer.status, answer.header("cache-control")), (status, Some(expected)), "{answer:?}");
    };
    for (method, path, status) in [
        ("GET", "/groups", 200),
        ("GET", "/groups?accept=csv", 200),
        ("GET", "/groups?is_chunked=true", 200),
        ("GET", "/groups/g", 200),
        ("GET", "/groups/other", 404),
        ("HEAD", "/groups", 405),
        ("GET", "/v2/token_auth", 200),
    ] {
        check(&alpha.send(method, path, &[], b""), status, "private, no-cache");
    }
    let known = alpha.send("GET", "/groups/g", &[("If-None-Match", &etag)], b"");
    check(&known, 304, "private, no-cache");
    let refused = alpha.send_as_stranger("GET", "/groups", &[("X-Auth-Token", "bad")], b"");
    check(&refused, 401, "private, no-cache");
    let preflight = alpha.send("OPTIONS", "/groups", &[("Origin", "https://a.example")], b"");
    check(&preflight, 200, "no-store");
    let credentials = format!("{:x}", <md5::Md5 as md5::Digest>::digest(b"admin:secret"));
    for (method, path, data, status) in [
        ("PATCH", "/groups/g", json!({"a": 1}), 200),
        ("DELETE", "/groups/g", json!({}), 200),
        ("PUT", "/v2/user_auth", json!({}), 400),
        ("PUT", "/v2/user_auth", json!({"credentials": "x", "account_name": "alpha"}), 401),
        ("PUT", "/v2/user_auth", json!({"credentials": credentials, "account_name": "alpha"}), 201),
    ] {
        check(&alpha.ask(method, path, &data), status, "no-store");
    }
}

/// By default CSV is crossbar's: phone numbers begin with `+`, too.
#[test]
fn csv_safe_disarms_formulas() {
    let mut alpha = Account::served();
    let group = json!({"id": "g", "name": "=cmd()", "number": "+14155550100", "@x": 1});
    assert_eq!(alpha.ask("PUT", "/groups", &group).status, 201);
    let csv = |alpha: &Account, path: &str| alpha.send("GET", path, &[], b"").text();
    for path in ["/groups?accept=csv", "/groups/g?accept=csv"] {
        let text = csv(&alpha, path);
        assert!(text.contains("\"=cmd()\"") && !text.contains('\''), "{path}: {text}");
    }
    alpha.restart(&["--csv-safe"]);
    let text = csv(&alpha, "/groups?accept=csv");
    assert!(text.contains("\"'=cmd()\""), "{text}");
    let text = csv(&alpha, "/groups/g?accept=csv");
    for cell in ["\"'=cmd()\"", "\"'+14155550100\"", "\"'@x\""] {
        assert!(text.contains(cell), "{text}");
    }
}

#[test]
fn bad_paging_parameters_are_404() {
    let alpha = Account::served();
    alpha.create_all(&["a", "b", "c", "d"]);
    let fault = |query: &str| {
        let answer = alpha.send("GET", &format!("/groups?{query}"), &[], b"");
        let body = json_of(&answer);
        (answer.status, body["message"].clone(), body["data"]["message"].clone())
    };
    for (query, text) in [
        ("page_size=0", "page size must be at least 1"),
        ("page_size=-3", "page size must be at least 1"),
        ("page_size=x", "invalid page size"),
        ("page_size", "invalid page size"),
        ("chunk_size=51", "chunk size must be lower than 50"),
        ("chunk_size=-1", "chunk size must be at least 1"),
        ("chunk_size=x", "invalid chunk size"),
        // 503 in crossbar.
        ("chunk_size=0", "chunk size must be at least 1"),
    ] {
        assert_eq!(fault(query), (404, json!("faulty_request"), json!(text)), "{query}");
    }
    assert_eq!(alpha.ids("/groups?page_size=2.5").len(), 3, "a fraction is rounded");
    assert_eq!(alpha.ids("/groups?page_size=0&paginate=no").len(), 4, "and not looked at without pages");
}

#[test]
fn paginate_with_any_value_but_true_turns_paging_off() {
    let alpha = Account::served();
    alpha.create_all(&["a", "b", "c"]);
    for value in ["false", "no", "1", "TRUE", ""] {
        let answer =
            alpha.send("GET", &format!("/groups?page_size=1&paginate={value}&start_key=b"), &[], b"");
        let body = json_of(&answer);
        assert_eq!(ids_of(&body), ["b", "a"], "{value}");
        for key in ["page_size", "start_key", "next_start_key"] {
            assert_eq!(body.get(key), None, "{value}");
        }
    }
    for value in ["paginate=true", "paginate"] {
        assert_eq!(alpha.ids(&format!("/groups?page_size=1&{value}")), ["c"]);
    }
}

#[test]
fn only_ascending_changes_the_order() {
    let alpha = Account::served();
    alpha.create_all(&["a", "b", "c"]);
    for (query, ids) in [
        ("", ["c", "b", "a"]),
        ("descending=false", ["c", "b", "a"]),
        ("ascending=false", ["c", "b", "a"]),
        ("ascending=true&descending=true", ["c", "b", "a"]),
        ("ascending=true", ["a", "b", "c"]),
        ("ascending=yes", ["a", "b", "c"]),
        ("ascending", ["a", "b", "c"]),
    ] {
        assert_eq!(alpha.ids(&format!("/groups?{query}")), ids, "{query}");
    }
    assert_eq!(alpha.ids("/groups?start_key=b&end_key=b"), ["b"], "both ends are inside");
    assert_eq!(alpha.ids("/groups?ascending=true&start_key=b"), ["b", "c"]);
}

#[test]
fn the_embedded_store_sorts_ids_by_bytes() {
    let alpha = Account::served();
    alpha.create_all(&["a", "B", "é", "~", "b", "A", "1"]);
    assert_eq!(alpha.ids("/groups?ascending=true"), ["1", "A", "B", "a", "b", "~", "é"]);
}

#[test]
fn the_groups_of_a_user_are_paged_by_their_ids() {
    let alpha = Account::served();
    for id in ["a", "b", "c", "d", "e"] {
        let member = json!({alpha.user_id.as_str(): {"type": "user"}});
        alpha.ask("PUT", "/groups", &json!({"id": id, "name": id, "endpoints": member}));
    }
    alpha.create_all(&["f"]);
    let path = format!("/users/{}/groups?page_size=2", alpha.user_id);
    let mut pages = Vec::new();
    let mut next = String::new();
    loop {
        let page = json_of(&alpha.send("GET", &format!("{path}{next}"), &[], b""));
        pages.push(ids_of(&page));
        let Some(key) = page["next_start_key"].as_str() else { break };
        next = format!("&start_key={key}");
        assert!(pages.len() < 9, "it ends");
    }
    assert_eq!(pages, [vec!["e", "d"], vec!["c", "b"], vec!["a"]]);
    assert_eq!(alpha.ids(&format!("/users/{}/groups?start_key=b&end_key=b", alpha.user_id)), ["b"]);
}

#[test]
fn chunks_form_one_json_text_with_strings_after_the_data() {
    let alpha = Account::served();
    let empty = alpha.send("GET", "/groups?is_chunked=true", &[], b"");
    assert_eq!((empty.header("transfer-encoding"), &json_of(&empty)["data"]), (None, &json!([])));
    alpha.create_all(&["a", "b", "c"]);
    let listing =
        alpha.send("GET", "/groups?is_chunked=true&page_size=2&start_key=c&pretty_print=true", &[], b"");
    assert_eq!((listing.header("transfer-encoding"), listing.header("etag")), (Some("chunked"), None));
    let body = json_of(&listing);
    assert_eq!(ids_of(&body), ["c", "b"]);
    let keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["data", "next_start_key", "page_size", "start_key", "status"];
    let rest = ["request_id", "node", "version", "timestamp", "auth_token"];
    assert_eq!(keys, [&expected[..], &rest[..]].concat());
    assert_eq!(body["page_size"], "2");
    let all = json_of(&alpha.send("GET", "/groups?is_chunked=true&paginate=false", &[], b""));
    assert_eq!((ids_of(&all).len(), all.get("page_size")), (3, None));
}

#[test]
fn null_members_do_not_hide_a_group() {
    let alpha = Account::served();
    let user = alpha.user_id.as_str();
    let hidden = json!({
        "id": "n",
        "name": "n",
        "smartpbx": {"a": null, "b": {"enabled": true}},
        "endpoints": {"x": null, user: {"type": "user"}},
    });
    alpha.ask("PUT", "/groups", &hidden);
    let row = json!({"id": "n", "name": "n", "features": ["b"], "endpoints": 2, "flags": []});
    for path in ["/groups".to_owned(), format!("/users/{user}/groups")] {
        assert_eq!(json_of(&alpha.send("GET", &path, &[], b""))["data"], json!([row]), "{path}");
    }
}

#[test]
fn imported_documents_are_served() {
    let mut alpha = Account::served();
    let line = |doc: &Value| json!({"db": alpha.db(), "doc": doc}).to_string();
    let group = line(
        &json!({"_id": "g", "pvt_type": "group", "name": "imported", "pvt_secret": 1, "a": {"pvt_b": 2}}),
    );
    let untyped = line(&json!({"_id": "u", "name": "untyped"}));
    let other = line(&json!({"_id": "o", "name": "other", "pvt_type": "groups"}));
    alpha.while_stopped(|store| {
        run_ok(&["import", "--store", store, "-"], format!("{group}\n{untyped}\n{other}\n").as_bytes())
    });
    let read = |id: &str| alpha.send("GET", &format!("/groups/{id}"), &[], b"");
    assert_eq!(json_of(&read("g"))["data"], json!({"name": "imported", "a": {"pvt_b": 2}, "id": "g"}));
    assert_eq!((read("u").status, read("o").status), (200, 404), "a document without a type passes");
    assert_eq!(alpha.ids("/groups"), ["g"], "but is not listed");
}

#[test]
fn long_requests_are_answered() {
    let alpha = Account::served();
    let long = format!("/groups/{}", "a".repeat(7_000));
    assert_eq!(alpha.send("GET", &long, &[], b"").status, 404);
    let value = "b".repeat(8_000);
    assert_eq!(alpha.send("GET", "/groups", &[("X-Long", &value)], b"").status, 200);
    for (count, status) in [(90, 200), (120, 431)] {
        assert_eq!(alpha.send("GET", "/groups", &vec![("X-Many", "1"); count], b"").status, status);
    }
}
