//! How often a request waits for the store. Independent reads are made at the same time.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use auth::{Asked, Authenticator, Settings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use datastore::{
    Backend, Created, DbName, Deadline, DocId, Document, Draft, Layer, Result, Rev, RowStream, ViewQuery,
};
use futures::future::{BoxFuture, poll_fn};
use serde_json::json;
use tokio::runtime::{Handle, Runtime};

use crate::place::{Kind, Place};
use crate::support::{World, account_id, id, md5, object, soon, token, whoever};

/// A store that holds back its answers until the request waits for reads only. Then it answers all of them.
/// That is one round.
struct InRounds {
    inner: Arc<dyn Backend>,
    runtime: Handle,
    gate: Arc<Mutex<Gate>>,
}

#[derive(Default)]
struct Gate {
    round: usize,
    waiting: Vec<(String, Waker)>,
}

impl InRounds {
    async fn wait(&self, what: String) {
        let begun = self.gate.lock().unwrap().round;
        let mut is_waiting = false;
        poll_fn(|context| {
            let mut gate = self.gate.lock().unwrap();
            if gate.round > begun {
                return Poll::Ready(());
            }
            if !is_waiting {
                is_waiting = true;
                gate.waiting.push((what.clone(), context.waker().clone()));
            }
            Poll::Pending
        })
        .await;
    }
}

impl Layer for InRounds {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        Box::pin(async move {
            self.wait(format!("{db} {id}")).await;
            self.runtime.block_on(self.inner.fetch(db, id, deadline))
        })
    }

    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>> {
        Box::pin(async move {
            self.wait(format!("{db} {ids:?}")).await;
            self.runtime.block_on(self.inner.fetch_many(db, ids, deadline))
        })
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, _: Deadline) -> BoxFuture<'a, Result<Rev>> {
        panic!("{db} {}: nothing here writes", draft.id)
    }

    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        _: Vec<Draft>,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        panic!("{db}: nothing here writes")
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        _: &'a Rev,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        panic!("{db} {id}: nothing here deletes")
    }

    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        Box::pin(async move {
            self.wait(format!("{db} {:?}", query.source)).await;
            // The rows are collected here, since their stream needs the runtime.
            let rows: Vec<_> = self.runtime.block_on(async {
                let rows = self.inner.query(db, query, deadline).await?;
                Result::Ok(futures::StreamExt::collect(rows).await)
            })?;
            let rows = RowStream::new(futures::stream::iter(rows));
            Ok(rows)
        })
    }

    fn fetch_attachment<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move {
            self.wait(format!("{db} {id}/{name}")).await;
            self.runtime.block_on(self.inner.fetch_attachment(db, id, name, deadline))
        })
    }

    fn create_db<'a>(&'a self, db: &'a DbName, _: Deadline) -> BoxFuture<'a, Result<Created>> {
        panic!("{db}: nothing here creates")
    }

    fn delete_db<'a>(&'a self, db: &'a DbName, _: Deadline) -> BoxFuture<'a, Result<()>> {
        panic!("{db}: nothing here deletes")
    }
}

/// A world that counts rounds of reads.
struct Counted {
    world: World,
    auth: Authenticator,
    gate: Arc<Mutex<Gate>>,
    runtime: Runtime,
    /// Keeps the files of the world's store.
    _place: Place,
}

impl Counted {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let place = Place::new(Kind::Embedded);
        let world = runtime.block_on(async {
            let world = World::new(&place).await;
            world.push_views().await;
            // System documents that exist stay cached as long as others. Absent ones would not.
            world.put("system_auth", "bearer", json!({"Token": token("alpha_user").signed()})).await;
            for name in ["crossbar.token_restrictions", "crossbar.auth", "accounts", "crossbar", "cluster"] {
                world.put("system_config", name, json!({"default": {}})).await;
            }
            world
        });
        let gate = Arc::<Mutex<Gate>>::default();
        let store = InRounds {
            inner: Arc::clone(&world.store),
            runtime: runtime.handle().clone(),
            gate: Arc::clone(&gate),
        };
        let auth = Authenticator::new(Arc::new(store), Settings::default());
        let counted = Self { world, auth, gate, runtime, _place: place };
        // The first request of any client loads the system's key and settings.
        counted.request("beta_admin", "beta");
        counted
    }

    /// Runs a future and returns the reads of each round.
    fn rounds<T>(&self, work: impl Future<Output = T>) -> (T, Vec<Vec<String>>) {
        let mut rounds = Vec::new();
        let mut work = pin!(work);
        loop {
            if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return (result, rounds);
            }
            let mut gate = self.gate.lock().unwrap();
            assert!(!gate.waiting.is_empty(), "it waits for something else than the store");
            gate.round += 1;
            let waiting = std::mem::take(&mut gate.waiting);
            drop(gate);
            rounds.push(waiting.iter().map(|(what, _)| what.clone()).collect());
            for (_, waker) in waiting {
                waker.wake();
            }
        }
    }

    /// The rounds of a request up to the start of its handler.
    fn request(&self, who: &str, target: &str) -> Vec<Vec<String>> {
        self.request_with(&token(who).signed(), target)
    }

    fn request_with(&self, token: &str, target: &str) -> Vec<Vec<String>> {
        let ((), rounds) = self.rounds(async {
            let caller = self.auth.verify(token, None, soon()).await.unwrap();
            self.enter(&caller, target).await;
        });
        rounds
    }

    async fn enter(&self, caller: &auth::Caller, target: &str) {
        let target = self.auth.load_account(&account_id(target), soon()).await.unwrap().unwrap();
        let asked = Asked { endpoint: "groups", params: &[], verb: "GET" };
        self.auth.authorise(caller, &target, asked, soon()).await.unwrap();
    }
}

fn check(name: &str, rounds: &[Vec<String>], at_most: usize) {
    assert!(rounds.len() <= at_most, "{name}: {rounds:#?}");
}

#[test]
fn a_cold_request_waits_for_three_rounds_at_most() {
    let counted = Counted::new();
    let rounds = counted.request("alpha_admin", "alpha");
    check("its own account", &rounds, 1);
    assert_eq!(rounds[0].len(), 4, "the user, the account, its restrictions, a logout: {rounds:#?}");
    check("an account's key, and another account", &counted.request("master", "gamma"), 2);
    let acting = json!({"account_id": id("gamma"), "owner_id": id("gamma_admin")});
    let acting = token("alpha_user").claim("as", acting).signed();
    check("for somebody else", &counted.request_with(&acting, "gamma"), 2);
}

#[test]
fn basic_waits_for_three_rounds_at_most() {
    let counted = Counted::new();
    let encoded = STANDARD.encode(format!("{}:{}", id("alpha"), md5("admin:alpha-password")));
    let ((), rounds) = counted.rounds(async {
        let caller = counted.auth.verify_basic(&encoded, None, soon()).await.unwrap();
        counted.enter(&caller, "gamma").await;
    });
    check("Basic", &rounds, 3);
}

#[test]
fn a_bearer_waits_for_three_rounds_at_most() {
    let counted = Counted::new();
    let ((), rounds) = counted.rounds(async {
        let caller = counted.auth.verify_bearer("bearer", None, soon()).await.unwrap();
        counted.enter(&caller, "gamma").await;
    });
    check("a bearer", &rounds, 3);
}

#[test]
fn a_warm_request_does_not_wait() {
    let counted = Counted::new();
    counted.request("alpha_admin", "gamma");
    assert!(counted.request("alpha_admin", "gamma").is_empty());
}

#[test]
fn even_the_first_request_of_all_waits_for_the_key_only_in_addition() {
    let counted = Counted::new();
    let store = InRounds {
        inner: Arc::clone(&counted.world.store),
        runtime: counted.runtime.handle().clone(),
        gate: Arc::clone(&counted.gate),
    };
    let counted = Counted { auth: Authenticator::new(Arc::new(store), Settings::default()), ..counted };
    let rounds = counted.request("alpha_admin", "gamma");
    check("the first", &rounds, 4);
    let of_key: Vec<_> = rounds.iter().take(2).map(Vec::len).collect();
    assert_eq!(of_key, [1, 1], "the key's document, then its attachment: {rounds:#?}");
}

/// The first made-up ids of keys and bearers cost one read each. After that, the ids are listed, and only
/// existing ones are read.
#[test]
fn made_up_ids_cost_next_to_nothing() {
    let counted = Counted::new();
    let (begun, mut reads) = (Instant::now(), 0);
    for number in 0..400 {
        let token = token("alpha_admin").header("kid", json!(format!("made-up-{number}"))).signed();
        let (result, of_token) = counted.rounds(counted.auth.verify(&token, None, soon()));
        let bearer = format!("made-up-{number}");
        let (other, of_bearer) = counted.rounds(counted.auth.verify_bearer(&bearer, None, soon()));
        assert!(result.is_err() && other.is_err());
        reads += of_token.iter().chain(&of_bearer).map(Vec::len).sum::<usize>();
    }
    // The full bucket, its refills since then, and a listing of the ids every five seconds.
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert!(reads <= 100 + 11 * seconds, "{reads} in {seconds} s");
    let (result, _) = counted.rounds(counted.auth.verify_bearer("bearer", None, soon()));
    result.unwrap();
}

/// Requests that want the same document at the same time share one read.
#[test]
fn requests_at_the_same_time_share_their_reads() {
    let counted = Counted::new();
    let token = token("alpha_admin").signed();
    let (results, rounds) =
        counted.rounds(futures::future::join_all((0..20).map(|_| counted.auth.verify(&token, None, soon()))));
    assert!(results.iter().all(std::result::Result::is_ok));
    assert_eq!(rounds.iter().map(Vec::len).sum::<usize>(), 4, "{rounds:#?}");
}

#[test]
fn a_login_makes_independent_reads_together() {
    let counted = Counted::new();
    let data = object(json!({"credentials": md5("admin:gamma-password"), "account_name": "gamma"}));
    let (login, rounds) = counted.rounds(counted.auth.user_auth(&data, None, &whoever(), soon()));
    login.unwrap();
    check("a user", &rounds, 6);
    let api_key = md5("alpha").repeat(2);
    let (login, rounds) = counted.rounds(counted.auth.api_auth(&api_key, &whoever(), soon()));
    login.unwrap();
    check("a key", &rounds, 5);
}
