//! A process that writes documents and prints each acknowledgement to its standard output. Other tests
//! start it by running this test binary again with [`FILE`] set, and then kill or trace it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use datastore::{Databases, DbName, Document, Rev, Store};
use embedded::{Embedded, Settings};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{doc_id, draft, soon};

/// The file to write to.
const FILE: &str = "EMBEDDED_TEST_WRITER_FILE";
/// How many tasks write.
const TASKS: &str = "EMBEDDED_TEST_WRITER_TASKS";
/// The prefix of new ids.
const PREFIX: &str = "EMBEDDED_TEST_WRITER_PREFIX";
/// How many writes each task does. If it is not set, the tasks write until the process is killed.
const WRITES: &str = "EMBEDDED_TEST_WRITER_WRITES";

pub(crate) const DB: &str = "kill/me";

/// The map function of the view over the writer's documents.
pub(crate) const MAP: &str =
    "function (doc) { emit([doc.task, doc.n], doc._rev); if (doc.n % 3 === 0) { emit('third', doc.n); } }";

/// The rows of that map for a document, computed without JavaScript.
pub(crate) fn rows_of(doc: &Document) -> Vec<String> {
    let object = doc.to_object().unwrap();
    let (task, n) = (&object["task"], object["n"].as_u64().unwrap());
    let mut rows = vec![format!("{} [{task},{n}] \"{}\"", doc.id(), doc.rev())];
    if n % 3 == 0 {
        rows.push(format!("{} \"third\" {n}", doc.id()));
    }
    rows
}

/// The command that starts the writer.
pub(crate) fn command(
    program: &[&str],
    file: &Path,
    tasks: usize,
    prefix: &str,
    writes: Option<usize>,
) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut command = match program {
        [] => Command::new(&this),
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args).arg(&this);
            command
        }
    };
    command
        .args(["--exact", "writer::it_writes_and_acknowledges", "--nocapture"])
        .env(FILE, file)
        .env(TASKS, tasks.to_string())
        .env(PREFIX, prefix)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if let Some(writes) = writes {
        command.env(WRITES, writes.to_string());
    }
    command
}

/// The id and revision in a line that acknowledges a write.
pub(crate) fn acknowledged(line: &str) -> Option<(String, Rev)> {
    let (id, rev) = line.strip_prefix("ack ")?.split_once(' ')?;
    Some((id.to_owned(), Rev::parse(rev).unwrap()))
}

/// With [`FILE`] set, this is the writing process. Otherwise it is a short test of the writer itself.
#[tokio::test(flavor = "multi_thread")]
async fn it_writes_and_acknowledges() {
    let told = |name: &str| std::env::var(name).ok();
    if let Some(file) = told(FILE) {
        let store = Embedded::open(Path::new(&file), Settings::default()).unwrap();
        let tasks = told(TASKS).unwrap().parse().unwrap();
        let writes = told(WRITES).map_or(usize::MAX, |writes| writes.parse().unwrap());
        // Not `println!`: the test harness may capture and delay it.
        let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
        write(store, tasks, &told(PREFIX).unwrap(), writes, say).await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let say = {
        let lines = Arc::clone(&lines);
        move |line: String| lines.lock().unwrap().push(line)
    };
    write(store.clone(), 4, "self", 20, say).await;
    let lines = std::mem::take(&mut *lines.lock().unwrap());
    assert_eq!(lines.len(), 80);
    let db = DbName::parse(DB).unwrap();
    let (id, rev) = acknowledged(lines.last().unwrap().trim_end()).unwrap();
    match store.fetch(&db, &doc_id(&id), soon()).await {
        Ok(doc) => assert_eq!(doc.rev(), &rev),
        Err(error) => assert!(matches!(error, datastore::StoreError::Deleted(_)), "{error:?}"),
    }
}

async fn write(
    store: Embedded,
    tasks: usize,
    prefix: &str,
    writes: usize,
    say: impl Fn(String) + Clone + Send + 'static,
) {
    let db = DbName::parse(DB).unwrap();
    store.create_db(&db, soon()).await.unwrap();
    let design = datastore::DesignDocument::new("d", &[("v", MAP)]).unwrap();
    datastore::ensure_design(&store, &db, &design, soon()).await.unwrap();
    let tasks = (0..tasks).map(|task| {
        let (store, db, prefix, say) = (store.clone(), db.clone(), prefix.to_owned(), say.clone());
        tokio::spawn(async move {
            let mut own = OwnDocument::load(&store, &db, &format!("own-{task}")).await;
            let mut flips = OwnDocument::load(&store, &db, &format!("flip-{task}")).await;
            for n in 0..writes {
                let body = json!({"task": task, "n": n, "filling": "x".repeat(n % 300)});
                let (id, rev) = match n % 8 {
                    0 => {
                        let id = format!("{prefix}-{task}-{n}");
                        let rev = store.save(&db, draft(&id, None, body), soon()).await.unwrap();
                        (id, rev)
                    }
                    1 | 5 => flips.flip(&store, &db, body).await,
                    _ => own.update(&store, &db, body).await,
                };
                say(format!("ack {id} {rev}\n"));
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
}

/// A document that only one task writes.
struct OwnDocument {
    id: String,
    rev: Option<Rev>,
}

impl OwnDocument {
    async fn load(store: &Embedded, db: &DbName, id: &str) -> Self {
        let rev = store.fetch(db, &doc_id(id), soon()).await.ok().map(|doc| doc.rev().clone());
        Self { id: id.to_owned(), rev }
    }

    async fn update(&mut self, store: &Embedded, db: &DbName, body: Value) -> (String, Rev) {
        let rev = store.save(db, draft(&self.id, self.rev.as_ref(), body), soon()).await.unwrap();
        self.rev = Some(rev.clone());
        (self.id.clone(), rev)
    }

    /// Creates the document if it is deleted, and deletes it otherwise.
    async fn flip(&mut self, store: &Embedded, db: &DbName, body: Value) -> (String, Rev) {
        match self.rev.take() {
            None => self.update(store, db, body).await,
            Some(rev) => {
                let rev = store.delete(db, &doc_id(&self.id), &rev, soon()).await.unwrap();
                (self.id.clone(), rev)
            }
        }
    }
}
