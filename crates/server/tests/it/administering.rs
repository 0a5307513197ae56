//! The commands that administer a store: keys, accounts and users, backups, and what a shell wants to know. A store in
//! use is changed through its server.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Output, Stdio};

use couchdb::standin::Standin;
use regex::Regex;
use serde_json::{Value, json};

use crate::account::Account;
use crate::process::{binary, run_ok, wait_until};

/// The status of a login as the account's administrator.
fn login(alpha: &Account) -> u16 {
    let digest = format!("{:x}", <md5::Md5 as md5::Digest>::digest("admin:secret"));
    let body = json!({"data": {"credentials": digest, "account_name": "alpha"}}).to_string();
    alpha.send_as_stranger("PUT", "/v2/user_auth", &[], body.as_bytes()).status
}

/// The status of a listing with a token.
fn listing(alpha: &Account, token: &str) -> u16 {
    let target = format!("/v2/accounts/{}/groups", alpha.id);
    alpha.send_as_stranger("GET", &target, &[("X-Auth-Token", token)], b"").status
}

/// A command on a store. Its address may hold a password, which does not belong on the command line.
fn command(store: &str, arguments: &[&str]) -> Output {
    binary().args(arguments).env("CROSSBAR_GROUPS_STORE", store).output().unwrap()
}

/// Runs a command on a store.
fn on(store: &str, arguments: &[&str]) -> String {
    let output = command(store, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command on a store that must be refused with one line and exit code 2.
fn refused(store: &str, arguments: &[&str]) -> String {
    let output = command(store, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), said.trim_end().lines().count()),
        (Some(2), 1),
        "{arguments:?}: {said}"
    );
    said
}

/// The keys that are listed: the id, whether it signs, and when its last token expires.
fn keys(store: &str) -> Vec<(String, bool, String)> {
    let listed = on(store, &["key", "list"]);
    let row = Regex::new(r"(?m)^([0-9a-f]{32})  (yes|no) +\d{4}-\d\d-\d\dT[0-9:]+Z ?(.*)$").unwrap();
    let rows = row.captures_iter(&listed);
    let keys: Vec<_> =
        rows.map(|row| (row[1].to_owned(), &row[2] == "yes", row[3].trim().to_owned())).collect();
    assert_eq!(keys.len() + 1, listed.lines().count(), "{listed}");
    keys
}

#[test]
fn a_key_is_rotated_while_the_server_runs_and_retired_when_its_tokens_are_over() {
    let alpha = Account::served();
    let store = alpha.store();
    let [(old, true, _)] = &keys(&store)[..] else { panic!("one key that signs") };
    assert!(refused(&store, &["key", "retire", old]).contains("run `crossbar-groups key rotate` first"));

    let said = on(&store, &["key", "rotate"]);
    let new =
        Regex::new("signed with the key ([0-9a-f]{32})").unwrap().captures(&said).unwrap()[1].to_owned();
    assert!(said.contains(&format!("crossbar-groups key retire {old}")), "{said}");
    let listed = keys(&store);
    let of = |id: &str| listed.iter().find(|key| key.0 == *id).unwrap();
    assert_eq!((of(&new).1, of(old).1, of(&new).2.as_str()), (true, false, ""));
    assert!(of(old).2.ends_with('Z'), "{listed:?}");

    // Tokens of both keys are good, and new ones have the new key.
    assert_eq!(listing(&alpha, &alpha.token), 200);
    let token = on(&store, &["token", "--account", "alpha", "--user", "admin"]).trim().to_owned();
    assert_eq!(listing(&alpha, &token), 200);
    assert_eq!(login(&alpha), 201);

    let said = refused(&store, &["key", "retire", old]);
    assert!(said.contains("are good until 20") && said.contains("--now"), "{said}");
    assert_eq!(listing(&alpha, &alpha.token), 200);
    assert!(on(&store, &["key", "retire", old, "--now"]).contains("is gone; its tokens"));
    wait_until("the old key's tokens end", || listing(&alpha, &alpha.token) == 401);
    assert_eq!((listing(&alpha, &token), login(&alpha)), (200, 201));
    assert!(on(&store, &["key", "retire", old]).contains("is gone already"), "it is safe to repeat");
    assert_eq!(keys(&store), [(new, true, String::new())]);
}

/// A store that came from a Kazoo as a file is this program's own. In a CouchDB a Kazoo may use the keys.
#[test]
fn beside_a_kazoo_keys_change_only_if_that_is_wanted() {
    let couchdb = Standin::start();
    let mut alpha = Account::served();
    let lines = alpha.while_stopped(|store| on(store, &["export"]));
    run_ok(&["import", "--store", couchdb.url(), "-"], lines.as_bytes());
    let kazoo = json!({"db": "system_data", "doc": {"_id": "x"}}).to_string();
    run_ok(&["import", "--store", couchdb.url(), "-"], kazoo.as_bytes());
    let [(old, true, _)] = &keys(couchdb.url())[..] else { panic!("one key that signs") };
    for arguments in [&["key", "rotate"][..], &["key", "retire", old]] {
        let said = refused(couchdb.url(), arguments);
        assert!(said.contains("a Kazoo uses this store") && said.contains("--shared"), "{said}");
    }
    let said = on(couchdb.url(), &["key", "rotate", "--shared"]);
    assert!(said.contains("new tokens are signed with"), "{said}");
    assert_eq!(keys(couchdb.url()).len(), 2);
}

/// The change counts, and the operator learns that Kazoo may see it late.
#[test]
fn a_broker_that_does_not_answer_is_a_warning() {
    let couchdb = Standin::start();
    let mut alpha = Account::served();
    let lines = alpha.while_stopped(|store| on(store, &["export"]));
    run_ok(&["import", "--store", couchdb.url(), "-"], lines.as_bytes());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broker = format!("amqp://u:very-secret@{nobody}");
    let mut disable = binary();
    disable.args(["account", "disable", "alpha"]).env("CROSSBAR_GROUPS_AMQP", broker);
    let output = disable.env("CROSSBAR_GROUPS_STORE", couchdb.url()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && said.contains("no broker of the setting amqp has been told"),
        "{said}"
    );
    assert!(said.trim_end().lines().count() == 1 && !said.contains("very-secret"), "{said}");
    let listed = on(couchdb.url(), &["account", "list"]);
    assert!(listed.trim_end().ends_with("no"), "{listed}");
}

#[test]
fn an_account_is_disabled_and_enabled_while_the_server_runs() {
    let alpha = Account::served();
    let store = alpha.store();
    assert_eq!(login(&alpha), 201);
    for (arguments, words, status, listed) in [
        (["account", "disable", "alpha"], "is disabled: its users cannot log in", 400, "no"),
        (["account", "disable", "ALPHA"], "is disabled already", 400, "no"),
        (["account", "enable", "alpha"], "is enabled: its users can log in", 201, "yes"),
        (["account", "enable", alpha.id.as_str()], "is enabled already", 201, "yes"),
    ] {
        let said = on(&store, &arguments);
        assert!(said.starts_with(&alpha.id) && said.contains(words), "{said}");
        wait_until("logins follow", || login(&alpha) == status);
        let accounts = on(&store, &["account", "list"]);
        assert!(accounts.lines().last().unwrap().ends_with(listed), "{accounts}");
        assert_eq!(alpha.send("GET", "/groups", &[], b"").status, 200, "as with Kazoo");
    }
}

#[test]
fn a_user_is_disabled_enabled_and_deleted_while_the_server_runs() {
    let alpha = Account::served();
    let store = alpha.store();
    let user = |verb: &str, named: &str| on(&store, &["user", verb, "--account", "alpha", "--user", named]);
    alpha.create_all(&["g"]);
    assert!(user("disable", "admin").contains("is disabled: logins are refused"));
    assert!(user("disable", "admin").contains("is disabled already"));
    wait_until("the user's tokens end", || listing(&alpha, &alpha.token) == 401);
    assert_eq!(login(&alpha), 401);
    assert!(user("enable", "ADMIN").contains("is enabled: logins are let in"));
    wait_until("logins are let in", || login(&alpha) == 201);
    assert_eq!(listing(&alpha, &alpha.token), 401, "earlier tokens stay ended");

    let token = on(&store, &["token", "--account", "alpha", "--user", "admin"]).trim().to_owned();
    assert_eq!(listing(&alpha, &token), 200);
    assert!(user("delete", "admin").starts_with(&alpha.user_id));
    wait_until("the user's tokens end", || listing(&alpha, &token) == 401);
    assert_eq!(login(&alpha), 401);
    assert!(user("delete", &alpha.user_id).contains("is deleted already"), "it is safe to repeat");
    assert_eq!(on(&store, &["user", "list", "--account", "alpha"]).lines().count(), 1);
    let gone = refused(&store, &["user", "enable", "--account", "alpha", "--user", &alpha.user_id]);
    assert!(gone.contains("there is no user"), "{gone}");
}

/// A store with accounts of these ids and members, each in its own database and in that of all accounts.
fn store_with(folder: &tempfile::TempDir, documents: &[Value]) -> String {
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let mut lines = String::new();
    for document in documents {
        let id = document["_id"].as_str().unwrap();
        let own = format!("account/{}/{}/{}", &id[..2], &id[2..4], &id[4..]);
        for db in ["accounts", &own] {
            lines.push_str(&format!("{}\n", json!({"db": db, "doc": document})));
        }
    }
    run_ok(&["import", "--store", &store, "-"], lines.as_bytes());
    store
}

/// The document of an account whose id is this letter, again and again.
fn account(letter: char, more: &Value) -> Value {
    let mut document = json!({
        "_id": letter.to_string().repeat(32), "name": letter.to_string(), "pvt_alphanum_name": letter.to_string(),
        "pvt_type": "account",
    });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document
}

/// Logins go by what Kazoo takes for true. The commands tell the same.
#[test]
fn accounts_are_told_as_logins_judge_them() {
    let folder = tempfile::tempdir().unwrap();
    let told = [
        ('a', json!({}), "yes", "no"),
        ('b', json!({"pvt_enabled": "true", "pvt_superduper_admin": "true"}), "yes", "yes"),
        ('c', json!({"pvt_enabled": "no", "pvt_superduper_admin": "yes"}), "no", "no"),
        ('d', json!({"pvt_enabled": null, "pvt_superduper_admin": true}), "no", "yes"),
    ];
    let store = store_with(&folder, &told.each_ref().map(|(letter, more, ..)| account(*letter, more)));
    let listed = on(&store, &["account", "list"]);
    for (letter, _, enabled, master) in told {
        let row = listed.lines().find(|line| line.starts_with(letter)).unwrap();
        assert!(row.ends_with(enabled), "{letter}: {listed}");
        let shown = on(&store, &["account", "show", &letter.to_string()]);
        for line in [format!("enabled   {enabled}"), format!("master    {master}")] {
            assert!(shown.lines().any(|shown| shown == line), "{letter}: {line}: {shown}");
        }
        assert!(!shown.contains("deleted"), "{shown}");
    }
}

#[test]
fn users_are_told_as_logins_judge_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(&folder, &[account('a', &json!({}))]);
    let told = [
        ("u1", json!({"enabled": true}), "yes"),
        ("u2", json!({"enabled": "false"}), "yes"),
        ("u3", json!({"enabled": 0}), "no"),
        ("u4", json!({}), "no"),
    ];
    let own = format!("account/aa/aa/{}", "a".repeat(28));
    let lines = told.each_ref().map(|(id, more, _)| {
        let mut user = json!({"_id": id, "username": id, "priv_level": "user", "pvt_type": "user"});
        user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{}\n", json!({"db": own, "doc": user}))
    });
    run_ok(&["import", "--store", &store, "-"], lines.concat().as_bytes());
    let listed = on(&store, &["user", "list", "--account", "a"]);
    for (id, _, enabled) in told {
        let row = listed.lines().find(|line| line.starts_with(id)).unwrap();
        assert!(row.ends_with(enabled), "{id}: {listed}");
    }
}

/// The name is free. Only the id still leads to the account.
#[test]
fn a_deleted_account_has_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(&folder, &[account('a', &json!({"pvt_deleted": true}))]);
    let old = "a".repeat(32);
    assert!(refused(&store, &["account", "show", "a"]).contains("there is no account"));
    let shown = on(&store, &["account", "show", &old]);
    assert!(shown.lines().any(|line| line == "deleted   yes"), "{shown}");
    let new = on(&store, &["account", "create", "--name", "a", "--unless-exists"]);
    assert_ne!(new.trim(), old);
    assert_eq!(on(&store, &["account", "create", "--name", "a", "--unless-exists"]), new);
    assert!(on(&store, &["account", "show", "a"]).contains(new.trim()));
}

/// Nobody could log in, so the store is not ready, and no key signs.
#[test]
fn a_store_whose_configuration_is_deleted_is_not_set_up() {
    let mut alpha = Account::served();
    let exported = alpha.while_stopped(|store| on(store, &["export"]));
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let lines = exported.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if line["db"] == "system_config" && line["doc"]["_id"] == "auth" {
            line["doc"]["pvt_deleted"] = json!(true);
        }
        format!("{line}\n")
    });
    run_ok(&["import", "--store", &store, "-"], lines.collect::<String>().as_bytes());
    let [(_, false, _)] = &keys(&store)[..] else { panic!("one key that does not sign") };
    for (arguments, words) in [
        (
            &["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"][..],
            "one that is marked as deleted",
        ),
        (&["key", "rotate"], "set its pvt_deleted to false"),
        (&["account", "create", "--name", "new"], "set its pvt_deleted to false"),
    ] {
        let output = command(&store, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn a_backup_is_restored_and_the_store_that_was_there_is_kept() {
    let mut alpha = Account::served();
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.db").display().to_string();
    alpha.create_all(&["before"]);
    on(&alpha.store(), &["backup", &backup]);
    alpha.create_all(&["after"]);
    let hindered = command(&alpha.store(), &["restore", &backup]);
    assert_eq!(hindered.status.code(), Some(75), "the server may end");
    assert!(String::from_utf8(hindered.stderr).unwrap().contains("stop that process"));
    let said = alpha.while_stopped(|store| on(store, &["restore", &backup]));
    let kept = Regex::new("is kept as (.*): remove").unwrap().captures(&said).unwrap()[1].to_owned();
    assert_eq!(alpha.ids("/groups"), ["before"]);
    let file = alpha.store().strip_prefix("sqlite:").unwrap().to_owned();
    for file in [&file, &kept] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // It is safe to repeat. A store may also be made from a backup.
    alpha.while_stopped(|store| on(store, &["restore", &backup]));
    assert_eq!(alpha.ids("/groups"), ["before"]);
    let other = format!("sqlite:{}", folder.path().join("new/store.db").display());
    assert_eq!(on(&other, &["restore", &backup]).lines().count(), 1);
    assert!(on(&other, &["export"]).contains("group before"));
}

#[test]
fn shells_and_readers_get_every_command() {
    for (shell, words) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef crossbar-groups"),
        ("fish", "complete -c crossbar-groups"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = run_ok(&["completions", shell], b"");
        assert!(script.contains(words) && script.contains("retire"), "{shell}");
    }
    let page = run_ok(&["man"], b"");
    assert!(page.contains(".TH crossbar-groups 1"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    run_ok(&["man", "--output", &folder.path().display().to_string()], b"");
    for (command, words) in [
        ("crossbar-groups", "crossbar\\-groups\\-serve"),
        ("crossbar-groups-serve", "CROSSBAR_GROUPS_DRAIN"),
        ("crossbar-groups-user-create", "password\\-stdin"),
        ("crossbar-groups-key-retire", "now"),
    ] {
        let page = fs::read_to_string(folder.path().join(format!("{command}.1"))).unwrap();
        assert!(page.contains(words), "{command}: {page}");
    }
    assert!(!page.contains("very-secret"));
}

#[test]
fn the_version_says_what_was_built() {
    let said = run_ok(&["--version"], b"");
    let version = env!("CARGO_PKG_VERSION");
    let known = Regex::new(&format!(
        r"^crossbar-groups {} \((debug build|[0-9a-f]{{12}}(, changed)?)\)\n$",
        regex::escape(version)
    ));
    assert!(known.unwrap().is_match(&said), "{said}");
}

/// A command on a store whose server does not answer now, until it has said that it waits.
fn waiting_command(store: &str, arguments: &[&str]) -> Child {
    let mut command = binary();
    command.args(arguments).env("CROSSBAR_GROUPS_STORE", store).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("crossbar-groups: waiting for the server that has "), "{said}");
    child
}

#[test]
fn a_command_says_that_it_waits_and_one_that_was_stopped_changes_nothing() {
    let alpha = Account::served();
    let store = alpha.store();
    on(&store, &["account", "list"]);
    wait_until("the server serves commands", || {
        std::path::Path::new(&format!("{}.sock", store.strip_prefix("sqlite:").unwrap())).exists()
    });
    alpha.server().signal("STOP");
    let mut stopped = waiting_command(&store, &["account", "create", "--name", "stopped"]);
    let patient = waiting_command(&store, &["account", "create", "--name", "patient"]);
    stopped.kill().unwrap();
    stopped.wait().unwrap();
    alpha.server().signal("CONT");
    let output = patient.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let accounts = on(&store, &["account", "list"]);
    assert!(accounts.contains("patient") && !accounts.contains("stopped"), "{accounts}");
    assert!(
        alpha.server().log().contains("it has gone, and its change was not made"),
        "{}",
        alpha.server().log()
    );
}

/// What changes a store says so in the server's log, and never a secret.
#[test]
fn the_log_names_the_commands() {
    let alpha = Account::served();
    on(&alpha.store(), &["account", "disable", "alpha"]);
    on(&alpha.store(), &["key", "rotate"]);
    let token = on(&alpha.store(), &["token", "--account", "alpha"]);
    on(&alpha.store(), &["user", "disable", "--account", "alpha", "--user", "admin"]);
    for (command, about) in [
        ("account disable", " account=alpha"),
        ("key rotate", ""),
        ("user disable", " account=alpha user=admin"),
    ] {
        let line = format!("a command has changed the store command=\"{command}\" uid=");
        wait_until("the log names the command", || {
            let log = alpha.server().log();
            let end = log.lines().find_map(|told| Some(told.split_once(&line)?.1.to_owned()));
            end.is_some_and(|end| end.trim_start_matches(|digit: char| digit.is_ascii_digit()) == about)
        });
    }
    let exported: Vec<Value> = on(&alpha.store(), &["export", "--db", "system_auth"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(exported.len(), 2);
    assert_eq!(listing(&alpha, token.trim()), 200);
}
