//! What an operator sees and runs beside a serving server: the log, metrics, health, and the commands that
//! show settings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};

use crate::account::Account;
use crate::http_client::send;
use crate::process::{binary, run, run_ok};

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// The line of the log that satisfies a condition, once it is there.
pub(crate) fn line_where(alpha: &Account, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(line) = alpha.server().log().lines().find(|line| is_wanted(line)) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "{what}:\n{}", alpha.server().log());
        std::thread::yield_now();
    }
}

#[test]
fn the_api_listener_answers_no_health_check() {
    let alpha = Account::served();
    for path in ["/health", "/health/ready", "/health/live", "/healthz", "/ready", "/livez", "/metrics"] {
        let answer = send(alpha.server().address, "GET", path, &[], b"");
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("admin listener"), "{path}: {}", answer.text());
    }
    assert_eq!(send(alpha.server().address, "GET", "/anything", &[], b"").status, 200);
}

#[test]
fn a_health_check_of_the_wrong_listener_fails() {
    let alpha = Account::served();
    let (api, admin) = (alpha.server().address, alpha.server().admin_address);
    run_ok(&["healthcheck", &format!("http://{admin}")], b"");
    let wrong = run(&["healthcheck", &format!("http://{api}")], b"");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("is no admin listener"));
    // Without a URL, the setting counts.
    for (address, is_ready) in [(admin, true), (api, false)] {
        let mut command = binary();
        command.arg("healthcheck").env("CROSSBAR_GROUPS_ADMIN_LISTEN", address.to_string());
        assert_eq!(command.output().unwrap().status.success(), is_ready);
    }
}

#[test]
fn the_admin_listener_answers_get_and_head_alone() {
    let alpha = Account::served();
    for path in ["/health/live", "/health/ready", "/metrics"] {
        for (method, status) in [("GET", 200), ("HEAD", 200), ("POST", 405), ("DELETE", 405), ("PUT", 405)] {
            let answer = send(alpha.server().admin_address, method, path, &[], b"");
            assert_eq!(answer.status, status, "{method} {path}");
            assert_eq!(answer.header("allow"), (status == 405).then_some("GET, HEAD"), "{method} {path}");
        }
    }
    assert_eq!(send(alpha.server().admin_address, "GET", "/nothing", &[], b"").status, 404);
}

#[test]
fn every_request_is_a_line_of_the_log() {
    let mut alpha = Account::served();
    alpha.create_all(&["g"]);
    let headers = [("X-Request-ID", "one"), ("X-Forwarded-For", "203.0.113.9")];
    alpha.send("GET", "/groups/g?secret=in-the-query", &headers, b"");
    let line = line_where(&alpha, "the request", |line| line.contains("answered request_id=one "));
    for field in [
        "method=GET status=200 duration_ms=",
        &format!(" path=/v2/accounts/{}/groups/g ", alpha.id),
        " route=/v2/accounts/{account_id}/groups/{group_id} ",
        " address=203.0.113.9 ",
        &format!(" account_id={} user_id={}", alpha.id, alpha.user_id),
    ] {
        assert!(line.contains(field), "{field}: {line}");
    }
    let bytes = Regex::new(r" bytes=(\d+) ").unwrap();
    let answer = alpha.send("GET", "/groups/g", &[("X-Request-ID", "two")], b"");
    let line = line_where(&alpha, "the request", |line| line.contains("answered request_id=two "));
    assert_eq!(bytes.captures(&line).unwrap()[1], answer.body.len().to_string());
    // A token in a path, a listing that is sent while it is read, and a refusal.
    alpha.send("GET", &format!("/v2/user_auth/{}", alpha.token), &[("X-Request-ID", "three")], b"");
    let line = line_where(&alpha, "the request", |line| line.contains("answered request_id=three "));
    assert!(line.contains("path=/v2/user_auth/***"), "{line}");
    let answer = alpha.send("GET", "/groups?is_chunked=true", &[("X-Request-ID", "four")], b"");
    let line = line_where(&alpha, "the request", |line| line.contains("answered request_id=four "));
    assert_eq!(bytes.captures(&line).unwrap()[1], answer.body.len().to_string());
    assert!(!line.contains("complete=false"), "{line}");
    assert!(!alpha.server().log().contains("in-the-query"));

    alpha.restart(&["--log-format", "json"]);
    alpha.send("GET", "/groups/g", &[("X-Request-ID", "a \"b\"")], b"");
    let line = line_where(&alpha, "the request", |line| line.contains("\"answered\""));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["request_id"], &line["status"]), (&json!("a \"b\""), &json!(200)));
    let all = alpha.server().log();
    let of_log = all.lines().filter(|line| !line.is_empty());
    assert!(of_log.clone().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{all}");

    alpha.restart(&["--log-format", "kazoo"]);
    alpha.send("GET", "/groups/g?auth_token=x", &[("X-Request-ID", "five")], b"");
    let fulfilled = "|five|api_resource:0(<0.0.0>) GET request fulfilled in ";
    line_where(&alpha, "the request", |line| line.starts_with(fulfilled));
    let path =
        format!("|five|api_resource:0(<0.0.0>) GET: /v2/accounts/{}/groups/g? from 127.0.0.1", alpha.id);
    line_where(&alpha, "its path", |line| line == path);
}

#[test]
fn refusals_are_told_and_counted() {
    let alpha = Account::served();
    let login = json!({"data": {"credentials": "c0f76d8aad39b25ef8b70c1ae6a6b2d7", "account_name": "alpha"}});
    alpha.send_as_stranger(
        "PUT",
        "/v2/user_auth",
        &[("X-Request-ID", "wrong")],
        login.to_string().as_bytes(),
    );
    let line = line_where(&alpha, "the login", |line| line.contains("reason=wrong_login"));
    assert!(
        line.contains("WARN") && line.contains("request_id=wrong ") && line.contains("address=127.0.0.1"),
        "{line}"
    );
    alpha.send_as_stranger("GET", "/groups", &[("X-Auth-Token", "nonsense")], b"");
    let line = line_where(&alpha, "the token", |line| line.contains("reason=bad_credentials"));
    assert!(line.contains("INFO") && line.contains(" detail="), "{line}");
    // To show a token below `user_auth` is no login.
    alpha.send_as_stranger("GET", "/v2/user_auth/abc", &[], b"");
    let other = format!("/v2/accounts/{}/groups", "0".repeat(32));
    assert_eq!(alpha.send("GET", &other, &[], b"").status, 404);
    for _ in 0..200 {
        alpha.send_as_stranger("PUT", "/v2/user_auth", &[], login.to_string().as_bytes());
    }
    let metrics = send(alpha.server().admin_address, "GET", "/metrics", &[], b"").text();
    let counter = Regex::new(r#"(?m)^crossbar_groups_refusals_total\{reason="(\w+)"\} (\d+)$"#).unwrap();
    let counted: BTreeMap<_, u64> = counter
        .captures_iter(&metrics)
        .map(|found| (found[1].to_owned(), found[2].parse().unwrap()))
        .collect();
    let documented = page("docs/operations.md");
    for (reason, count) in &counted {
        let happened = ["wrong_login", "bad_credentials", "no_credentials", "too_many_failures"];
        let happened = happened.contains(&reason.as_str());
        assert_eq!(*count > 0, happened, "{counted:?}");
        assert!(documented.contains(&format!("`{reason}`")), "{reason} is not documented");
    }
    assert_eq!(counted.len(), 12, "every reason has a counter from the start: {metrics}");
    let told = alpha.server().log().lines().filter(|line| line.contains("refused a request")).count();
    assert!(told < 200, "{told} lines for 200 refusals");
}

/// The names of series in a text: those of this program and of its process.
fn series_in(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:crossbar_groups|process)_[a-z0-9_]+").unwrap();
    name.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

/// The names of series that a server shows, with those that Prometheus derives from a histogram.
fn shown_series(text: &str) -> BTreeSet<String> {
    series_in(&text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"))
}

fn page(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_metrics_are_those_that_alerts_dashboard_and_documentation_name() {
    let mut alpha = Account::served();
    // The figures of notices are there if a broker is set, whether or not it answers.
    alpha.restart(&["--amqp", "amqp://127.0.0.1:1"]);
    alpha.create_all(&["g"]);
    alpha.ids("/groups");
    alpha.send_as_stranger("GET", "/groups", &[("X-Auth-Token", "nonsense")], b"");
    let answer = send(alpha.server().admin_address, "GET", "/metrics", &[], b"");
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"));
    let shown = shown_series(&text);
    assert!(!text.contains(&alpha.id) && !text.contains(&alpha.user_id), "no id is a label:\n{text}");
    // The documentation names each family once, as its `# TYPE` line does, with `_total` for a counter.
    let documented = series_in(&page("docs/operations.md"));
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let families = types.map(|line| match line.split_once(' ').unwrap() {
        (name, "counter") => format!("{name}_total"),
        (name, "info") => format!("{name}_info"),
        (name, _) => name.to_owned(),
    });
    let families: BTreeSet<_> = families.collect();
    // Some families have series only beside a CouchDB.
    let known: BTreeSet<_> = shown.union(&families).cloned().collect();
    for file in ["docker/observe/alerts.yml", "docker/observe/dashboard.json"] {
        let missing: Vec<_> = series_in(&page(file)).difference(&known).cloned().collect();
        assert!(missing.is_empty(), "{file} names {missing:?}; there are\n{text}");
    }
    let undocumented: Vec<_> = families.difference(&documented).collect();
    assert!(undocumented.is_empty(), "docs/operations.md lacks {undocumented:?}");
    let invented: Vec<_> = documented.difference(&families).filter(|name| !shown.contains(*name)).collect();
    assert!(invented.is_empty(), "docs/operations.md has {invented:?} in vain");
    for (line, least) in [
        (
            "crossbar_groups_http_requests_total{route=\"/v2/accounts/{account_id}/groups\",method=\"PUT\",status=\"201\"} ",
            1.0,
        ),
        ("crossbar_groups_store_calls_total{operation=\"save\",outcome=\"ok\"} ", 1.0),
        ("crossbar_groups_request_memory_limit_bytes ", 1e6),
        ("crossbar_groups_background_task_running{task=\"purge of logged-out tokens\"} ", 1.0),
        ("crossbar_groups_notices_waiting ", 1.0),
        ("crossbar_groups_ready ", 1.0),
        ("crossbar_groups_store_writable ", 1.0),
        ("crossbar_groups_cache_feed_lag_seconds ", 0.0),
        ("process_resident_memory_bytes ", 1e6),
    ] {
        let found = text
            .lines()
            .find_map(|shown| shown.strip_prefix(line))
            .unwrap_or_else(|| panic!("{line}\n{text}"));
        assert!(found.parse::<f64>().unwrap() >= least, "{line}{found}");
    }
}

#[test]
fn every_alert_has_a_paragraph_that_says_what_to_do() {
    let alerts = page("docker/observe/alerts.yml");
    let operations = page("docs/operations.md");
    let mut count = 0;
    for name in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let heading = format!("\n### {name}\n");
        let (_, rest) = operations.split_once(&heading).unwrap_or_else(|| panic!("no paragraph for {name}"));
        let paragraph = rest.split("\n#").next().unwrap();
        assert!(paragraph.trim().len() > 100, "{name}: {paragraph:?}");
        assert!(
            alerts.contains(&format!("docs/operations.md#{}", name.to_lowercase())),
            "{name} has no link"
        );
        count += 1;
    }
    assert!(count >= 8, "{count} alerts");
    let dashboard: Value = serde_json::from_str(&page("docker/observe/dashboard.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() >= 8);
}

#[test]
fn the_settings_are_shown_checked_and_exemplified() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "page_size = 7\n").unwrap();
    let mut command = binary();
    command.args(["config", "show", "--workers", "3", "--config"]).arg(&file);
    command.env("CROSSBAR_GROUPS_STORE", "http://admin:very-secret@127.0.0.1:5984");
    let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
    for (key, value, source) in [
        ("workers", "3", "from the flag"),
        ("page_size", "7", &format!("from {}, line 1", file.display())),
        ("store", "\"http://***@127.0.0.1:5984\"", "from the environment"),
        ("listen", "\"127.0.0.1:8000\"", "the default"),
        ("admin_listen", "\"127.0.0.1:8001\"", "the default"),
        ("log_format", "\"text\"", "the default"),
    ] {
        let line = shown.lines().find(|line| line.starts_with(&format!("{key} = ")));
        let line = line.unwrap_or_else(|| panic!("{key}:\n{shown}"));
        assert!(line.contains(&format!(" = {value} ")) && line.ends_with(&format!("# {source}")), "{line}");
    }
    assert!(!shown.contains("very-secret"));

    // The example is a good file, as it stands and with each default written out.
    let example = run_ok(&["config", "example"], b"");
    let setting = Regex::new(r"(?m)^#([a-z_]+ = )").unwrap();
    let with_defaults = setting.replace_all(&example, "$1");
    for text in [&*example, &with_defaults] {
        std::fs::write(&file, text).unwrap();
        let said = run_ok(&["config", "check", "--config", &file.display().to_string()], b"");
        assert_eq!(said, "the settings are good\n");
    }
    let keys = setting.captures_iter(&example).count();
    assert_eq!(keys, toml_keys(&with_defaults), "each setting is in the example");
    let shown = run_ok(&["config", "show"], b"");
    assert_eq!(shown.lines().count(), keys);
}

fn toml_keys(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#') && line.contains(" = ")).count()
}
