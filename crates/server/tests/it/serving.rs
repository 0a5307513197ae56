//! Serving: start, stop, failures of the store, and odd requests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use auth::Secret;
use auth::bootstrap::NewUser;
use serde_json::{Value, json};

use crate::accounts::{AccountWithUser, OpenStore};
use crate::http_client::{Response, send, try_send};
use crate::process::{Server, run, run_ok, wait_until};

/// A store with an account and an administrator, and how to reach them.
struct Account {
    _folder: tempfile::TempDir,
    store: String,
    id: String,
    user_id: String,
    token: String,
}

impl Account {
    fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let administrator = NewUser { username: "Admin", password: &Secret::new("secret"), is_admin: true };
        let AccountWithUser { id, user_id, token } = OpenStore::open(&path).account("alpha", &administrator);
        Self { store: format!("sqlite:{}", path.display()), _folder: folder, id, user_id, token }
    }

    fn ask(&self, server: &Server, method: &str, path: &str, body: Option<&Value>) -> Response {
        let mut headers = vec![("X-Auth-Token".to_owned(), self.token.clone())];
        headers.extend(body.map(|_| ("Content-Type".to_owned(), "application/json".to_owned())));
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        send(server.address, method, &format!("/v2/accounts/{}{path}", self.id), &headers, &body)
    }

    fn names(&self, server: &Server, path: &str) -> Vec<String> {
        let listing = json_of(&self.ask(server, "GET", path, None));
        let names =
            listing["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{response:?}"))
}

/// A client chooses the id of its request. It cannot write other fields into the log with it.
#[test]
fn a_request_id_stays_one_field_of_the_log() {
    let alpha = Account::create();
    let server = Server::start(&alpha.store, &[]);
    let headers = [("X-Request-ID".to_owned(), "mine status=200 \"x".to_owned())];
    send(server.address, "GET", "/v2/accounts/x/groups", &headers, b"");
    wait_until("the request is in the log", || {
        server.log().contains(r#" request_id="mine status=200 \"x" method=GET status=404 "#)
    });
}

#[test]
fn what_an_operator_should_mend_is_warned_about_at_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let alpha = Account::create();
    let file = alpha.store.strip_prefix("sqlite:").unwrap();
    let warnings = ["run chmod 600", "has a section for this "];
    let server = Server::start(&alpha.store, &[]);
    let log = server.log();
    assert!(!warnings.iter().any(|warning| log.contains(warning)), "{log}");
    assert_eq!(server.stop().0, Some(0));
    let line = json!({"db": "system_config", "doc": {"_id": "cluster", "default": {}, "east": {"x": 1}, "crossbar@apps": {"x": 1}}});
    crate::process::run_ok(&["import", "--store", &alpha.store, "-"], line.to_string().as_bytes());
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let server = Server::start(&alpha.store, &["--kazoo-zone", "esat", "--kazoo-node", "crossbar@appz"]);
    let log = server.log();
    assert!(log.contains(warnings[0]) && log.contains("mode=644"), "{log}");
    for words in [
        "has a section for this zone setting=kazoo_zone value=esat there=east\n",
        "has a section for this node setting=kazoo_node value=crossbar@appz there=crossbar@apps\n",
    ] {
        assert!(log.contains(words), "{log}");
    }
    assert_eq!(server.stop().0, Some(0));
    // SQLite's own files have the permissions of the store's. A server that has just stopped may leave them.
    for end in ["", "-wal", "-shm"] {
        let file = format!("{file}{end}");
        if std::fs::exists(&file).unwrap() {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    let server = Server::start(&alpha.store, &["--kazoo-zone", "east", "--kazoo-node", "crossbar@apps"]);
    let log = server.log();
    assert!(!warnings.iter().any(|warning| log.contains(warning)), "{log}");
}

#[test]
fn a_group_lives_from_creation_to_deletion() {
    let alpha = Account::create();
    let server = Server::start(&alpha.store, &[]);
    let endpoints = json!({alpha.user_id.as_str(): {"type": "user"}});
    let created = alpha.ask(
        &server,
        "PUT",
        "/groups",
        Some(&json!({"data": {"name": "Sales", "endpoints": endpoints}})),
    );
    assert_eq!(created.status, 201);
    let id = json_of(&created)["data"]["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location").unwrap(), format!("/v2/accounts/{}/groups/{id}", alpha.id));
    assert_eq!(alpha.names(&server, &format!("/users/{}/groups", alpha.user_id)), ["Sales"]);

    let item = format!("/groups/{id}");
    let patched = alpha.ask(&server, "PATCH", &item, Some(&json!({"data": {"custom": {"a": 1}}})));
    assert_eq!((patched.status, &json_of(&patched)["data"]["custom"]), (200, &json!({"a": 1})));
    let replaced = alpha.ask(&server, "POST", &item, Some(&json!({"data": {"name": "Sales 2"}})));
    assert_eq!((replaced.status, json_of(&replaced)["data"].get("custom")), (200, None));
    assert_eq!(alpha.names(&server, &format!("/users/{}/groups", alpha.user_id)), Vec::<String>::new());

    assert_eq!(alpha.ask(&server, "DELETE", &item, None).status, 200);
    assert_eq!(alpha.ask(&server, "GET", &item, None).status, 404);
    assert_eq!(alpha.names(&server, "/groups"), Vec::<String>::new());
}

#[test]
fn logging_in_with_the_password_gives_a_token_that_works() {
    let alpha = Account::create();
    let server = Server::start(&alpha.store, &[]);
    // md5("admin:secret"): user names count in lower case.
    let credentials =
        json!({"data": {"credentials": "c0f76d8aad39b25ef8b70c1ae6a6b2d7", "account_name": "Alpha"}});
    let wrong = send(server.address, "PUT", "/v2/user_auth", &[], credentials.to_string().as_bytes());
    assert_eq!(wrong.status, 401);
    let digest = format!("{:x}", <md5::Md5 as md5::Digest>::digest(b"admin:secret"));
    let credentials = json!({"data": {"credentials": digest, "account_name": "Alpha"}});
    let answer = send(server.address, "PUT", "/v2/user_auth", &[], credentials.to_string().as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
    let token = json_of(&answer)["auth_token"].as_str().unwrap().to_owned();
    let headers = [("X-Auth-Token".to_owned(), token)];
    assert_eq!(send(server.address, "GET", "/v2/account/groups", &headers, b"").status, 200);
    let log = server.log();
    assert!(!log.contains(&alpha.token) && !log.contains(&digest), "no secret reaches the log");
}

#[test]
fn a_token_is_refused_after_its_logout() {
    let alpha = Account::create();
    let server = Server::start(&alpha.store, &[]);
    let own = |method: &str, token: &str| {
        send(server.address, method, "/v2/token_auth", &[("X-Auth-Token".to_owned(), token.to_owned())], b"")
    };
    let shown = json_of(&own("GET", &alpha.token));
    assert_eq!(
        (&shown["data"]["account_id"], &shown["data"]["owner_id"]),
        (&json!(alpha.id), &json!(alpha.user_id))
    );
    assert_eq!(alpha.ask(&server, "GET", "/groups", None).status, 200);
    assert_eq!(own("DELETE", &alpha.token).status, 200);
    assert_eq!(alpha.ask(&server, "GET", "/groups", None).status, 401);
    assert_eq!(own("GET", &alpha.token).status, 401);
    // The same token with its padding is the same token.
    assert_eq!(own("GET", &format!("{}==", alpha.token)).status, 401);
    drop(server);
    let exported = run_ok(&["export", "--store", &alpha.store, "--db", "crossbar_groups"], b"");
    assert!(exported.contains("logged_out-") && !exported.contains(&alpha.token), "only a digest is kept");
    let server = Server::start(&alpha.store, &[]);
    assert_eq!(alpha.ask(&server, "GET", "/groups", None).status, 401, "it is remembered");
    let target = "/v2/token_auth";
    assert_eq!(send(server.address, "GET", target, &[], b"").status, 401);
    assert_eq!(send(server.address, "POST", target, &[], b"").status, 405);
}

#[test]
fn on_sigterm_requests_under_way_finish_and_new_ones_are_refused() {
    let alpha = Account::create();
    let server = Server::start(&alpha.store, &[]);
    let address = server.address;
    // A request whose body is still on its way when the signal comes.
    let body = json!({"data": {"name": "last"}}).to_string();
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "PUT /v2/accounts/{}/groups HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {}\r\nContent-Length: {}\r\n\r\n{}",
        alpha.id,
        alpha.token,
        body.len(),
        &body[..5]
    )
    .unwrap();
    assert_eq!(
        alpha.ask(&server, "GET", "/groups", None).status,
        200,
        "the server has seen both connections"
    );
    server.signal("TERM");
    wait_until("new connections are refused", || try_send(address, "GET", "/", &[], b"").is_err());
    connection.write_all(&body.as_bytes()[5..]).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let (code, took) = server.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn the_store_is_owned_by_one_process() {
    let alpha = Account::create();
    let _server = Server::start(&alpha.store, &[]);
    // Whoever holds the store may be about to end, so the exit code is that of what may pass.
    for command in [
        &["import", "-"][..],
        &["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-level", "error"],
    ] {
        let output = run(&[command, &["--store", &alpha.store]].concat(), b"");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(75), "{error}");
        assert!(error.contains("store.db") && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn acknowledged_writes_survive_a_kill() {
    let alpha = Account::create();
    let server = Server::start(&alpha.store, &[]);
    assert_eq!(alpha.ask(&server, "PUT", "/groups", Some(&json!({"data": {"name": "kept"}}))).status, 201);
    server.signal("KILL");
    drop(server);
    let server = Server::start(&alpha.store, &[]);
    assert_eq!(alpha.names(&server, "/groups"), ["kept"]);
}

#[test]
fn only_the_admin_listener_reports_health() {
    let alpha = Account::create();
    let server = Server::start(&alpha.store, &[]);
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(send(server.admin_address, "GET", path, &[], b"").status, 200);
        assert_eq!(send(server.address, "GET", path, &[], b"").status, 404);
    }
    let ready = json_of(&send(server.admin_address, "GET", "/health/ready", &[], b""));
    let tasks = [
        "watching of databases: running, 0 restarts",
        "watching of the release: running, 0 restarts",
        "purge of logged-out tokens: running, 0 restarts",
        "changes by commands: running, 0 restarts",
    ];
    assert_eq!(ready, json!({"status": "ready", "writes": true, "tasks": tasks, "profile": "5.0"}));
    assert_eq!(send(server.admin_address, "GET", "/v2/accounts", &[], b"").status, 404);
    run_ok(&["healthcheck", &format!("http://{}", server.admin_address)], b"");
    let address = server.admin_address;
    drop(server);
    assert_eq!(run(&["healthcheck", &format!("http://{address}")], b"").status.code(), Some(1));
}

#[test]
fn an_unreachable_store_is_a_503_in_time_and_is_used_again_later() {
    // A free port. It refuses connections until the test opens a small CouchDB there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let server =
        Server::start(&format!("http://admin:very-secret@{address}"), &["--store-timeout-ms", "2000"]);
    let target = format!("/v2/accounts/{}/groups", "0".repeat(32));
    let begun = Instant::now();
    let answer = send(server.address, "GET", &target, &[], b"");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let body = json_of(&answer);
    assert_eq!((&body["message"], &body["data"]), (&json!("datastore fatal error"), &json!({})));
    assert_eq!(send(server.admin_address, "GET", "/health/ready", &[], b"").status, 503);
    wait_until("the admin listener names the task that restarts", || {
        let ready = send(server.admin_address, "GET", "/health/ready", &[], b"").text();
        ready.contains("purge of logged-out tokens: failing for ")
    });
    assert!(!server.log().contains("very-secret"), "no password reaches the log");

    // Back again, if only to say that there is no such account.
    let listener = std::net::TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            answer_missing(connection);
        }
    });
    wait_until("the server finds the store again", || {
        send(server.address, "GET", &target, &[], b"").status == 404
    });
}

/// The store takes connections and never answers. Some requests reach it, and the others are refused early.
#[test]
fn a_store_with_too_many_calls_is_a_503_that_says_when_to_come_back() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let store = format!("http://{}", silent.local_addr().unwrap());
    // More calls than the server makes for itself in the background.
    let few = ["--store-calls", "16", "--store-queue", "1", "--store-queue-wait-ms", "300"];
    let server = Server::start(&store, &[&few[..], &["--store-timeout-ms", "3000"]].concat());
    let ask = |number: usize| {
        let begun = Instant::now();
        let target = format!("/v2/accounts/{number:032}/groups");
        (send(server.address, "GET", &target, &[], b""), begun.elapsed())
    };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..40).map(|number| scope.spawn(move || ask(number))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|(answer, _)| answer.status == 503));
    let is_busy = |answer: &Response| json_of(answer)["message"] == "datastore_busy";
    let busy: Vec<_> = answers.iter().filter(|(answer, _)| is_busy(answer)).collect();
    assert!((23..40).contains(&busy.len()), "{} of 40 are refused", busy.len());
    for (answer, took) in busy {
        assert_eq!(answer.header("retry-after"), Some("1"));
        let text = "too many requests are in progress: try again in a second";
        assert_eq!(json_of(answer)["data"], json!({ "message": text }));
        assert!(*took < Duration::from_secs(3), "it came before the store's time-out: {took:?}");
    }
    wait_until("the log tells it", || server.log().contains("the store is busy: calls are refused"));
}

/// Answers requests as a CouchDB without databases does.
fn answer_missing(mut connection: TcpStream) {
    let mut request = [0; 4096];
    while connection.read(&mut request).is_ok_and(|read| read > 0) {
        let body = r#"{"error":"not_found","reason":"Database does not exist."}"#;
        let answer = format!(
            "HTTP/1.1 404 Object Not Found\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if connection.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn odd_requests_are_answered() {
    let alpha = Account::create();
    let server = Server::start(&alpha.store, &["--max-body-bytes", "1000"]);
    let path = format!("/v2/accounts/{}/groups", alpha.id);
    let long = "x".repeat(2000);
    for (method, target, headers, body, status) in [
        ("PUT", path.as_str(), &[][..], long.as_str(), 400),
        ("PUT", path.as_str(), &[("Content-Type", "multipart/form-data; boundary=x")], "--x", 400),
        ("PUT", path.as_str(), &[("Content-Type", "multipart/form-data")], "--x", 400),
        ("GET", path.as_str(), &[("Accept", ";;;")], "", 401),
        ("GET", "/v2/accounts/%zz/groups", &[], "", 400),
        ("GET", &format!("{path}?filter_a=%zz"), &[], "", 400),
        ("BREW", path.as_str(), &[], "", 501),
        ("GET", "/", &[], "", 200),
    ] {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let answer = send(server.address, method, target, &headers, body.as_bytes());
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
    }
}
