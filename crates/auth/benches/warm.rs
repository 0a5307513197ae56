//! Measures authentication and authorisation of a warm request. Its token was verified before, and its
//! account and restrictions are in the cache. The bench prints the time of one request. For comparison, it
//! also prints the time of checking one RSA signature, which a warm request skips.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails must stop")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::bootstrap::{NewAccount, NewUser, create_account, create_user};
use auth::{Asked, Authenticator, Secret, Settings};
use datastore::{Backend, Deadline};
use embedded::Embedded;
use futures::executor::block_on;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// The average time of `count` runs.
fn time(count: u32, mut run: impl FnMut()) -> Duration {
    run();
    let begun = Instant::now();
    for _ in 0..count {
        run();
    }
    begun.elapsed() / count
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Embedded::open(&folder.path().join("store.db"), embedded::Settings::default()).unwrap();
    let store: Arc<dyn Backend> = Arc::new(store);
    let (auth, token, account) = runtime.block_on(async {
        let account = NewAccount { name: "bench", realm: None, parent: None };
        // Restrictions are not checked for the first account, so the bench uses a second one.
        create_account(&*store, &account, soon()).await.unwrap();
        let id = create_account(&*store, &NewAccount { name: "ordinary", ..account }, soon()).await.unwrap();
        let password = Secret::new("password");
        let user = NewUser { username: "admin", password: &password, is_admin: true };
        let user_id = create_user(&*store, &id, &user, soon()).await.unwrap();
        let auth = Authenticator::new(Arc::clone(&store), Settings::default());
        let token = auth.mint(&id, Some(user_id.as_str()), 3600, soon()).await.unwrap();
        (auth, token, id)
    });
    let _inside = runtime.enter();
    let warm = time(200_000, || {
        block_on(async {
            let caller = auth.verify(black_box(&token), None, soon()).await.unwrap();
            let target = auth.load_account(&account, soon()).await.unwrap().unwrap();
            let asked = Asked { endpoint: "groups", params: &[], verb: "GET" };
            black_box(auth.authorise(&caller, &target, asked, soon()).await.unwrap());
        });
    });
    // A token with a wrong signature is never cached, so its signature is checked each time.
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let tampered = format!("{signed}.{first}{}", signature.get(1..).unwrap());
    let signature = time(2_000, || {
        block_on(async { assert!(auth.verify(black_box(&tampered), None, soon()).await.is_err()) });
    });
    println!("a warm request: {warm:?}; a refused one, its signature checked: {signature:?}");
    println!("ratio: {:.3}", warm.as_secs_f64() / signature.as_secs_f64());
    assert!(warm < Duration::from_micros(5), "a warm request may take 5 µs, and took {warm:?}");
}
