//! Files of older formats: what a store reads from them, and what happens when the upgrade is disturbed.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use datastore::{
    Attachments, Changes, ChangesQuery, Databases, DbName, LocalDocument, LocalDocuments, Store, ViewQuery,
};
use embedded::{Embedded, OpenError, Settings};
use flate2::read::GzDecoder;
use futures::TryStreamExt;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{doc_id, draft, soon};

/// The file that a child process opens.
const OPEN: &str = "EMBEDDED_TEST_OPEN";

/// Everything that a store shows, as text: each document, attachment and view row of each database.
async fn dump(store: &Embedded) -> String {
    let mut text = String::new();
    for db in store.list_dbs(soon()).await.unwrap() {
        writeln!(text, "database {db}").unwrap();
        let query = ChangesQuery { include_docs: true, ..ChangesQuery::default() };
        let changes: Vec<_> = store.changes(&db, query).try_collect().await.unwrap();
        for change in changes {
            let content = change.doc.as_ref().map_or("deleted", |doc| doc.text());
            writeln!(text, "{} {} {} {content}", change.seq, change.id, change.rev).unwrap();
            let Some(doc) = &change.doc else { continue };
            let object = doc.to_object().unwrap();
            for name in object.get("_attachments").and_then(|names| names.as_object()).into_iter().flatten() {
                let bytes = store.fetch_attachment(&db, &change.id, name.0, soon()).await.unwrap();
                writeln!(text, "attachment {} {bytes:?}", name.0).unwrap();
            }
            let Some(design) = change.id.design_name() else { continue };
            for view in object.get("views").and_then(|views| views.as_object()).into_iter().flatten() {
                writeln!(text, "view {design} {}", view.0).unwrap();
                text.push_str(&rows(store, &db, design, view.0).await);
            }
        }
    }
    text
}

async fn rows(store: &Embedded, db: &DbName, design: &str, view: &str) -> String {
    let rows = store.query(db, ViewQuery::of(design, view), soon()).await.unwrap();
    let row = |row: datastore::ViewRow| format!("{} {} {}\n", row.id, row.key.get(), row.value.get());
    rows.map_ok(row).try_collect::<Vec<_>>().await.unwrap().concat()
}

fn unpacked(name: &str) -> Vec<u8> {
    let packed = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format-1").join(name)).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(&*packed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A file of format 1, and what the program that wrote it showed of it.
struct OldFile {
    folder: TempDir,
    expected: String,
}

impl OldFile {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("store.db"), unpacked("store.db.gz")).unwrap();
        Self { folder, expected: String::from_utf8(unpacked("expected.txt.gz")).unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.beside("")
    }

    fn beside(&self, end: &str) -> PathBuf {
        self.folder.path().join(format!("store.db{end}"))
    }

    /// Opens the store, checks that it shows what it showed before, and closes it.
    async fn check_opens(&self) {
        let store = Embedded::open(&self.path(), Settings::default()).unwrap();
        let dump = dump(&store).await;
        let other = dump.lines().zip(self.expected.lines()).find(|(line, expected)| line != expected);
        assert!(dump == self.expected, "{} bytes; first difference: {other:?}", dump.len());
        assert_eq!(number(&self.path(), "PRAGMA user_version"), 3);
        assert_eq!(self.copies(), [self.beside(".format-1")]);
        check_copy(&self.beside(".format-1"));
    }

    fn copies(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut copies: Vec<_> = files.filter(|path| path.to_str().unwrap().contains(".format-")).collect();
        copies.sort();
        copies
    }
}

fn number(file: &Path, sql: &str) -> i64 {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Checks that a copy is a whole file of format 1. Looks at a copy of the copy, because SQLite may change
/// the file that it opens.
fn check_copy(copy: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let looked_at = folder.path().join("copy.db");
    fs::copy(copy, &looked_at).unwrap();
    assert_eq!(number(&looked_at, "PRAGMA user_version"), 1);
    let original = folder.path().join("original.db");
    fs::write(&original, unpacked("store.db.gz")).unwrap();
    for sql in [
        "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
        "SELECT count(*) FROM view_row",
        "SELECT sum(length(value)) FROM view_row",
        "SELECT sum(length(text)) FROM doc",
    ] {
        assert_eq!(number(&looked_at, sql), number(&original, sql), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_file_shows_what_it_showed_before() {
    let old = OldFile::new();
    let values = "SELECT sum(length(value)) FROM view_row";
    let before = number(&old.path(), values);
    old.check_opens().await;
    let shared = number(&old.path(), "SELECT sum(length(value)) FROM emission");
    assert!((number(&old.path(), values) + shared) * 3 < before, "{shared}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(old.beside(".format-1")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
    // The next start upgrades nothing and copies nothing.
    fs::remove_file(old.beside(".format-1")).unwrap();
    let store = Embedded::open(&old.path(), Settings::default()).unwrap();
    assert!(old.copies().is_empty());

    // A changed document and a deleted one take their shared rows along.
    let db = DbName::parse("account/00/00/0000000000000000000000000000").unwrap();
    for id in ["group14", "group19"] {
        let doc = store.fetch(&db, &doc_id(id), soon()).await.unwrap();
        if id == "group14" {
            let changed = draft(id, Some(doc.rev()), json!({"n": 1, "name": "changed"}));
            store.save(&db, changed, soon()).await.unwrap();
        } else {
            store.delete(&db, &doc_id(id), doc.rev(), soon()).await.unwrap();
        }
    }
    let repeats = rows(&store, &db, "odd", "repeats").await;
    assert_eq!(repeats.lines().filter(|line| line.starts_with("group14 ")).count(), 30);
    assert!(!repeats.contains("group19 "));
    assert_eq!(rows(&store, &db, "groups", "crossbar_listing_by_user").await.matches("group14").count(), 0);
    store.close();
    let orphans = "SELECT count(*) FROM emission WHERE emission NOT IN
        (SELECT emission FROM view_row WHERE emission IS NOT NULL)";
    assert_eq!(number(&old.path(), orphans), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_there_is_never_changed() {
    let old = OldFile::new();
    fs::write(old.beside(".format-1"), "the copy of another upgrade").unwrap();
    drop(Embedded::open(&old.path(), Settings::default()).unwrap());
    assert_eq!(old.copies(), [old.beside(".format-1"), old.beside(".format-1.2")]);
    assert_eq!(fs::read(old.beside(".format-1")).unwrap(), b"the copy of another upgrade");
    check_copy(&old.beside(".format-1.2"));

    // The same file again: its copy is there already.
    fs::write(old.path(), unpacked("store.db.gz")).unwrap();
    drop(Embedded::open(&old.path(), Settings::default()).unwrap());
    assert_eq!(old.copies(), [old.beside(".format-1"), old.beside(".format-1.2")]);
}

/// With [`OPEN`] set, this process opens a store and tells its error.
#[test]
fn it_opens_a_store() {
    let file = std::env::var_os(OPEN).map(PathBuf::from);
    let Some(file) = file else { return };
    let told = match Embedded::open(&file, Settings::default()) {
        Ok(_) => "opened".to_owned(),
        Err(error) => format!("{error:?} {error}"),
    };
    std::io::stdout().write_all(told.as_bytes()).unwrap();
}

/// The command that opens the file in another process, run by a shell with this preparation.
fn opening(file: &Path, prepare: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{prepare} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "format::it_opens_a_store", "--nocapture"])
        .env(OPEN, file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_room_for_its_copy_is_left_as_it_was() {
    let old = OldFile::new();
    let before = fs::read(old.path()).unwrap();
    // The child can write no file larger than 512,000 bytes.
    let output = opening(&old.path(), "trap '' XFSZ; ulimit -f 1000;").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    for words in ["NoCopy", "store.db.format-1 before it is upgraded", "was not changed", "Make room"] {
        assert!(told.contains(words), "{told}");
    }
    assert!(fs::read(old.path()).unwrap() == before);
    assert!(old.copies().is_empty(), "{:?}", old.copies());
    old.check_opens().await;
}

/// Format 2 had no local documents. Everything else is as today.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_format_2_gets_a_table_for_local_documents() {
    let old = OldFile::new();
    old.check_opens().await;
    let connection = Connection::open(old.path()).unwrap();
    connection.execute_batch("DROP TABLE local; PRAGMA user_version = 2").unwrap();
    drop(connection);
    let store = Embedded::open(&old.path(), Settings::default()).unwrap();
    assert!(dump(&store).await == old.expected);
    let db = DbName::parse("account/00/00/0000000000000000000000000000").unwrap();
    let document = LocalDocument { name: "a".to_owned(), body: serde_json::Map::new() };
    store.save_local(&db, document.clone(), soon()).await.unwrap();
    assert_eq!(store.list_local(&db, "", soon()).await.unwrap(), [document]);
    drop(store);
    assert_eq!(number(&old.path(), "PRAGMA user_version"), 3);
    assert_eq!(old.copies(), [old.beside(".format-1"), old.beside(".format-2")]);
}

#[test]
fn a_copy_that_cannot_be_written_refuses_the_upgrade() {
    let old = OldFile::new();
    fs::create_dir(old.beside(".format-1.part")).unwrap();
    let error = Embedded::open(&old.path(), Settings::default()).unwrap_err();
    assert!(matches!(error, OpenError::NoCopy { found: 1, .. }), "{error}");
    assert_eq!(number(&old.path(), "PRAGMA user_version"), 1);
}

/// Kills the process that upgrades when it has come so far, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_is_killed_loses_nothing() {
    let (mut before_copy, mut before_commit, mut after_commit) = (0, 0, 0);
    for round in 0..24usize {
        let old = OldFile::new();
        let is_so_far = || match round % 4 {
            0 => old.beside(".format-1.part").exists(),
            1 => old.beside(".format-1").exists(),
            // The transaction's first pages, or many of them, are in the log.
            2 => fs::metadata(old.beside("-wal")).is_ok_and(|log| log.len() > 0),
            _ => fs::metadata(old.beside("-wal")).is_ok_and(|log| log.len() > 1_000_000),
        };
        let mut child = opening(&old.path(), "").spawn().unwrap();
        while !is_so_far() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let has_copy = old.beside(".format-1").exists();
        match (number(&old.path(), "PRAGMA user_version"), has_copy) {
            (1, false) => before_copy += 1,
            (1, true) => before_commit += 1,
            (3, true) => after_commit += 1,
            other => panic!("{other:?} in round {round}"),
        }
        if has_copy {
            check_copy(&old.beside(".format-1"));
        }
        old.check_opens().await;
    }
    println!(
        "killed {before_copy} times before the copy, {before_commit} before the commit, {after_commit} after"
    );
    assert!(before_copy > 0 && before_commit > 0);
}
