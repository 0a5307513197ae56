//! Opening files: which files a store accepts, which it refuses, and what they contain afterwards.

use std::fs;
use std::path::Path;

use datastore::{Attachments, Databases, DbName, Feed, Store, StoreError, ViewQuery};
use embedded::{Embedded, OpenError, Settings};
use serde_json::json;

use crate::support::{TestStore, doc_id, draft, soon};

#[track_caller]
fn refused(path: &Path) -> OpenError {
    Embedded::open(path, Settings::default()).expect_err("the file is refused")
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let fixture = TestStore::new().await;
    fixture.design("d", &[("v", "function (doc) { emit(doc.n, doc._rev); }")]).await;
    let body = json!({"n": 1, "_attachments": {"x": {"content_type": "text/plain", "data": "aGVsbG8="}}});
    let rev = fixture.create("a", body).await;
    let gone = fixture.create("gone", json!({})).await;
    fixture.store.delete(&fixture.db, &doc_id("gone"), &gone, soon()).await.unwrap();
    let before = fixture.everything().await;

    let fixture = fixture.reopen(Settings::default());
    let after = fixture.everything().await;
    assert_eq!(after.len(), before.len());
    for ((id, rev, doc), (other_id, other_rev, other_doc)) in before.iter().zip(&after) {
        assert_eq!((id, rev), (other_id, other_rev));
        assert_eq!(doc.as_ref().map(|d| d.text()), other_doc.as_ref().map(|d| d.text()));
    }
    assert_eq!(fixture.rows("d", "v").await, [format!("a 1 \"{rev}\"")]);
    let bytes = fixture.store.fetch_attachment(&fixture.db, &doc_id("a"), "x", soon()).await.unwrap();
    assert_eq!(&*bytes, b"hello");
    assert!(matches!(fixture.fetch("gone").await, Err(StoreError::Deleted(_))));
    assert_eq!(fixture.create("gone", json!({})).await.generation(), 3);
}

#[tokio::test]
async fn databases_deleted_before_closing_do_not_come_back() {
    let fixture = TestStore::new().await;
    let other = DbName::parse("other").unwrap();
    fixture.store.create_db(&other, soon()).await.unwrap();
    fixture.create("a", json!({})).await;
    fixture.store.delete_db(&fixture.db, soon()).await.unwrap();
    let fixture = fixture.reopen(Settings::default());
    assert_eq!(fixture.store.list_dbs(soon()).await.unwrap(), [other]);
    fixture.store.create_db(&fixture.db, soon()).await.unwrap();
    assert!(fixture.everything().await.is_empty());
}

#[tokio::test]
async fn a_file_cannot_be_opened_twice_at_once() {
    let fixture = TestStore::new().await;
    let error = refused(&fixture.file);
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(fixture.file.to_str().unwrap()) && text.contains("stop that process"), "{text}");
    let clone = fixture.store.clone();
    clone.close();
    assert!(matches!(refused(&fixture.file), OpenError::InUse { .. }));
    drop(clone);
    fixture.reopen(Settings::default()).create("a", json!({})).await;
}

#[tokio::test]
async fn a_closed_store_is_unavailable() {
    let fixture = TestStore::new().await;
    let mut feed = {
        use datastore::Changes;
        let query = datastore::ChangesQuery { feed: Feed::Continuous, ..Default::default() };
        fixture.store.changes(&fixture.db, query)
    };
    fixture.create("a", json!({})).await;
    fixture.store.close();
    let unavailable = |error: StoreError| assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    unavailable(fixture.save("b", None, json!({})).await.unwrap_err());
    unavailable(fixture.fetch("a").await.unwrap_err());
    unavailable(fixture.try_rows(ViewQuery::all_docs(), soon()).await.unwrap_err());
    let told = futures::StreamExt::next(&mut feed).await.unwrap();
    unavailable(told.unwrap_err());
}

#[test]
fn a_file_of_another_program_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "these are notes, and rather long ones, of somebody who needs them".repeat(100))
        .unwrap();
    let foreign = folder.path().join("foreign.db");
    let other = rusqlite::Connection::open(&foreign).unwrap();
    other
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        .unwrap();
    drop(other);
    for (path, words) in [(text, "not an SQLite database"), (foreign, "with 1 tables")] {
        let before = fs::read(&path).unwrap();
        let error = refused(&path);
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

/// The words say which part of the file is damaged, and how to save the rest.
#[tokio::test]
async fn a_damaged_file_is_refused_with_words() {
    for (damage, words) in [
        ("UPDATE db SET name = CAST(x'61ff' AS TEXT)", "its list of databases cannot be read (invalid utf-8"),
        ("UPDATE db SET name = 'NO'", "a database is called"),
        (
            "UPDATE view SET name = CAST(x'61626364ff' AS TEXT)",
            "its list of views cannot be read (invalid utf-8",
        ),
        ("UPDATE map SET hash = x'01'; UPDATE view SET map = x'01'", "its list of views cannot be read"),
        ("DROP TABLE view", "its list of views cannot be read (no such table: view"),
        (
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE nonsense' WHERE name = 'doc'",
            "its list of tables cannot be read (malformed database schema",
        ),
    ] {
        let fixture = TestStore::new().await;
        fixture.design("d", &[("v", "function (doc) { emit(1); }")]).await;
        let TestStore { store, file, _folder: folder, .. } = fixture;
        drop(store);
        rusqlite::Connection::open(&file).unwrap().execute_batch(damage).unwrap();
        let error = refused(&file);
        assert!(matches!(error, OpenError::Damaged { .. }), "{damage}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(".recover"), "{damage}: {text}");
        drop(folder);
    }
}

/// Damage that opening does not find has the same advice where it is found.
#[tokio::test]
async fn damage_that_is_found_later_is_told_with_words() {
    for (damage, expected) in [
        // Reading, reading many, listing with documents, the changes feed. A write replaces the text unread.
        ("UPDATE doc SET text = CAST(x'7bff7d' AS TEXT) WHERE id = 'a'", 4),
        // These, and writing.
        ("UPDATE doc SET rev = 'x' WHERE id = 'a'", 5),
        // The view, and the write that compares its rows.
        ("UPDATE view_row SET value = CAST(x'22ff22' AS TEXT) WHERE id = 'a'", 2),
        // The view alone.
        ("UPDATE view_row SET key = '{' WHERE id = 'a'", 1),
    ] {
        let fixture = TestStore::new().await;
        fixture.design("d", &[("v", "function (doc) { emit(doc.n, doc._rev); }")]).await;
        let rev = fixture.create("a", json!({"n": 1})).await;
        fixture.create("b", json!({"n": 2})).await;
        let TestStore { store, db, file, _folder } = fixture;
        drop(store);
        rusqlite::Connection::open(&file).unwrap().execute_batch(damage).unwrap();
        let store = Embedded::open(&file, Settings::default()).unwrap();
        let fixture = TestStore { store, db, file, _folder };

        let many = fixture.store.fetch_many(&fixture.db, &[doc_id("a"), doc_id("b")], soon()).await.unwrap();
        let [a, b] = many.try_into().unwrap();
        assert!(b.is_ok(), "{damage}: the other document can be read");
        let with_docs = ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
        let changes = datastore::ChangesQuery { include_docs: true, ..Default::default() };
        let changes = datastore::Changes::changes(&fixture.store, &fixture.db, changes);
        let outcomes = [
            fixture.fetch("a").await.err(),
            a.err(),
            fixture.try_rows(with_docs, soon()).await.err(),
            futures::TryStreamExt::try_collect::<Vec<_>>(changes).await.err(),
            fixture.try_rows(ViewQuery::of("d", "v"), soon()).await.err(),
            fixture.save("a", Some(&rev), json!({})).await.err().filter(|error| !error.is_conflict()),
        ];
        let told: Vec<_> = outcomes.into_iter().flatten().collect();
        assert_eq!(told.len(), expected, "{damage}: {told:?}");
        for error in told {
            assert!(matches!(error, StoreError::Corrupt(_)), "{damage}: {error:?}");
            let text = error.to_string();
            for words in [fixture.file.to_str().unwrap(), "is damaged", "crossbar-groups export", ".recover"]
            {
                assert!(text.contains(words), "{damage}: {text:?} does not say {words:?}");
            }
        }
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_when_the_file_is_removed_before_the_first_of_them() {
    let fixture = TestStore::new().await;
    fixture.design("d", &[("v", "function (doc) { emit(doc.n); }")]).await;
    fixture.create("a", json!({"n": 1})).await;
    let fixture = fixture.reopen(Settings::default());
    for end in ["", "-wal", "-shm"] {
        let mut path = fixture.file.clone().into_os_string();
        path.push(end);
        let _ = fs::remove_file(path);
    }
    assert!(!fixture.file.exists());
    // More readers at once than there are connections.
    let reads = (0..64).map(|_| {
        let (store, db) = (fixture.store.clone(), fixture.db.clone());
        tokio::spawn(async move { store.fetch(&db, &doc_id("a"), soon()).await.map(drop) })
    });
    for read in futures::future::join_all(reads).await {
        read.unwrap().unwrap();
    }
    for _ in 0..4 {
        assert_eq!(fixture.rows("d", "v").await, ["a 1 null"]);
    }
    // A write would be lost at the next start, so none is acknowledged.
    for error in [
        fixture.store.probe_write(soon()).await.unwrap_err(),
        fixture.save("b", None, json!({})).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::CannotWrite(_)), "{error:?}");
        assert!(error.to_string().contains("no longer at"), "{error}");
    }
    assert!(fixture.fetch("b").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_file_with_a_newer_format_is_refused_and_not_changed() {
    let fixture = TestStore::new().await;
    let file = fixture.file.clone();
    fixture.store.close();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch("PRAGMA user_version = 4").unwrap();
    drop(connection);
    let TestStore { store, _folder: folder, .. } = fixture;
    drop(store);
    let before = fs::read(&file).unwrap();
    let error = refused(&file);
    assert!(matches!(error, OpenError::Newer { found: 4, known: 3, .. }), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
    drop(folder);
}

#[test]
fn a_path_that_cannot_be_a_regular_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::NotAFile { .. }), "{error}");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refused(&file.join("below.db"));
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    let error = refused(Path::new("/proc/crossbar-groups.db"));
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[tokio::test]
async fn missing_folders_are_created_and_an_empty_file_becomes_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b/store.db");
    drop(Embedded::open(&deep, Settings::default()).unwrap());
    let empty = folder.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    let store = Embedded::open(&empty, Settings::default()).unwrap();
    let db = DbName::parse("x").unwrap();
    store.create_db(&db, soon()).await.unwrap();
    store.save(&db, draft("a", None, json!({})), soon()).await.unwrap();
}

/// Writes that wait at the same time are committed together.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_writes_share_a_commit() {
    let fixture = TestStore::new().await;
    let before = fixture.store.stats();
    let drafts: Vec<_> = (0..200).map(|n| draft(&format!("d{n:03}"), None, json!({ "n": n }))).collect();
    let saves = drafts.into_iter().map(|draft| fixture.store.save(&fixture.db, draft, soon()));
    for rev in futures::future::join_all(saves).await {
        rev.unwrap();
    }
    let after = fixture.store.stats();
    assert_eq!(after.writes - before.writes, 200);
    assert!(after.commits - before.commits < 100, "{after:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_may_read_a_new_store() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Embedded::open(&path, Settings::default()).unwrap();
    let db = DbName::parse("a").unwrap();
    store.create_db(&db, soon()).await.unwrap();
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(files.len() > 1, "the log and the lock are next to the store's file");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has the mode {mode:o}", file.path());
    }
}

/// Root may run a command, and another user the server.
#[cfg(unix)]
#[tokio::test]
async fn files_that_root_makes_belong_to_the_owner_of_the_folder() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let folder = tempfile::tempdir().unwrap();
    // Only root can give the folder away. Others test that their own files stay theirs.
    let _ = chown(folder.path(), Some(12_345), Some(12_345));
    let owner = |path: &std::path::Path| fs::metadata(path).map(|data| (data.uid(), data.gid())).unwrap();
    let path = folder.path().join("store.db");
    let store = Embedded::open(&path, Settings::default()).unwrap();
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.len() >= 3, "the store, its log and its lock: {names:?}");
    for name in &names {
        assert_eq!(owner(name).0, owner(folder.path()).0, "{}", name.display());
    }
    store.close();
}
