//! Verifying never writes. Only logging in may create missing views.

use std::sync::Arc;

use auth::{Asked, Settings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::place::{Place, on_each_store};
use crate::support::{KID, World, account_id, id, md5, object, revisions, soon, token, whoever};

async fn verifying_writes_nothing(place: Arc<Place>) {
    let world = World::with(&place, Settings { may_create_views: true, ..Settings::default() }).await;
    // Kazoo would write in these cases: a user and an account without a secret, a key without its attachment,
    // an expired trial, no views.
    let gamma = account_id("gamma").db();
    for doc in [id("gamma"), id("gamma_admin")] {
        world.change(gamma.as_str(), &doc, json!({"pvt_signature_secret": null})).await;
    }
    world.put("system_auth", "bare", json!({"pvt_type": "system_key"})).await;
    let before = revisions(&*world.store).await;

    let acting = json!({"account_id": id("gamma"), "owner_id": id("gamma_user")});
    for (token, expected) in [
        (token("alpha_admin"), "good"),
        (token("alpha"), "good"),
        (token("alpha_admin").claim("as", acting), "good"),
        (token("gamma"), "invalid"),
        (token("gamma_admin"), "invalid"),
        (token("nobody_admin"), "invalid"),
        (token("alpha_admin").header("kid", json!("unknown")), "invalid"),
        (token("alpha_admin").header("kid", json!("bare")), "invalid"),
        (token("echo_admin"), "trial over"),
    ] {
        assert_eq!(world.verdict(&token.signed()).await, expected);
    }
    for (account, credentials) in [("alpha", "admin:alpha-password"), ("alpha", "x"), ("nobody", "x")] {
        let encoded = STANDARD.encode(format!("{}:{}", id(account), md5(credentials)));
        let result = world.auth.verify_basic(&encoded, None, soon()).await;
        assert_eq!(crate::support::verdict(&result), "invalid", "there are no views to look them up in");
    }
    for bearer in ["unknown", "bare", KID] {
        world.auth.verify_bearer(bearer, None, soon()).await.unwrap_err();
    }
    let caller = world.verify(&token("alpha_admin").signed()).await.unwrap();
    for target in ["alpha", "gamma", "beta"] {
        world.authorise(&caller, target, Asked { endpoint: "groups", params: &[], verb: "GET" }).await;
    }
    assert_eq!(revisions(&*world.store).await, before);
}

async fn only_logging_in_creates_views_and_only_where_it_may(place: Arc<Place>) {
    let data = object(json!({"credentials": md5("admin:alpha-password"), "account_name": "alpha"}));
    let world = World::new(&place).await;
    let before = revisions(&*world.store).await;
    assert!(world.auth.user_auth(&data, None, &whoever(), soon()).await.is_err());
    assert!(world.auth.api_auth(&md5("alpha").repeat(2), &whoever(), soon()).await.is_err());
    assert_eq!(revisions(&*world.store).await, before);

    let owner = world.fresh(Settings { may_create_views: true, ..Settings::default() });
    owner.user_auth(&data, None, &whoever(), soon()).await.unwrap();
    owner.api_auth(&md5("alpha").repeat(2), &whoever(), soon()).await.unwrap();
    let once = revisions(&*world.store).await;
    assert_ne!(once, before);
    owner.user_auth(&data, None, &whoever(), soon()).await.unwrap();
    assert_eq!(revisions(&*world.store).await, once);
}

on_each_store![verifying_writes_nothing, only_logging_in_creates_views_and_only_where_it_may,];
