//! What an operator sees and runs beside a serving server: metrics, health, and the commands that show settings.
//! `telling` has the log.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use crate::account::Account;
use crate::http_client::send;
use crate::process::{binary, run, run_ok};

#[test]
fn the_api_listener_answers_no_health_check() {
    let alpha = Account::served();
    for path in [
        "/health",
        "/health/ready",
        "/health/live",
        "/healthz",
        "/ready",
        "/livez",
        "/metrics",
        "/status",
        "/status.json",
        "/docs",
        "/Health/ready",
        "//health/ready",
        "/-/healthy",
    ] {
        let answer = send(alpha.server().address, "GET", path, &[], b"");
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("admin listener"), "{path}: {}", answer.text());
    }
    assert_eq!(send(alpha.server().address, "GET", "/anything", &[], b"").status, 200);
    // Each path of the admin listener is refused here.
    for path in ["/health/live", "/health/ready", "/metrics", "/status", "/status.json", "/docs"] {
        assert_eq!(send(alpha.server().admin_address, "GET", path, &[], b"").status, 200, "{path}");
    }
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
    // A scanner gets a 501 for each PROPFIND, and must not wake anybody.
    assert!(alerts.contains(r#"status=~"5..""#));
    for file in ["docker/observe/alerts.yml", "docker/observe/dashboard.json"] {
        let text = page(file).replace(r#"\""#, "\"");
        for (at, selector) in text.match_indices(r#"status=~"5..""#) {
            let rest = &text[at + selector.len()..];
            assert!(rest.starts_with(r#",status!="501""#), "{file}: {}", &rest[..40]);
        }
    }
    assert!(page("crates/server/src/commands/pages/web/status.js").contains(r#"status !== "501""#));
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
