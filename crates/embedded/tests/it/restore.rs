//! A backup in the place of a store.

use std::fs;
use std::path::{Path, PathBuf};

use datastore::{Store, StoreError};
use embedded::{Embedded, OpenError, Settings, back_up, restore};
use serde_json::json;

use crate::support::{TestStore, doc_id, soon};

/// A backup of a store, beside it.
fn backup_of(fixture: &TestStore) -> PathBuf {
    let copy = fixture.file.with_extension("backup");
    fs::write(&copy, "").unwrap();
    back_up(&fixture.file, &copy, |_| ()).unwrap();
    copy
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_takes_the_place_of_a_store_that_is_kept() {
    let fixture = TestStore::new().await;
    fixture.create("before", json!({"n": 1})).await;
    let backup = backup_of(&fixture);
    fixture.create("after", json!({"n": 2})).await;
    assert!(matches!(restore(&backup, &fixture.file, |_| ()), Err(OpenError::InUse { .. })));
    let TestStore { store, db, file, _folder } = fixture;
    store.close();
    drop(store);
    let kept = restore(&backup, &file, |_| ()).unwrap().unwrap();
    let listed = ["store.backup", "store.db", "store.db.before-restore-1", "store.db.lock"];
    assert_eq!(names(_folder.path()), listed);
    let restored = Embedded::open(&file, Settings::default()).unwrap();
    restored.fetch(&db, &doc_id("before"), soon()).await.unwrap();
    let gone = restored.fetch(&db, &doc_id("after"), soon()).await;
    assert!(matches!(gone, Err(StoreError::Missing(_))), "{gone:?}");
    drop(restored);
    let old = Embedded::open(&kept, Settings::default()).unwrap();
    old.fetch(&db, &doc_id("after"), soon()).await.unwrap();
    drop(old);
    // It is safe to repeat, and keeps each store.
    assert!(restore(&backup, &file, |_| ()).unwrap().unwrap().ends_with("store.db.before-restore-2"));
}

#[tokio::test]
async fn a_backup_leaves_nothing_beside_it() {
    let fixture = TestStore::new().await;
    let backup = backup_of(&fixture);
    let mut beside = names(fixture._folder.path());
    beside.retain(|name| name.starts_with("store.backup"));
    assert_eq!(beside, [backup.file_name().unwrap().to_str().unwrap()]);
}

/// A process that was killed leaves writes in the log. They belong to the old store, and never to the new one.
#[tokio::test]
async fn the_log_of_a_damaged_store_stays_with_it() {
    let fixture = TestStore::new().await;
    fixture.create("before", json!({})).await;
    let backup = backup_of(&fixture);
    let (store, log) = (fixture.file.clone(), PathBuf::from(format!("{}-wal", fixture.file.display())));
    fixture.create("after", json!({})).await;
    let (content, content_of_log) = (fs::read(&store).unwrap(), fs::read(&log).unwrap());
    let TestStore { store: handle, db, file, _folder } = fixture;
    handle.close();
    drop(handle);
    // As if the process had been killed.
    fs::write(&file, &content).unwrap();
    fs::write(&log, &content_of_log).unwrap();
    let kept = restore(&backup, &file, |_| ()).unwrap().unwrap();
    assert!(!log.exists());
    let restored = Embedded::open(&file, Settings::default()).unwrap();
    let gone = restored.fetch(&db, &doc_id("after"), soon()).await;
    assert!(matches!(gone, Err(StoreError::Missing(_))), "{gone:?}");
    let old = Embedded::open(&kept, Settings::default()).unwrap();
    old.fetch(&db, &doc_id("after"), soon()).await.unwrap();
    drop((restored, old));

    // A store that SQLite cannot open keeps its log.
    fs::write(&file, [&content[..100], &[b'x'; 5000]].concat()).unwrap();
    fs::write(&log, &content_of_log).unwrap();
    let kept = restore(&backup, &file, |_| ()).unwrap().unwrap();
    assert_eq!(fs::read(format!("{}-wal", kept.display())).unwrap(), content_of_log);
    assert!(Embedded::open(&file, Settings::default()).is_ok());
}

/// A process that was killed between two steps leaves no store. The next call finds the log that is left.
#[tokio::test]
async fn a_restore_that_was_interrupted_is_repeated() {
    let fixture = TestStore::new().await;
    fixture.create("before", json!({})).await;
    let backup = backup_of(&fixture);
    let TestStore { store, db, file, _folder } = fixture;
    store.close();
    drop(store);
    fs::remove_file(&file).unwrap();
    fs::write(format!("{}-wal", file.display()), "the log of the old store").unwrap();
    fs::write(format!("{}.restoring", file.display()), "a copy that was not finished").unwrap();
    assert_eq!(restore(&backup, &file, |_| ()).unwrap(), None);
    let listed = ["store.backup", "store.db", "store.db.before-restore-1-wal", "store.db.lock"];
    assert_eq!(names(_folder.path()), listed);
    let restored = Embedded::open(&file, Settings::default()).unwrap();
    restored.fetch(&db, &doc_id("before"), soon()).await.unwrap();
}

#[tokio::test]
async fn what_is_no_whole_backup_is_refused_and_changes_nothing() {
    let fixture = TestStore::new().await;
    for number in 0..200 {
        fixture.create(&format!("{number}"), json!({"text": "x".repeat(2000)})).await;
    }
    let backup = backup_of(&fixture);
    let TestStore { store, file, _folder, .. } = fixture;
    store.close();
    drop(store);
    let folder = _folder.path();
    let empty = folder.join("empty");
    fs::write(&empty, "").unwrap();
    let notes = folder.join("notes");
    fs::write(&notes, "these are notes").unwrap();
    let cut = folder.join("cut");
    let bytes = fs::read(&backup).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let before = (names(folder), fs::read(&file).unwrap());
    for (path, expected) in
        [(&empty, "it is empty"), (&notes, "not an SQLite database"), (&cut, "is damaged")]
    {
        let refused = restore(path, &file, |_| ()).unwrap_err().to_string();
        assert!(refused.contains(expected) && refused.contains(&path.display().to_string()), "{refused}");
        assert_eq!((names(folder), fs::read(&file).unwrap()), before, "{refused}");
    }
    assert!(restore(&backup, &notes, |_| ()).is_err(), "a file of somebody else is not moved away");
    assert!(restore(&backup, folder, |_| ()).is_err());
    assert_eq!((names(folder), fs::read(&file).unwrap()), before);
}
