//! How long documents and tokens stay cached.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::Settings;
use serde_json::json;

use crate::place::{Place, on_each_store};
use crate::support::{
    KID, SYSTEM_SECRET, World, account_id, db, doc_id, id, identity_sig, key_document, other_pem, pem,
    secret_of, token,
};

const MOMENT: Duration = Duration::from_millis(20);

/// A world that caches documents for a moment only.
async fn forgetful(place: &Place) -> World {
    World::with(place, Settings { remember_for: MOMENT, ..Settings::default() }).await
}

/// The verdict of three requests with a token. The first ones are put together from what is cached; then the verdict may
/// count for a short time without another look.
async fn verdict_again(world: &World, token: &str) -> &'static str {
    let first = world.verdict(token).await;
    for _ in 0..2 {
        assert_eq!(world.verdict(token).await, first);
    }
    first
}

/// Waits until verifying a token has the expected result.
async fn becomes(world: &World, token: &str, expected: &str) {
    let patience = Instant::now() + Duration::from_secs(20);
    while world.verdict(token).await != expected {
        assert!(Instant::now() < patience, "the token never became {expected}");
        tokio::task::yield_now().await;
    }
}

async fn a_reset_secret_counts_once_the_memory_ends(place: Arc<Place>) {
    let world = forgetful(&place).await;
    let (user, system) = (token("alpha_admin").signed(), token("beta_admin").signed());
    let verdicts = (verdict_again(&world, &user).await, verdict_again(&world, &system).await);
    assert_eq!(verdicts, ("good", "good"));
    let alpha = account_id("alpha").db();
    world.change(alpha.as_str(), &id("alpha_admin"), json!({"pvt_signature_secret": "another"})).await;
    becomes(&world, &user, "invalid").await;
    let config = json!({"default": {"system_key": KID, "secret_for_user_signature": "another"}});
    world.put("system_config", "auth", config).await;
    becomes(&world, &system, "invalid").await;
    let signature = identity_sig(&id("beta_admin"), &secret_of("beta_admin"), "another");
    assert_eq!(
        world.verdict(&token("beta_admin").claim("identity_sig", json!(signature)).signed()).await,
        "good"
    );
}

async fn a_token_is_refused_once_its_key_is_gone(place: Arc<Place>) {
    let world = forgetful(&place).await;
    let good = token("alpha_admin").signed();
    assert_eq!(world.verdict(&good).await, "good");
    world.remove("system_auth", KID).await;
    becomes(&world, &good, "invalid").await;
}

async fn another_key_of_the_same_id_refuses_what_the_old_one_signed(place: Arc<Place>) {
    let world = forgetful(&place).await;
    let good = token("alpha_admin").signed();
    assert_eq!(world.verdict(&good).await, "good");
    world.put("system_auth", KID, key_document(other_pem())).await;
    becomes(&world, &good, "invalid").await;
}

/// A store that gives an unreadable key has failed. That says nothing about the token.
async fn an_unreadable_key_is_no_verdict_on_a_token(place: Arc<Place>) {
    let world = forgetful(&place).await;
    let good = token("alpha_admin").signed();
    world.put("system_auth", KID, key_document("<html>".to_owned())).await;
    becomes(&world, &good, "unreadable").await;
    world.put("system_auth", KID, key_document(pem())).await;
    becomes(&world, &good, "good").await;
}

async fn a_deleted_user_is_refused_once_the_memory_ends(place: Arc<Place>) {
    let world = forgetful(&place).await;
    let good = token("alpha_admin").signed();
    assert_eq!(world.verdict(&good).await, "good");
    world.change(account_id("alpha").db().as_str(), &id("alpha_admin"), json!({"pvt_deleted": true})).await;
    becomes(&world, &good, "invalid").await;
}

/// Documents stay cached for a minute by default, so a busy client's tokens cost no reads.
async fn what_is_there_is_remembered(place: Arc<Place>) {
    let world = World::new(&place).await;
    let good = token("alpha_admin").signed();
    assert_eq!(verdict_again(&world, &good).await, "good");
    world
        .change(account_id("alpha").db().as_str(), &id("alpha_admin"), json!({"pvt_signature_secret": "x"}))
        .await;
    assert_eq!(verdict_again(&world, &good).await, "good");
    assert_eq!(world.forgotten().verdict(&good).await, "invalid");
}

/// Whoever hears of a change says so, and the next request reads what is stored.
async fn what_is_told_to_have_changed_is_read_again(place: Arc<Place>) {
    let forever = Duration::from_secs(3600);
    let settings = Settings { remember_for: forever, remember_absence_for: forever, ..Settings::default() };
    let world = World::with(&place, settings).await;
    let good = token("alpha_admin").signed();
    let (alpha, user) = (account_id("alpha").db(), doc_id(&id("alpha_admin")));
    let secret = |secret: &str| json!({"pvt_signature_secret": secret});
    assert_eq!(verdict_again(&world, &good).await, "good", "nothing");
    world.change(alpha.as_str(), user.as_str(), secret("x")).await;
    assert_eq!(verdict_again(&world, &good).await, "good", "the user, not told");
    world.auth.forget(&db("unknown"), &user);
    world.auth.forget(&account_id("beta").db(), &user);
    assert_eq!(verdict_again(&world, &good).await, "good", "another document");
    world.auth.forget(&alpha, &user);
    assert_eq!(verdict_again(&world, &good).await, "invalid", "the user");
    world.change(alpha.as_str(), user.as_str(), secret(&secret_of("alpha_admin"))).await;
    world.auth.forget_database(&alpha);
    assert_eq!(verdict_again(&world, &good).await, "good", "the account's database");

    let config = |secret: &str| json!({"default": {"system_key": KID, "secret_for_user_signature": secret}});
    world.put("system_config", "auth", config("another")).await;
    world.auth.forget(&db("system_config"), &doc_id("auth"));
    assert_eq!(verdict_again(&world, &good).await, "invalid", "the configuration");
    world.put("system_config", "auth", config(SYSTEM_SECRET)).await;
    world.auth.forget_database(&db("system_config"));
    assert_eq!(verdict_again(&world, &good).await, "good", "the database of configuration");

    world.put("system_auth", KID, key_document(other_pem())).await;
    world.auth.forget(&db("system_auth"), &doc_id(KID));
    assert_eq!(verdict_again(&world, &good).await, "invalid", "the key");
    world.put("system_auth", KID, key_document(pem())).await;
    world.auth.forget_database(&db("system_auth"));
    assert_eq!(verdict_again(&world, &good).await, "good", "the database of keys");
}

/// A cached token is verified again as soon as the cache holds a new secret of its identity.
async fn a_newer_secret_refuses_a_remembered_token(place: Arc<Place>) {
    let world = World::new(&place).await;
    world.push_views().await;
    let good = token("alpha_admin").signed();
    assert_eq!(verdict_again(&world, &good).await, "good");
    world
        .change(account_id("alpha").db().as_str(), &id("alpha_admin"), json!({"pvt_signature_secret": "x"}))
        .await;
    // Basic reads the user from the store, so the new secret gets into the cache.
    let credentials = format!("{}:{}", id("alpha"), crate::support::md5("admin:alpha-password"));
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials);
    world.auth.verify_basic(&encoded, None, crate::support::soon()).await.unwrap();
    assert_eq!(verdict_again(&world, &good).await, "invalid");
}

/// An absent document is found soon after it is written. Absences leave the cache long before documents.
async fn what_is_absent_is_forgotten_sooner(place: Arc<Place>) {
    let settings = Settings { remember_absence_for: MOMENT, ..Settings::default() };
    let world = World::with(&place, settings).await;
    let of_new_key = token("alpha_admin").header("kid", json!("newkey")).signed();
    let of_new_account = token("delta_admin").signed();
    assert_eq!(world.verdict(&of_new_key).await, "invalid");
    assert_eq!(world.verdict(&of_new_account).await, "invalid");
    world.put("system_auth", "newkey", key_document(pem())).await;
    world.account("delta", &["master"], json!({})).await;
    becomes(&world, &of_new_key, "good").await;
    becomes(&world, &of_new_account, "good").await;
}

/// Asking many times for an absent document costs one read.
async fn what_is_absent_is_remembered_for_a_moment(place: Arc<Place>) {
    let world = World::with(
        &place,
        Settings { remember_absence_for: Duration::from_secs(3600), ..Settings::default() },
    )
    .await;
    let of_new_key = token("alpha_admin").header("kid", json!("newkey")).signed();
    assert_eq!(world.verdict(&of_new_key).await, "invalid");
    world.put("system_auth", "newkey", key_document(pem())).await;
    assert_eq!(world.verdict(&of_new_key).await, "invalid");
}

/// New restrictions apply once the cached absence has expired.
async fn new_restrictions_count_once_the_absence_is_forgotten(place: Arc<Place>) {
    let world = World::with(&place, Settings { remember_absence_for: MOMENT, ..Settings::default() }).await;
    let token = token("alpha_admin").signed();
    let asked = async || {
        let caller = world.verify(&token).await.unwrap();
        world.authorise(&caller, "alpha", auth::Asked { endpoint: "groups", params: &[], verb: "GET" }).await
    };
    for _ in 0..3 {
        assert_eq!(asked().await, "allowed");
    }
    let restrictions = json!({"restrictions": {"_": {"_": {}}}});
    world.put(account_id("alpha").db().as_str(), "token_restrictions", restrictions).await;
    let patience = Instant::now() + Duration::from_secs(20);
    while asked().await != "restricted" {
        assert!(Instant::now() < patience, "the restrictions never counted");
        tokio::task::yield_now().await;
    }
}

on_each_store![
    a_reset_secret_counts_once_the_memory_ends,
    a_token_is_refused_once_its_key_is_gone,
    another_key_of_the_same_id_refuses_what_the_old_one_signed,
    an_unreadable_key_is_no_verdict_on_a_token,
    a_deleted_user_is_refused_once_the_memory_ends,
    what_is_there_is_remembered,
    what_is_told_to_have_changed_is_read_again,
    a_newer_secret_refuses_a_remembered_token,
    what_is_absent_is_forgotten_sooner,
    what_is_absent_is_remembered_for_a_moment,
    new_restrictions_count_once_the_absence_is_forgotten,
];
