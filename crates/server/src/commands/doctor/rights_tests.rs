use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use couchdb::{Client, Settings};
use kazoo::AccountId;
use serde_json::{Value, json};

use super::super::super::deadline;
use super::super::checks::tests::examined;
use super::super::examined::Examined;
use super::{rights, rights_in_account};

/// A CouchDB that says who its user is, and whom each database lets in. It has no other database.
fn couchdb(session: Value, security: Vec<(&'static str, Value)>) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let path = head[0].split(' ').nth(1).unwrap();
            let db = path.strip_suffix("/_security").unwrap_or_default().trim_start_matches('/');
            let found = security.iter().find(|(name, _)| *name == db);
            let (status, body) = match found {
                _ if path == "/_session" => (200, session.clone()),
                Some((_, Value::Null)) => {
                    (403, json!({"error": "forbidden", "reason": "You are not allowed"}))
                }
                Some((_, security)) => (200, security.clone()),
                None => (404, json!({"error": "not_found", "reason": "Database does not exist."})),
            };
            let (body, close) = (body.to_string(), "Connection: close\r\nContent-Type: application/json");
            let _ = write!(
                stream,
                "HTTP/1.1 {status} x\r\n{close}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    Client::new(Settings { read_retries: 0, ..Settings::new(url.parse().unwrap()) }).unwrap()
}

/// What the checks find, in the order of the databases.
async fn found(session: Value, security: Vec<(&'static str, Value)>) -> Vec<String> {
    let (_folder, examined) = examined();
    let couchdb = couchdb(json!({"ok": true, "userCtx": session}), security);
    let sessions = couchdb.sessions(deadline()).await;
    let examined = Examined { couchdb: Some(couchdb), sessions, ..examined };
    let account = AccountId::parse(&"a".repeat(32)).unwrap();
    let mut found = rights(&examined).await;
    found.extend(rights_in_account(&examined, &account).await);
    found.into_iter().map(|finding| finding.what).collect()
}

const ACCOUNT: &str = "account%2Faa%2Faa%2Faaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[tokio::test]
async fn a_server_administrator_needs_nothing_else() {
    let admin = json!({"name": "admin", "roles": ["_admin"]});
    assert_eq!(found(admin, vec![("accounts", Value::Null)]).await, [""; 0]);
    // A CouchDB without administrators takes everybody for one.
    let party = json!({"name": null, "roles": ["_admin"]});
    assert_eq!(found(party, Vec::new()).await, [""; 0]);
}

#[tokio::test]
async fn another_user_must_be_let_in_by_each_database() {
    let kazoo = || json!({"name": "kazoo", "roles": ["staff"]});
    let named = || json!({"members": {"names": ["kazoo"]}});
    let own =
        "the user kazoo may not make the database crossbar_groups, which is missing, so nobody can log out";
    let security = vec![
        ("accounts", Value::Null),
        ("services", json!({"members": {"names": ["boss"]}})),
        ("system_config", named()),
        ("system_auth", json!({"admins": {"roles": ["staff"]}, "members": {"roles": ["_admin"]}})),
        ("crossbar_groups", named()),
        (ACCOUNT, Value::Null),
    ];
    let mut found_all = found(kazoo(), security).await;
    found_all.sort();
    let not_let_in = |db: &str| format!("the database {db} does not let the user kazoo in");
    let account = format!("account/aa/aa/{}", "a".repeat(28));
    assert_eq!(found_all, [account.as_str(), "accounts", "services"].map(not_let_in));
    assert_eq!(found(kazoo(), vec![(ACCOUNT, json!({}))]).await, [own]);
    let nobody = found(
        json!({"name": null, "roles": []}),
        vec![("accounts", Value::Null), ("crossbar_groups", json!({}))],
    );
    assert_eq!(nobody.await, ["the database accounts does not let nobody, who is not logged in, in"]);
}
