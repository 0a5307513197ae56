//! `doctor`: looks at everything that the server needs, and at every group, and says what is wrong and what to do. It
//! only reads, and asks no view, so no index is built for it. One account at a time is in memory.

mod account;
mod ages;
mod checks;
mod examined;
mod finding;
mod known_design;
mod of_accounts;
mod of_groups;
mod of_store;
mod report;
mod rights;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::{Authenticator, Registered};
use datastore::{Backend, DbName, DesignDocument, StoreError, ViewQuery};
use futures::StreamExt as _;
use groups::LoadedSchema;
use kazoo::AccountId;
use notices::Amqp;
use validation::Schema;

use self::account::Household;
use self::checks::{CHECKS, Look};
use self::examined::Examined;
use self::finding::Finding;
use self::known_design::KnownDesign;
use self::report::{Form, Report};
use self::rights::LET_IN;
use super::{BACKGROUND_THREADS, deadline, runtime, tell};
use crate::arguments::Doctor;
use crate::failure::Failure;
use crate::release::{self, ProfileSetting};
use crate::settings::{ServeSettings, StoreSettings};
use crate::stack::{self, Opening};

/// What to do about a document that cannot be read. Crossbar may read it.
const MEND_DOCUMENT: &str = "change it through crossbar or in CouchDB so that it can be read; until then this server cannot change it";

/// How often the progress is told.
const PROGRESS: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &Doctor) -> Result<(), Failure> {
    let (serve, store) = arguments.settings()?;
    let form = if arguments.json { Form::Json } else { Form::Table };
    examine_all(serve, &store, arguments.file_with_secret()?, form)
}

/// Examines the store and the brokers of these settings, and prints a table.
/// `file_with_secret` is the settings file, if it holds a password.
pub(super) fn print_table(
    serve: ServeSettings,
    store: &StoreSettings,
    file_with_secret: Option<PathBuf>,
) -> Result<(), Failure> {
    examine_all(serve, store, file_with_secret, Form::Table)
}

fn examine_all(
    serve: ServeSettings,
    store: &StoreSettings,
    file_with_secret: Option<PathBuf>,
    form: Form,
) -> Result<(), Failure> {
    let stack = stack::build(store, Opening::Read, None, None)?;
    let runtime = runtime("background", BACKGROUND_THREADS)?;
    let loaded = runtime.block_on(groups::load_schema(&*stack.store, deadline()));
    let (schema, schema_source) = match loaded {
        Ok(LoadedSchema { schema, source }) => (schema, Ok(source)),
        Err(error) => (Schema::groups(), Err(error)),
    };
    let sessions = match &stack.couchdb {
        Some(couchdb) => runtime.block_on(couchdb.sessions(deadline())),
        None => Vec::new(),
    };
    let own = [Some(groups::design_document()), auth::bootstrap::account_design().ok()];
    let designs = runtime.block_on(designs(&*stack.store, own.into_iter().flatten().collect()));
    let examined = Examined {
        sessions,
        designs,
        release: runtime.block_on(release::find(&*stack.store, deadline())),
        auth: Authenticator::new(Arc::clone(&stack.store), auth::Settings::default()),
        store: stack.store,
        couchdb: stack.couchdb,
        file: store.location.file().map(Path::to_path_buf),
        file_with_secret,
        brokers: Amqp::new(serve.notices.amqp, serve.notices.node_name),
        schema,
        schema_source,
        profile: serve.profile,
        max_body_bytes: serve.live.max_body_bytes,
    };
    // A store that cannot be opened is refused with one line, and no report is begun.
    let mut report = Report::begin(form)?;
    runtime.block_on(examine(&examined, &mut report))?;
    report.end()
}

/// The design documents that each account's database should have.
async fn designs(store: &dyn Backend, own: Vec<DesignDocument>) -> Vec<KnownDesign> {
    let mut designs = Vec::with_capacity(own.len());
    for design in own {
        designs.push(KnownDesign::load(store, Registered::Account, design).await);
    }
    designs
}

async fn examine(examined: &Examined, report: &mut Report) -> Result<(), Failure> {
    for check in CHECKS {
        match check.look {
            Look::Store(look) => report.note(check.name, None, look(examined).await)?,
            Look::StoreFacts(look) => report.note_facts(check.name, look(examined).await),
            _ => {}
        }
    }
    // The check of the release tells an error.
    if let Ok(found) = &examined.release {
        report.set_release(match examined.profile {
            ProfileSetting::Auto => found.to_string(),
            ProfileSetting::Named(named) => format!("the setting profile names {}; {found}", named.name()),
        });
    }
    let databases = match examined.store.list_dbs(deadline()).await {
        Ok(databases) => databases,
        // The check `reachable` has reported this.
        Err(_) => return Ok(()),
    };
    let accounts = AccountId::with_database(&databases);
    let (began, mut told) = (Instant::now(), Instant::now());
    for (number, account) in accounts.iter().enumerate() {
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let (all, seconds) = (accounts.len(), began.elapsed().as_secs());
            tell(&format!("{number} of {all} accounts examined in {seconds} s, {} findings", report.count()));
        }
        examine_account(examined, account, report).await?;
        report.count_account();
    }
    Ok(())
}

async fn examine_account(
    examined: &Examined,
    account: &AccountId,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut household = Household::default();
    if let Err(error) = read(examined, &account.db(), &mut household, report, account).await {
        let what = format!("its documents were not read: {error}");
        let is_refused =
            matches!(error.downcast_ref(), Some(StoreError::Unauthorized(_) | StoreError::Forbidden(_)));
        let finding = if is_refused { Finding::new(None, what, LET_IN) } else { Finding::of_store(what) };
        return report.note("documents", Some(account), vec![finding]);
    }
    for check in CHECKS {
        let findings = match check.look {
            Look::Account(look) => look(&household),
            Look::AccountInStore(look) => look(examined, account, &household).await,
            Look::AccountFacts(look) => {
                report.note_facts(check.name, look(examined, &household));
                continue;
            }
            Look::Store(_) | Look::StoreFacts(_) | Look::Group(_) => continue,
        };
        report.note(check.name, Some(account), findings)?;
    }
    Ok(())
}

/// The report may fail to be written.
fn told(result: Result<(), Failure>) -> Result<(), Box<dyn std::error::Error>> {
    result.map_err(|failure| failure.to_string().into())
}

/// Reads an account's documents, examines each group, and keeps what the checks of the account need.
async fn read(
    examined: &Examined,
    db: &DbName,
    household: &mut Household,
    report: &mut Report,
    account: &AccountId,
) -> Result<(), Box<dyn std::error::Error>> {
    let query = ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
    let mut rows = examined.store.query(db, query, deadline()).await?;
    while let Some(row) = rows.next().await {
        let Some(document) = row?.doc else { continue };
        if document.id().design_name().is_some() {
            household.designs.push(document);
            continue;
        }
        match household.note(&document) {
            Ok(None) => {}
            Ok(Some(members)) => {
                report.count_group();
                for check in CHECKS {
                    if let Look::Group(look) = check.look {
                        told(report.note(check.name, Some(account), look(examined, &document, &members)))?;
                    }
                }
            }
            Err(error) => {
                let what = format!("it cannot be read: {}", crate::chain(&error));
                let finding = Finding::new(Some(document.id().as_str()), what, MEND_DOCUMENT);
                told(report.note("documents", Some(account), vec![finding]))?;
            }
        }
    }
    Ok(())
}
