//! Commands on a store that a server has open: they read beside it, and hand their changes to it. Backups and exports.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::json;

use crate::account::{Account, json_of};
use crate::http_client::send;
use crate::process::{binary, run, run_ok};
use crate::telling::line_where;

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(30);

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
            && line.ends_with(" account=beta user=b")
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
