//! Changes that an operator makes: who may log in, and the end of a user.

use std::sync::Arc;

use auth::Settings;
use auth::changes::{self, Changed, Logins};
use datastore::Document;
use serde_json::json;

use crate::place::{Place, on_each_store};
use crate::support::{World, account_id, doc_id, id, md5, object, revisions, soon, token, whoever};

async fn world(place: &Place) -> World {
    let world = World::new(place).await;
    world.push_views().await;
    world
}

async fn can_log_in(world: &World, name: &str) -> bool {
    let data = json!({"credentials": md5(&format!("{name}:alpha-password")), "account_name": "alpha"});
    world.fresh(Settings::default()).user_auth(&object(data), None, &whoever(), soon()).await.is_ok()
}

async fn user(world: &World, name: &str) -> Document {
    world.store.fetch(&account_id("alpha").db(), &doc_id(&id(name)), soon()).await.unwrap()
}

async fn an_account_is_disabled_and_enabled(place: Arc<Place>) {
    let world = world(&place).await;
    let alpha = account_id("alpha");
    let set =
        async |logins| changes::set_account_logins(&*world.store, &alpha, logins, soon()).await.unwrap();
    assert_eq!(set(Logins::Allowed).await, Changed::Before);
    assert_eq!(set(Logins::Refused).await, Changed::Now);
    assert!(!can_log_in(&world, "admin").await);
    // A token that was given out stays good, as with Kazoo.
    assert!(world.is_let_in(&token("alpha_admin").signed()).await);
    let before = revisions(&*world.store).await;
    assert_eq!(set(Logins::Refused).await, Changed::Before);
    assert_eq!(revisions(&*world.store).await, before);
    assert_eq!(world.read("accounts", &id("alpha")).await["pvt_enabled"], json!(false));
    assert_eq!(set(Logins::Allowed).await, Changed::Now);
    assert!(can_log_in(&world, "admin").await);
}

async fn a_user_is_disabled_and_the_tokens_end(place: Arc<Place>) {
    let world = world(&place).await;
    let (alpha, given) = (account_id("alpha"), token("alpha_admin").signed());
    assert!(world.is_let_in(&given).await);
    let set = async |logins| {
        let user = user(&world, "alpha_admin").await;
        changes::set_user_logins(&*world.store, &alpha, &user, logins, soon()).await.unwrap()
    };
    assert_eq!(set(Logins::Refused).await, Changed::Now);
    assert_eq!(set(Logins::Refused).await, Changed::Before);
    assert!(!can_log_in(&world, "admin").await && !world.is_let_in(&given).await);
    assert_eq!(set(Logins::Allowed).await, Changed::Now);
    assert!(can_log_in(&world, "admin").await);
    assert!(!world.is_let_in(&given).await, "the tokens stay ended");
}

/// The views that logins ask decide. The commands must tell what they decide.
async fn who_may_log_in_is_whom_the_views_let_in(place: Arc<Place>) {
    let world = world(&place).await;
    let alpha = account_id("alpha");
    for value in [
        None,
        Some(json!(null)),
        Some(json!(true)),
        Some(json!(false)),
        Some(json!("")),
        Some(json!("false")),
        Some(json!("no")),
        Some(json!(0)),
        Some(json!(0.0)),
        Some(json!(1)),
        Some(json!([])),
        Some(json!({})),
    ] {
        let mut body = world.read(alpha.db().as_str(), &id("alpha_admin")).await;
        body.shift_remove("enabled");
        body.extend(value.clone().map(|value| ("enabled".to_owned(), value)));
        world.put(alpha.db().as_str(), &id("alpha_admin"), body.clone().into()).await;
        let is_let_in = can_log_in(&world, "admin").await;
        assert_eq!(kazoo::user::may_log_in(&body), is_let_in, "{value:?}");
        for (logins, is_there) in [(Logins::Allowed, is_let_in), (Logins::Refused, false)] {
            let user = user(&world, "alpha_admin").await;
            let changed =
                changes::set_user_logins(&*world.store, &alpha, &user, logins, soon()).await.unwrap();
            assert_eq!(changed == Changed::Before, is_there, "{value:?} {logins:?}");
            assert_eq!(can_log_in(&world, "admin").await, logins == Logins::Allowed, "{value:?} {logins:?}");
        }
    }
}

async fn a_deleted_user_is_marked_and_out(place: Arc<Place>) {
    let world = world(&place).await;
    let given = token("alpha_admin").signed();
    let admin = user(&world, "alpha_admin").await;
    changes::delete_user(&*world.store, &account_id("alpha"), &admin, soon()).await.unwrap();
    assert_eq!(user(&world, "alpha_admin").await.to_object().unwrap()["pvt_deleted"], json!(true));
    assert!(!can_log_in(&world, "admin").await && !world.is_let_in(&given).await);
}

impl World {
    /// Whether somebody who remembers nothing accepts a token.
    async fn is_let_in(&self, token: &str) -> bool {
        self.fresh(Settings::default()).verify(token, None, soon()).await.is_ok()
    }
}

on_each_store![
    an_account_is_disabled_and_enabled,
    a_user_is_disabled_and_the_tokens_end,
    who_may_log_in_is_whom_the_views_let_in,
    a_deleted_user_is_marked_and_out,
];
