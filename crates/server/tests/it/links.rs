//! A store that has several paths: a symbolic link leads to it, or its file has another name. Whatever path a command is
//! given, it meets the server that has the store open.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use auth::Secret;
use auth::bootstrap::NewUser;

use crate::accounts::OpenStore;
use crate::mistakes::output_of;
use crate::process::{Server, run_ok, wait_until};

/// A folder with a store in `data/real.db`, a backup and an export of it, and a link in `etc/store.db` that leads to
/// it.
fn prepare() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("data")).unwrap();
    fs::create_dir(path("etc")).unwrap();
    let user = NewUser { username: "admin", password: &Secret::new("secret"), is_admin: true };
    OpenStore::open(&path("data/real.db")).account("alpha", &user);
    symlink("../data/real.db", path("etc/store.db")).unwrap();
    let store = store_of(folder.path(), "data/real.db");
    run_ok(&["backup", path("backup.db").to_str().unwrap(), "--store", &store], b"");
    run_ok(&["export", "--output", path("lines").to_str().unwrap(), "--store", &store], b"");
    folder
}

fn store_of(folder: &Path, name: &str) -> String {
    format!("sqlite:{}", folder.join(name).display())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every command that opens a store, by whether it writes, and a second server.
const WRITE: &[&str] = &[
    "import lines",
    "restore backup.db",
    "serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0",
    "serve --demo --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0",
];
const WRITE_BY_THE_SERVER: &[&str] =
    &["account create --name NEW", "account disable alpha", "views push", "key rotate"];
const READ: &[&str] = &["account list", "export", "backup copy.db", "doctor", "token --account alpha"];

/// The exit code of a command on a store, and its one line on standard error.
fn refusal(folder: &Path, command: &str, store: &str) -> (Option<i32>, String) {
    let output = output_of(folder, &format!("{command} --store sqlite:{store}"), &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().count() <= 1, "{command} on {store}: {said}");
    (output.status.code(), said)
}

#[test]
fn a_store_is_locked_by_whatever_path_it_is_opened() {
    let folder = prepare();
    let folder = folder.path();
    symlink("etc/store.db", folder.join("farther")).unwrap();
    symlink(folder.join("data"), folder.join("folder")).unwrap();
    let paths = ["etc/store.db", "data/real.db", "farther", "folder/real.db"];
    for served in ["etc/store.db", "data/real.db"] {
        let server = Server::start(&store_of(folder, served), &[]);
        wait_until("the server opens its socket", || folder.join("data/real.db.sock").exists());
        let before = names(folder);
        for path in paths {
            for command in WRITE {
                let (code, said) = refusal(folder, command, path);
                assert!(
                    code == Some(75) && said.contains("is in use by another process"),
                    "{command}: {said}"
                );
            }
            for command in WRITE_BY_THE_SERVER {
                let name = format!("{path} at {served}").replace([' ', '/', '.'], "");
                let (code, said) = refusal(folder, &command.replace("NEW", &name), path);
                assert_eq!(code, Some(0), "{command} on {path}: {said}");
            }
            for command in READ {
                let (code, said) = refusal(folder, command, path);
                assert_eq!(code, Some(0), "{command} on {path}: {said}");
            }
            fs::remove_file(folder.join("copy.db")).unwrap();
        }
        assert_eq!(
            server.log().matches("command=\"account create\"").count(),
            paths.len(),
            "{}",
            server.log()
        );
        assert_eq!(server.stop().0, Some(0));
        assert_eq!(names(folder), before);
        assert_eq!(names(&folder.join("etc")), ["store.db"], "nothing is made beside the link");
    }
    assert!(folder.join("etc/store.db").is_symlink());
}

/// SQLite keeps a log for each name, so a process by another name would miss what the log holds.
#[test]
fn a_store_with_two_names_is_refused() {
    let folder = prepare();
    let folder = folder.path();
    let server = Server::start(&store_of(folder, "data/real.db"), &[]);
    wait_until("the server opens its socket", || folder.join("data/real.db.sock").exists());
    fs::hard_link(folder.join("data/real.db"), folder.join("other.db")).unwrap();
    symlink("other.db", folder.join("to-other.db")).unwrap();
    let before = names(folder);
    for path in ["other.db", "to-other.db"] {
        for command in [WRITE, WRITE_BY_THE_SERVER, READ].concat() {
            let (code, said) = refusal(folder, command, path);
            assert_eq!((code, names(folder)), (Some(2), before.clone()), "{command} on {path}: {said}");
            assert!(said.contains("other.db has 2 names (hard links)") && said.contains("remove"), "{said}");
        }
    }
    assert_eq!(server.stop().0, Some(0));
    let (code, said) = refusal(folder, WRITE[2], "data/real.db");
    assert!(code == Some(2) && said.contains("2 names"), "{said}");
    // A backup may have other names: programs that keep many backups share their files so.
    fs::remove_file(folder.join("other.db")).unwrap();
    fs::hard_link(folder.join("backup.db"), folder.join("other.db")).unwrap();
    let (code, said) = refusal(folder, "restore other.db", "data/real.db");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_restore_through_a_link_keeps_the_link() {
    let folder = prepare();
    let folder = folder.path();
    symlink("../backup.db", folder.join("etc/backup.db")).unwrap();
    let (code, said) = refusal(folder, "restore etc/backup.db", "etc/store.db");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_link(folder.join("etc/store.db")).unwrap(), Path::new("../data/real.db"));
    assert_eq!(names(&folder.join("etc")), ["backup.db", "store.db"]);
    assert_eq!(names(&folder.join("data")), ["real.db", "real.db.before-restore-1", "real.db.lock"]);
    // The link may also lead to a file that is not there yet, in a folder that is not there yet.
    symlink("../new/store.db", folder.join("etc/new.db")).unwrap();
    let (code, said) = refusal(folder, "restore backup.db", "etc/new.db");
    assert_eq!(code, Some(0), "{said}");
    assert!(folder.join("etc/new.db").is_symlink());
    assert_eq!(names(&folder.join("new")), ["store.db", "store.db.lock"]);
    let (code, said) = refusal(folder, "restore etc/new.db", "new/store.db");
    assert!(code == Some(2) && said.contains("belongs to the store itself"), "{said}");
}

#[test]
fn a_link_that_leads_nowhere_yet_is_a_place_for_a_store() {
    let folder = prepare();
    let folder = folder.path();
    symlink("../data/new.db", folder.join("etc/new.db")).unwrap();
    let (code, said) = refusal(folder, "account list", "etc/new.db");
    assert!(code == Some(2) && said.contains("no such store"), "{said}");
    let (code, said) = refusal(folder, "account create --name alpha", "etc/new.db");
    assert_eq!(code, Some(0), "{said}");
    let server = Server::start(&store_of(folder, "etc/new.db"), &[]);
    wait_until("the server opens its socket", || folder.join("data/new.db.sock").exists());
    assert_eq!(refusal(folder, "account create --name beta", "data/new.db").0, Some(0));
    assert_eq!(server.stop().0, Some(0));
    assert_eq!(names(&folder.join("etc")), ["new.db", "store.db"]);
    // A circle of links is no place.
    symlink("circle", folder.join("circle")).unwrap();
    let (code, said) = refusal(folder, "account create --name alpha", "circle");
    assert!(code == Some(2) && said.contains("circle cannot be opened"), "{said}");
}
