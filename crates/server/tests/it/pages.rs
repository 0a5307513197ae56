//! The pages of the admin listener: their files and what they are made of, and the pages in a real browser, which
//! `make acceptance` installs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};

use crate::account::{Account, json_of};
use crate::http_client::{Response, send};
use crate::process::run_ok;
use crate::secrets;

const FILES: [&str; 8] = [
    "/docs",
    "/docs/docs.css",
    "/docs/docs.js",
    "/docs/swagger-ui.css",
    "/docs/swagger-ui-bundle.js",
    "/status",
    "/status/status.css",
    "/status/status.js",
];

fn get(account: &Account, path: &str, headers: &[(&str, &str)]) -> Response {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    send(account.server().admin_address, "GET", path, &headers, b"")
}

#[test]
fn the_files_of_the_pages_are_there_and_have_a_policy() {
    let alpha = Account::served();
    for path in FILES {
        let answer = get(&alpha, path, &[]);
        let packed = get(&alpha, path, &[("Accept-Encoding", "gzip, deflate, br")]);
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{path}");
        assert!(answer.body == packed.body && !answer.body.is_empty(), "{path}");
        assert_eq!(packed.header("content-encoding").is_some(), path.contains("swagger-ui"), "{path}");
        assert_eq!(send(alpha.server().admin_address, "POST", path, &[], b"").status, 405, "{path}");
        assert!(send(alpha.server().admin_address, "HEAD", path, &[], b"").body.is_empty(), "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path}"));
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        // What this project wrote names no address. The other files are tried in a browser.
        if !path.contains("swagger-ui") {
            let text = answer.text().replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("://"), "{path} names an address");
        }
    }
}

#[test]
fn the_document_names_the_api_as_the_browser_reaches_it() {
    let mut alpha = Account::served();
    let of_host = |alpha: &Account, host: &str| {
        let headers = [("Host", host)];
        let document = get(alpha, "/docs/openapi.yaml", &headers).text();
        let (_, servers) = document.split_once("\nservers:\n  - url: ").unwrap();
        let url = servers.lines().next().unwrap().to_owned();
        (url, get(alpha, "/docs", &headers).header("content-security-policy").unwrap().to_owned())
    };
    let port = alpha.server().address.port();
    for (host, expected) in [
        ("127.0.0.1:8001", "127.0.0.1"),
        ("groups.example.com:9000", "groups.example.com"),
        ("under_score:1", "127.0.0.1"),
    ] {
        let (url, policy) = of_host(&alpha, host);
        assert_eq!(url, format!("http://{expected}:{port}/v2"));
        assert!(policy.contains(&format!("connect-src 'self' http://{expected}:{port};")), "{policy}");
    }
    alpha.restart(&["--api-url", "https://api.example.com"]);
    let (url, policy) = of_host(&alpha, "127.0.0.1:8001");
    assert_eq!(url, "https://api.example.com/v2");
    assert!(policy.contains("connect-src 'self' https://api.example.com;"), "{policy}");
}

/// What the status page shows, once a condition holds.
fn status_where(account: &Account, holds: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = get(account, "/status.json", &[]);
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
        secrets::check_absent(&answer.text());
        let body = json_of(&answer);
        if holds(&body) {
            return body;
        }
        assert!(Instant::now() < deadline, "{body}");
        std::thread::yield_now();
    }
}

#[test]
fn the_status_has_health_figures_warnings_and_changed_settings() {
    let mut alpha = Account::served();
    alpha.restart(&["--page-size", "7"]);
    alpha.create_all(&["g"]);
    alpha.ids("/groups");
    let login = json!({"data": {"credentials": "c0f76d8aad39b25ef8b70c1ae6a6b2d7", "account_name": "alpha"}})
        .to_string();
    for _ in 0..3 {
        alpha.send_as_stranger(
            "PUT",
            "/v2/user_auth",
            &[("Content-Type", "application/json")],
            login.as_bytes(),
        );
    }
    let refusal = |status: &Value| {
        let log = status["log"].as_array().unwrap().clone();
        log.into_iter().find(|event| event["message"] == "refused a request")
    };
    let status = status_where(&alpha, |status| refusal(status).is_some_and(|event| event["times"] == 3));
    assert_eq!((&status["ready"], &status["health"]["writes"]), (&json!(true), &json!(true)), "{status}");
    let version = run_ok(&["--version"], b"");
    assert_eq!(status["version"], version.trim().strip_prefix("crossbar-groups ").unwrap());
    assert!(alpha.store().starts_with(status["store"].as_str().unwrap()), "{status}");
    let warned = refusal(&status).unwrap();
    assert_eq!(warned["level"], "warn", "{warned}");
    assert!(warned["fields"].as_str().unwrap().contains("reason=wrong_login"), "{warned}");
    let setting = |key: &str| {
        let settings = status["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).map(|setting| setting["source"].clone())
    };
    assert_eq!(setting("page_size"), Some(json!("from the flag")));
    assert_eq!(setting("store"), Some(json!("from the environment")));
    assert_eq!(setting("cache"), None, "a default is no news");
    // Every series that the page looks for is there.
    let script = get(&alpha, "/status/status.js", &[]).text();
    let named = Regex::new(r#""((?:crossbar_groups|process)_[a-z_]+)"|gauge\("([a-z_]+)"\)"#).unwrap();
    let mut looked_for = 0;
    for found in named.captures_iter(&script) {
        let name = match found.get(1) {
            Some(name) => name.as_str().to_owned(),
            None => format!("crossbar_groups_{}", &found[2]),
        };
        let series = if name.ends_with("_seconds") && name.contains("duration") {
            format!("{name}_bucket")
        } else {
            name
        };
        assert!(status["figures"].get(&series).is_some(), "{series} is missing in {}", status["figures"]);
        looked_for += 1;
    }
    assert!(looked_for > 15, "{looked_for}");
}

#[test]
fn the_status_hides_passwords_and_tells_of_a_store_that_does_not_answer() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = crate::process::Server::start(
        &format!("http://admin:very-secret@{nobody}"),
        &["--amqp", &format!("amqp://user:very-secret@{nobody}")],
    );
    let answer = send(server.admin_address, "GET", "/status.json", &[], b"");
    let status = json_of(&answer);
    assert_eq!((answer.status, &status["ready"]), (200, &json!(false)), "{status}");
    secrets::check_absent(&answer.text());
    let value = |key: &str| {
        let settings = status["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).unwrap()["value"].clone()
    };
    assert_eq!(value("amqp"), format!("amqp://***@{nobody}"));
    assert_eq!(value("store"), format!("http://***@{nobody}"));
    assert!(status["log"].as_array().unwrap().iter().any(|event| event["level"] == "warn"), "{status}");
}

/// `SCREENSHOTS` names a folder for the pictures of the README.
#[test]
#[ignore = "it needs Chromium: make acceptance"]
fn the_pages_work_in_a_browser() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/browser");
    assert!(
        clients.join("node_modules").is_dir(),
        "run `make acceptance`, or: npm ci --prefix clients/browser"
    );
    let mut alpha = Account::served();
    alpha.restart(&["--page-size", "20"]);
    alpha.ask("PUT", "/groups", &json!({"name": "Night shift"}));
    let server = alpha.server();
    for script in ["swagger-ui.mjs", "pages.mjs"] {
        let status = Command::new("node")
            .arg(script)
            .current_dir(&clients)
            .env("ADMIN", format!("http://{}", server.admin_address))
            .env("API", format!("http://{}", server.address))
            .env("ACCOUNT_ID", &alpha.id)
            .env("TOKEN", &alpha.token)
            .env("GROUP", "Night shift")
            .stdin(Stdio::null())
            .status()
            .expect("node is there");
        assert!(status.success(), "{script}");
    }
}
