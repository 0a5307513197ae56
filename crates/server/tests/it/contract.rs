//! Unusual bodies and paths, and requests that this server refuses on purpose, where the recordings do not
//! cover them. Rows of `docs/compatibility.md` name these tests.

use serde_json::{Value, json};

use crate::account::{Account, ids_of, json_of};

/// A value at a place in a body, by JSON pointer.
type Said<'a> = Option<(&'a str, Value)>;

/// Headers of a request.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// Checks the status of an answer, and a value in its body by JSON pointer.
struct Case<'a> {
    method: &'a str,
    path: &'a str,
    headers: Headers<'a>,
    body: &'a [u8],
    status: u16,
    holds: Said<'a>,
}

fn check(alpha: &Account, case: &Case<'_>) {
    let Case { method, path, headers, body, status, holds } = case;
    let answer = alpha.send(method, path, headers, body);
    let said = format!("{method} {path} {headers:?} {}: {answer:?}", String::from_utf8_lossy(body));
    assert_eq!(answer.status, *status, "{said}");
    if let Some((pointer, expected)) = holds {
        assert_eq!(json_of(&answer).pointer(pointer), Some(expected), "{pointer} of {said}");
    }
}

/// Creates groups with bodies of a content type: its status, and what the answer says at a place.
fn check_bodies(content_type: &str, bodies: &[(&str, u16, Said<'_>)]) {
    let alpha = Account::served();
    for (body, status, holds) in bodies {
        let headers = [("Content-Type", content_type)];
        let holds = holds.clone();
        check(
            &alpha,
            &Case {
                method: "PUT",
                path: "/groups",
                headers: &headers,
                body: body.as_bytes(),
                status: *status,
                holds,
            },
        );
    }
}

fn message(text: &str) -> Value {
    Value::from(text)
}

#[test]
fn a_form_whose_body_is_json_is_read_as_json() {
    let required = || Some(("/data/data/required/message", message("Field is required but missing")));
    check_bodies(
        "application/x-www-form-urlencoded",
        &[
            (r#"{"data":{"name":"curl"}}"#, 201, Some(("/data/name", message("curl")))),
            (r#"{"data":{"name":"100%"}}"#, 201, Some(("/data/name", message("100%")))),
            (r#"{"data":{"name":"a=b"}}"#, 400, required()),
            (r#"{"data":{"name":"a&b"}}"#, 400, required()),
            ("name=x", 400, required()),
            ("", 400, required()),
        ],
    );
}

#[test]
fn an_empty_form_is_refused_with_every_method() {
    let alpha = Account::served();
    alpha.create_all(&["a"]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    for (method, path) in [("GET", "/groups"), ("DELETE", "/groups/a")] {
        let holds = Some(("/data/data/required/message", message("Field is required but missing")));
        check(&alpha, &Case { method, path, headers: &headers, body: b"", status: 400, holds });
    }
}

#[test]
fn the_last_json_part_of_a_multipart_body_is_the_envelope() {
    let part = |content_type: &str, content: &str| {
        let content_type =
            if content_type.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
        format!("--x\r\nContent-Disposition: form-data; name=\"f\"\r\n{content_type}\r\n{content}\r\n")
    };
    let json = |name: &str| json!({"data": {"name": name}}).to_string();
    let two = format!("{}{}--x--\r\n", part("application/json", &json("first")), part("", &json("last")));
    let file = format!("{}{}--x--\r\n", part("", &json("only")), part("image/png", "\u{1}\u{2}"));
    let field = format!("{}--x--\r\n", part("", "no json"));
    check_bodies(
        "multipart/form-data; boundary=x",
        &[
            (&two, 201, Some(("/data/name", message("last")))),
            (&file, 201, Some(("/data/name", message("only")))),
            (&field, 400, Some(("/data/json/invalid/target", message("body")))),
        ],
    );
    check_bodies("multipart/form-data", &[(&two, 400, Some(("/message", message("validation error"))))]);
}

#[test]
fn a_file_as_the_body_is_refused() {
    let alpha = Account::served();
    alpha.create_all(&["a"]);
    let json = br#"{"data":{"name":"x"}}"#;
    let no_name = || Some(("/data/name/required/value", message("name")));
    let bad_base64 = Some(("/data/file/encoding/message", message("failed to decode base64 data")));
    let changed = Some(("/data/name", message("group a")));
    type Row<'a> = (&'a str, &'a str, &'a str, &'a [u8], u16, Said<'a>);
    let rows: [Row<'_>; 8] = [
        ("PUT", "/groups", "text/plain", json, 400, no_name()),
        ("POST", "/groups/a", "text/csv", json, 400, no_name()),
        ("PATCH", "/groups/a", "text/csv", json, 200, changed.clone()),
        ("PATCH", "/groups/a", "application/octet-stream", json, 200, changed),
        ("PATCH", "/groups/a", "text/plain", json, 415, None),
        ("PATCH", "/groups/a", "image/png", json, 415, None),
        ("PUT", "/groups", "application/base64", b"!!!", 400, bad_base64),
        ("PUT", "/groups", "application/x-base64", b"YQ==", 400, no_name()),
    ];
    for (method, path, content_type, body, status, holds) in rows {
        check(
            &alpha,
            &Case { method, path, headers: &[("Content-Type", content_type)], body, status, holds },
        );
    }
}

#[test]
fn a_bad_content_type_is_400_with_the_envelope() {
    let alpha = Account::served();
    for content_type in ["garbage", "", "/", "application/json; ="] {
        let headers = [("Content-Type", content_type)];
        let body = br#"{"data":{"name":"x"}}"#;
        let holds = Some(("/message", message("validation error")));
        check(&alpha, &Case { method: "PUT", path: "/groups", headers: &headers, body, status: 400, holds });
    }
}

#[test]
fn only_the_top_level_names_of_an_envelope_are_normalised() {
    let alpha = Account::served();
    let body = json!({"DATA": {"id": "n", "Name-X": 1, "name": "x"}, "AUTH-TOKEN": alpha.token}).to_string();
    let answer = alpha.send_as_stranger("PUT", "/groups", &[], body.as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(json_of(&answer)["data"]["Name-X"], 1);
}

#[test]
fn a_parameter_is_read_from_data_else_the_query_else_the_envelope() {
    let alpha = Account::served();
    alpha.create_all(&["a", "b", "c", "d"]);
    let listed = |query: &str, body: &Value| {
        let body = body.to_string();
        let answer = alpha.send("GET", &format!("/groups{query}"), &[], body.as_bytes());
        ids_of(&json_of(&answer)).len()
    };
    assert_eq!(listed("?page_size=2", &json!({"data": {"page_size": 1}, "page_size": 3})), 1);
    assert_eq!(listed("?page_size=2", &json!({"data": {}, "page_size": 3})), 2);
    assert_eq!(listed("", &json!({"data": {}, "page_size": 3})), 3);
    // These work only in the query string.
    let elsewhere = json!({"data": {"filter_name": "group a", "is_chunked": true, "ascending": true}});
    assert_eq!(listed("", &elsewhere), 4);
}

#[test]
fn a_start_key_in_data_is_a_parameter_and_is_not_stored() {
    let alpha = Account::served();
    let created = alpha.ask("PUT", "/groups", &json!({"name": "x", "start_key": "a", "page_size": 3}));
    assert_eq!(created.status, 201);
    let data = &json_of(&created)["data"];
    assert_eq!((data.get("start_key"), &data["page_size"]), (None, &json!(3)));
}

#[test]
fn an_invalid_id_is_refused() {
    let alpha = Account::served();
    let rows = [
        (json!(5), "type"),
        (json!(true), "type"),
        (json!(["a"]), "type"),
        (json!({"a": 1}), "type"),
        (json!("_design/x"), "invalid"),
        (json!("_local"), "invalid"),
        (json!("."), "invalid"),
        (json!(".."), "invalid"),
        (json!("a\u{1}b"), "invalid"),
    ];
    for (id, rule) in rows {
        for key in ["id", "_id"] {
            let answer = alpha.ask("PUT", "/groups", &json!({key: id, "name": "x"}));
            assert_eq!(answer.status, 400, "{id}: {answer:?}");
            assert!(json_of(&answer)["data"]["id"].get(rule).is_some(), "{id}: {answer:?}");
        }
    }
    assert_eq!(alpha.ids("/groups"), Vec::<String>::new());
}

#[test]
fn an_empty_id_means_a_new_one() {
    let alpha = Account::served();
    for id in [json!(""), json!("0"), json!("NULL"), json!("undefined"), Value::Null] {
        let answer = alpha.ask("PUT", "/groups", &json!({"id": id, "name": "x"}));
        let body = json_of(&answer);
        let given = body["data"]["id"].as_str().unwrap();
        assert!(given.len() == 32 && given.bytes().all(|byte| byte.is_ascii_hexdigit()), "{body}");
    }
    // If both are given, `_id` counts.
    let answer = alpha.ask("PUT", "/groups", &json!({"id": "a", "_id": "b", "name": "x"}));
    assert_eq!(json_of(&answer)["data"]["id"], "b");
}

#[test]
fn ids_that_no_group_can_have_are_404() {
    let alpha = Account::served();
    for id in ["_all_docs", "_design%2Fgroups", "_changes", "_design/groups", ".", "..", "%01"] {
        for method in ["GET", "DELETE"] {
            let answer = alpha.send(method, &format!("/groups/{id}"), &[], b"");
            assert_eq!(answer.status, 404, "{method} {id}: {answer:?}");
        }
    }
    let answer = json_of(&alpha.send("GET", "/groups/_all_docs", &[], b""));
    assert_eq!(answer["data"], json!({"cause": "_all_docs", "message": "bad identifier"}));
}

#[test]
fn data_that_is_a_list_breaks_the_schema_with_every_verb() {
    let alpha = Account::served();
    alpha.create_all(&["a"]);
    let listed = |list: Value| {
        let error =
            json!({"message": "Value did not match type(s): object", "target": "object", "value": list});
        json!({"": {"type": error}})
    };
    for list in [json!([]), json!(["a"]), json!([1, 2]), json!([{"name": "a"}])] {
        for (method, path) in [("PUT", "/groups"), ("POST", "/groups/a"), ("PATCH", "/groups/a")] {
            let answer = alpha.ask(method, path, &list);
            assert_eq!(answer.status, 400, "{method} {list}");
            assert_eq!(json_of(&answer)["data"], listed(list.clone()), "{method} {list}");
        }
    }
}

#[test]
fn json_that_could_not_be_kept_exactly_is_refused() {
    let alpha = Account::served();
    let deep = |levels: usize| {
        let (open, close) = (r#"{"a":"#.repeat(levels), "}".repeat(levels));
        format!(r#"{{"data":{{"name":"x","d":{open}1{close}}}}}"#).into_bytes()
    };
    // The envelope and its data are two of the 127 levels.
    assert_eq!(alpha.send("PUT", "/groups", &[], &deep(125)).status, 201);
    let refused: [&[u8]; 5] = [
        &deep(126),
        &deep(20_000),
        br#"{"data":{"name":"x","name":"y"}}"#,
        b"{\"data\":{\"name\":\"\xff\xfe\"}}",
        b"{\"data\":{\"name\":\"\\ud800\"}}",
    ];
    for body in refused {
        let answer = alpha.send("PUT", "/groups", &[], body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(json_of(&answer)["data"]["json"]["invalid"]["message"].is_string(), "{answer:?}");
    }
}

#[test]
fn a_bad_escape_in_the_query_is_400_with_the_envelope() {
    let alpha = Account::served();
    for query in ["a=%zz", "%", "filter_name=%4"] {
        let path = format!("/groups?{query}");
        let holds = Some(("/data/query/invalid/target", message("query")));
        check(&alpha, &Case { method: "GET", path: &path, headers: &[], body: b"", status: 400, holds });
    }
}

#[test]
fn a_jsonp_parameter_changes_nothing() {
    let alpha = Account::served();
    for path in ["/groups?jsonp=alert", "/groups?jsonp", "/groups/nosuch?jsonp=cb"] {
        let answer = alpha.send("GET", path, &[], b"");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        assert!(json_of(&answer).is_object(), "{path}");
    }
}

#[test]
fn the_verb_parameter_works_only_in_a_post() {
    let alpha = Account::served();
    alpha.create_all(&["a"]);
    let data = br#"{"data":{"name":"x"}}"#;
    let cors = [("Origin", "http://ui.example.com")];
    let invalid = || Some(("/message", message("invalid_method")));
    let rows: [(&str, &str, Headers<'_>, u16, Said<'_>); 9] = [
        ("GET", "/groups/a?verb=DELETE", &[], 405, invalid()),
        ("GET", "/groups/a?verb=POST", &[], 405, invalid()),
        ("GET", "/groups?verb=PUT", &[], 405, invalid()),
        ("GET", "/groups/a?verb", &[], 405, invalid()),
        ("PUT", "/groups/a?verb=POST", &[], 405, invalid()),
        ("PATCH", "/groups/a?verb=DELETE", &[], 405, invalid()),
        ("POST", "/groups?verb=OPTIONS", &[], 405, invalid()),
        ("POST", "/groups?verb=OPTIONS", &cors, 405, None),
        ("GET", "/groups/a?verb=get", &[], 200, Some(("/data/name", message("group a")))),
    ];
    for (method, path, headers, status, holds) in rows {
        check(&alpha, &Case { method, path, headers, body: data, status, holds });
    }
    let tunnelled = alpha.send("POST", "/groups?verb=OPTIONS", &cors, data);
    assert_eq!((tunnelled.header("allow"), tunnelled.body.len()), (Some("OPTIONS"), 0));
    let head = alpha.send("HEAD", "/groups?verb=GET", &[], b"");
    assert_eq!(head.status, 405);
    assert_eq!(alpha.ids("/groups"), ["a"], "none of it was done");
}

#[test]
fn module_names_in_a_path_are_no_routes() {
    let alpha = Account::served();
    alpha.create_all(&["a"]);
    let cause = Some(("/data/cause", message("users")));
    check(
        &alpha,
        &Case { method: "GET", path: "/groups/users", headers: &[], body: b"", status: 404, holds: cause },
    );
    for path in ["/devices/d/groups", "/users/groups", "/groups/a/channels", "/groups/a/metaflows"] {
        let holds = Some(("/message", message("not_found")));
        check(&alpha, &Case { method: "GET", path, headers: &[], body: b"", status: 404, holds });
    }
}

#[test]
fn a_path_without_a_version_gets_a_page_of_text() {
    let alpha = Account::served();
    for path in ["/", "/accounts/x/groups", "/V2/accounts", "//v2/accounts", "/v2x/accounts"] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = alpha.send_as_stranger(method, path, &[], b"");
            let seen = (answer.status, answer.header("content-type"));
            assert_eq!(seen, (200, Some("text/plain; charset=UTF-8")), "{method} {path}");
        }
    }
    for version in ["v3", "v99", "hooks"] {
        let path = format!("/{version}/accounts/{}/groups", alpha.id);
        assert_eq!(alpha.send("GET", &path, &[], b"").status, 200, "{path}");
    }
    for path in ["/v1", "/v1/accounts", "/v1/x/y"] {
        assert_eq!(alpha.send_as_stranger("PUT", path, &[], b"").status, 410, "{path}");
    }
}

#[test]
fn the_path_is_decoded_once() {
    let alpha = Account::served();
    alpha.create_all(&["a/b", "a+b", "a%2Fb", "é"]);
    for (path, id) in [("a%2Fb", "a/b"), ("a+b", "a+b"), ("a%252Fb", "a%2Fb"), ("%C3%A9", "é")] {
        let holds = Some(("/data/id", message(id)));
        let path = format!("/groups/{path}");
        check(&alpha, &Case { method: "GET", path: &path, headers: &[], body: b"", status: 200, holds });
    }
    let escaped = format!("/v2/accounts/%{:02x}{}/groups//", alpha.id.as_bytes()[0], &alpha.id[1..]);
    assert_eq!(alpha.send("GET", &escaped, &[], b"").status, 200);
    for inner in ["/groups//a", "//groups"] {
        let path = format!("/v2/accounts/{}{inner}", alpha.id);
        let holds = Some(("/message", message("not_found")));
        check(&alpha, &Case { method: "GET", path: &path, headers: &[], body: b"", status: 404, holds });
    }
}

#[test]
fn an_id_that_begins_with_http_is_the_whole_location() {
    let alpha = Account::served();
    let created = alpha.ask("PUT", "/groups", &json!({"id": "http://x/y", "name": "x"}));
    assert_eq!((created.status, created.header("location")), (201, Some("http://x/y")));
}

#[test]
fn a_download_s_name_stays_inside_its_header() {
    let alpha = Account::served();
    alpha.create_all(&["a"]);
    for name in ["a%22%0d%0aX-Evil:%201", "..%2F..%2Fpasswd", "%00", "%FF", ""] {
        let answer = alpha.send("GET", &format!("/groups?accept=csv&file_name={name}"), &[], b"");
        assert_eq!((answer.status, answer.header("x-evil")), (200, None), "{name}");
        let said = answer.header("content-disposition").unwrap_or_default();
        assert!(!said.contains("../") && said.matches('"').count() <= 2, "{name}: {said}");
    }
}
