//! `serve --shadow`: the answers of a server are compared with those of another one, beside the requests.

use std::io::Read as _;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::account::Account;
use crate::http_client::send;
use crate::process::{Server, run_ok, wait_until};

/// What the health check of a server says of the comparison.
fn counts(server: &Server) -> Value {
    let answer = send(server.admin_address, "GET", "/health/ready", &[], b"");
    let health: Value = serde_json::from_slice(&answer.body).unwrap();
    health["shadow"].clone()
}

fn count(server: &Server, outcome: &str) -> u64 {
    counts(server)[outcome].as_u64().unwrap()
}

/// A server with the same content as an account's.
fn twin(account: &Account, folder: &std::path::Path) -> Server {
    let copy = folder.join("other.db").display().to_string();
    run_ok(&["backup", "--store", &account.store(), &copy], b"");
    Server::start(&format!("sqlite:{copy}"), &[])
}

#[test]
fn differences_are_counted_and_logged_without_content() {
    let folder = tempfile::tempdir().unwrap();
    let mut account = Account::served();
    account.create_all(&["one", "two"]);
    let other = twin(&account, folder.path());
    account.restart(&["--shadow", &format!("http://{}", other.address), "--shadow-rate", "1000"]);
    let server = account.server();
    assert_eq!(counts(server), json!({"same": 0, "differs": 0, "unanswered": 0, "dropped": 0}));

    // Only reads of groups are asked there.
    let query = format!("/groups?paginate=false&auth_token={}", account.token);
    for path in ["/groups", "/groups/one", "/groups?page_size=1", "/groups/none", &query] {
        account.send("GET", path, &[("Accept-Encoding", "gzip")], b"");
    }
    let user_groups = format!("/users/{}/groups", account.user_id);
    account.send("GET", &user_groups, &[], b"");
    account.send("GET", "/groups?jsonp=f", &[], b"");
    account.send("GET", "/v2/token_auth", &[], b"");
    account.send_as_stranger("GET", "/groups", &[("Authorization", "Basic bm9uc2Vuc2U=")], b"");
    wait_until("all are compared", || count(server, "same") == 6);

    let answer = account.ask("PATCH", "/groups/two", &json!({"name": "very-secret"}));
    assert_eq!(answer.status, 200);
    account.send("GET", "/groups", &[], b"");
    wait_until("the difference is seen", || count(server, "differs") == 1);
    assert_eq!(counts(server), json!({"same": 6, "differs": 1, "unanswered": 0, "dropped": 0}));
    wait_until("it is logged", || server.log().contains("the other server answers differently"));
    let log = server.log();
    let line = log.lines().find(|line| line.contains("the other server answers differently")).unwrap();
    for field in
        ["place=body.data[0].name", &format!("path=/v2/accounts/{}/groups", account.id), "request_id="]
    {
        assert!(line.contains(field), "{field}: {line}");
    }
    let metrics = send(server.admin_address, "GET", "/metrics", &[], b"").text();
    assert!(
        metrics.contains("crossbar_groups_shadow_requests_total{outcome=\"differs\"} 1.0\n"),
        "{metrics}"
    );
    // Each server's log is searched for secrets when it stops. The other one got the requests under the same ids.
    let id = line.split("request_id=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(other.log().contains(id), "{line}");
}

/// What is asked only to compare costs the client nothing, and shows in no metric of requests.
#[test]
fn a_repeated_request_is_not_counted_or_charged() {
    let folder = tempfile::tempdir().unwrap();
    let mut account = Account::served();
    account.create_all(&["one"]);
    let other = twin(&account, folder.path());
    account.restart(&["--shadow", &format!("http://{}", other.address)]);
    let server = account.server();
    account.send_as_stranger("GET", "/groups", &[("X-Auth-Token", "nonsense")], b"");
    wait_until("it is compared", || counts(server).as_object().unwrap().values().any(|count| count == 1));
    let metrics = send(server.admin_address, "GET", "/metrics", &[], b"").text();
    let line = "crossbar_groups_http_requests_total{route=\"/v2/accounts/{account_id}/groups\",method=\"GET\",status=\"401\"} 1";
    assert!(metrics.lines().any(|shown| shown == line), "{metrics}");
    let line = "crossbar_groups_refusals_total{reason=\"bad_credentials\"} 1";
    assert!(metrics.lines().any(|shown| shown == line), "{metrics}");
}

/// A server that takes connections and says nothing.
#[test]
fn a_silent_server_delays_nobody_and_what_has_no_room_is_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            open.push(stream);
        }
    });
    let mut account = Account::served();
    account.create_all(&["one"]);
    account.restart(&["--shadow", &format!("http://{address}"), "--shadow-rate", "1000"]);
    let server = account.server();
    for _ in 0..400 {
        let answer = account.send("GET", "/groups/one", &[], b"");
        assert_eq!(answer.status, 200);
    }
    assert!(count(server, "dropped") > 0, "{}", counts(server));
    wait_until("the silence is told", || {
        server.log().contains("a read was not compared with the other server: it takes longer than 10 s")
    });
}

/// An answer that never ends costs a bounded time and memory, and redirects lead nowhere.
#[test]
fn a_hostile_server_is_only_not_compared() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n");
            std::thread::spawn(
                move || while std::io::Write::write_all(&mut stream, &[b'['; 65_536]).is_ok() {},
            );
        }
    });
    let mut account = Account::served();
    account.create_all(&["one"]);
    account.restart(&["--shadow", &format!("http://{address}")]);
    let server = account.server();
    account.send("GET", "/groups/one", &[], b"");
    wait_until("it is given up", || count(server, "unanswered") == 1);
    wait_until("the reason is told", || server.log().contains("its answer has more than 1000000 bytes"));
}
