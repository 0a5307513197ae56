//! Logging in with a user's credentials or an account's key.

use std::net::IpAddr;
use std::sync::Arc;

use auth::{Barred, Login, LoginError, Settings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::place::{Place, on_each_store};
use crate::support::{EXPIRED_AT, World, account_id, id, md5, object, sha1, soon, token, whoever};

const CREDENTIALS: &str = "admin:alpha-password";

async fn world(place: &Place) -> World {
    let world = World::new(place).await;
    world.push_views().await;
    world
}

async fn user_auth(world: &World, data: Value) -> Result<Login, LoginError> {
    world.fresh(Settings::default()).user_auth(&object(data), None, &whoever(), soon()).await
}

fn outcome(result: &Result<Login, LoginError>) -> String {
    match result {
        Ok(login) => format!("in as {}", login.id),
        Err(error) => error.to_string(),
    }
}

/// The lifetime of a login's token, in seconds.
async fn lifetime(world: &World, login: &Login) -> Option<i64> {
    let caller = world.fresh(Settings::default()).verify(&login.token, None, soon()).await.unwrap();
    let end = caller.claim("exp")?.as_i64().unwrap();
    Some(end - crate::support::unix_now())
}

async fn a_user_logs_in_by_digest_and_account(place: Arc<Place>) {
    let world = world(&place).await;
    let admin = format!("in as {}", id("alpha_admin"));
    let good = md5(CREDENTIALS);
    for (data, expected) in [
        (json!({"credentials": good, "account_name": "alpha"}), admin.as_str()),
        (json!({"credentials": good, "account_name": "  Al-PHA! "}), &admin),
        (json!({"credentials": good, "account_realm": "ALPHA.example.com"}), &admin),
        (json!({"credentials": good, "realm": "alpha.example.com"}), &admin),
        (json!({"credentials": good, "realm": "nowhere", "account_name": "alpha"}), &admin),
        (json!({"credentials": good, "account_name": "alpha", "method": "md5"}), &admin),
        (json!({"credentials": sha1(CREDENTIALS), "account_name": "alpha", "method": "sha"}), &admin),
        (json!({"credentials": good, "account_name": "alpha", "method": "sha"}), "invalid credentials"),
        (json!({"credentials": sha1(CREDENTIALS), "account_name": "alpha"}), "invalid credentials"),
        (json!({"credentials": good, "account_name": "beta"}), "invalid credentials"),
        (json!({"credentials": good, "account_name": "nobody"}), "invalid credentials"),
        (json!({"credentials": good}), "invalid credentials"),
        (json!({"credentials": "", "account_name": "alpha"}), "invalid credentials"),
        (json!({"credentials": md5("admin:other"), "account_name": "alpha"}), "invalid credentials"),
        (json!({"credentials": md5("admin:echo-password"), "account_name": "echo"}), "account expired"),
    ] {
        assert_eq!(outcome(&user_auth(&world, data.clone()).await), expected, "{data}");
    }
    let result = user_auth(&world, json!({"credentials": "x", "account_name": "nobody"})).await;
    assert!(matches!(result, Err(LoginError::BadCredentials { accounts: 0 })));
    let result = user_auth(&world, json!({"credentials": "x", "account_name": "alpha"})).await;
    assert!(matches!(result, Err(LoginError::BadCredentials { accounts: 1 })));
    let expired = json!({"credentials": md5("admin:echo-password"), "account_name": "echo"});
    assert!(matches!(user_auth(&world, expired).await, Err(LoginError::AccountExpired { at: EXPIRED_AT })));
}

async fn the_token_of_a_login_is_good(place: Arc<Place>) {
    let world = world(&place).await;
    let wanted = json!({"account_id": id("gamma"), "owner_id": id("gamma_admin")});
    let data = json!({"credentials": md5(CREDENTIALS), "account_name": "alpha"});
    let login = user_auth(&world, data.clone()).await.unwrap();
    let caller = world.verify(&login.token).await.unwrap();
    assert_eq!(
        (caller.account_id().as_str(), caller.owner_id()),
        (id("alpha").as_str(), Some(id("alpha_admin").as_str()))
    );
    assert!((3540..=3600).contains(&lifetime(&world, &login).await.unwrap()));

    let mut data = object(data);
    data.insert("as".to_owned(), wanted);
    let login = user_auth(&world, Value::Object(data)).await.unwrap();
    assert_eq!(world.verify(&login.token).await.unwrap().account_id().as_str(), id("gamma"));
}

async fn an_account_logs_in_by_its_key(place: Arc<Place>) {
    let world = world(&place).await;
    let login = world.auth.api_auth(&md5("alpha").repeat(2), &whoever(), soon()).await.unwrap();
    assert_eq!(login.id, id("alpha"));
    assert!(!login.data.contains_key("owner_id"));
    let caller = world.verify(&login.token).await.unwrap();
    assert_eq!((caller.owner_id(), caller.method()), (None, Some("cb_api_auth")));
    for key in ["", "x", &"0".repeat(64)] {
        assert!(
            matches!(world.auth.api_auth(key, &whoever(), soon()).await, Err(LoginError::UnknownKey)),
            "{key}"
        );
    }
    // A disabled account can log in by its key. So can an expired one, but its token is refused.
    let beta = account_id("beta");
    world.change(beta.db().as_str(), beta.as_str(), json!({"pvt_enabled": false})).await;
    world.auth.api_auth(&md5("beta").repeat(2), &whoever(), soon()).await.unwrap();
    let login = world.auth.api_auth(&md5("echo").repeat(2), &whoever(), soon()).await.unwrap();
    assert_eq!(world.verdict(&login.token).await, "trial over");
}

async fn disabled_users_and_accounts_stay_out(place: Arc<Place>) {
    let world = world(&place).await;
    let data = json!({"credentials": md5(CREDENTIALS), "account_name": "alpha"});
    let alpha = account_id("alpha");
    world.change(alpha.db().as_str(), alpha.as_str(), json!({"pvt_enabled": false})).await;
    assert!(matches!(
        user_auth(&world, data.clone()).await,
        Err(LoginError::Barred(Barred::AccountDisabled))
    ));
    world.change(alpha.db().as_str(), alpha.as_str(), json!({"pvt_enabled": true})).await;
    world.change(alpha.db().as_str(), &id("alpha_admin"), json!({"enabled": false})).await;
    assert_eq!(outcome(&user_auth(&world, data.clone()).await), "invalid credentials");
    world
        .change(alpha.db().as_str(), &id("alpha_admin"), json!({"enabled": true, "pvt_deleted": true}))
        .await;
    assert_eq!(outcome(&user_auth(&world, data).await), "invalid credentials");
}

/// The nearest configuration with a value wins. The order is: the account, its ancestors up to the first
/// reseller, the system.
async fn a_way_of_logging_in_can_be_switched_off(place: Arc<Place>) {
    let world = world(&place).await;
    let data = json!({"credentials": md5("admin:gamma-password"), "account_name": "gamma"});
    let says = |module: &str, enabled: Value| json!({"auth_modules": {module: {"enabled": enabled}}});
    let (alpha, gamma) = (account_id("alpha").db(), account_id("gamma").db());
    let check = async |name: &str, expected: bool| {
        let result = user_auth(&world, data.clone()).await;
        match result {
            Ok(_) => assert!(expected, "{name}"),
            Err(LoginError::Barred(Barred::ModuleDisabled)) => assert!(!expected, "{name}"),
            Err(other) => panic!("{name}: {other}"),
        }
    };
    check("nothing is said", true).await;
    world.put("system_config", "crossbar.auth", json!({"default": says("cb_user_auth", json!(false))})).await;
    check("the system", false).await;
    let by_key = world.fresh(Settings::default()).api_auth(&md5("gamma").repeat(2), &whoever(), soon()).await;
    by_key.expect("another module is as it was");
    world.put(alpha.as_str(), "configs_crossbar.auth", says("cb_user_auth", json!(true))).await;
    check("the account above", true).await;
    world.put("services", &id("gamma"), json!({"pvt_reseller": true})).await;
    check("a reseller inherits nothing from above", false).await;
    world.put("services", &id("gamma"), json!({})).await;
    world.put(gamma.as_str(), "configs_crossbar.auth", says("cb_user_auth", json!("false"))).await;
    check("the account itself", false).await;
    let wrong = json!({"credentials": md5("x"), "account_name": "gamma"});
    assert_eq!(outcome(&user_auth(&world, wrong).await), "invalid credentials", "credentials come first");
    world.put(gamma.as_str(), "configs_crossbar.auth", says("cb_api_auth", json!(false))).await;
    check("another module", true).await;
    let by_key = world.fresh(Settings::default()).api_auth(&md5("gamma").repeat(2), &whoever(), soon()).await;
    assert!(matches!(by_key, Err(LoginError::Barred(Barred::ModuleDisabled))));
}

async fn a_token_is_good_for_as_long_as_is_configured(place: Arc<Place>) {
    let world = world(&place).await;
    let data = json!({"credentials": md5(CREDENTIALS), "account_name": "alpha"});
    let alpha = account_id("alpha").db();
    let check = async |name: &str, expected: Option<i64>| {
        let login = user_auth(&world, data.clone()).await.unwrap();
        let seconds = lifetime(&world, &login).await;
        let is_near = seconds
            .zip(expected)
            .is_some_and(|(seconds, expected)| (expected - 60..=expected).contains(&seconds));
        assert!(seconds == expected || is_near, "{name}: {seconds:?}");
    };
    let module = |seconds: i64| json!({"cb_user_auth": {"token_auth_expiry_s": seconds}});
    world.put("system_config", "crossbar.auth", json!({"default": {"token_auth_expiry_s": 100}})).await;
    check("Kazoo's modules have an hour of their own", Some(3600)).await;
    let system = json!({"default": {"token_auth_expiry_s": 100, "auth_modules": {}}});
    world.put("system_config", "crossbar.auth", system).await;
    check("unless modules are configured", Some(100)).await;
    let system = json!({"default": {"token_auth_expiry_s": 100, "auth_modules": module(200)}});
    world.put("system_config", "crossbar.auth", system).await;
    check("the system's module", Some(200)).await;
    world.put(alpha.as_str(), "configs_crossbar.auth", json!({"auth_modules": module(300)})).await;
    check("the account's", Some(300)).await;
    world.put(alpha.as_str(), "configs_crossbar.auth", json!({"auth_modules": module(0)})).await;
    check("nothing is no time of its own", Some(100)).await;
    let system = json!({"default": {"token_auth_expiry_s": 0, "auth_modules": {}}});
    world.put("system_config", "crossbar.auth", system).await;
    check("for ever", None).await;
}

async fn a_client_is_told_about_its_account(place: Arc<Place>) {
    let world = world(&place).await;
    let told = async |name: &str| {
        let data = json!({"credentials": md5(&format!("admin:{name}-password")), "account_name": name});
        Value::Object(user_auth(&world, data).await.unwrap().data)
    };
    let data = told("gamma").await;
    assert_eq!((&data["account_id"], &data["owner_id"]), (&json!(id("gamma")), &json!(id("gamma_admin"))));
    assert_eq!((&data["account_name"], &data["language"]), (&json!("gamma"), &json!("en-US")));
    assert_eq!((&data["is_reseller"], &data["is_master_account"]), (&json!(false), &json!(false)));
    assert_eq!(data.get("reseller_id"), None, "nobody is named");
    assert_eq!(data["cluster_id"].as_str().unwrap().len(), 32);

    world.put("system_config", "accounts", json!({"default": {"master_account_id": id("master")}})).await;
    world.put("system_config", "cluster", json!({"default": {"cluster_id": "c1"}})).await;
    world.put("system_config", "crossbar", json!({"default": {"default_language": "de-DE"}})).await;
    let data = told("gamma").await;
    assert_eq!(data["reseller_id"], json!(id("master")));
    assert_eq!((&data["cluster_id"], &data["language"]), (&json!("c1"), &json!("de-DE")));
    assert_eq!(told("master").await["is_master_account"], json!(true));
    world.put("services", &id("alpha"), json!({"pvt_reseller": true})).await;
    assert_eq!(told("gamma").await["reseller_id"], json!(id("alpha")));
    assert_eq!(told("alpha").await["is_reseller"], json!(true));
    assert_eq!(told("beta").await["reseller_id"], json!(id("master")));

    let beta = account_id("beta").db();
    world.change(beta.as_str(), &id("beta"), json!({"name": null, "language": "fr-FR"})).await;
    let data = told("beta").await;
    assert_eq!((data.get("account_name"), &data["language"]), (None, &json!("fr-FR")), "the account's");
    world.change(beta.as_str(), &id("beta_admin"), json!({"language": "es-ES"})).await;
    assert_eq!(told("beta").await["language"], json!("es-ES"), "the user's own");
}

/// A token from a login reaches the same accounts as a token that was made by hand.
async fn a_login_reaches_what_its_token_would(place: Arc<Place>) {
    let world = world(&place).await;
    let login = world.auth.api_auth(&md5("alpha").repeat(2), &whoever(), soon()).await.unwrap();
    let (minted, made) =
        (world.verify(&login.token).await.unwrap(), world.verify(&token("alpha").signed()).await.unwrap());
    for target in ["master", "alpha", "beta", "gamma", "echo"] {
        let asked = auth::Asked { endpoint: "groups", params: &[], verb: "GET" };
        let expected = world.authorise(&made, target, asked).await;
        assert_eq!(world.authorise(&minted, target, asked).await, expected, "{target}");
    }
}

/// This server cannot check a second factor, so a user who needs one cannot log in.
async fn who_must_show_a_second_factor_is_not_let_in(place: Arc<Place>) {
    let world = world(&place).await;
    world.put("system_config", "accounts", json!({"default": {"master_account_id": id("master")}})).await;
    let by_key = async |name: &str| match world
        .fresh(Settings::default())
        .api_auth(&md5(name).repeat(2), &whoever(), soon())
        .await
    {
        Ok(_) => "in",
        Err(LoginError::Barred(Barred::SecondFactor)) => "second factor",
        Err(other) => panic!("{name}: {other}"),
    };
    for (made_by, multi_factor, expected) in [
        ("alpha", json!({"enabled": false}), ["in", "in", "in"]),
        ("alpha", json!({"enabled": true}), ["second factor", "second factor", "in"]),
        ("alpha", json!({"enabled": "true", "account_id": id("alpha")}), ["second factor", "in", "in"]),
        (
            "alpha",
            json!({"enabled": true, "account_id": id("alpha"), "include_subaccounts": true}),
            ["second factor", "second factor", "in"],
        ),
        ("master", json!({"enabled": true, "account_id": id("beta")}), ["in", "in", "second factor"]),
    ] {
        for name in ["alpha", "master"] {
            let of = if name == made_by { multi_factor.clone() } else { json!({}) };
            let document = json!({"auth_modules": {"cb_api_auth": {"multi_factor": of}}});
            world.put(account_id(name).db().as_str(), "configs_crossbar.auth", document).await;
        }
        let outcomes = [by_key("alpha").await, by_key("gamma").await, by_key("master").await];
        assert_eq!(outcomes, expected, "{made_by} {multi_factor}");
    }
    // Each way of logging in has its own setting. Wrong credentials are reported first.
    let document = json!({"auth_modules": {"cb_user_auth": {"multi_factor": {"enabled": true}}}});
    world.put(account_id("alpha").db().as_str(), "configs_crossbar.auth", document).await;
    assert_eq!(by_key("alpha").await, "in");
    let data = json!({"credentials": md5(CREDENTIALS), "account_name": "alpha"});
    assert_eq!(outcome(&user_auth(&world, data).await), "a second factor is required");
    let data = json!({"credentials": md5("x"), "account_name": "alpha"});
    assert_eq!(outcome(&user_auth(&world, data).await), "invalid credentials");
}

/// Any value except `true` disables a module or an account.
async fn only_what_is_true_is_enabled(place: Arc<Place>) {
    let world = world(&place).await;
    let alpha = account_id("alpha").db();
    let data = json!({"credentials": md5(CREDENTIALS), "account_name": "alpha"});
    for (value, is_in) in [
        (json!(true), true),
        (json!("true"), true),
        (json!("yes"), false),
        (json!(1), false),
        (json!(null), false),
        (json!({}), false),
    ] {
        let document = json!({"auth_modules": {"cb_user_auth": {"enabled": value}}});
        world.put(alpha.as_str(), "configs_crossbar.auth", document).await;
        assert_eq!(user_auth(&world, data.clone()).await.is_ok(), is_in, "module {value}");
        world.put(alpha.as_str(), "configs_crossbar.auth", json!({})).await;
        world.change(alpha.as_str(), &id("alpha"), json!({"pvt_enabled": value})).await;
        assert_eq!(user_auth(&world, data.clone()).await.is_ok(), is_in, "account {value}");
        world.change(alpha.as_str(), &id("alpha"), json!({"pvt_enabled": true})).await;
    }
}

/// Two accounts may have the same name. Their users are searched one account after the other.
async fn accounts_of_one_name_are_tried_in_turn(place: Arc<Place>) {
    let world = world(&place).await;
    let beta = account_id("beta");
    world.change("accounts", beta.as_str(), json!({"pvt_alphanum_name": "alpha"})).await;
    for (credentials, expected) in [
        ("admin:alpha-password", format!("in as {}", id("alpha_admin"))),
        ("admin:beta-password", format!("in as {}", id("beta_admin"))),
    ] {
        let data = json!({"credentials": md5(credentials), "account_name": "alpha"});
        assert_eq!(outcome(&user_auth(&world, data).await), expected);
    }
    let data = json!({"credentials": md5("x"), "account_name": "alpha"});
    assert!(matches!(user_auth(&world, data).await, Err(LoginError::BadCredentials { accounts: 2 })));
}

/// Basic and logins show the same password, so they share one count. An address that logged in stays in.
async fn wrong_passwords_are_counted_for_the_account(place: Arc<Place>) {
    let world = world(&place).await;
    let address = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
    let log_in = async |name: &str, credentials: &str, last: u8| {
        let data = json!({"credentials": md5(credentials), "account_name": name});
        outcome(&world.auth.user_auth(&object(data), address(last), &whoever(), soon()).await)
    };
    let basic = async |name: &str, credentials: &str, last: u8| {
        let encoded = STANDARD.encode(format!("{}:{}", id(name), md5(credentials)));
        let result = world.auth.verify_basic(&encoded, address(last), soon()).await;
        result
            .map_or_else(|error| error.to_string(), |caller| format!("in as {}", caller.owner_id().unwrap()))
    };
    let (user, too_many) =
        (format!("in as {}", id("alpha_user")), "there were too many wrong passwords for this account");
    let right = "user:alpha-password";
    assert_eq!(log_in("alpha", right, 1).await, user);
    assert_eq!(basic("alpha", right, 2).await, user);
    for guess in 0..50 {
        let wrong = format!("user:{guess}");
        assert_eq!(log_in("alpha", &wrong, 100 + guess).await, "invalid credentials");
        assert!(basic("alpha", &wrong, 200 - guess).await.starts_with("the credentials are invalid"));
        // Names without an account are counted alike.
        assert_eq!(log_in("nobody", &wrong, 100 + guess).await, "invalid credentials");
        assert_eq!(log_in("Nobody", &wrong, 200 - guess).await, "invalid credentials");
    }
    for credentials in ["user:wrong", right] {
        assert_eq!(log_in("alpha", credentials, 3).await, too_many, "{credentials}");
        assert_eq!(basic("alpha", credentials, 3).await, too_many, "{credentials}");
        assert_eq!(log_in("nobody", credentials, 3).await, too_many, "{credentials}");
    }
    for known in [1, 2] {
        assert_eq!(log_in("alpha", right, known).await, user);
        assert_eq!(basic("alpha", right, known).await, user);
        assert_eq!(log_in("alpha", "user:wrong", known).await, "invalid credentials");
    }
    // Other accounts, tokens and API keys go on.
    assert_eq!(log_in("gamma", "user:gamma-password", 3).await, format!("in as {}", id("gamma_user")));
    assert_eq!(world.verdict(&token("alpha_user").signed()).await, "good");
    assert!(world.auth.api_auth(&md5("alpha").repeat(2), &whoever(), soon()).await.is_ok());
}

/// A refused login does not make an address known, even if its password is right.
async fn only_who_gets_in_is_known(place: Arc<Place>) {
    let world = world(&place).await;
    let alpha = account_id("alpha").db();
    let off = json!({"auth_modules": {"cb_user_auth": {"enabled": false}}});
    world.put(alpha.as_str(), "configs_crossbar.auth", off).await;
    let log_in = async |credentials: &str, last: u8| {
        let data = object(json!({"credentials": md5(credentials), "account_name": "alpha"}));
        world.auth.user_auth(&data, Some(IpAddr::from([192, 0, 2, last])), &whoever(), soon()).await
    };
    assert!(matches!(
        log_in("user:alpha-password", 1).await,
        Err(LoginError::Barred(Barred::ModuleDisabled))
    ));
    for _ in 0..100 {
        assert!(matches!(log_in("user:wrong", 2).await, Err(LoginError::BadCredentials { .. })));
    }
    assert!(matches!(
        log_in("user:alpha-password", 1).await,
        Err(LoginError::Barred(Barred::TooManyGuesses))
    ));
}

on_each_store![
    wrong_passwords_are_counted_for_the_account,
    only_who_gets_in_is_known,
    who_must_show_a_second_factor_is_not_let_in,
    only_what_is_true_is_enabled,
    accounts_of_one_name_are_tried_in_turn,
    a_user_logs_in_by_digest_and_account,
    the_token_of_a_login_is_good,
    an_account_logs_in_by_its_key,
    disabled_users_and_accounts_stay_out,
    a_way_of_logging_in_can_be_switched_off,
    a_token_is_good_for_as_long_as_is_configured,
    a_client_is_told_about_its_account,
    a_login_reaches_what_its_token_would,
];
