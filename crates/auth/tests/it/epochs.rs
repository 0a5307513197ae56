//! Cached documents and verdicts, on a store that learns of changes: they count until a change.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use auth::{Asked, Authenticator, Charged, Settings};
use cache::Cache;
use datastore::{Backend, DbName, Deadline, DocId, Document, Draft, Layer};
use futures::future::BoxFuture;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::place::{Place, on_each_store};
use crate::support::{KID, World, account_id, db, id, key_document, object, other_pem, soon, token};

const GET: Asked<'_> = Asked { endpoint: "groups", params: &[], verb: "GET" };

/// A world, and a server behind a cache. What the world changes is another program's doing.
struct Watched {
    world: World,
    server: World,
    watcher: JoinHandle<()>,
}

impl Watched {
    async fn new(place: &Place) -> Self {
        let world = World::new(place).await;
        // The record of logged-out tokens.
        world.store.create_db(&db("crossbar_groups"), soon()).await.unwrap();
        // Kazoo's storage plans.
        world.store.create_db(&db("system_data"), soon()).await.unwrap();
        let always = [auth::databases(), vec![account_id("alpha").db()]].concat();
        let settings =
            cache::Settings { bytes: 10_000_000, feeds: 20, heartbeat: Duration::from_millis(200), always };
        let (cache, mut watcher) = Cache::new(Arc::clone(&world.store), settings.clone());
        let watcher = tokio::spawn(async move { watcher.run(future::pending()).await });
        let store: Arc<dyn Backend> = Arc::new(cache);
        // Without the feeds, nothing would be forgotten during a test.
        let forever = Duration::from_secs(3600);
        let remembering =
            Settings { remember_for: forever, remember_absence_for: forever, ..Settings::default() };
        let auth = Authenticator::new(Arc::clone(&store), remembering);
        let this = Self { world, server: World { store, auth }, watcher };
        this.wait_until("all databases are watched", async |server: &World| {
            let is_watched = |db: &DbName| server.store.epoch(db).is_some();
            settings.always.iter().all(is_watched)
        })
        .await;
        this
    }

    async fn wait_until(&self, what: &str, mut holds: impl AsyncFnMut(&World) -> bool) {
        let patience = Instant::now() + Duration::from_secs(30);
        while !holds(&self.server).await {
            assert!(Instant::now() < patience, "it never came true that {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Verifies a token that is good, lets `change` happen, and waits until the verdict is another one.
    async fn becomes(&self, token: &str, change: impl Future<Output = ()>, expected: &str) {
        for _ in 0..3 {
            assert_eq!(self.server.verdict(token).await, "good");
        }
        change.await;
        let what = format!("the token is {expected}");
        self.wait_until(&what, async |server: &World| server.verdict(token).await == expected).await;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

async fn a_reset_secret_counts_at_once(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let (alpha, user) = (account_id("alpha").db(), id("alpha_admin"));
    let reset = watched.world.change(alpha.as_str(), &user, json!({"pvt_signature_secret": "another"}));
    watched.becomes(&token("alpha_admin").signed(), reset, "invalid").await;
}

async fn a_new_system_secret_counts_at_once(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let config = json!({"default": {"system_key": KID, "secret_for_user_signature": "another"}});
    let reset = watched.world.put("system_config", "auth", config);
    watched.becomes(&token("alpha_admin").signed(), reset, "invalid").await;
}

async fn another_key_counts_at_once(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let replaced = watched.world.put("system_auth", KID, key_document(other_pem()));
    watched.becomes(&token("alpha_admin").signed(), replaced, "invalid").await;
}

async fn a_deleted_user_counts_at_once(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let (alpha, user) = (account_id("alpha").db(), id("alpha_admin"));
    let deleted = watched.world.change(alpha.as_str(), &user, json!({"pvt_deleted": true}));
    watched.becomes(&token("alpha_admin").signed(), deleted, "invalid").await;
}

/// Another server on the same store logs the token out.
async fn a_logout_elsewhere_counts_at_once(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let token = token("alpha_admin").signed();
    let elsewhere = watched.world.fresh(Settings::default());
    let logout = async { elsewhere.log_out(&token, soon()).await.unwrap() };
    watched.becomes(&token, logout, "invalid").await;
}

/// A change of another document lets the verdict stand.
async fn a_change_of_something_else_changes_no_verdict(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let token = token("alpha_admin").signed();
    assert_eq!(watched.server.verdict(&token).await, "good");
    let alpha = account_id("alpha").db();
    let epoch = watched.server.store.epoch(&alpha).unwrap();
    watched.world.put(alpha.as_str(), "something", json!({"name": "else"})).await;
    watched.wait_until("the epoch ends", async |_| !epoch.is_current()).await;
    assert_eq!(watched.server.verdict(&token).await, "good");
}

/// A store that counts the documents that are read from it.
struct Counting {
    inner: Arc<dyn Backend>,
    reads: Arc<AtomicUsize>,
}

impl Layer for Counting {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, datastore::Result<Document>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.fetch(db, id, deadline)
    }
}

/// A client that writes many groups is not read again after each of them.
async fn writes_of_groups_cause_few_reads_of_the_caller(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let reads = Arc::<AtomicUsize>::default();
    let counting = Counting { inner: Arc::clone(&watched.server.store), reads: Arc::clone(&reads) };
    let store: Arc<dyn Backend> = Arc::new(counting);
    let server = World { auth: Authenticator::new(Arc::clone(&store), Settings::default()), store };
    let token = token("alpha_admin").signed();
    let (alpha, mut first) = (account_id("alpha").db(), 0);
    for count in 0..50 {
        let caller = server.verify(&token).await.unwrap();
        assert_eq!(server.authorise(&caller, "alpha", GET).await, "allowed");
        if count == 0 {
            first = reads.load(Ordering::Relaxed);
        }
        let draft = Draft {
            id: DocId::parse(&format!("group{count}")).unwrap(),
            base: None,
            body: object(json!({"pvt_type": "group"})),
        };
        server.store.save(&alpha, draft, soon()).await.unwrap();
    }
    let later = reads.load(Ordering::Relaxed) - first;
    assert!(first > 0 && later < 30, "{first} reads at first, {later} for 50 writes");
}

/// Later requests use what an earlier one has read about the caller. New rules end that.
async fn new_restrictions_count_at_once(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let token = token("alpha_admin").signed();
    let asked = async |server: &World| {
        let caller = server.verify(&token).await.unwrap();
        server.authorise(&caller, "alpha", GET).await
    };
    assert_eq!([asked(&watched.server).await, asked(&watched.server).await], ["allowed"; 2]);
    let rules = |methods: &str| json!({"restrictions": {(methods): {"_": {}}}});
    let alpha = account_id("alpha").db();
    watched.world.put(alpha.as_str(), "token_restrictions", rules("_")).await;
    watched
        .wait_until("the account's count", async |server: &World| asked(server).await == "restricted")
        .await;
    watched.world.put(alpha.as_str(), "token_restrictions", rules("other")).await;
    watched.wait_until("they are gone", async |server: &World| asked(server).await == "allowed").await;
    let system = json!({"default": {"_": {"_": {}}}});
    watched.world.put("system_config", "crossbar.token_restrictions", system).await;
    watched
        .wait_until("the system's count", async |server: &World| asked(server).await == "restricted")
        .await;
}

async fn a_change_of_the_callers_account_counts_at_once(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let token = token("alpha_admin").signed();
    let alpha = account_id("alpha");
    let is_superduper = async |server: &World| server.verify(&token).await.unwrap().is_superduper();
    assert!(!is_superduper(&watched.server).await && !is_superduper(&watched.server).await);
    watched.world.change(alpha.db().as_str(), alpha.as_str(), json!({"pvt_superduper_admin": true})).await;
    watched.wait_until("it is a superuser", is_superduper).await;
    let caller = watched.server.verify(&token).await.unwrap();
    let target = watched.server.auth.load_target(&alpha, Some(&caller), soon()).await.unwrap().unwrap();
    assert!(target.is_superduper());
}

/// Nothing in the store changes when a trial ends.
async fn a_trial_that_ends_counts_at_once(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let token = token("alpha_admin").signed();
    let alpha = account_id("alpha");
    let end = kazoo::Time::now().gregorian_seconds() + 2;
    watched.world.change(alpha.db().as_str(), alpha.as_str(), json!({"pvt_trial_expires": end})).await;
    let has_changed = async |server: &World| {
        let account = server.auth.load_account(&alpha, soon()).await.unwrap().unwrap();
        account.expired_at(kazoo::Time::now().plus_seconds(3600)).is_some()
    };
    watched.wait_until("the server knows of the trial", has_changed).await;
    watched
        .wait_until("it is over", async |server: &World| server.verdict(&token).await == "trial over")
        .await;
}

async fn new_limits_count_at_once(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let charged = Charged { account_id: None, endpoint: "groups", verb: "GET" };
    let cost = async |server: &World| server.auth.rate_limits(soon()).await.unwrap().cost(charged);
    assert_eq!([cost(&watched.server).await, cost(&watched.server).await], [1, 1]);
    for costs in [7, 9] {
        watched.world.put("system_config", "crossbar", json!({"default": {"token_costs": costs}})).await;
        watched.wait_until("the costs count", async |server: &World| cost(server).await == costs).await;
    }
}

/// A key that nobody knew is found as soon as it is there.
async fn a_new_key_is_found_at_once(place: Arc<Place>) {
    let watched = Watched::new(&place).await;
    let of_new_key = token("alpha_admin").header("kid", json!("newkey")).signed();
    assert_eq!(watched.server.verdict(&of_new_key).await, "invalid");
    watched.world.put("system_auth", "newkey", key_document(crate::support::pem())).await;
    let is_good = async |server: &World| server.verdict(&of_new_key).await == "good";
    watched.wait_until("the new key counts", is_good).await;
}

on_each_store![
    a_reset_secret_counts_at_once,
    a_new_system_secret_counts_at_once,
    another_key_counts_at_once,
    a_deleted_user_counts_at_once,
    a_logout_elsewhere_counts_at_once,
    a_change_of_something_else_changes_no_verdict,
    writes_of_groups_cause_few_reads_of_the_caller,
    new_restrictions_count_at_once,
    a_change_of_the_callers_account_counts_at_once,
    a_trial_that_ends_counts_at_once,
    new_limits_count_at_once,
    a_new_key_is_found_at_once,
];
