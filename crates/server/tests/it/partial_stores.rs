//! Stores that are imported one database after another: what is imported counts, and what is still missing for
//! serving is a warning with the command that mends it.

use serde_json::Value;

use crate::account::Account;
use crate::process::{run, run_ok};

#[test]
fn each_part_of_a_store_can_be_moved_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    check(&format!("sqlite:{}", folder.path().join("store.db").display()), &[]);
}

/// The words of the warning for missing views. The server adds them itself only to its own stores.
pub(crate) const NO_VIEWS: &str = "views that logins need are missing in accounts: run `views push`";

/// Moves an account into an empty store, one database after another. `views` are the warnings for views that
/// are missing. Answers the name of the account's database.
pub(crate) fn check(store: &str, views: &[&str]) -> String {
    let mut alpha = Account::served();
    alpha.create_all(&["g"]);
    let (id, db) = (alpha.id.clone(), alpha.db());
    let [account, accounts, config, keys] = alpha.while_stopped(|store| {
        [db.as_str(), "accounts", "system_config", "system_auth"]
            .map(|db| run_ok(&["export", "--store", store, "--db", db], b""))
    });
    let import = |lines: &str, expected: &[&str]| {
        let (output, warnings) = said(&["import", "--store", store, "-"], lines);
        let count = lines.lines().count();
        assert!(
            output.starts_with(&format!("{count} documents imported, 0 were there already\n")),
            "{output}"
        );
        check_warnings(&warnings, expected);
    };
    let push = |expected: &[&str]| {
        let (output, warnings) = said(&["views", "push", "--store", store], "");
        assert!(output.contains(&format!("{db} _design/users: ")) && output.contains("all views exist ("));
        check_warnings(&warnings, expected);
    };
    let not_set_up = "the store cannot be served yet";
    let not_listed = format!("nobody can log in to the account {id} yet");

    import(&account, &[not_set_up, &not_listed]);
    push(&["nobody can log in yet, since there is no database accounts"]);
    import(&without_designs(&accounts), &[views, &[not_set_up][..]].concat());
    import(&config, &[views, &["nobody can log in yet, and no token can be checked"][..]].concat());
    push(&[]);
    import(&keys, &[]);
    let (output, warnings) = said(&["import", "--store", store, "-"], &account);
    assert!(output.starts_with("0 documents imported, "), "{output}");
    check_warnings(&warnings, &[]);
    let token = run_ok(&["token", "--store", store, "--account", &id], b"");
    assert_eq!(token.trim().split('.').count(), 3);
    db
}

fn without_designs(lines: &str) -> String {
    let is_design = |line: &&str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["doc"]["_id"].as_str().unwrap().starts_with("_design/")
    };
    lines.lines().filter(|line| !is_design(line)).map(|line| format!("{line}\n")).collect()
}

#[track_caller]
fn check_warnings(error: &str, expected: &[&str]) {
    // The log may stand between them: a password on the command line has a warning of its own.
    let found: Vec<_> =
        error.lines().filter_map(|line| line.strip_prefix("crossbar-groups: warning: ")).collect();
    assert_eq!(found.len(), expected.len(), "{error}");
    for (line, words) in found.iter().zip(expected) {
        assert!(line.starts_with(words), "{line:?} does not begin with {words:?}");
    }
}

/// What a command says on both outputs. It must succeed.
#[track_caller]
pub(crate) fn said(arguments: &[&str], input: &str) -> (String, String) {
    let output = run(arguments, input.as_bytes());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    (String::from_utf8(output.stdout).unwrap(), error)
}

/// The command names an account that only the list of accounts knows, and the others get their views.
#[test]
fn views_are_pushed_to_what_is_there() {
    let mut alpha = Account::served();
    let folder = tempfile::tempdir().unwrap();
    let other = format!("sqlite:{}", folder.path().join("store.db").display());
    let (id, db) = (alpha.id.clone(), alpha.db());
    let accounts =
        alpha.while_stopped(|store| run_ok(&["export", "--store", store, "--db", "accounts"], b""));
    let missing = run(&["views", "push", "--store", &other], b"");
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("no such store"));
    run_ok(&["import", "--store", &other, "-"], accounts.as_bytes());
    let (output, warnings) = said(&["views", "push", "--store", &other], "");
    assert!(output.ends_with("all views exist (0 accounts)\n"), "{output}");
    check_warnings(
        &warnings,
        &[&format!("the account {id} is in the database accounts, but {db} is missing")],
    );
    let named = run(&["views", "push", "--store", &other, "--account", &id], b"");
    assert_eq!(named.status.code(), Some(2));
}
