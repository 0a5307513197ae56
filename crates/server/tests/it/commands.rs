//! The commands beside `serve`, and how they refuse.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::account::Account;
use crate::partial_stores::said;
use crate::process::{binary, run, run_ok};

fn check_refused(arguments: &[&str], code: i32, words: &[&str]) {
    let output = run(arguments, b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    for word in words {
        assert!(error.contains(word), "{arguments:?}: {error:?} does not say {word:?}");
    }
    assert_eq!(error.trim_end().lines().count(), 1, "{arguments:?}: {error:?} is not one line");
}

/// A secret store may give the settings through a pipe, which can be read once.
#[test]
fn settings_come_through_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.db").display().to_string();
    let settings =
        format!("store = \"sqlite:{missing}\"\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n");
    for command in [&["serve"][..], &["doctor"], &["export"], &["key", "rotate"]] {
        let refused = run(&[command, &["--config", "/dev/stdin"]].concat(), settings.as_bytes());
        let error = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{command:?}: {error}");
        assert!(error.contains(&missing), "{command:?}: {error}");
    }
    let refused = run(&["config", "show", "--config", "/dev/stdin"], b"page_size = 0\n");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

#[test]
fn a_wrong_store_is_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("foreign.db");
    std::fs::write(&foreign, "this is no database, and not ours to write to").unwrap();
    let foreign_store = format!("sqlite:{}", foreign.display());
    let directory = format!("sqlite:{}", folder.path().display());
    for (store, word) in [
        ("sqlite:", "sqlite:PATH"),
        ("sqlite://file.db", "sqlite:/folder/store.db"),
        ("sqlite::memory:", "in memory"),
        ("ftp://x", "http"),
        ("nonsense", "http"),
        ("http://", "http"),
        (foreign_store.as_str(), "foreign.db"),
        (directory.as_str(), "not a regular file"),
    ] {
        check_refused(&["serve", "--store", store], 2, &["crossbar-groups: ", word]);
    }
    assert!(
        std::fs::read_to_string(&foreign).unwrap().starts_with("this is no database"),
        "it was left alone"
    );
}

#[test]
fn a_password_in_a_wrong_url_is_not_repeated() {
    let output = run(&["serve", "--store", "ftp://admin:very-secret@host"], b"");
    assert!(!String::from_utf8(output.stderr).unwrap().contains("very-secret"));
}

#[test]
fn an_empty_store_is_not_served_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    check_refused(&["serve", "--store", &store], 2, &["account create", "--demo"]);
}

#[test]
fn a_port_in_use_is_one_line_and_exit_code_75() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    run_ok(&["account", "create", "--store", &store, "--name", "a"], b"");
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let output = run(&["serve", "--store", &store, "--listen", &address], b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(75), "{error}");
    let refusal = error.lines().last().unwrap();
    assert!(refusal.contains(&address) && refusal.contains("listen"), "{error}");
}

/// Everybody on the machine can see the command line. The environment and the settings file are private.
#[test]
fn a_password_on_the_command_line_is_warned_about() {
    let url = "http://admin:open-sesame@127.0.0.1:1";
    let warned = |output: std::process::Output| {
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!error.contains("open-sesame"), "{error}");
        error.contains("set the environment variable CROSSBAR_GROUPS_STORE")
    };
    assert!(warned(run(&["export", "--store", url], b"")));
    for no_password in ["http://127.0.0.1:1", "http://admin@127.0.0.1:1", "http://admin:@127.0.0.1:1"] {
        assert!(!warned(run(&["export", "--store", no_password], b"")), "{no_password}");
    }
    let from_environment = binary().arg("export").env("CROSSBAR_GROUPS_STORE", url).output().unwrap();
    assert!(!warned(from_environment));
}

/// docker compose starts the server only after this script has succeeded.
#[test]
fn the_first_account_refuses_the_passwords_of_earlier_examples() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let stand_in = folder.path().join("crossbar-groups");
    std::fs::write(&stand_in, "#!/bin/sh\ncat >/dev/null\n").unwrap();
    std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/first-account.sh");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    for (admin, couchdb, is_refused) in [
        ("change-me-too", "own", true),
        ("change-me", "own", true),
        ("own", "change-me", true),
        ("own", "change-me-too", true),
        ("own", "own", false),
        ("change-me-never", "change-me-never", false),
    ] {
        let status = std::process::Command::new("sh")
            .arg(script)
            .env("PATH", &path)
            .env("FIRST_ACCOUNT_NAME", "main")
            .env("FIRST_ADMIN_USERNAME", "admin")
            .env("FIRST_ADMIN_PASSWORD", admin)
            .env("CROSSBAR_GROUPS_STORE", format!("http://admin:{couchdb}@couchdb:5984"))
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
            .status;
        assert_eq!(status.success(), !is_refused, "{admin} {couchdb}");
    }
}

#[test]
fn a_token_must_live_for_a_second_at_least() {
    let output = run(&["token", "--account", &"a".repeat(32), "--ttl", "0"], b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("--ttl"), "{error}");
}

#[test]
fn bad_settings_are_refused_by_name() {
    check_refused(&["serve", "--page-size", "0"], 2, &["page_size"]);
    check_refused(&["serve", "--listen", "nowhere"], 2, &["listen", "nowhere"]);
    check_refused(&["serve", "--config", "/does/not/exist.toml"], 2, &["/does/not/exist.toml"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "page_sizes = 3\n").unwrap();
    let config = file.display().to_string();
    check_refused(&["serve", "--config", &config], 2, &["line 1", "page_sizes", "did you mean page_size?"]);
    // Every command refuses an unknown key.
    check_refused(&["export", "--config", &config], 2, &["line 1", "page_sizes"]);
}

#[test]
fn a_setting_comes_from_the_flag_else_the_environment_else_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "# three lines\n\npage_size = 0\n").unwrap();
    let refusal = |arguments: &[&str], variable: Option<&str>| {
        let mut command = binary();
        command.args(["serve", "--api-version", "x"]).args(arguments).env("CROSSBAR_GROUPS_CONFIG", &file);
        command.envs(variable.map(|value| ("CROSSBAR_GROUPS_PAGE_SIZE", value)));
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let in_file = format!(
        "the setting page_size (from {}, line 3) must be a whole number of at least 1",
        file.display()
    );
    assert!(refusal(&[], None).contains(&in_file));
    let in_environment =
        "the setting page_size (from the environment) must be a whole number of at least 1, not \"x\"";
    assert!(refusal(&[], Some("x")).contains(in_environment));
    assert!(refusal(&[], Some("")).contains(&in_file), "an empty variable counts as none");
    assert!(
        refusal(&["--page-size", "y"], Some("x"))
            .contains("the setting page_size must be a whole number of at least 1, not \"y\"")
    );
}

#[test]
fn every_command_honours_the_settings_of_its_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let create = ["account", "create", "--store", &store, "--name", "a", "--sqlite-max-document-bytes", "10"];
    check_refused(&create, 1, &["10"]);
    let account = "0".repeat(32);
    let token = ["token", "--store", &store, "--account", &account, "--couchdb-read-retries", "x"];
    check_refused(&token, 2, &["couchdb_read_retries"]);
}

#[test]
fn an_account_or_user_is_not_created_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let create = ["account", "create", "--store", &store, "--name", "Main Office"];
    let id = run_ok(&create, b"").trim().to_owned();
    check_refused(&create, 1, &["already", &id]);
    let again = [&create[..], &["--unless-exists"]].concat();
    assert_eq!(run_ok(&again, b"").trim(), id);

    let user =
        ["user", "create", "--store", &store, "--account", &id, "--username", "admin", "--password-stdin"];
    let user_id = run_ok(&user, b"open sesame").trim().to_owned();
    let again = [&user[..], &["--unless-exists"]].concat();
    assert_eq!(run_ok(&again, b"other").trim(), user_id);
    let refused = run(&user, b"");
    assert_eq!(refused.status.code(), Some(2), "an empty password is none");

    let exported = run_ok(&["export", "--store", &store], b"");
    assert!(!exported.contains("sesame"), "a password is never stored");
    check_refused(&["token", "--store", &store, "--account", &"0".repeat(32)], 2, &["no account"]);
}

#[test]
fn a_store_moves_into_another_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let store = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let (one, two) = (store("one.db"), store("two.db"));
    run_ok(&["account", "create", "--store", &one, "--name", "alpha"], b"");
    let lines = run_ok(&["export", "--store", &one], b"");
    assert!(lines.contains("RSA") || lines.contains("private_key.pem"), "attachments travel too");
    assert!(
        run_ok(&["import", "--store", &two, "-"], lines.as_bytes())
            .contains(" imported, 0 were there already")
    );
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&run_ok(&["export", "--store", &two], b"")), sorted(&lines));
    assert!(run_ok(&["import", "--store", &two, "-"], lines.as_bytes()).starts_with("0 documents imported"));

    let mut other: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    other["doc"]["name"] = json!("changed");
    let output = run(&["import", "--store", &two, "-"], other.to_string().as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("left as it is"));
    assert_eq!(sorted(&run_ok(&["export", "--store", &two], b"")), sorted(&lines));
}

/// Overwrites some text in a store's file, as a failing disk would.
fn damage(store: &str, text: &str) {
    let path = store.strip_prefix("sqlite:").unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let places: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(text.as_bytes())).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] = 0xff;
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn one_damaged_document_is_told_with_advice_and_the_others_are_served_and_exported() {
    let mut alpha = Account::served();
    alpha.create_all(&["good", "bad-and-damaged"]);
    let output = alpha.while_stopped(|store| {
        damage(store, "group bad-and-damaged");
        run(&["export", "--store", store], b"")
    });
    let file = alpha.store().strip_prefix("sqlite:").unwrap().to_owned();
    let words = [file.as_str(), "is damaged", ".recover", "crossbar-groups export"];
    let (lines, error) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("1 documents are not in the export"), "{error}");
    assert!(words.iter().all(|words| error.contains(words)) && error.contains("bad-and-damaged"), "{error}");
    assert!(lines.contains("group good") && !lines.contains("bad-and-damaged"), "{lines}");

    let status = |id: &str| alpha.send("GET", &format!("/groups/{id}"), &[], b"").status;
    assert_eq!([status("good"), status("bad-and-damaged")], [200, 500]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !words.iter().all(|words| alpha.server().log().contains(words)) {
        assert!(Instant::now() < deadline, "{}", alpha.server().log());
        std::thread::yield_now();
    }
}

#[test]
fn an_import_ends_before_the_first_bad_line() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let line = |id: &str, n: u32| format!("{}\n", json!({"db": "a", "doc": {"_id": id, "n": n}}));
    let lines = [line("x", 1), "nonsense\n".to_owned(), line("y", 1)].concat();
    let import = |lines: &str| {
        let output = run(&["import", "--store", &store, "-"], lines.as_bytes());
        assert_eq!(output.status.code(), Some(1));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (said, error) = import(&lines);
    assert_eq!(said, "1 documents imported, 0 were there already\n");
    assert!(error.starts_with("crossbar-groups: line 2: "), "{error}");
    assert!(error.ends_with("; neither this line nor a later one was imported\n"), "{error}");
    assert_eq!(run_ok(&["export", "--store", &store], b""), line("x", 1));

    // Documents that were refused before the bad line are named too.
    let (_, error) = import(&[line("x", 2), "nonsense\n".to_owned()].concat());
    assert!(error.starts_with("crossbar-groups: line 2: ") && error.contains("left as it is"), "{error}");
}

#[test]
fn a_name_that_logins_take_for_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let create = |name: &str| {
        ["account", "create", "--unless-exists", "--store", &store, "--name", name].map(str::to_owned)
    };
    run_ok(&create("Main Office").each_ref().map(String::as_str), b"");
    let same = create("main-office");
    let words = ["an account with a name equal to \"main-office\" for logins exists; choose another name"];
    check_refused(&same.each_ref().map(String::as_str), 1, &words);
    let push = ["views", "push", "--store", &store];
    assert!(run_ok(&push, b"").ends_with("\nall views exist (1 account)\n"));
    run_ok(&create("Other").each_ref().map(String::as_str), b"");
    assert!(run_ok(&push, b"").ends_with("\nall views exist (2 accounts)\n"));
}

#[test]
fn an_import_of_a_design_document_that_takes_no_views_warns() {
    let mut alpha = Account::served();
    let lines = alpha.while_stopped(|store| run_ok(&["export", "--store", store], b""));
    let unusable = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if line["doc"]["_id"] == "_design/users" {
            line["doc"]["language"] = json!("query");
            line["doc"]["views"] = json!({});
        }
        line.to_string()
    };
    let lines = lines.lines().map(unusable).collect::<Vec<_>>().join("\n");
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let (output, error) = said(&["import", "--store", &store, "-"], &lines);
    assert!(output.ends_with(" documents imported, 0 were there already\n"), "{output}");
    let words =
        ["crossbar-groups: warning: not all views were pushed: ", "_design/users", "run `views push`"];
    assert!(words.iter().all(|words| error.contains(words)) && error.lines().count() == 1, "{error}");
    check_refused(&["views", "push", "--store", &store], 1, &["not all views were pushed", "_design/users"]);
}
