//! Secrets that no log may hold, at any level: tokens, keys, passwords and their digests.

use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::Value;

use crate::http_client::send;
use crate::process::Server;
use crate::seed::folder;

/// The members of documents whose values are secrets.
const SECRET_MEMBERS: [&str; 6] = [
    "pvt_md5_auth",
    "pvt_sha1_auth",
    "pvt_api_key",
    "pvt_signature_secret",
    "secret_for_user_signature",
    "auth_token",
];

/// The passwords that tests use.
const PASSWORDS: [&str; 2] = ["very-secret", "open sesame"];

/// Fails where a log holds a secret.
pub(crate) fn check_absent(log: &str) {
    let token = Regex::new(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}").unwrap();
    assert!(
        !token.is_match(log),
        "a token is in the log:\n{}",
        excerpt(log, token.find(log).unwrap().start())
    );
    assert!(!log.contains("PRIVATE KEY"), "a key is in the log");
    for secret in PASSWORDS.into_iter().map(str::to_owned).chain(seeded()) {
        if let Some(place) = log.find(&secret) {
            panic!("a secret is in the log:\n{}", excerpt(log, place));
        }
    }
}

/// The text around a place in the log, without the secret.
fn excerpt(log: &str, place: usize) -> &str {
    let begin = log[..place].rfind('\n').map_or(0, |end| end + 1);
    &log[begin..place]
}

/// The secrets of the recordings' seed.
fn seeded() -> Vec<String> {
    let text = std::fs::read_to_string(folder().join("seed.ndjson")).unwrap();
    let mut secrets = Vec::new();
    for line in text.lines() {
        collect(&serde_json::from_str(line).unwrap(), &mut secrets);
    }
    secrets
}

fn collect(value: &Value, secrets: &mut Vec<String>) {
    for (key, member) in value.as_object().into_iter().flatten() {
        match member.as_str() {
            Some(text) if SECRET_MEMBERS.contains(&key.as_str()) => secrets.push(text.to_owned()),
            _ => collect(member, secrets),
        }
    }
}

#[test]
#[should_panic(expected = "a token is in the log")]
fn a_token_in_a_log_is_found() {
    check_absent("refused eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrYXpvbyJ9.c2ln\n");
}

#[test]
#[should_panic(expected = "a secret is in the log")]
fn a_seeded_secret_in_a_log_is_found() {
    check_absent(&format!("looked for {}\n", seeded().first().unwrap()));
}

/// Anybody who knows the id of a bearer document can log in with it, so errors of the store must not show it.
#[test]
fn the_id_of_a_bearer_document_is_not_logged_when_the_store_fails() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(&format!("http://u:p@{nobody}"), &["--store-timeout-ms", "500"]);
    let target = format!("/v2/accounts/{}/groups", "a".repeat(32));
    let bearer = ("Authorization".to_owned(), "Bearer very-secret".to_owned());
    assert_eq!(send(server.address, "GET", &target, &[bearer], b"").status, 503);
    // `Server` checks the whole log when it stops, as in every test.
    let patience = Instant::now() + Duration::from_secs(20);
    while !server.log().contains("system_auth") {
        assert!(Instant::now() < patience, "the failure itself is told: {}", server.log());
        std::thread::yield_now();
    }
}
