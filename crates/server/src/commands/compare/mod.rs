//! `compare`: reads the groups of all accounts through this server and through another one, and tells where their
//! answers differ. It only reads. A few accounts are looked at at once, one request of each at a time, so memory is
//! bounded. A run that was stopped goes on where it was, if it has a state file.

mod account;
mod credentials;
mod pace;
mod pair;
mod report;
mod state;
mod tally;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use datastore::Backend;
use futures::StreamExt as _;
use futures::stream;
use kazoo::AccountId;

use self::account::Examined;
use self::credentials::Credentials;
use self::pace::Pace;
use self::pair::Pair;
use self::report::Report;
use self::state::{State, Work};
use super::{BACKGROUND_THREADS, contact, deadline, find, runtime, store_failure, tell};
use crate::arguments::Compare;
use crate::counterpart::{Bounds, Counterpart, CounterpartUrl};
use crate::failure::Failure;
use crate::settings::StoreSettings;
use crate::stack::{self, Opening};

/// What an answer may take.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(30), bytes: 12_000_000 };

/// How many accounts are looked at at once.
const AT_ONCE: usize = 4;

/// How often the progress is told.
const PROGRESS: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &Compare) -> Result<(), Failure> {
    let settings = arguments.store.settings()?;
    let credentials = Credentials::read(arguments)?;
    let there = address("--against", &arguments.against)?;
    let here = address("--server", &arguments.server)?;
    if here == there {
        return Err(Failure::setup(
            "--against and --server name the same server: --server is this one, and --against crossbar's",
        ));
    }
    let work =
        Work { server: here.to_string(), against: there.to_string(), accounts: arguments.account.clone() };
    let state = State::open(work, arguments.state.clone(), &settings.location)?;
    let (here, there) = (Counterpart::new(here, BOUNDS)?, Counterpart::new(there, BOUNDS)?);
    let runtime = runtime("background", BACKGROUND_THREADS)?;
    let accounts = runtime.block_on(accounts(arguments, &settings))?;
    if accounts.is_empty() {
        return Err(Failure::setup("the store has no accounts: name the right one with --store"));
    }
    let pair = Pair::new(here, there, credentials, Pace::new(arguments.rate), arguments.forwarded_for);
    runtime.block_on(pair.begin())?;
    // A place that cannot be written to is told before the work begins.
    state.save()?;
    let report = Report::begin(arguments.json, arguments.values)?;
    runtime.block_on(compare(&pair, accounts, state, report))
}

/// The address that a flag names. The text may hold a password, so it is not repeated.
fn address(flag: &str, text: &str) -> Result<CounterpartUrl, Failure> {
    CounterpartUrl::parse(text).map_err(|why| Failure::setup(format!("{flag} {why}")))
}

/// The accounts to look at. Their ids need no store.
async fn accounts(arguments: &Compare, settings: &StoreSettings) -> Result<BTreeSet<AccountId>, Failure> {
    let ids: Result<BTreeSet<_>, _> = arguments.account.iter().map(|text| AccountId::parse(text)).collect();
    if let (Ok(ids), false) = (ids, arguments.account.is_empty()) {
        return Ok(ids);
    }
    let stack = stack::build(settings, Opening::Read, None, None)?;
    contact::check(&stack, &settings.location, deadline()).await?;
    let store = stack.store;
    let mut accounts = BTreeSet::new();
    for named in &arguments.account {
        accounts.insert(find::account(&*store, named).await?);
    }
    if arguments.account.is_empty() { all_accounts(&*store).await } else { Ok(accounts) }
}

/// The accounts that have a database.
async fn all_accounts(store: &dyn Backend) -> Result<BTreeSet<AccountId>, Failure> {
    let databases =
        store.list_dbs(deadline()).await.map_err(store_failure("the accounts were not listed"))?;
    Ok(AccountId::with_database(&databases))
}

async fn compare(
    pair: &Pair,
    accounts: BTreeSet<AccountId>,
    mut state: State,
    mut report: Report,
) -> Result<(), Failure> {
    let all = accounts.len();
    let left: Vec<_> = accounts.into_iter().filter(|account| !state.has_done(account)).collect();
    if left.len() < all {
        tell(&format!("{} of {all} accounts were compared before", all.saturating_sub(left.len())));
    }
    let looks = left.iter().map(|account| account::look(pair, account));
    // In their order, so that all accounts before one that is done are done too.
    let mut looks = stream::iter(looks).buffered(AT_ONCE);
    let (began, mut told) = (Instant::now(), Instant::now());
    while let Some(examined) = looks.next().await {
        let stopped = match examined {
            Ok(Examined { account, differences, tally }) => {
                report.note(&differences)?;
                state.add(&account, &tally)?;
                None
            }
            Err(failure) => Some(failure),
        };
        if let Some(failure) = stopped {
            state.save()?;
            report.end(state.tally(), Some(&failure.to_string()))?;
            return Err(state.told(failure));
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let tally = state.tally();
            tell(&format!(
                "{} of {all} accounts compared, {} requests in {} s, {} differences",
                tally.accounts,
                tally.requests,
                began.elapsed().as_secs(),
                tally.differs
            ));
        }
    }
    let tally = state.finish()?;
    report.end(&tally, None)?;
    tally.verdict()
}
