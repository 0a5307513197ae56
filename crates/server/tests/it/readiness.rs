//! Readiness while the store reads but cannot write.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::account::{Account, json_of};
use crate::http_client::send;
use crate::process::{run, run_ok};

/// The status and the body of a readiness check.
fn ready(alpha: &Account, query: &str) -> (u16, Value) {
    let target = format!("/health/ready{query}");
    let answer = send(alpha.server().admin_address, "GET", &target, &[], b"");
    (answer.status, json_of(&answer))
}

/// Waits until readiness tells whether the store can write. A trial counts for a second.
fn wait_for_writes(alpha: &Account, wanted: bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while ready(alpha, "").1["writes"] != wanted {
        assert!(Instant::now() < deadline, "{:?}", ready(alpha, ""));
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_is_told_and_reads_go_on() {
    let mut alpha = Account::served();
    alpha.create_all(&["a"]);
    assert_eq!(ready(&alpha, "?writes=true").0, 200);
    alpha.restart_on_small_disk(1024);
    let data = json!({"name": "large", "text": "x".repeat(200_000)});
    let refused = (0..20).map(|_| alpha.ask("PUT", "/groups", &data)).find(|answer| answer.status != 201);
    let refused = refused.expect("the disk is full");
    let refused = (refused.status, json_of(&refused));
    assert_eq!((refused.0, &refused.1["message"]), (503, &json!("datastore_unreachable")));
    let words = refused.1["data"]["message"].as_str().unwrap();
    assert!(words.contains("cannot write") && !words.contains("timeout"), "{words}");
    let (status, body) = ready(&alpha, "");
    assert_eq!((status, &body["status"], &body["writes"]), (200, &json!("ready"), &json!(false)), "{body}");
    let reason = body["reason"].as_str().unwrap();
    assert!(reason.starts_with("the store cannot write: ") && !reason.contains("deadline"), "{reason}");
    assert_eq!(ready(&alpha, "?writes=true").0, 503);
    let url = format!("http://{}", alpha.server().admin_address);
    run_ok(&["healthcheck", &url], b"");
    let refused = run(&["healthcheck", "--writes", &url], b"");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("is not ready: the store cannot write: "), "{said}");
    let metrics = send(alpha.server().admin_address, "GET", "/metrics", &[], b"").text();
    for line in ["crossbar_groups_ready 1", "crossbar_groups_store_writable 0"] {
        assert!(metrics.lines().any(|shown| shown.trim_end_matches(".0") == line), "{line}:\n{metrics}");
    }
    assert!(alpha.ids("/groups").contains(&"a".to_owned()), "reads go on");
    // A thread writes the log, so the line may come later than the answer.
    let begun = std::time::Instant::now();
    while !alpha.server().log().contains("the store cannot write: ") {
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{}", alpha.server().log());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }

    // With room again, the log says so at the first write that succeeds.
    alpha.restart(&[]);
    assert_eq!(alpha.ask("PUT", "/groups", &data).status, 201);
    assert_eq!(ready(&alpha, "?writes=true").0, 200);
    run_ok(&["healthcheck", "--writes", &format!("http://{}", alpha.server().admin_address)], b"");
}

#[test]
fn a_store_that_is_moved_away_is_noticed() {
    let alpha = Account::served();
    alpha.create_all(&["a"]);
    let file = alpha.store().strip_prefix("sqlite:").unwrap().to_owned();
    let away = format!("{file}.away");
    std::fs::rename(&file, &away).unwrap();
    wait_for_writes(&alpha, false);
    let (status, body) = ready(&alpha, "");
    assert_eq!(status, 200, "{body}");
    assert!(body["reason"].as_str().unwrap().contains("no longer at"), "{body}");
    assert_eq!(ready(&alpha, "?writes=true").0, 503);
    let refused = alpha.ask("PUT", "/groups", &json!({"name": "lost"}));
    assert_eq!((refused.status, &json_of(&refused)["message"]), (503, &json!("datastore_unreachable")));
    std::fs::rename(&away, &file).unwrap();
    // The last write of a request failed, so only another one shows that writes work again.
    assert_eq!(alpha.ask("PUT", "/groups", &json!({"id": "b", "name": "b"})).status, 201);
    wait_for_writes(&alpha, true);
    assert_eq!(alpha.ids("/groups"), ["b", "a"]);
    std::fs::rename(&file, &away).unwrap();
    std::fs::copy(&away, &file).unwrap();
    wait_for_writes(&alpha, false);
}

#[test]
fn reads_and_readiness_agree_when_the_file_is_removed_before_the_first_read() {
    let mut alpha = Account::served();
    alpha.create_all(&["a"]);
    alpha.restart(&[]);
    std::fs::remove_file(alpha.store().strip_prefix("sqlite:").unwrap()).unwrap();
    assert_eq!(ready(&alpha, "").0, 200);
    assert_eq!(alpha.ids("/groups"), ["a"]);
    assert_eq!(alpha.send("GET", "/groups/a", &[], b"").status, 200);
    wait_for_writes(&alpha, false);
    assert_eq!(ready(&alpha, "?writes=true").0, 503);
}

#[test]
fn head_is_answered_like_get() {
    let alpha = Account::served();
    for path in ["/health/live", "/health/ready"] {
        let target = (alpha.server().admin_address, path);
        let answers = ["GET", "HEAD"].map(|method| send(target.0, method, target.1, &[], b"").status);
        assert_eq!(answers, [200, 200], "{path}");
    }
}
