//! `import` and `export`: a store as lines of `{"db","doc"}`, so that one store moves into another.
//! Attachments travel inside their documents. Revisions do not travel: the new store gives its own.
//! An embedded store also gets the views that logins need, unless the lines bring them. In a CouchDB, where they
//! may be Kazoo's, missing ones are only told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datastore::{Backend, DbName, Document, Draft, StoreError, ViewQuery};
use futures::StreamExt as _;
use kazoo::{AccountId, SystemDb};
use serde_json::{Map, Value};

use super::accounts::Pushed;
use super::lines::{Line, read_line};
use super::private_file::{self, PrivateFile};
use super::progress::Progress;
use super::{deadline, missing, store_failure, with_store};
use crate::arguments::{Export, Import};
use crate::failure::Failure;
use crate::stack::Opening;

/// How many documents are written with one call of the store.
const BATCH: usize = 500;

/// How much text of documents may wait to be written, of all databases together. In memory a document takes several
/// times as much.
const WAITING_BYTES: usize = 2_000_000;

/// How many documents are read with one call of the store.
const READ_BATCH: usize = 16;

pub(crate) fn import(arguments: Import) -> Result<(), Failure> {
    let Import { store, file } = arguments;
    let is_own = store.settings()?.location.is_own();
    let (reader, size): (Box<dyn BufRead>, _) = if file.as_os_str() == "-" {
        (Box::new(BufReader::new(std::io::stdin())), None)
    } else {
        let opened = File::open(&file)
            .map_err(|error| Failure::setup(format!("cannot open {}: {error}", file.display())))?;
        let size = opened.metadata().ok().filter(|data| data.is_file()).map(|data| data.len());
        (Box::new(BufReader::new(opened)), size)
    };
    // A file that is no export makes no store.
    let (mut lines, mut number) = (reader.lines(), 0_u64);
    let first = loop {
        number += 1;
        match lines.next().map(read_line) {
            None => break None,
            Some(Ok(None)) => {}
            Some(Ok(Some(first))) => break Some(first),
            Some(Err(fault)) => {
                return Err(Failure::setup(format!(
                    "line {number} of {}: {fault}; nothing was imported. Each line must be an object \
                     {{\"db\": …, \"doc\": …}}, as `export` writes it",
                    file.display()
                )));
            }
        }
    };
    with_store(&store, Opening::Create, |store| async move {
        let mut import = Importing {
            store: &*store,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            accounts: BTreeSet::new(),
            imported: 0,
            there: 0,
            unsure: 0,
            refused: Vec::new(),
        };
        let mut progress = Progress::of("documents read");
        let mut bytes_read = 0_u64;
        let mut stopped = None;
        let mut store_fails = false;
        let documents = std::iter::once(Ok(first)).chain(lines.map(read_line));
        for (number, document) in (number..).zip(documents) {
            let fault = match document {
                Ok(Some(line)) => {
                    bytes_read = bytes_read.saturating_add(u64::try_from(line.bytes).unwrap_or(u64::MAX));
                    if let Some(size) = size {
                        progress.note_share(bytes_read, size);
                    }
                    progress.step();
                    let fault = import.push(line).await.err();
                    store_fails = fault.is_some();
                    fault.map(|failure| failure.to_string())
                }
                Ok(None) => None,
                Err(fault) => {
                    Some(format!("line {number}: {fault}; neither this line nor a later one was imported"))
                }
            };
            if fault.is_some() {
                stopped = fault;
                break;
            }
        }
        // What stands before a bad line is imported. The command says what was imported, whatever happened.
        drop(progress);
        // A store that fails is not asked for more.
        let mut flushed = None;
        if !store_fails {
            flushed = import.flush_all().await.err().map(|failure| failure.to_string());
        }
        let report = import.report();
        let prepared = match store_fails || flushed.is_some() {
            true => Ok(Prepared::default()),
            false => import.prepare_serving(is_own).await,
        };
        let (Prepared { added, warnings }, unprepared) = match prepared {
            Ok(prepared) => (prepared, None),
            Err(failure) => (Prepared::default(), Some(failure.to_string())),
        };
        if added > 0 {
            super::say(&format!(
                "design documents added, with views that this program needs: {added}; an export of this store has \
                 them too"
            ))?;
        }
        let failures = [stopped, flushed, report.err().map(|failure| failure.to_string()), unprepared];
        let failures: Vec<_> = failures.into_iter().flatten().collect();
        if !failures.is_empty() {
            return Err(Failure::run(failures.join("\n")));
        }
        warnings.iter().for_each(|line| super::warn(line));
        Ok(())
    })
}

struct Importing<'a> {
    store: &'a dyn Backend,
    waiting: BTreeMap<DbName, Vec<Line>>,
    waiting_bytes: usize,
    /// The accounts whose databases got documents.
    accounts: BTreeSet<AccountId>,
    imported: usize,
    there: usize,
    /// How many were handed to a store that did not say what became of them.
    unsure: usize,
    refused: Vec<String>,
}

/// What an import did for serving beside the documents.
#[derive(Default)]
struct Prepared {
    /// How many design documents it added.
    added: usize,
    /// A line for each thing that the store still lacks.
    warnings: Vec<String>,
}

impl Importing<'_> {
    async fn push(&mut self, line: Line) -> Result<(), Failure> {
        self.waiting_bytes = self.waiting_bytes.saturating_add(line.bytes);
        let db = line.db.clone();
        let waiting = self.waiting.entry(db.clone()).or_default();
        waiting.push(line);
        if waiting.len() >= BATCH {
            let lines = std::mem::take(waiting);
            self.flush(&db, lines).await?;
        }
        if self.waiting_bytes >= WAITING_BYTES { self.flush_all().await } else { Ok(()) }
    }

    async fn flush_all(&mut self) -> Result<(), Failure> {
        for (db, lines) in std::mem::take(&mut self.waiting) {
            self.flush(&db, lines).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, db: &DbName, lines: Vec<Line>) -> Result<(), Failure> {
        let failure = store_failure("the import stopped");
        let bytes = lines.iter().map(|line| line.bytes).sum();
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        let drafts: Vec<_> = lines.into_iter().map(|line| line.draft).collect();
        self.store.create_db(db, deadline()).await.map_err(&failure)?;
        self.accounts.extend(AccountId::of_db(db));
        let answers = match self.store.save_many(db, drafts.clone(), deadline()).await {
            Ok(answers) => answers,
            Err(error) => {
                // After a refusal nothing is stored. Otherwise nobody knows.
                if !error.is_busy() && (error.is_retryable() || matches!(error, StoreError::Corrupt(_))) {
                    self.unsure = drafts.len();
                }
                return Err(failure(error));
            }
        };
        let mut taken = Vec::new();
        for (draft, answer) in drafts.into_iter().zip(answers) {
            match answer {
                Ok(_) => self.imported += 1,
                Err(error) if error.is_conflict() => taken.push(draft),
                Err(error) => self.refused.push(format!("{db} {}: {}", draft.id, crate::chain(&error))),
            }
        }
        // All that is new is counted before the store is asked again.
        for draft in taken {
            self.compare(db, draft).await?;
        }
        Ok(())
    }

    /// Compares a document with the stored one: equal content is fine, other content is refused. Nothing is
    /// overwritten.
    async fn compare(&mut self, db: &DbName, draft: Draft) -> Result<(), Failure> {
        let failure = store_failure("the import stopped");
        let stored = self.store.fetch(db, &draft.id, deadline()).await.map_err(&failure)?;
        let stored = with_attachments(self.store, db, &stored).await.map_err(&failure)?;
        if without_attachments_digests(stored) == without_attachments_digests(draft.body) {
            self.there += 1;
        } else {
            self.refused.push(format!("{db} {}: there already, with other content; left as it is", draft.id));
        }
        Ok(())
    }

    /// Adds the views that logins and listings need, if only this program uses the store.
    async fn prepare_serving(&self, is_own: bool) -> Result<Prepared, Failure> {
        let failure = store_failure("the store was not prepared for serving");
        let mut prepared = if is_own {
            self.push_views().await.map_err(&failure)?
        } else {
            let warnings = missing::views(self.store, &self.accounts).await.map_err(&failure)?;
            Prepared { added: 0, warnings }
        };
        prepared.warnings.extend(missing::documents(self.store, &self.accounts).await.map_err(&failure)?);
        Ok(prepared)
    }

    async fn push_views(&self) -> datastore::Result<Prepared> {
        let mut pushed = Pushed::default();
        for account in &self.accounts {
            pushed.push_account(self.store, account).await;
        }
        if self.store.db_exists(SystemDb::Accounts.name(), deadline()).await? {
            pushed.push_system(self.store).await;
        }
        let failed = pushed.check().err();
        let warning = failed.map(|failure| format!("{failure}; when that is mended, run `views push`"));
        Ok(Prepared { added: pushed.added(), warnings: warning.into_iter().collect() })
    }

    fn report(&self) -> Result<(), Failure> {
        let unsure = match self.unsure {
            0 => String::new(),
            unsure => format!(
                "; {unsure} more may be stored, since the store did not answer. Run the import again: what is there \
                 stays as it is"
            ),
        };
        let Self { imported, there, .. } = self;
        super::say(&format!("{imported} documents imported, {there} were there already{unsure}"))?;
        if self.refused.is_empty() {
            return Ok(());
        }
        Err(Failure::run(format!(
            "{} documents were not imported:\n{}",
            self.refused.len(),
            self.refused.join("\n")
        )))
    }
}

pub(crate) fn export(arguments: Export) -> Result<(), Failure> {
    let Export { store, db, output } = arguments;
    let only = db.map(|name| {
        DbName::parse(&name)
            .map_err(|error| Failure::setup(format!("{name:?} cannot name a database: {error}")))
    });
    let only = only.transpose()?;
    let file = match &output {
        Some(path) => Some(PrivateFile::create(path, &store.settings()?.location)?),
        None => None,
    };
    with_store(&store, Opening::Read, |store| async move {
        let failure = store_failure("the export stopped");
        let dbs = match only {
            Some(db) if !store.db_exists(&db, deadline()).await.map_err(&failure)? => {
                return Err(Failure::setup(format!("the store has no database {db}; nothing was exported")));
            }
            Some(db) => vec![db],
            None => store.list_dbs(deadline()).await.map_err(&failure)?,
        };
        if file.is_none() {
            private_file::warn_of_readers_of_output();
        }
        let mut output: BufWriter<Box<dyn Write + '_>> = BufWriter::new(match &file {
            Some(file) => Box::new(file.writer()),
            None => Box::new(std::io::stdout().lock()),
        });
        let mut unreadable = Vec::new();
        let mut progress = Progress::of("documents exported");
        let databases = dbs.len();
        for db in dbs {
            let rows = store.query(&db, ViewQuery::all_docs(), deadline()).await.map_err(&failure)?;
            let mut batches = rows.chunks(READ_BATCH);
            while let Some(batch) = batches.next().await {
                let ids = batch.into_iter().map(|row| row.map(|row| row.id)).collect::<Result<Vec<_>, _>>();
                let ids = ids.map_err(&failure)?;
                let documents = store.fetch_many(&db, &ids, deadline()).await.map_err(&failure)?;
                for (id, document) in ids.iter().zip(documents) {
                    // Somebody may have deleted it meanwhile.
                    if document.as_ref().is_err_and(StoreError::is_not_found) {
                        continue;
                    }
                    match exported(&*store, &db, document).await {
                        Ok(line) => {
                            writeln!(output, "{line}").map_err(cannot_write)?;
                            progress.step();
                        }
                        // One damaged document does not keep the others from being saved. If an attachment is
                        // missing, the document would be incomplete.
                        Err(error) if matches!(error, StoreError::Corrupt(_)) || error.is_not_found() => {
                            unreadable.push(format!("{db} {id}: {}", crate::chain(&error)));
                        }
                        Err(error) => return Err(failure(error)),
                    }
                }
            }
        }
        let documents = progress.count();
        drop(progress);
        output.flush().map_err(cannot_write)?;
        drop(output);
        if let Some(file) = file {
            file.finish()?;
        }
        super::tell(&format!("{documents} documents of {databases} databases exported"));
        if unreadable.is_empty() {
            return Ok(());
        }
        Err(Failure::run(format!(
            "{} documents are not in the export, since they cannot be read:\n{}",
            unreadable.len(),
            unreadable.join("\n")
        )))
    })
}

fn cannot_write(error: std::io::Error) -> Failure {
    Failure::run(format!("cannot write: {error}"))
}

/// A document as a line of an export.
async fn exported(
    store: &dyn Backend,
    db: &DbName,
    document: datastore::Result<Document>,
) -> datastore::Result<Value> {
    let document = document?;
    let mut doc = Map::new();
    doc.insert("_id".to_owned(), document.id().as_str().into());
    doc.extend(with_attachments(store, db, &document).await?);
    Ok(serde_json::json!({"db": db.as_str(), "doc": doc}))
}

/// A document's members without id and revision, its attachments inside.
async fn with_attachments(
    store: &dyn Backend,
    db: &DbName,
    document: &Document,
) -> datastore::Result<Map<String, Value>> {
    let mut members = document.to_object()?;
    members.shift_remove("_id");
    members.shift_remove("_rev");
    if let Some(Value::Object(attachments)) = members.get_mut("_attachments") {
        for (name, stub) in attachments.iter_mut() {
            let bytes = store.fetch_attachment(db, document.id(), name, deadline()).await?;
            let content_type = stub.get("content_type").cloned().unwrap_or(Value::Null);
            *stub = serde_json::json!({"content_type": content_type, "data": STANDARD.encode(&bytes)});
        }
    }
    Ok(members)
}

/// Keeps only the type and the data of each attachment, so that two stores can be compared.
fn without_attachments_digests(mut members: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(attachments)) = members.get_mut("_attachments") {
        for attachment in attachments.values_mut() {
            if let Value::Object(says) = attachment {
                says.retain(|key, _| key == "content_type" || key == "data");
            }
        }
    }
    members
}
