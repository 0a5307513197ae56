//! Requests as bytes: syntactically valid HTTP/1.1, whatever it says, so that every one must be answered.

use super::bodies;
use super::dice::Dice;

/// The ids and tokens that requests use.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) account: String,
    pub(crate) user: String,
    pub(crate) token: String,
    /// Groups that were there a moment ago.
    pub(crate) groups: Vec<String>,
}

/// A request, and what its answer depends on.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// The method is one that HTTP does not know: 501.
    pub(crate) is_unknown_method: bool,
    /// An answer to HEAD has no body, whatever its headers say.
    pub(crate) is_head: bool,
}

const METHODS: [&str; 8] = ["GET", "GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const UNKNOWN_METHODS: [&str; 5] = ["TRACE", "LINK", "FOO", "get", "PROPFIND"];

const IDS: [&str; 22] = [
    "g1",
    "g2",
    "nosuch",
    "_all_docs",
    "_design%2Fgroups",
    "users",
    ".",
    "..",
    "%2e%2e",
    "%00",
    "%01",
    "%FF",
    "%zz",
    "a%2Fb",
    "a+b",
    "%25%32%46",
    "é",
    "",
    "http:%2F%2Fx",
    "a%0d%0aX:%201",
    "%22",
    "undefined",
];

const QUERY_KEYS: [&str; 30] = [
    "page_size",
    "start_key",
    "end_key",
    "paginate",
    "ascending",
    "descending",
    "is_chunked",
    "chunk_size",
    "filter_name",
    "filter_not_name",
    "filter_flags.1",
    "filter_",
    "filter_a.b.c",
    "has_key",
    "key_missing",
    "has_value",
    "value_missing",
    "created_from",
    "created_to",
    "modified_from",
    "verb",
    "accept",
    "pretty_print",
    "jsonp",
    "auth_token",
    "authorization",
    "should_soft_delete",
    "file_name",
    "fields",
    "%66ilter_x",
];

const QUERY_VALUES: [&str; 34] = [
    "",
    "true",
    "false",
    "1",
    "2",
    "0",
    "-1",
    "2.5",
    "1e9",
    "99999999999999999999999999",
    "abc",
    "g1",
    "g2",
    "zzz",
    "g20AAAACZzM",
    "g20AAAAgMDAw",
    "g20",
    "%FF%FE",
    "%zz",
    "%",
    "+",
    "%00",
    "[\"a\",\"b\"]",
    "{\"a\":1}",
    "%22g1%22",
    "delete",
    "PUT",
    "get",
    "csv",
    "pdf",
    "text%2Fhtml",
    "undefined",
    "%5B%5D",
    "a.csv%22%0d%0aX",
];

const HEADERS: [&str; 47] = [
    "Accept: application/json",
    "Accept: text/csv",
    "Accept: text/html",
    "Accept: ;;;",
    "Accept: */*;q=0",
    "Accept:",
    "Accept: a/b;q=1.0000, application/json;q=0.1;x=\"\\\"",
    "Accept-Encoding: gzip",
    "Accept-Encoding: gzip;q=0, *",
    "Accept-Encoding: ,;=",
    "Accept-Language: fr, en;q=0.5",
    "Accept-Language: *",
    "Accept-Language: ;q=",
    "Origin: x",
    "Access-Control-Request-Method: PUT",
    "Access-Control-Request-Method: \u{e9}",
    "Access-Control-Request-Headers: a",
    "If-Match: *",
    "If-Match: \"1-abc\"",
    "If-Match: 1-abc",
    "If-None-Match: *",
    "If-None-Match: W/\"x\", \"y\"",
    "If-None-Match: \"",
    "If-Modified-Since: never",
    "X-Request-ID: mine",
    "X-Request-ID:",
    "X-Request-ID: \u{e9}",
    "X-Pretty-Print: true",
    "X-Auth-Account-ID: x",
    "X-Auth-Token:",
    "X-Auth-Token: a.b.c",
    "X-Auth-Token: ....",
    "Authorization: Basic !!!",
    "Authorization: Basic YTpi",
    "Authorization: Bearer _design/x",
    "Authorization: Bearer ..",
    "Authorization: Token x",
    "X-Forwarded-For: 1.2.3.4",
    "X-Forwarded-For: ,,",
    "X-File-Name: ../../a\"b.csv",
    "X-HTTP-Method-Override: DELETE",
    "Range: bytes=0-1",
    "Cookie: a=b",
    "X-Kazoo-Cluster-ID: x",
    "Upgrade: h2c",
    "X-Obs: a\tb",
    "Expect: 100-continue",
];

const CONTENT_TYPES: [&str; 18] = [
    "application/json",
    "application/json",
    "application/json; charset=utf-8",
    "application/x-json",
    "text/plain",
    "text/csv",
    "application/octet-stream",
    "application/xml",
    "application/base64",
    "garbage",
    "",
    "/",
    ";",
    "application/json;",
    "application/json; a=\"",
    "APPLICATION/JSON",
    "image/png",
    "a/b/c",
];

/// One request, or several on one connection.
pub(crate) fn conversation(dice: &mut Dice, world: &World) -> Vec<Request> {
    let requests = if dice.once_in(6) { 2 + dice.below(4) } else { 1 };
    (1..=requests).map(|place| request(dice, world, place == requests)).collect()
}

fn request(dice: &mut Dice, world: &World, is_last: bool) -> Request {
    let is_unknown_method = dice.once_in(25);
    let method = if is_unknown_method { dice.pick(&UNKNOWN_METHODS) } else { dice.pick(&METHODS) };
    let mut lines = vec![format!("{method} {} HTTP/1.1", target(dice, world)), "Host: localhost".to_owned()];
    match dice.below(8) {
        0 => {}
        1 => lines.push(format!("X-Auth-Token: {}", mutated_token(dice, world))),
        _ => lines.push(format!("X-Auth-Token: {}", world.token)),
    }
    for _ in 0..dice.below(5) {
        let header = dice.pick(&HEADERS);
        lines.push(header.to_owned());
        if dice.once_in(6) {
            lines.push(header.to_owned());
        }
    }
    if dice.once_in(200) {
        lines.extend((0..*dice.pick(&[&60, &85])).map(|n| format!("X-Many-{n}: {n}")));
    }
    if dice.once_in(200) {
        lines.push(format!("X-Long: {}", "l".repeat(*dice.pick(&[&4_000, &12_000]))));
    }
    let body = body(dice, &mut lines);
    let is_chunked = body.is_some() && dice.once_in(4);
    match &body {
        Some(_) if is_chunked => lines.push("Transfer-Encoding: chunked".to_owned()),
        Some(body) => lines.push(format!("Content-Length: {}", body.len())),
        None => {}
    }
    if is_last {
        lines.push("Connection: close".to_owned());
    }
    // Values outside ASCII travel as Latin-1, as HTTP has it.
    let head = format!("{}\r\n\r\n", lines.join("\r\n"));
    let mut bytes: Vec<u8> = head.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
    match body {
        Some(body) if is_chunked => bytes.extend(chunked(dice, &body)),
        Some(body) => bytes.extend(body),
        None => {}
    }
    Request { bytes, is_unknown_method, is_head: method == "HEAD" }
}

fn mutated_token(dice: &mut Dice, world: &World) -> String {
    let mut token = world.token.clone().into_bytes();
    bodies::mutate(dice, &mut token);
    // A header's value has no control characters.
    token.iter().map(|byte| char::from(if (33..127).contains(byte) { *byte } else { b'-' })).collect()
}

fn body(dice: &mut Dice, lines: &mut Vec<String>) -> Option<Vec<u8>> {
    let mut say = |content_type: &str| lines.push(format!("Content-Type: {content_type}"));
    Some(match dice.below(12) {
        0..=2 => return None,
        3..=6 => {
            say("application/json");
            bodies::json(dice)
        }
        7 => bodies::json(dice),
        8 => {
            say("application/x-www-form-urlencoded");
            bodies::form(dice)
        }
        9 => {
            say(dice.pick(&[
                "multipart/form-data; boundary=x",
                "multipart/mixed; boundary=\"x\"",
                "multipart/form-data",
                "multipart/form-data; boundary=",
                "multipart/form-data; boundary=\"",
            ]));
            bodies::multipart(dice)
        }
        10 => {
            say(dice.pick(&CONTENT_TYPES));
            bodies::json(dice)
        }
        _ => {
            say(dice.pick(&CONTENT_TYPES));
            dice.bytes(200)
        }
    })
}

fn chunked(dice: &mut Dice, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(1 + dice.below(rest.len()));
        let extension = dice.pick(&["", "", ";a=b"]);
        bytes.extend(format!("{:x}{extension}\r\n", chunk.len()).into_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = after;
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn target(dice: &mut Dice, world: &World) -> String {
    let World { account, user, .. } = world;
    let id = |dice: &mut Dice| match dice.below(2) {
        0 => world.groups[dice.below(world.groups.len())].clone(),
        _ => dice.pick(&IDS).to_owned(),
    };
    let mut path = match dice.below(24) {
        0..=6 => format!("/v2/accounts/{account}/groups"),
        7..=13 => format!("/v2/accounts/{account}/groups/{}", id(dice)),
        14 => format!("/v2/accounts/{account}/users/{user}/groups"),
        15 => format!("/v2/accounts/{account}/users/{}/groups/{}", id(dice), id(dice)),
        16 => format!("/v2/account/groups/{}", id(dice)),
        17 => format!("/v2/accounts/{}/groups", id(dice)),
        18 => format!("/v2/accounts/{account}/{}/{}", id(dice), id(dice)),
        19 => "/v2/user_auth".to_owned(),
        20 => "/v2/api_auth".to_owned(),
        21 => dice
            .pick(&["/", "/v1/x", "/v2", "/v2/", "//", "/v2/groups", "/v99999999999999999999/a", "/hooks/a"])
            .to_owned(),
        22 => format!("/v2/accounts/{}/groups", "%61".repeat(dice.below(40))),
        _ => format!("/v2/accounts/{account}/groups/{}", "i".repeat(*dice.pick(&[&300, &3_000, &7_000]))),
    };
    if dice.once_in(10) {
        path.push_str(dice.pick(&["/", "//", "/x", "/x/y", "/%2F"]));
    }
    // Characters outside ASCII are escaped, as every client does.
    let path = path.replace('é', "%C3%A9");
    let mut pairs = Vec::new();
    for _ in 0..dice.below(4) {
        let key = dice.pick(&QUERY_KEYS);
        let value = dice.pick(&QUERY_VALUES);
        pairs.push(if dice.once_in(8) { key.to_owned() } else { format!("{key}={value}") });
    }
    let query = pairs.join("&");
    if query.is_empty() { path } else { format!("{path}?{query}") }
}
