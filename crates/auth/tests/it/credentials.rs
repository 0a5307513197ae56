//! Basic credentials, bearer documents, tokens that act for other users, and trials.

use std::sync::Arc;

use auth::{Asked, AuthError, Authenticator, Settings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::place::{Place, on_each_store};
use crate::support::{EXPIRED_AT, World, account_id, id, md5, sha1, soon, token, unix_now, verdict};

const CREDENTIALS: &str = "admin:alpha-password";

fn basic(account: &str, credentials: &str) -> String {
    STANDARD.encode(format!("{account}:{credentials}"))
}

async fn check_basic(auth: &Authenticator, name: &str, encoded: &str, expected: &str) {
    assert_eq!(verdict(&auth.verify_basic(encoded, None, soon()).await), expected, "{name}");
}

async fn basic_is_an_account_and_the_digest_of_a_users_credentials(place: Arc<Place>) {
    let world = World::new(&place).await;
    world.push_views().await;
    let caller =
        world.auth.verify_basic(&basic(&id("alpha"), &md5(CREDENTIALS)), None, soon()).await.unwrap();
    assert_eq!(caller.account_id().as_str(), id("alpha"));
    assert_eq!(
        (caller.owner_id(), caller.method()),
        (Some(id("alpha_admin").as_str()), Some("cb_basic_auth"))
    );
    assert_eq!(
        world.authorise(&caller, "gamma", Asked { endpoint: "groups", params: &[], verb: "GET" }).await,
        "allowed"
    );
    assert_eq!(
        world.authorise(&caller, "beta", Asked { endpoint: "groups", params: &[], verb: "GET" }).await,
        "out of reach"
    );
    let master = basic(&id("master"), &md5("admin:master-password"));
    assert!(world.auth.verify_basic(&master, None, soon()).await.unwrap().is_superduper());
    for (name, encoded) in [
        ("no base64", "*".to_owned()),
        ("no padding", basic(&id("alpha"), &md5(CREDENTIALS)).trim_end_matches('=').to_owned() + "A"),
        ("no text", STANDARD.encode([0xff, b':', 0xff])),
        ("no colon", STANDARD.encode(id("alpha"))),
        ("nothing", String::new()),
        ("no account", basic("alpha", &md5(CREDENTIALS))),
        ("an unknown account", basic(&id("nobody"), &md5(CREDENTIALS))),
        ("another account", basic(&id("beta"), &md5(CREDENTIALS))),
        ("another password", basic(&id("alpha"), &md5("admin:beta-password"))),
        ("the credentials themselves", basic(&id("alpha"), CREDENTIALS)),
        ("a digest of another kind", basic(&id("alpha"), &sha1(CREDENTIALS))),
        ("no credentials", basic(&id("alpha"), "")),
        ("capitals", basic(&id("alpha"), &md5(CREDENTIALS).to_uppercase())),
    ] {
        check_basic(&world.auth, name, &encoded, "invalid").await;
    }
    check_basic(
        &world.auth,
        "an expired trial",
        &basic(&id("echo"), &md5("admin:echo-password")),
        "trial over",
    )
    .await;
}

async fn the_kind_of_basic_is_the_accounts_or_the_systems(place: Arc<Place>) {
    let world = World::new(&place).await;
    world.push_views().await;
    let alpha = account_id("alpha");
    let set = async |db: &str, doc: &str, body: Value| world.put(db, doc, body).await;
    let check = async |kinds: [&str; 3]| {
        let auth = world.fresh(Settings::default());
        for (credentials, expected) in
            [md5(CREDENTIALS), sha1(CREDENTIALS), CREDENTIALS.to_owned()].iter().zip(kinds)
        {
            check_basic(&auth, credentials, &basic(alpha.as_str(), credentials), expected).await;
        }
    };
    check(["good", "invalid", "invalid"]).await;
    set("system_config", "crossbar.auth", json!({"default": {"basic_auth_type": "sha"}})).await;
    check(["invalid", "good", "invalid"]).await;
    set(alpha.db().as_str(), "configs_crossbar.auth", json!({"basic_auth_type": "username"})).await;
    check(["invalid", "invalid", "good"]).await;
    set(alpha.db().as_str(), "configs_crossbar.auth", json!({"basic_auth_type": "md5"})).await;
    check(["good", "invalid", "invalid"]).await;
}

/// Basic works only if the user's document names the account as its own.
async fn a_user_counts_for_its_own_account_only(place: Arc<Place>) {
    let world = World::new(&place).await;
    world.push_views().await;
    let alpha = account_id("alpha");
    let encoded = basic(alpha.as_str(), &md5(CREDENTIALS));
    for (name, owner, expected) in [
        ("its own", json!(alpha.as_str()), "good"),
        ("another's", json!(id("beta")), "invalid"),
        ("one above", json!(id("master")), "invalid"),
        ("nobody's", json!(null), "invalid"),
        ("an odd one's", json!([alpha.as_str()]), "invalid"),
    ] {
        world.change(alpha.db().as_str(), &id("alpha_admin"), json!({"pvt_account_id": owner})).await;
        check_basic(&world.fresh(Settings::default()), name, &encoded, expected).await;
    }
}

async fn basic_needs_exactly_one_user_who_is_enabled(place: Arc<Place>) {
    let world = World::new(&place).await;
    world.push_views().await;
    let alpha = account_id("alpha").db();
    let encoded = basic(&id("alpha"), &md5(CREDENTIALS));
    world.change(alpha.as_str(), &id("alpha_user"), json!({"pvt_md5_auth": md5(CREDENTIALS)})).await;
    check_basic(&world.auth, "two users", &encoded, "invalid").await;
    world.change(alpha.as_str(), &id("alpha_user"), json!({"pvt_deleted": true})).await;
    check_basic(&world.auth, "the other is deleted", &encoded, "good").await;
    world.change(alpha.as_str(), &id("alpha_admin"), json!({"enabled": false})).await;
    check_basic(&world.auth, "a disabled user", &encoded, "invalid").await;
}

async fn restrictions_hold_for_basic_too(place: Arc<Place>) {
    let world = World::new(&place).await;
    world.push_views().await;
    let alpha = account_id("alpha").db();
    let restrictions = json!({"restrictions": {"cb_basic_auth": {"admin": {}}}});
    world.put(alpha.as_str(), "token_restrictions", restrictions).await;
    let get = Asked { endpoint: "groups", params: &[], verb: "GET" };
    for (user, expected) in [("admin", "restricted"), ("user", "allowed")] {
        let encoded = basic(&id("alpha"), &md5(&format!("{user}:alpha-password")));
        let caller = world.auth.verify_basic(&encoded, None, soon()).await.unwrap();
        assert_eq!(world.authorise(&caller, "alpha", get).await, expected);
    }
}

/// Without rules of its own, Basic has those of a login with the same password.
async fn basic_is_no_way_around_the_restrictions_of_logins(place: Arc<Place>) {
    let world = World::new(&place).await;
    world.push_views().await;
    let alpha = account_id("alpha").db();
    let all = json!({"_": [{"rules": {"#": ["_"]}}]});
    let encoded = basic(&id("alpha"), &md5(CREDENTIALS));
    let get = Asked { endpoint: "groups", params: &[], verb: "GET" };
    for (own, system, expected) in [
        (json!({"cb_user_auth": {"_": {}}, "_": {"_": all}}), json!({}), "restricted"),
        (json!({"cb_user_auth": {"_": {}}, "cb_basic_auth": {"_": all}}), json!({}), "allowed"),
        (json!({"cb_api_auth": {"_": {}}}), json!({}), "allowed"),
        (json!({}), json!({"cb_user_auth": {"_": {}}}), "restricted"),
        (json!({}), json!({"cb_user_auth": {"_": {}}, "cb_basic_auth": {"_": all}}), "allowed"),
    ] {
        world.put(alpha.as_str(), "token_restrictions", json!({"restrictions": own})).await;
        world.put("system_config", "crossbar.token_restrictions", json!({"default": system})).await;
        let auth = world.fresh(Settings::default());
        let caller = auth.verify_basic(&encoded, None, soon()).await.unwrap();
        let target = auth.load_account(&account_id("alpha"), soon()).await.unwrap().unwrap();
        let outcome = auth.authorise(&caller, &target, get, soon()).await;
        assert_eq!(outcome.is_ok(), expected == "allowed", "{own} {system}");
    }
}

/// Whom a login refuses, Basic refuses too: the password is the same.
async fn basic_is_no_way_around_the_login(place: Arc<Place>) {
    let world = World::new(&place).await;
    world.push_views().await;
    let [alpha, master] = [account_id("alpha"), account_id("master")];
    let good = basic(alpha.as_str(), &md5(CREDENTIALS));
    let wrong = basic(alpha.as_str(), &md5("admin:wrong"));
    let factor = |module: &str, more: Value| {
        let mut factor = json!({"enabled": true});
        factor.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"auth_modules": {module: {"multi_factor": factor}}})
    };
    let below = json!({"account_id": master.as_str(), "include_subaccounts": true});
    let elsewhere = json!({"account_id": master.as_str()});
    let off = |module: &str| json!({"auth_modules": {module: {"enabled": false}}});
    for (own, above, system, expected) in [
        (json!({}), json!({}), json!({}), "good"),
        (factor("cb_basic_auth", json!({})), json!({}), json!({}), "second factor"),
        (factor("cb_user_auth", json!({})), json!({}), json!({}), "second factor"),
        (factor("cb_api_auth", json!({})), json!({}), json!({}), "good"),
        (json!({}), factor("cb_user_auth", below), json!({}), "second factor"),
        (json!({}), factor("cb_user_auth", elsewhere), json!({}), "good"),
        (json!({}), json!({}), factor("cb_user_auth", json!({})), "second factor"),
        (off("cb_basic_auth"), json!({}), json!({}), "module disabled"),
        (json!({}), off("cb_basic_auth"), json!({}), "module disabled"),
        (json!({}), json!({}), off("cb_basic_auth"), "module disabled"),
        (off("cb_user_auth"), json!({}), json!({}), "good"),
    ] {
        world.put(alpha.db().as_str(), "configs_crossbar.auth", own.clone()).await;
        world.put(master.db().as_str(), "configs_crossbar.auth", above.clone()).await;
        world.put("system_config", "crossbar.auth", json!({"default": system})).await;
        let auth = world.fresh(Settings::default());
        check_basic(&auth, &format!("{own} {above} {system}"), &good, expected).await;
        check_basic(&auth, "a wrong password", &wrong, "invalid").await;
    }
    for (changes, expected) in [
        (json!({"pvt_enabled": false}), "account disabled"),
        (json!({"pvt_enabled": true}), "good"),
        (json!({"pvt_deleted": true}), "invalid"),
    ] {
        world.change(alpha.db().as_str(), alpha.as_str(), changes.clone()).await;
        let auth = world.fresh(Settings::default());
        check_basic(&auth, &changes.to_string(), &good, expected).await;
        check_basic(&auth, "a wrong password", &wrong, "invalid").await;
    }
}

async fn a_bearer_is_the_id_of_a_document_with_a_token(place: Arc<Place>) {
    let world = World::new(&place).await;
    let good = token("alpha_admin").signed();
    world.put("system_auth", "good", json!({"pvt_type": "bearer-token", "Token": good})).await;
    world.put("system_auth", "deleted", json!({"Token": good, "pvt_deleted": true})).await;
    world
        .put("system_auth", "expired", json!({"Token": token("alpha_admin").claim("exp", json!(1)).signed()}))
        .await;
    world.put("system_auth", "forged", json!({"Token": token("alpha_admin").signed_by_a_stranger()})).await;
    world.put("system_auth", "number", json!({"Token": 7})).await;
    for (id, expected) in [
        ("good", "good"),
        ("deleted", "invalid"),
        ("expired", "expired"),
        ("forged", "invalid"),
        ("number", "invalid"),
        ("nothing", "invalid"),
        ("", "invalid"),
        ("_all_docs", "invalid"),
        (crate::support::KID, "invalid"),
        (good.as_str(), "invalid"),
    ] {
        assert_eq!(verdict(&world.auth.verify_bearer(id, None, soon()).await), expected, "{id}");
    }
    let other = world.auth.verify_bearer("good", Some(&id("beta")), soon()).await;
    assert_eq!(verdict(&other), "invalid");
}

async fn a_token_may_act_for_a_user_below(place: Arc<Place>) {
    let world = World::new(&place).await;
    let act = async |who: &str, wanted: Value| world.verify(&token(who).claim("as", wanted).signed()).await;
    let as_user = |account: &str, user: &str| json!({"account_id": id(account), "owner_id": id(user)});

    let caller = act("alpha_admin", as_user("gamma", "gamma_admin")).await.unwrap();
    assert_eq!(
        (caller.account_id().as_str(), caller.owner_id()),
        (id("gamma").as_str(), Some(id("gamma_admin").as_str()))
    );
    let get = Asked { endpoint: "groups", params: &[], verb: "GET" };
    assert_eq!(world.authorise(&caller, "gamma", get).await, "allowed");
    assert_eq!(world.authorise(&caller, "alpha", get).await, "out of reach");
    let caller = act("master_admin", as_user("gamma", "gamma_admin")).await.unwrap();
    assert!(!caller.is_superduper(), "a superuser who acts for somebody has that one's reach");

    for (name, who, wanted) in [
        ("above", "alpha_admin", as_user("master", "master_admin")),
        ("beside", "alpha_admin", as_user("beta", "beta_admin")),
        ("itself", "alpha_admin", as_user("alpha", "alpha_user")),
        ("nobody", "alpha_admin", as_user("nobody", "nobody_admin")),
        ("an unknown user", "alpha_admin", as_user("gamma", "gamma_nobody")),
        ("a user of another account", "alpha_admin", as_user("gamma", "alpha_user")),
        ("a device", "alpha_admin", as_user("gamma", "gamma_device")),
        ("the account itself", "alpha_admin", as_user("gamma", "gamma")),
        ("no account", "alpha_admin", json!({"account_id": "x", "owner_id": "y"})),
        ("from below", "gamma_admin", as_user("alpha", "alpha_admin")),
    ] {
        assert_eq!(verdict(&act(who, wanted).await), "invalid", "{name}");
    }
    for odd in [
        json!({"account_id": 5, "owner_id": "x"}),
        json!({"account_id": id("gamma"), "owner_id": 5}),
        json!({"account_id": null, "owner_id": id("gamma_admin")}),
        json!({"account_id": [id("gamma")], "owner_id": id("gamma_admin")}),
    ] {
        assert_eq!(verdict(&act("alpha_admin", odd.clone()).await), "invalid", "{odd}");
    }
    for half in
        [json!({"account_id": id("gamma")}), json!({"owner_id": id("gamma_admin")}), json!({}), json!(true)]
    {
        let caller = act("alpha_admin", half.clone()).await.unwrap();
        assert_eq!(caller.account_id().as_str(), id("alpha"), "{half}");
    }
}

/// A group can hold any members. As the user that a token acts as, it could choose its own restrictions.
async fn the_user_that_a_token_acts_as_must_be_there_at_each_request(place: Arc<Place>) {
    let world = World::new(&place).await;
    let gamma = account_id("gamma").db();
    let wanted = json!({"account_id": id("gamma"), "owner_id": id("gamma_admin")});
    let acting = token("alpha_admin").claim("as", wanted).signed();
    for (document, expected) in [
        (json!({"pvt_type": "user", "priv_level": "admin"}), "good"),
        (json!({"pvt_type": "user", "pvt_deleted": true}), "invalid"),
        (json!({"pvt_type": "group", "priv_level": "admin"}), "invalid"),
        (json!({"priv_level": "admin"}), "invalid"),
    ] {
        world.put(gamma.as_str(), &id("gamma_admin"), document.clone()).await;
        let result = world.fresh(Settings::default()).verify(&acting, None, soon()).await;
        assert_eq!(verdict(&result), expected, "{document}");
    }
}

/// Saved documents name both: who the caller acts as, and who the caller is.
async fn a_caller_that_acts_as_another_is_known_too(place: Arc<Place>) {
    let world = World::new(&place).await;
    let wanted = json!({"account_id": id("gamma"), "owner_id": id("gamma_admin")});
    let (alpha, admin) = (id("alpha"), id("alpha_admin"));
    for (token, account, owner) in [
        (token("alpha_admin"), Some(alpha.as_str()), Some(admin.as_str())),
        (token("alpha"), Some(alpha.as_str()), None),
        (token("alpha_admin").claim("original_account_id", json!("a")), Some("a"), None),
        (
            token("alpha_admin")
                .claim("original_account_id", json!("a"))
                .claim("original_owner_id", json!("b")),
            Some("a"),
            Some("b"),
        ),
    ] {
        let caller = world.verify(&token.clone().claim("as", wanted.clone()).signed()).await.unwrap();
        assert_eq!((caller.original_account_id(), caller.original_owner_id()), (account, owner));
        assert_eq!(
            (caller.account_id().as_str(), caller.method()),
            (&*id("gamma"), token.claims["method"].as_str())
        );
    }
    let caller = world.verify(&token("alpha_admin").signed()).await.unwrap();
    assert_eq!((caller.original_account_id(), caller.original_owner_id()), (None, None));
}

/// The database `accounts` decides which account is below which. A deleted account is below no other.
async fn a_deleted_account_is_below_nobody(place: Arc<Place>) {
    let world = World::new(&place).await;
    let wanted = json!({"account_id": id("gamma"), "owner_id": id("gamma_admin")});
    let acting = token("alpha_admin").claim("as", wanted).signed();
    for (changes, expected) in [
        (json!({"pvt_deleted": true}), "invalid"),
        (json!({"pvt_deleted": false, "pvt_type": "other"}), "invalid"),
        (json!({"pvt_type": "account", "pvt_tree": [id("master")]}), "invalid"),
        (json!({"pvt_tree": [id("master"), id("alpha")]}), "good"),
    ] {
        world.change("accounts", &id("gamma"), changes.clone()).await;
        let result = world.fresh(Settings::default()).verify(&acting, None, soon()).await;
        assert_eq!(verdict(&result), expected, "{changes}");
    }
    world.store.delete_db(&crate::support::db("accounts"), soon()).await.unwrap();
    let result = world.fresh(Settings::default()).verify(&acting, None, soon()).await;
    assert_eq!(verdict(&result), "invalid", "no database of accounts");
}

async fn the_trial_of_the_callers_account_counts(place: Arc<Place>) {
    let world = World::new(&place).await;
    let expired = world.verify(&token("echo_admin").signed()).await;
    assert!(matches!(expired, Err(AuthError::TrialExpired { at: EXPIRED_AT })));
    assert_eq!(world.verdict(&token("echo").signed()).await, "trial over");
    let both = token("echo_admin").claim("exp", json!(1)).signed();
    assert_eq!(world.verdict(&both).await, "expired", "the token's time comes first");
    let wrong = token("echo_admin").claim("identity_sig", json!("A")).signed();
    assert_eq!(world.verdict(&wrong).await, "invalid", "so does the identity");
    let epoch = 62_167_219_200;
    let echo = account_id("echo");
    for (at, expected) in [
        (json!(unix_now() + epoch + 3600), "good"),
        (json!(unix_now() + epoch), "trial over"),
        (json!("63900000000"), "trial over"),
        (json!("soon"), "good"),
        (json!(null), "good"),
    ] {
        world.change(echo.db().as_str(), echo.as_str(), json!({"pvt_trial_expires": at})).await;
        let result =
            world.fresh(Settings::default()).verify(&token("echo_admin").signed(), None, soon()).await;
        assert_eq!(verdict(&result), expected, "{at}");
    }
}

on_each_store![
    basic_is_an_account_and_the_digest_of_a_users_credentials,
    the_kind_of_basic_is_the_accounts_or_the_systems,
    a_user_counts_for_its_own_account_only,
    basic_needs_exactly_one_user_who_is_enabled,
    restrictions_hold_for_basic_too,
    basic_is_no_way_around_the_restrictions_of_logins,
    basic_is_no_way_around_the_login,
    a_bearer_is_the_id_of_a_document_with_a_token,
    a_token_may_act_for_a_user_below,
    the_user_that_a_token_acts_as_must_be_there_at_each_request,
    a_caller_that_acts_as_another_is_known_too,
    a_deleted_account_is_below_nobody,
    the_trial_of_the_callers_account_counts,
];
