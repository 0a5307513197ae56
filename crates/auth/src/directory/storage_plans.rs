//! Kazoo's storage plans, in `system_data`. A plan may put the database of an account, or its groups and users, on
//! another server, which this program does not know. A copy in this store may then be out of date.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datastore::{Backend, DbName, Deadline, DocId, Latest, Result, ViewQuery, if_found};
use futures::StreamExt as _;
use kazoo::{AccountId, SystemDb, is_deleted, member};
use serde_json::{Map, Value};

/// The connection to the store that Kazoo itself uses, and that this program has.
const LOCAL: &str = "local";

/// The document with the plan of all accounts.
const SYSTEM: &str = "system";

/// The kinds of documents that this program reads in an account's database. A plan may place each kind elsewhere.
const KINDS: [&str; 4] = ["group", "user", "device", "account"];

/// How many plans are read at once.
const BATCH: usize = 100;

/// How long the plans count where the store does not learn of changes, and how long it counts that there are none.
const LIFETIME: Duration = Duration::from_secs(60);
const LIFETIME_OF_ABSENCE: Duration = Duration::from_secs(5);

/// They are not read again within this time. Anybody who may write plans could cause many reads otherwise.
const LEAST_LIFETIME: Duration = Duration::from_secs(2);

/// The connections other than the local one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plans {
    /// The one for accounts without a plan of their own.
    of_system: Option<String>,
    /// Those of accounts with a plan of their own. `None` is the local one.
    of_accounts: HashMap<AccountId, Option<String>>,
}

/// The storage plans, as they were read last.
pub(crate) struct StoragePlans(Latest<Plans>);

impl StoragePlans {
    pub(crate) fn new() -> Self {
        Self(Latest::new("the storage plans", LEAST_LIFETIME))
    }

    /// The connection on which Kazoo has an account, if it is not the store's own.
    ///
    /// # Errors
    /// Errors from the store, if the plans were never read.
    pub(crate) async fn connection(
        &self,
        store: &dyn Backend,
        account: &AccountId,
        deadline: Deadline,
    ) -> Result<Option<String>> {
        let read = |_| read_for_a_while(store, deadline);
        let plans = self.0.get(|| store.epoch(SystemDb::SystemData.name()), read).await?;
        Ok(plans.of_accounts.get(account).unwrap_or(&plans.of_system).clone())
    }

    /// Reads the plans again the next time that they are needed, if they are in this database.
    pub(crate) fn forget(&self, db: &DbName) {
        if db == SystemDb::SystemData.name() {
            self.0.forget();
        }
    }
}

/// Reads the plans, and answers how long they count where the store does not learn of changes.
async fn read_for_a_while(store: &dyn Backend, deadline: Deadline) -> Result<(Arc<Plans>, Duration)> {
    let plans = read_plans(store, deadline).await?;
    let lifetime = if plans.is_some() { LIFETIME } else { LIFETIME_OF_ABSENCE };
    Ok((Arc::new(plans.unwrap_or_default()), lifetime))
}

/// Reads every plan that is about accounts. `None` if the database does not exist. Nothing is read of the other
/// documents but their ids.
async fn read_plans(store: &dyn Backend, deadline: Deadline) -> Result<Option<Plans>> {
    let db = SystemDb::SystemData.name();
    let Some(mut rows) = if_found(store.query(db, ViewQuery::all_docs(), deadline).await)? else {
        return Ok(None);
    };
    let mut ids = Vec::new();
    let mut has_system = false;
    while let Some(row) = rows.next().await.transpose()? {
        has_system |= row.id.as_str() == SYSTEM;
        ids.extend(AccountId::parse(row.id.as_str()).ok().filter(|id| id.as_str() == row.id.as_str()));
    }
    let system = match has_system {
        true => fetch(store, &DocId::from_store(SYSTEM.to_owned()), deadline).await?,
        false => None,
    };
    let of_system = elsewhere(&[system.as_ref()]);
    let mut of_accounts = HashMap::new();
    for batch in ids.chunks(BATCH) {
        let asked: Vec<_> = batch.iter().map(|id| DocId::from_store(id.as_str().to_owned())).collect();
        let found = store.fetch_many(db, &asked, deadline).await?;
        for (account, document) in batch.iter().zip(found) {
            let Some(document) = if_found(document)? else { continue };
            let own = document.to_object()?;
            if is_deleted(&own) {
                continue;
            }
            let between = match own.get(member::PLAN_ID).and_then(Value::as_str).filter(|id| !id.is_empty()) {
                Some(id) => fetch(store, &DocId::from_store(id.to_owned()), deadline).await?,
                None => None,
            };
            let connection = elsewhere(&[Some(&own), between.as_ref(), system.as_ref()]);
            if connection != of_system {
                of_accounts.insert(account.clone(), connection);
            }
        }
    }
    Ok(Some(Plans { of_system, of_accounts }))
}

async fn fetch(store: &dyn Backend, id: &DocId, deadline: Deadline) -> Result<Option<Map<String, Value>>> {
    let document = if_found(store.fetch(SystemDb::SystemData.name(), id, deadline).await)?;
    let members = document.map(|document| document.to_object()).transpose()?;
    Ok(members.filter(|members| !is_deleted(members)))
}

/// The connection that plans name for an account's database or for a kind of its documents, if it is not the local
/// one. The first plan that names one for a place wins.
fn elsewhere(plans: &[Option<&Map<String, Value>>]) -> Option<String> {
    let named = |pointer: &[&str]| -> Option<String> {
        plans.iter().flatten().find_map(|plan| {
            let mut here = plan.get("plan")?.get("account")?;
            for part in pointer {
                here = here.get(part)?;
            }
            here.as_str().map(str::to_owned)
        })
    };
    let of_all = named(&["connection"]);
    let of_kinds = KINDS.iter().map(|kind| named(&["types", kind, "connection"]));
    std::iter::once(of_all).chain(of_kinds).flatten().find(|connection| connection != LOCAL)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datastore::{Databases as _, Deadline};
    use embedded::Embedded;
    use kazoo::SystemDb;
    use serde_json::{Map, Value, json};

    use super::{LIFETIME, elsewhere, read_for_a_while};

    fn check(plans: &[Value], expected: Option<&str>) {
        let plans: Vec<_> = plans.iter().map(Value::as_object).collect::<Vec<Option<&Map<_, _>>>>();
        assert_eq!(elsewhere(&plans).as_deref(), expected, "{plans:?}");
    }

    fn account(connection: &str) -> Value {
        json!({"plan": {"account": {"connection": connection}}})
    }

    #[test]
    fn the_first_plan_that_names_a_connection_wins() {
        check(&[], None);
        check(&[json!({})], None);
        check(&[account("local")], None);
        check(&[account("far")], Some("far"));
        check(&[account("local"), account("far")], None);
        check(&[json!({"plan": {}}), account("far")], Some("far"));
        check(&[json!({"plan": {"modb": {"connection": "far"}}}), account("local")], None);
        let types = |kind: &str| json!({"plan": {"account": {"types": {kind: {"connection": "far"}}}}});
        check(&[types("group"), account("local")], Some("far"));
        check(&[types("media"), account("local")], None);
        check(&[json!({"plan": {"account": {"connection": 5}}})], None);
    }

    /// A Kazoo may begin to use the store at any time.
    #[test]
    fn that_there_are_no_plans_counts_for_seconds_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store.db"), embedded::Settings::default()).unwrap();
        let soon = || Deadline::after(Duration::from_secs(10));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let lifetime = || runtime.block_on(read_for_a_while(&store, soon())).unwrap().1;
        assert_eq!(lifetime(), Duration::from_secs(5));
        runtime.block_on(store.create_db(SystemDb::SystemData.name(), soon())).unwrap();
        assert_eq!(lifetime(), LIFETIME);
    }
}
