//! Odd documents through create, read, list, filter, CSV and by user. Either the creation is refused with a
//! reason, or every operation works and the group is the one that was sent.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::process::Server;
use crate::report::Measured;
use crate::settings::{Outcome, Settings};
use crate::wire::Request;
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(30);

/// The documents: a name, and the JSON of the group's members.
fn documents(user_id: &str) -> Vec<(&'static str, String)> {
    let group = |more: &str| format!(r#"{{"name":"x",{more}}}"#);
    let members = |count: usize, value: &str| {
        (0..count).map(|number| format!(r#""{number:032x}":{value}"#)).collect::<Vec<_>>().join(",")
    };
    let unicode: String = ('\u{1}'..=char::MAX).collect();
    let unicode = Value::from(unicode).to_string();
    let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    vec![
        ("a text of 7.9 MB", group(&format!(r#""text":"{}""#, "x".repeat(7_900_000)))),
        (
            "100,000 endpoints",
            group(&format!(r#""endpoints":{{{}}}"#, members(100_000, r#"{"type":"device"}"#))),
        ),
        ("20,000 users", group(&format!(r#""endpoints":{{{}}}"#, members(20_000, r#"{"type":"user"}"#)))),
        ("a key of 1 MB", group(&format!(r#""{}":1"#, "k".repeat(1_000_000)))),
        (
            "a feature of 1 MB",
            group(&format!(r#""smartpbx":{{"{}":{{"enabled":true}}}}"#, "f".repeat(1_000_000))),
        ),
        ("all of Unicode", group(&format!(r#""text":{unicode}"#))),
        ("all of Unicode as a flag", group(&format!(r#""flags":[{unicode}]"#))),
        ("all of Unicode as a key", group(&format!(r"{unicode}:1"))),
        (
            "numbers at every edge",
            group(
                r#""n":[0,-0,-0.0,1.0,1e3,1E+2,9007199254740993,18446744073709551616,-9223372036854775809,1e308,1.7976931348623157e308,5e-324,4.9e-325,0.1,123456789012345678901234567890.123456789]"#,
            ),
        ),
        ("a number beyond a float", group(r#""n":1e999"#)),
        ("a lone surrogate", group(r#""text":"\ud800""#)),
        ("a text with a null character", group(r#""text":"\u0000","a\u0000b":1"#)),
        ("120 levels", group(&format!(r#""a":{}"#, deep(120)))),
        ("130 levels", group(&format!(r#""a":{}"#, deep(130)))),
        ("members of other types", group(r#""smartpbx":5,"music_on_hold":{"media_id":null},"flags":[]"#)),
        ("null inside smartpbx", group(r#""smartpbx":{"a":null,"b":5,"c":{"enabled":"yes"}}"#)),
        (
            "null inside endpoints",
            group(&format!(r#""endpoints":{{"a":null,"{user_id}":{{"type":"user"}}}}"#)),
        ),
        (
            "keys of JavaScript",
            group(r#""__proto__":{"a":1},"constructor":1,"toString":2,"hasOwnProperty":3,"length":4"#),
        ),
        (
            "endpoints of JavaScript",
            group(
                r#""endpoints":{"__proto__":{"type":"user"},"constructor":{"type":"user"},"0":{"type":"user"}}"#,
            ),
        ),
        ("flags that are an object", group(r#""flags":{}"#)),
        ("flags of 50,000 texts", group(&format!(r#""flags":[{}]"#, vec![r#""flag""#; 50_000].join(",")))),
        ("two equal keys", group(r#""a":1,"a":2"#)),
        (
            "private members",
            group(r#""pvt_type":"account","_rev":"9-a","pvt_deleted":true,"_attachments":{}"#),
        ),
        (
            "the magic key of numbers",
            group(r#""n":{"$serde_json::private::Number":"1"},"m":{"$serde_json::private::RawValue":"1"}"#),
        ),
        ("200,000 empty objects", group(&format!(r#""l":[{}]"#, vec!["{}"; 200_000].join(",")))),
    ]
}

/// Sends them all.
pub(super) fn measure(settings: &Settings) -> Outcome<Measured> {
    let world = World::copy(&settings.binary, &settings.template())?;
    let mut server = world.start()?;
    let mut faults = Vec::new();
    let mut refused = Vec::new();
    let (mut stored, mut slowest) = (0, Duration::ZERO);
    for (number, (name, data)) in documents(&world.bad.user_id).into_iter().enumerate() {
        let id = format!("odd{number}");
        match through(&server, &world, &id, &data, &mut slowest) {
            Ok(None) => stored += 1,
            Ok(Some(reason)) => refused.push(format!("{name}: {reason}")),
            Err(fault) => faults.push(format!("{name}: {fault}")),
        }
        if !server.is_alive() {
            faults.push(format!("{name}: the process ended"));
            break;
        }
    }
    if server.panics() > 0 {
        faults.push(format!("{} panics", server.panics()));
    }
    let figures = json!({"stored": stored, "refused": refused, "slowest_ms": crate::table::millis(slowest)});
    Ok((figures.as_object().cloned().unwrap_or_default(), faults))
}

/// Sends one document through every operation. Answers why it was refused, if it was.
fn through(
    server: &Server,
    world: &World,
    id: &str,
    data: &str,
    slowest: &mut Duration,
) -> Outcome<Option<String>> {
    let account = &world.bad;
    let mut ask = |what: &str, request: Request| {
        let begun = Instant::now();
        let answer = request.token(&account.token).ask(server.address, PATIENCE);
        *slowest = (*slowest).max(begun.elapsed());
        answer.map_err(|error| format!("{what} had no answer: {error}"))
    };
    let with_id = data.replacen('{', &format!(r#"{{"id":"{id}","#), 1);
    let body = format!(r#"{{"data":{with_id}}}"#);
    let created = ask("PUT", Request::new("PUT", account.groups("")).json(body))?;
    if created.status == 400 {
        let answer: Value = serde_json::from_slice(&created.body).map_err(|error| error.to_string())?;
        let data = answer["data"].to_string();
        return Ok(Some(data.chars().take(160).collect()));
    }
    if created.status != 201 {
        return Err(format!("PUT was answered with {}", created.status));
    }
    let found = ask("GET", Request::new("GET", account.groups(&format!("/{id}"))))?;
    let found: Value = serde_json::from_slice(&found.body).map_err(|error| format!("GET: {error}"))?;
    let sent: Value = serde_json::from_str(data).map_err(|error| format!("the document itself: {error}"))?;
    for (key, value) in sent.as_object().into_iter().flatten() {
        let is_public = !key.starts_with('_') && !key.starts_with("pvt_");
        if is_public && !is_equal(value, &found["data"][key]) {
            return Err(format!("{:.40} came back as something else", key));
        }
    }
    for (what, path) in [
        ("the listing", account.groups("?paginate=false")),
        ("the filtered listing", account.groups("?paginate=false&has_key=name")),
    ] {
        let listed = ask(what, Request::new("GET", path))?;
        let listing: Value = serde_json::from_slice(&listed.body).unwrap_or(Value::Null);
        let rows = listing["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        if listed.status != 200 || !rows.iter().any(|row| row["id"] == id) {
            return Err(format!("{what} has status {} and leaves it out", listed.status));
        }
    }
    for (what, path) in [
        ("CSV", account.groups(&format!("/{id}?accept=csv"))),
        ("the CSV of the listing", account.groups("?paginate=false&accept=csv")),
        ("the user's listing", account.groups_of_user("")),
        ("the indented group", account.groups(&format!("/{id}?pretty_print=true"))),
    ] {
        let answer = ask(what, Request::new("GET", path))?;
        // CSV has a bound on columns: the answer is a 400.
        let is_good = answer.status == 200 || (what == "CSV" && answer.status == 400);
        if !is_good {
            return Err(format!("{what} was answered with {}", answer.status));
        }
    }
    let patched = Request::new("PATCH", account.groups(&format!("/{id}"))).json(r#"{"data":{"patched":1}}"#);
    let patched = ask("PATCH", patched)?;
    if patched.status != 200 {
        return Err(format!("PATCH was answered with {}", patched.status));
    }
    let deleted =
        ask("DELETE", Request::new("DELETE", account.groups(&format!("/{id}?should_soft_delete=false"))))?;
    if deleted.status == 200 { Ok(None) } else { Err(format!("DELETE was answered with {}", deleted.status)) }
}

/// Whether two values are the same. Numbers may be written in another way.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, value)| is_equal(value, &field(other, key)))
        }
        _ => one == other,
    }
}

fn field(members: &Map<String, Value>, key: &str) -> Value {
    members.get(key).cloned().unwrap_or_else(|| json!("absent"))
}
