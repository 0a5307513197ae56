//! Printed values show no secret.

use std::sync::Arc;

use auth::{Asked, Secret, Settings, bootstrap::NewUser};
use serde_json::json;

use crate::place::{Place, on_each_store};
use crate::support::{
    SYSTEM_SECRET, World, account_id, id, identity_sig, md5, object, secret_of, soon, token, whoever,
};

async fn nothing_that_can_be_printed_shows_a_secret(place: Arc<Place>) {
    let world = World::new(&place).await;
    world.push_views().await;
    let good = token("alpha_admin").signed();
    let caller = world.verify(&good).await.unwrap();
    let account = world.auth.load_account(&account_id("alpha"), soon()).await.unwrap().unwrap();
    let asked = Asked { endpoint: "groups", params: &[], verb: "GET" };
    let access = world.auth.authorise(&caller, &account, asked, soon()).await.unwrap();
    let data = object(json!({"credentials": md5("admin:alpha-password"), "account_name": "alpha"}));
    let login = world.auth.user_auth(&data, None, &whoever(), soon()).await.unwrap();
    let expired = world.verify(&token("alpha_admin").claim("exp", json!(1)).signed()).await.unwrap_err();
    let forged = world.verify(&token("alpha_admin").signed_by_a_stranger()).await.unwrap_err();
    let password = Secret::new("alpha-password");
    let user = NewUser { username: "admin", password: &password, is_admin: true };
    let failed = world
        .auth
        .user_auth(&object(json!({"credentials": md5("x:secret")})), None, &whoever(), soon())
        .await
        .unwrap_err();

    let printed = [
        format!("{caller:?}"),
        format!("{access:?}"),
        format!("{account:?}"),
        format!("{login:?}"),
        format!("{user:?} {password:?}"),
        format!("{expired:?} {expired} {forged:?} {forged}"),
        format!("{failed:?} {failed}"),
        format!("{:?}", Settings::default()),
    ];
    let signature = identity_sig(&id("alpha_admin"), &secret_of("alpha_admin"), SYSTEM_SECRET);
    let token_parts: Vec<_> = good.split('.').chain(login.token.split('.')).collect();
    for text in &printed {
        for part in &token_parts {
            assert!(!text.contains(part), "{text}");
        }
        for secret in [
            SYSTEM_SECRET,
            "alpha-password",
            "identity_sig",
            &signature,
            &secret_of("alpha_admin"),
            &secret_of("alpha"),
            &md5("admin:alpha-password"),
            &md5("x:secret"),
            &md5("alpha"),
        ] {
            assert!(!text.contains(secret), "{text} shows {secret}");
        }
    }
    assert_eq!(format!("{password:?}"), "***");
    assert!(format!("{caller:?}").contains(&id("alpha")), "what is no secret helps whoever reads the log");
}

on_each_store![nothing_that_can_be_printed_shows_a_secret,];
