//! Valid tokens, and tokens with one fault each.

use std::sync::Arc;

use auth::Settings;
use serde_json::{Value, json};

use crate::place::{Place, on_each_store};
use crate::support::{SYSTEM_SECRET, World, id, identity_sig, secret_of, soon, token, unix_now, verdict};

async fn check(world: &World, name: &str, token: &str, expected: &str) {
    assert_eq!(world.verdict(token).await, expected, "{name}");
    // The second time the answer may come from the cache. It must be the same.
    assert_eq!(world.verdict(token).await, expected, "{name}, again");
}

async fn a_token_is_judged_by_its_header(place: Arc<Place>) {
    let world = World::new(&place).await;
    let admin = || token("alpha_admin");
    for (name, header, value, expected) in [
        ("as it is minted", "typ", Some(json!("JWT")), "good"),
        ("another typ", "typ", Some(json!("at+jwt")), "good"),
        ("no typ", "typ", None, "good"),
        ("RS384", "alg", Some(json!("RS384")), "good"),
        ("RS512", "alg", Some(json!("RS512")), "good"),
        ("lower case", "alg", Some(json!("rs256")), "invalid"),
        ("none", "alg", Some(json!("none")), "invalid"),
        ("an HMAC", "alg", Some(json!("HS256")), "invalid"),
        ("an elliptic curve", "alg", Some(json!("ES256")), "invalid"),
        ("other padding", "alg", Some(json!("PS256")), "invalid"),
        ("a number for an algorithm", "alg", Some(json!(256)), "invalid"),
        ("no algorithm", "alg", None, "invalid"),
        ("no key id", "kid", None, "invalid"),
        ("a null key id", "kid", Some(json!(null)), "invalid"),
        ("an empty key id", "kid", Some(json!("")), "invalid"),
        ("an unknown key id", "kid", Some(json!("f".repeat(32))), "invalid"),
        ("a key id that names no document", "kid", Some(json!("_all_docs")), "invalid"),
        ("a key id that leads elsewhere", "kid", Some(json!("../system_config/auth")), "invalid"),
        ("a key id without end", "kid", Some(json!("f".repeat(8000))), "invalid"),
    ] {
        check(&world, name, &admin().header(header, value).signed(), expected).await;
    }
    let array = crate::support::Token { header: json!([]), ..admin() };
    check(&world, "a list for a header", &array.signed(), "invalid").await;
}

async fn a_token_is_judged_by_its_claims(place: Arc<Place>) {
    let world = World::new(&place).await;
    let now = unix_now();
    for (name, claim, value, expected) in [
        ("never expires", "exp", None, "good"),
        ("expires in a fraction", "exp", Some(json!(86_400.5 + 4_102_444_800.0)), "good"),
        ("expired", "exp", Some(json!(now - 1)), "expired"),
        ("expires this very second", "exp", Some(json!(now)), "expired"),
        ("expired long ago", "exp", Some(json!(0)), "expired"),
        ("expired before time began", "exp", Some(json!(-1.5)), "expired"),
        ("expires at a text", "exp", Some(json!("4102444800")), "invalid"),
        ("expires at null", "exp", Some(Value::Null), "invalid"),
        ("no issuer", "iss", None, "invalid"),
        ("another issuer", "iss", Some(json!("someone")), "invalid"),
        ("an issuer to fetch keys from", "iss", Some(json!("https://example.com")), "invalid"),
        ("a list of issuers", "iss", Some(json!(["kazoo"])), "invalid"),
        ("no identity signature", "identity_sig", None, "good"),
        ("an empty identity signature", "identity_sig", Some(json!("")), "invalid"),
        ("a null identity signature", "identity_sig", Some(Value::Null), "invalid"),
        ("another identity signature", "identity_sig", Some(json!("A".repeat(43))), "invalid"),
        ("no account", "account_id", None, "invalid"),
        ("another account", "account_id", Some(json!(id("beta"))), "invalid"),
        ("an account in capitals", "account_id", Some(json!("A".repeat(32))), "invalid"),
        ("an account that leads elsewhere", "account_id", Some(json!("../".repeat(10) + "ab")), "invalid"),
        ("another user", "owner_id", Some(json!(id("beta_admin"))), "invalid"),
        ("an unknown user", "owner_id", Some(json!("0".repeat(32))), "invalid"),
        ("the account in place of the user", "owner_id", None, "invalid"),
        ("a user that names no document", "owner_id", Some(json!("_design/users")), "invalid"),
        ("a device", "device_id", Some(json!(id("alpha_device"))), "invalid"),
        ("not yet", "nbf", Some(json!(now + 3600)), "good"),
        ("for somebody", "aud", Some(json!("somebody")), "good"),
    ] {
        check(&world, name, &token("alpha_admin").claim(claim, value).signed(), expected).await;
    }
}

async fn a_signature_comes_before_the_time(place: Arc<Place>) {
    let world = World::new(&place).await;
    let expired = token("alpha_admin").claim("exp", json!(unix_now() - 1));
    check(&world, "expired, signed by a stranger", &expired.signed_by_a_stranger(), "invalid").await;
    check(&world, "a stranger's", &token("alpha_admin").signed_by_a_stranger(), "invalid").await;
    let wrong_identity = expired.clone().claim("identity_sig", json!("A".repeat(43)));
    check(&world, "expired comes before the identity", &wrong_identity.signed(), "expired").await;
}

async fn a_token_has_three_parts_and_nothing_around_them(place: Arc<Place>) {
    let world = World::new(&place).await;
    let good = token("alpha_admin").signed();
    let parts: Vec<_> = good.split('.').collect();
    for (name, text, expected) in [
        ("nothing", String::new(), "invalid"),
        ("a word", "token".to_owned(), "invalid"),
        ("an id of the token database", "a".repeat(32), "invalid"),
        ("one part", parts[0].to_owned(), "invalid"),
        ("two parts", format!("{}.{}", parts[0], parts[1]), "invalid"),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), "invalid"),
        ("four parts", format!("{good}.x"), "invalid"),
        ("a space before", format!(" {good}"), "invalid"),
        ("a line end behind", format!("{good}\n"), "invalid"),
        ("complete padding", format!("{good}=="), "good"),
        ("half the padding", format!("{good}="), "invalid"),
        ("as a bearer", format!("Bearer {good}"), "invalid"),
        ("a token without end", format!("{good}{}", "A".repeat(20_000)), "invalid"),
    ] {
        check(&world, name, &text, expected).await;
    }
}

async fn whoever_signs_the_identity_must_be_there_with_its_secret(place: Arc<Place>) {
    let world = World::new(&place).await;
    let alpha = crate::support::account_id("alpha").db();
    let device_token = token("alpha_admin").claim("device_id", json!(id("alpha_device"))).claim(
        "identity_sig",
        json!(identity_sig(&id("alpha_device"), &secret_of("alpha_device"), SYSTEM_SECRET)),
    );
    check(&world, "a device", &device_token.signed(), "good").await;
    check(&world, "an account's key", &token("alpha").signed(), "good").await;

    world.change(alpha.as_str(), &id("alpha_admin"), json!({"enabled": false})).await;
    check(&world, "a disabled user", &token("alpha_admin").signed(), "good").await;
    world.change(alpha.as_str(), &id("alpha_user"), json!({"pvt_deleted": true})).await;
    check(&world, "a deleted user", &token("alpha_user").signed(), "invalid").await;
    world.remove(alpha.as_str(), &id("alpha_device")).await;
    let later = world.fresh(Settings::default());
    let result = later.verify(&device_token.signed(), None, soon()).await;
    assert_eq!(verdict(&result), "invalid", "a device that is gone");

    world
        .change(crate::support::account_id("beta").db().as_str(), &id("beta"), json!({"pvt_enabled": false}))
        .await;
    check(&world, "a disabled account", &token("beta_admin").signed(), "good").await;
    let gamma = crate::support::account_id("gamma").db();
    world.change(gamma.as_str(), &id("gamma"), json!({"pvt_signature_secret": null})).await;
    check(&world, "an account without a secret", &token("gamma").signed(), "invalid").await;
    let empty = token("gamma").claim("identity_sig", json!(identity_sig(&id("gamma"), "", SYSTEM_SECRET)));
    check(&world, "signed with no secret", &empty.signed(), "invalid").await;
}

async fn a_wanted_account_must_be_the_tokens(place: Arc<Place>) {
    let world = World::new(&place).await;
    let good = token("alpha_admin").signed();
    for (wanted, expected) in [
        (id("alpha"), "good"),
        (id("beta"), "invalid"),
        (id("gamma"), "invalid"),
        (String::new(), "invalid"),
        (id("alpha").to_uppercase(), "invalid"),
    ] {
        let result = world.auth.verify(&good, Some(&wanted), soon()).await;
        assert_eq!(verdict(&result), expected, "{wanted}");
    }
    let expired = token("alpha_admin").claim("exp", json!(1)).signed();
    let result = world.auth.verify(&expired, Some(&id("beta")), soon()).await;
    assert_eq!(verdict(&result), "expired", "the time comes first");
}

async fn strictness_refuses_what_lasts_for_ever_or_is_unsigned(place: Arc<Place>) {
    let world = World::with(&place, Settings { strict_tokens: true, ..Settings::default() }).await;
    check(&world, "as it is minted", &token("alpha_admin").signed(), "good").await;
    check(&world, "never expires", &token("alpha_admin").claim("exp", None).signed(), "invalid").await;
    let unsigned = token("alpha_admin").claim("identity_sig", None);
    check(&world, "no identity signature", &unsigned.signed(), "invalid").await;
    check(&world, "expired and unsigned", &unsigned.claim("exp", json!(1)).signed(), "expired").await;
}

async fn a_caller_is_who_the_token_says(place: Arc<Place>) {
    let world = World::new(&place).await;
    let caller = world.verify(&token("alpha_admin").signed()).await.unwrap();
    assert_eq!(caller.account_id().as_str(), id("alpha"));
    assert_eq!(
        (caller.owner_id(), caller.method()),
        (Some(id("alpha_admin").as_str()), Some("cb_user_auth"))
    );
    assert!(!caller.is_superduper());
    assert_eq!(caller.original_account_id(), None);
    let original =
        token("alpha_admin").claim("original_account_id", json!("a")).claim("original_owner_id", json!("b"));
    let caller = world.verify(&original.signed()).await.unwrap();
    assert_eq!((caller.original_account_id(), caller.original_owner_id()), (Some("a"), Some("b")));
    assert_eq!(caller.claim("iss"), Some(&json!("kazoo")));
    let caller = world.verify(&token("master").signed()).await.unwrap();
    assert_eq!((caller.owner_id(), caller.is_superduper()), (None, true));
}

/// Each minted token is unique: logging out of one does not log out of the other.
async fn no_two_minted_tokens_are_the_same(place: Arc<Place>) {
    let world = World::new(&place).await;
    let alpha = crate::support::account_id("alpha");
    let first = world.auth.mint(&alpha, None, 60, soon()).await.unwrap();
    let second = world.auth.mint(&alpha, None, 60, soon()).await.unwrap();
    world.auth.log_out(&first, soon()).await.unwrap();
    assert!(world.verify(&first).await.is_err());
    assert!(world.verify(&second).await.is_ok());
}

async fn a_minted_token_is_laid_out_as_kazoos(place: Arc<Place>) {
    let world = World::new(&place).await;
    let alpha = crate::support::account_id("alpha");
    for (owner, expected) in [
        (Some(id("alpha_admin")), r#"{"iss","identity_sig","account_id","owner_id","method","exp","jti"}"#),
        (None, r#"{"iss","identity_sig","account_id","method","exp","jti"}"#),
    ] {
        let minted = world.auth.mint(&alpha, owner.as_deref(), 60, soon()).await.unwrap();
        let caller = world.verify(&minted).await.unwrap();
        assert_eq!(caller.owner_id(), owner.as_deref());
        let payload = minted.split('.').nth(1).unwrap();
        let payload =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        let names: Vec<_> = payload.as_object().unwrap().keys().map(|name| format!("{name:?}")).collect();
        assert_eq!(format!("{{{}}}", names.join(",")), expected);
    }
}

on_each_store![
    a_token_is_judged_by_its_header,
    a_token_is_judged_by_its_claims,
    a_signature_comes_before_the_time,
    a_token_has_three_parts_and_nothing_around_them,
    whoever_signs_the_identity_must_be_there_with_its_secret,
    a_wanted_account_must_be_the_tokens,
    strictness_refuses_what_lasts_for_ever_or_is_unsigned,
    a_caller_is_who_the_token_says,
    no_two_minted_tokens_are_the_same,
    a_minted_token_is_laid_out_as_kazoos,
];
