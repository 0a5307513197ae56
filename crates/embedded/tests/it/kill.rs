//! Kills a writing process again and again, and checks that no acknowledged write is lost.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

use datastore::{DbName, Rev};
use embedded::{Embedded, Settings};

use crate::support::TestStore;
use crate::writer;

const ROUNDS: usize = 100;
const TASKS: usize = 16;

/// A simple random number generator that chooses when to kill.
struct KillTimes(u64);

impl KillTimes {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let mut moments = KillTimes(u64::from(std::process::id()));
    let mut known: BTreeMap<String, Rev> = BTreeMap::new();
    let mut acknowledgements = 0;
    let mut fixture = None;
    for round in 0..ROUNDS {
        drop(fixture.take());
        let mut child = writer::command(&[], &file, TASKS, &format!("round{round}"), None).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut kill_after = 1 + moments.below(300);
        let mut line = String::new();
        // A line that the kill cut off is not an acknowledgement.
        while said.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            if let Some((id, rev)) = writer::acknowledged(line.trim_end()) {
                acknowledgements += 1;
                known.insert(id, rev);
                kill_after -= 1;
                if kill_after == 0 {
                    child.kill().unwrap();
                    // Keep reading: the pipe still holds earlier acknowledgements.
                    kill_after = u64::MAX;
                }
            }
            line.clear();
        }
        assert!(!child.wait().unwrap().success(), "the writer ended by itself in round {round}");
        fixture = Some(
            check(
                TestStore {
                    store: Embedded::open(&file, Settings::default()).unwrap(),
                    db: DbName::parse(writer::DB).unwrap(),
                    file: file.clone(),
                    _folder: tempfile::tempdir().unwrap(),
                },
                &mut known,
            )
            .await,
        );
    }
    println!("{ROUNDS} kills, {acknowledgements} acknowledgements, {} documents", known.len());
    assert!(acknowledgements > ROUNDS);
}

/// Checks that each document has its acknowledged revision, or the next one, which was being written during
/// the kill. Also checks that the view matches the documents.
async fn check(fixture: TestStore, known: &mut BTreeMap<String, Rev>) -> TestStore {
    let everything = fixture.everything().await;
    let found: BTreeMap<&str, &Rev> = everything.iter().map(|(id, rev, _)| (id.as_str(), rev)).collect();
    for (id, rev) in known.iter() {
        let found = found.get(id.as_str()).unwrap_or_else(|| panic!("{id} is lost"));
        let ahead = found.generation().checked_sub(rev.generation());
        assert!(*found == rev || ahead == Some(1), "{id} was acknowledged as {rev} and is {found}");
    }
    let mut wanted: Vec<String> = everything
        .iter()
        .filter(|(id, ..)| !id.starts_with('_'))
        .filter_map(|(.., doc)| doc.as_ref())
        .flat_map(writer::rows_of)
        .collect();
    let mut rows = fixture.rows("d", "v").await;
    wanted.sort();
    rows.sort();
    assert!(rows == wanted, "the view has {} rows, the documents make {}", rows.len(), wanted.len());
    *known = everything.into_iter().map(|(id, rev, _)| (id, rev)).collect();
    fixture
}
