//! Large requests and answers: how much a body may have, what happens when there is no memory for it, and
//! listings that are sent while they are read.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use plain_http::{AnswerTo, read_answer};
use serde_json::{Value, json};

use crate::account::{Account, ids_of, json_of};

/// An account whose listing of all groups has about 400 kB.
fn with_a_large_listing() -> Account {
    let account = Account::served();
    let flags: Vec<_> = (0..1_000).map(|n| format!("flag number {n}")).collect();
    for id in
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"]
    {
        let group = json!({"id": id, "name": format!("group {id}"), "flags": flags});
        assert_eq!(account.ask("PUT", "/groups", &group).status, 201);
    }
    account
}

#[test]
fn a_large_listing_is_sent_while_it_is_read_in_every_form() {
    let account = with_a_large_listing();
    let all = "/groups?paginate=false";
    let plain = account.send("GET", all, &[], b"");
    assert_eq!((plain.status, plain.header("transfer-encoding")), (200, Some("chunked")));
    let listing = json_of(&plain);
    assert_eq!(ids_of(&listing).len(), 20);
    assert_eq!(plain.header("etag"), Some(format!("{:?}", listing["revision"].as_str().unwrap()).as_str()));

    let gzip = account.send("GET", all, &[("Accept-Encoding", "gzip")], b"");
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(json_of(&gzip)["data"], listing["data"]);

    let pretty = account.send("GET", &format!("{all}&pretty_print=true"), &[], b"");
    assert!(pretty.text().contains("\n  \"data\" : [\n    {\n      \"id\" : \"t\",\n"), "{pretty:?}");
    assert_eq!(json_of(&pretty)["data"], listing["data"]);

    // All that is known only at the end follows the rows. A page has it all the same.
    let page = json_of(&account.send("GET", "/groups?page_size=19&start_key=t", &[], b""));
    let keys: Vec<_> = page.as_object().unwrap().keys().map(String::as_str).collect();
    let before = ["start_key", "version", "timestamp", "node", "request_id", "tokens", "auth_token"];
    assert_eq!(keys, [&before[..], &["data", "next_start_key", "page_size", "revision", "status"]].concat());
    assert_eq!((&page["page_size"], ids_of(&page).len()), (&json!(19), 19));
    let next = page["next_start_key"].as_str().unwrap();
    assert_eq!(account.ids(&format!("/groups?start_key={next}")), ["a"]);

    let csv = account.send("GET", &format!("{all}&accept=csv"), &[], b"");
    assert_eq!(
        (csv.header("transfer-encoding"), csv.header("content-type")),
        (Some("chunked"), Some("text/csv"))
    );
    let text = csv.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "\"ID\",\"name\",\"features\",\"endpoints\",\"flags\"");
    assert!(
        lines.len() == 21
            && lines[20].starts_with("\"a\",\"group a\",\"\",\"0\",\"flag number 0,flag number 1,")
    );

    // CSV knows no rows that are sent one by one, so such a listing has a tag.
    assert!(account.send("GET", "/groups?is_chunked=true&accept=csv", &[], b"").header("etag").is_some());

    let filtered = format!("{all}&filter_not_name=group%20b");
    assert_eq!(account.ids(&filtered).len(), 19);
}

#[test]
fn an_old_client_gets_a_large_listing_until_the_connection_ends() {
    let account = with_a_large_listing();
    let mut connection = TcpStream::connect(account.server().address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (id, token) = (&account.id, &account.token);
    let path = format!("/v2/accounts/{id}/groups?paginate=false");
    write!(connection, "GET {path} HTTP/1.0\r\nX-Auth-Token: {token}\r\n\r\n").unwrap();
    let answer = read_answer(&mut BufReader::new(connection), AnswerTo::Other).unwrap();
    assert_eq!((answer.header("transfer-encoding"), answer.header("content-length")), (None, None));
    let listing: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(ids_of(&listing).len(), 20);
}

#[test]
fn how_much_a_body_may_have_depends_on_the_route() {
    let account = Account::served();
    let large = format!("{{\"data\":{{\"name\":\"x\",\"more\":\"{}\"}}}}", "x".repeat(70_000));
    let json = [("Content-Type", "application/json")];
    for (method, path, expected) in [
        ("PUT", "/v2/user_auth", Some(65_536)),
        ("PUT", "/v2/api_auth", Some(65_536)),
        ("GET", "/groups", Some(65_536)),
        ("DELETE", "/groups/a", Some(65_536)),
        ("OPTIONS", "/groups", Some(65_536)),
        ("PUT", "/groups", None),
    ] {
        let answer = account.send(method, path, &json, large.as_bytes());
        let Some(limit) = expected else {
            assert_eq!(answer.status, 201, "{method} {path}: {answer:?}");
            continue;
        };
        let size = &json_of(&answer)["data"]["file"]["maxSize"];
        assert_eq!((answer.status, &size["target"]), (400, &json!(limit)), "{method} {path}: {answer:?}");
    }
}

/// Begins a request whose body never ends.
fn begin_endless(account: &Account) -> TcpStream {
    let mut connection = TcpStream::connect(account.server().address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let path = format!("/v2/accounts/{}/groups", account.id);
    write!(connection, "PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 7000000\r\n\r\n").unwrap();
    connection.write_all(&vec![b' '; 2_500_000]).unwrap();
    connection
}

fn is_answered(connection: &TcpStream) -> bool {
    connection.set_nonblocking(true).unwrap();
    let seen = connection.peek(&mut [0]);
    connection.set_nonblocking(false).unwrap();
    seen.is_ok()
}

#[test]
fn strangers_who_fill_their_share_of_the_memory_keep_nobody_else_out() {
    let mut account = Account::served();
    // Strangers get 4 MB of it, 3 MB for large bodies.
    account.restart(&["--request-memory-bytes", "32000000"]);
    let mut waiting = vec![begin_endless(&account), begin_endless(&account)];
    // There is room for one of them only.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut second = loop {
        assert!(Instant::now() < deadline, "nobody is refused in ten seconds");
        let answered = waiting.iter().position(is_answered);
        if let Some(answered) = answered {
            break waiting.remove(answered);
        }
        std::thread::yield_now();
    };
    let refused = read_answer(&mut BufReader::new(&second), AnswerTo::Other).unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.header("connection"), Some("close"));
    let body: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((&body["error"], &body["message"]), (&json!("503"), &json!("too_busy")));
    let mut rest = Vec::new();
    let _ = second.read_to_end(&mut rest);

    // Strangers still get small things, and clients with a token get everything.
    assert_eq!(
        account.send_as_stranger("PUT", "/v2/api_auth", &[], b"{\"data\":{\"api_key\":\"x\"}}").status,
        400
    );
    assert_eq!(
        account.ask("PUT", "/groups", &json!({"name": "x", "more": "x".repeat(1_000_000)})).status,
        201
    );
}
