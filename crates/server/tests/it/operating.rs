//! What an operator sees and runs beside a serving server: metrics, health, and the commands that show, copy and
//! change a store. `telling` has the log.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};

use crate::account::{Account, json_of};
use crate::http_client::send;
use crate::process::{binary, run, run_ok};
use crate::telling::line_where;

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(30);

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
    // The figures of notices are there if somebody is told of changes, whether or not the broker answers.
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
fn a_store_in_use_is_read_beside_its_server() {
    let alpha = Account::served();
    alpha.create_all(&["g"]);
    let store = alpha.store();
    let exported = run_ok(&["export", "--store", &store], b"");
    assert!(exported.contains("group g"));
    for named in [alpha.id.as_str(), "alpha", "ALPHA"] {
        for user in [alpha.user_id.as_str(), "admin"] {
            let token = run_ok(&["token", "--store", &store, "--account", named, "--user", user], b"");
            let headers = [("X-Auth-Token".to_owned(), token.trim().to_owned())];
            let target = format!("/v2/accounts/{}/groups", alpha.id);
            assert_eq!(send(alpha.server().address, "GET", &target, &headers, b"").status, 200);
        }
    }
    let accounts = run_ok(&["account", "list", "--store", &store], b"");
    let lines: Vec<_> = accounts.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with(&format!("{}  alpha ", alpha.id)), "{accounts}");
    let shown = run_ok(&["account", "show", "alpha", "--store", &store], b"");
    assert!(
        shown.contains(&alpha.id) && shown.contains("master    yes") && !shown.contains("api key"),
        "{shown}"
    );
    let shown = run_ok(&["account", "show", "alpha", "--api-key", "--store", &store], b"");
    assert!(Regex::new(r"(?m)^api key   [0-9a-f]{64}$").unwrap().is_match(&shown), "{shown}");
    let users = run_ok(&["user", "list", "--account", "alpha", "--store", &store], b"");
    assert!(
        users.contains(&format!("{}  admin  admin", alpha.user_id)) && users.lines().count() == 2,
        "{users}"
    );
    alpha.create_all(&["h"]);
}

/// The path of the socket of an account's store.
fn socket_of(alpha: &Account) -> std::path::PathBuf {
    format!("{}.sock", alpha.store().strip_prefix("sqlite:").unwrap()).into()
}

#[test]
fn a_store_in_use_is_changed_through_its_server() {
    let mut alpha = Account::served();
    let store = alpha.store();
    let socket = socket_of(&alpha);
    let deadline = Instant::now() + DEADLINE;
    while !socket.exists() {
        assert!(Instant::now() < deadline, "the server opens its socket");
        std::thread::yield_now();
    }
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let beta = run_ok(&["account", "create", "--name", "beta", "--parent", "alpha", "--store", &store], b"");
    let create =
        ["user", "create", "--account", "beta", "--username", "b", "--password-stdin", "--store", &store];
    let user_id = run_ok(&create, b"open sesame");
    let digest = format!("{:x}", <md5::Md5 as md5::Digest>::digest("b:open sesame"));
    let body = json!({"data": {"credentials": digest, "account_name": "beta"}}).to_string();
    let login = alpha.send_as_stranger("PUT", "/v2/user_auth", &[], body.as_bytes());
    let data = json_of(&login)["data"].clone();
    assert_eq!((&data["account_id"], &data["owner_id"]), (&json!(beta.trim()), &json!(user_id.trim())));
    let passwd =
        ["user", "passwd", "--account", "beta", "--user", "b", "--password-stdin", "--store", &store];
    assert!(run_ok(&passwd, b"very-secret").contains(user_id.trim()));
    assert!(run_ok(&["views", "push", "--store", &store], b"").ends_with("all views exist (2 accounts)\n"));
    // Refusals and their exit codes are those of a store that nobody has open.
    let again = ["account", "create", "--name", "beta", "--store", &store];
    for (arguments, code, words) in [
        (&again[..], 1, "there is an account beta already"),
        (&["views", "push", "--account", "nobody", "--store", &store], 2, "there is no account \"nobody\""),
    ] {
        let refused = run(arguments, b"");
        assert_eq!(refused.status.code(), Some(code));
        assert!(String::from_utf8(refused.stderr).unwrap().contains(words));
    }
    line_where(&alpha, "the change", |line| {
        line.contains("a command has changed the store command=\"user passwd\" uid=")
    });
    // An import says that the server must stop first.
    let refused = String::from_utf8(run(&["import", "--store", &store, "-"], b"").stderr).unwrap();
    assert!(refused.contains("stop that process and start it again"), "{refused}");

    alpha.while_stopped(|store| {
        assert!(!socket.exists(), "a server that stops removes its socket");
        run_ok(&["account", "create", "--name", "gamma", "--store", store], b"");
    });
}

/// A killed server leaves its socket, which answers nobody.
#[test]
fn a_socket_that_a_killed_server_left_is_no_hindrance() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("store.db.sock")).unwrap());
    run_ok(&["account", "create", "--name", "alpha", "--store", &store], b"");
    let server = crate::process::Server::start(&store, &[]);
    let deadline = Instant::now() + DEADLINE;
    while std::os::unix::net::UnixStream::connect(folder.path().join("store.db.sock")).is_err() {
        assert!(Instant::now() < deadline, "the server takes the place of the socket");
        std::thread::yield_now();
    }
    // A client that says nonsense, or nothing, does not end the service.
    for request in ["nonsense\n", "{\"command\":\"drop\"}\n", ""] {
        use std::io::{Read as _, Write as _};
        let mut socket =
            std::os::unix::net::UnixStream::connect(folder.path().join("store.db.sock")).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "");
    }
    run_ok(&["account", "create", "--name", "beta", "--store", &store], b"");
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn a_backup_is_a_store_that_only_its_owner_can_read() {
    let alpha = Account::served();
    alpha.create_all(&["g"]);
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("backup.db").display().to_string();
    let said = run_ok(&["backup", &path, "--store", &alpha.store()], b"");
    assert!(said.starts_with(&path), "{said}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(copy.path()).unwrap().count(), 1, "nothing is left beside it");
    alpha.create_all(&["later"]);
    // A second backup takes the place of the first.
    run_ok(&["backup", &path, "--store", &alpha.store()], b"");
    let exported = run_ok(&["export", "--store", &format!("sqlite:{path}")], b"");
    assert!(exported.contains("group g") && exported.contains("group later"));
    let output = copy.path().join("export.ndjson").display().to_string();
    let said = run(&["export", "--output", &output, "--store", &alpha.store()], b"");
    assert!(said.status.success() && said.stdout.is_empty());
    let lines = std::fs::read_to_string(&output).unwrap().lines().count();
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.starts_with(&format!("crossbar-groups: {lines} documents of ")), "{said}");
    assert!(said.ends_with(" databases exported\n"), "{said}");
    assert_eq!(std::fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&output).unwrap().contains("group later"));
}

/// Standard output may go to a file that everybody can read.
#[test]
fn an_export_that_others_can_read_is_warned_about() {
    let mut alpha = Account::served();
    let warned = |mode: u32, store: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
        let out = file.reopen().unwrap();
        let output = binary().args(["export", "--store", store]).stdout(out).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap().contains("--output FILE")
    };
    alpha.while_stopped(|store| assert!(warned(0o644, store) && !warned(0o600, store)));
}

#[test]
fn a_new_password_logs_in_and_ends_earlier_tokens() {
    let mut alpha = Account::served();
    let set = ["user", "passwd", "--account", "alpha", "--user", "admin", "--password-stdin"];
    alpha.while_stopped(|store| {
        run_ok(&[&set[..], &["--store", store]].concat(), b"a new one\n");
    });
    assert_eq!(alpha.send("GET", "/groups", &[], b"").status, 401, "the token is older than the password");
    let login = |password: &str| {
        let digest = format!("{:x}", <md5::Md5 as md5::Digest>::digest(format!("admin:{password}")));
        let body = json!({"data": {"credentials": digest, "account_name": "alpha"}}).to_string();
        alpha.send_as_stranger("PUT", "/v2/user_auth", &[], body.as_bytes()).status
    };
    assert_eq!((login("secret"), login("a new one")), (401, 201));
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
