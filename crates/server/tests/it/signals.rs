//! What signals make a server do: SIGTERM drains and stops it, SIGINT stops it at once, SIGHUP lets it read its
//! settings again. And the messages to systemd.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::account::{Account, json_of};
use crate::http_client::{send, try_send};
use crate::process::{Server, binary, wait_until};

/// The status of the readiness check, and the words in its body.
fn readiness(server: &Server) -> (u16, String) {
    let answer = send(server.admin_address, "GET", "/health/ready", &[], b"");
    (answer.status, json_of(&answer)["status"].as_str().unwrap().to_owned())
}

#[test]
fn a_server_that_is_told_to_stop_is_unready_first_and_serves_meanwhile() {
    let mut alpha = Account::served();
    alpha.restart(&["--drain", "3600"]);
    assert_eq!(readiness(alpha.server()), (200, "ready".to_owned()));
    alpha.server().signal("TERM");
    wait_until("it is not ready", || readiness(alpha.server()).0 == 503);
    assert_eq!(readiness(alpha.server()).1, "the server is stopping");
    // New connections and requests are served while proxies look elsewhere.
    alpha.create_all(&["late"]);
    assert!(alpha.server().log().contains("draining"));
    // A reload comes too late, and does not end the server.
    alpha.server().signal("HUP");
    let refusal = "the settings were not read again, because the server is stopping";
    wait_until(refusal, || alpha.server().log().contains(refusal));
    alpha.create_all(&["later"]);
    // The second signal, which `while_stopped` sends, ends the wait.
    let begun = Instant::now();
    alpha.while_stopped(|_| ());
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(alpha.ids("/groups"), ["later", "late"]);
}

#[test]
fn a_drain_ends_by_itself() {
    let mut alpha = Account::served();
    alpha.restart(&["--drain", "1"]);
    let address = alpha.server().address;
    alpha.server().signal("TERM");
    wait_until("new connections are refused", || try_send(address, "GET", "/", &[], b"").is_err());
    for line in ["draining", "stopping: running requests may finish"] {
        wait_until(line, || alpha.server().log().contains(line));
    }
}

/// Whoever presses Ctrl-C does not want to wait.
#[test]
fn an_interrupt_stops_at_once() {
    let mut alpha = Account::served();
    alpha.restart(&["--drain", "3600"]);
    let address = alpha.server().address;
    alpha.server().signal("INT");
    wait_until("new connections are refused", || try_send(address, "GET", "/", &[], b"").is_err());
    wait_until("it ends", || alpha.server().log().contains("] stopped"));
    assert!(!alpha.server().log().contains("draining"));
}

#[test]
fn a_hangup_takes_new_settings_and_refuses_wrong_ones() {
    let mut alpha = Account::served();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let config = file.display().to_string();
    let hang_up = |alpha: &Account, settings: &str, words: &str| {
        std::fs::write(&file, settings).unwrap();
        let before = alpha.server().log().matches(words).count();
        alpha.server().signal("HUP");
        wait_until(words, || alpha.server().log().matches(words).count() > before);
    };
    std::fs::write(&file, "page_size = 1\n").unwrap();
    alpha.restart(&["--config", &config]);
    alpha.create_all(&["a", "b", "c"]);
    let count = |alpha: &Account| alpha.ids("/groups").len();
    assert_eq!(count(&alpha), 1);
    hang_up(&alpha, "page_size = 2\n", "a setting has changed setting=page_size value=2");
    assert_eq!(count(&alpha), 2);
    hang_up(&alpha, "page_size = 2\n", "nothing has changed");
    let refusal = format!("page_size (from {config}, line 1) must be a whole number of at least 1");
    hang_up(&alpha, "page_size = 0\n", &refusal);
    hang_up(&alpha, "page_sice = 3\n", "did you mean page_size?");
    assert_eq!(count(&alpha), 2, "the old settings count");
    let next_start = "counts from the next start on: restart the server setting=cache_bytes";
    hang_up(&alpha, "page_size = 3\ncache_bytes = 2000000\n", next_start);
    assert_eq!(count(&alpha), 3);
    hang_up(
        &alpha,
        "page_size = 3\nlog_level = \"warn\"\n",
        "the variable RUST_LOG is set setting=log_level",
    );
}

/// The settings that the page `/status` shows, and where each came from.
fn shown_settings(server: &Server) -> BTreeMap<String, (String, String)> {
    let status = json_of(&send(server.admin_address, "GET", "/status.json", &[], b""));
    let text = |setting: &Value, member: &str| setting[member].as_str().unwrap().to_owned();
    let settings = status["settings"].as_array().unwrap().iter();
    settings
        .map(|setting| (text(setting, "key"), (text(setting, "value"), text(setting, "source"))))
        .collect()
}

#[test]
fn after_a_hangup_the_status_shows_the_settings_that_count() {
    let mut alpha = Account::served();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let config = file.display().to_string();
    std::fs::write(&file, "page_size = 7\ncsv_safe = true\n").unwrap();
    alpha.restart(&["--config", &config]);
    let shown = |key: &str| {
        let (value, source) = shown_settings(alpha.server()).remove(key)?;
        Some((value, source.replace(&config, "FILE")))
    };
    let at = |value: &str, line: u32| Some((value.to_owned(), format!("from FILE, line {line}")));
    assert_eq!((shown("page_size"), shown("csv_safe")), (at("7", 1), at("true", 2)));
    let cache_before = shown("cache_bytes");
    // One setting has a new value, one has its default again, one is on another line, and one cannot change.
    std::fs::write(&file, "# more\npage_size = 8\nbody_timeout_ms = 9\ncache_bytes = 2000000\n").unwrap();
    alpha.server().signal("HUP");
    wait_until("the new value", || shown("page_size") == at("8", 2));
    assert_eq!((shown("body_timeout_ms"), shown("csv_safe")), (at("9", 3), None));
    assert_eq!(shown("cache_bytes"), cache_before, "it counts from the next start on");
    std::fs::write(&file, "page_size = 8\n").unwrap();
    alpha.server().signal("HUP");
    wait_until("the new line", || shown("page_size") == at("8", 1));
    // A mistake changes nothing.
    std::fs::write(&file, "page_size = 0\n").unwrap();
    alpha.server().signal("HUP");
    wait_until("the refusal", || alpha.server().log().contains("must be a whole number of at least 1"));
    assert_eq!(shown("page_size"), at("8", 1));
}

/// A secret store may give the settings through a pipe, which can be read once.
#[test]
fn settings_from_a_pipe_stay_as_they_were_after_a_hangup() {
    let mut alpha = Account::served();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("settings");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::write(pipe, "page_size = 7\n").unwrap())
    };
    alpha.restart(&["--config", &pipe.display().to_string()]);
    writer.join().unwrap();
    let page_size = || shown_settings(alpha.server()).remove("page_size").map(|(value, _)| value);
    assert_eq!(page_size().as_deref(), Some("7"));
    alpha.server().signal("HUP");
    let refusal = "cannot be read again: restart the server";
    wait_until(refusal, || alpha.server().log().contains(refusal));
    assert_eq!(page_size().as_deref(), Some("7"));
}

#[test]
fn a_hangup_changes_the_level_of_the_log() {
    let mut alpha = Account::served();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "log_level = \"info\"\n").unwrap();
    alpha.restart_with(&["--config", &file.display().to_string()], &[("RUST_LOG", "")]);
    let requests = |alpha: &Account| alpha.server().log().matches(" access] answered ").count();
    alpha.create_all(&["a"]);
    wait_until("the line about a request", || requests(&alpha) == 1);

    std::fs::write(&file, "log_level = \"warn\"\n").unwrap();
    alpha.server().signal("HUP");
    let changed = |alpha: &Account, what: &str| {
        let words = format!("a setting has changed setting={what}\n");
        wait_until(&words, || alpha.server().log().contains(&words));
    };
    // What a reload does is told at every level.
    changed(&alpha, "log_level value=warn");
    let before = requests(&alpha);
    std::fs::write(&file, "log_level = \"error\"\n").unwrap();
    assert_eq!(alpha.ids("/groups"), ["a"]);
    alpha.server().signal("HUP");
    changed(&alpha, "log_level value=error");
    std::fs::write(&file, "log_level = \"error\"\npage_size = 7\ncache_bytes = 2000000\n").unwrap();
    alpha.server().signal("HUP");
    changed(&alpha, "page_size value=7");
    let next_start = "counts from the next start on: restart the server setting=cache_bytes";
    wait_until(next_start, || alpha.server().log().contains(next_start));
    assert_eq!(requests(&alpha), before, "no line about a request");

    std::fs::write(&file, "log_level = \"info\"\n").unwrap();
    alpha.server().signal("HUP");
    changed(&alpha, "log_level value=info");
    let before = requests(&alpha);
    alpha.create_all(&["b"]);
    wait_until("the line about a request", || requests(&alpha) == before + 1);
}

/// systemd may be asked to reload a server that has hardly begun.
#[test]
fn a_hangup_while_the_settings_are_read_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("settings");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut server = binary().args(["serve", "--config"]).arg(&pipe).stderr(Stdio::null()).spawn().unwrap();
    // The pipe opens once the server wants to read its settings.
    let mut settings = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    assert!(Command::new("kill").arg("-HUP").arg(server.id().to_string()).status().unwrap().success());
    settings.write_all(b"page_size = 0\n").unwrap();
    drop(settings);
    // A mistake ends it, and not the signal.
    assert_eq!(server.wait().unwrap().code(), Some(2));
    // Other commands end with their terminal.
    let mut other = binary().args(["config", "check", "--config"]).arg(&pipe).spawn().unwrap();
    let settings = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    assert!(Command::new("kill").arg("-HUP").arg(other.id().to_string()).status().unwrap().success());
    assert_eq!(other.wait().unwrap().code(), None);
    drop(settings);
}

#[test]
fn systemd_is_told_what_the_server_does() {
    let mut alpha = Account::served();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hears = |expected: &str| {
        let mut told = [0; 100];
        let length = manager.recv(&mut told).unwrap();
        assert_eq!(std::str::from_utf8(&told[..length]).unwrap().trim_end(), expected);
    };
    let socket = path.display().to_string();
    alpha.restart_with(&[], &[("NOTIFY_SOCKET", &socket)]);
    hears("READY=1");
    alpha.server().signal("HUP");
    hears("RELOADING=1");
    hears("READY=1");
    alpha.server().signal("TERM");
    hears("STOPPING=1");
}
