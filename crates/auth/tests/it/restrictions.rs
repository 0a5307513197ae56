//! Token restrictions, rule by rule.

use std::sync::Arc;

use auth::Asked;
use serde_json::{Value, json};

use crate::place::{Place, on_each_store};
use crate::support::{World, account_id, id, soon, token};

/// Writes alpha's restrictions and empties the cache.
async fn restricted(world: World, restrictions: Value) -> World {
    let alpha = account_id("alpha").db();
    world.put(alpha.as_str(), "token_restrictions", json!({"restrictions": restrictions})).await;
    world.forgotten()
}

async fn check(world: &World, who: &str, asked: (&str, &[&str], &str), expected: &str) {
    let (target, params, verb) = asked;
    let caller = world.verify(&token(who).signed()).await.unwrap();
    assert_eq!(
        world.authorise(&caller, target, Asked { endpoint: "groups", params, verb }).await,
        expected,
        "{who} {asked:?}"
    );
}

/// Rules on groups for every level and every login method.
fn for_groups(rules: Value) -> Value {
    json!({"_": {"_": {"groups": [{"rules": rules}]}}})
}

async fn rules_are_chosen_by_method_and_level(place: Arc<Place>) {
    let world = World::new(&place).await;
    let get = json!({"groups": [{"rules": {"#": ["GET"]}}]});
    let put = json!({"groups": [{"rules": {"#": ["PUT"]}}]});
    let world = restricted(world, json!({"cb_user_auth": {"admin": get, "user": put}, "_": {"_": {}}})).await;
    for (who, verb, expected) in [
        ("alpha_admin", "GET", "allowed"),
        ("alpha_admin", "PUT", "restricted"),
        ("alpha_user", "GET", "restricted"),
        ("alpha_user", "PUT", "allowed"),
        // Without rules for its method, the rules for any method apply.
        ("alpha", "GET", "restricted"),
        // Restrictions of another account do not apply.
        ("beta_admin", "GET", "out of reach"),
        ("master_admin", "PUT", "allowed"),
    ] {
        check(&world, who, ("alpha", &[], verb), expected).await;
    }
    // A level without rules is not restricted. A method without rules is not either.
    let world = restricted(world, json!({"cb_user_auth": {"user": get}})).await;
    check(&world, "alpha_admin", ("alpha", &[], "PUT"), "allowed").await;
    check(&world, "alpha", ("alpha", &[], "PUT"), "allowed").await;
    check(&world, "alpha_user", ("alpha", &[], "PUT"), "restricted").await;
    // Rules for any level.
    let world = restricted(world, json!({"cb_user_auth": {"_": get}, "cb_api_auth": {"admin": put}})).await;
    check(&world, "alpha_admin", ("alpha", &[], "PUT"), "restricted").await;
    check(&world, "alpha", ("alpha", &[], "PUT"), "allowed").await;
    check(&world, "alpha", ("alpha", &[], "GET"), "restricted").await;
    // Rules that are not an object mean no restrictions.
    let world = restricted(world, json!({"cb_user_auth": {"_": get, "admin": true}})).await;
    check(&world, "alpha_admin", ("alpha", &[], "PUT"), "allowed").await;
}

async fn a_level_is_the_users_own_or_the_systems(place: Arc<Place>) {
    let world = World::new(&place).await;
    let put = json!({"groups": [{"rules": {"#": ["PUT"]}}]});
    let world = restricted(world, json!({"_": {"reader": {}, "user": put, "admin": {}}})).await;
    let alpha = account_id("alpha").db();
    // A user without a level has the level `user`.
    world.change(alpha.as_str(), &id("alpha_user"), json!({"priv_level": null})).await;
    check(&world, "alpha_user", ("alpha", &[], "PUT"), "allowed").await;
    check(&world, "alpha", ("alpha", &[], "PUT"), "restricted").await;
    let defaults = json!({"default": {"default_priv_level": "user"}});
    world.put("system_config", "crossbar.token_restrictions", defaults).await;
    let world = world.forgotten();
    check(&world, "alpha", ("alpha", &[], "PUT"), "allowed").await;
    // The token of a deleted user.
    world.remove(alpha.as_str(), &id("alpha_admin")).await;
    let unsigned = token("alpha_admin").claim("identity_sig", None).signed();
    let world = world.forgotten();
    let caller = world.verify(&unsigned).await.unwrap();
    assert_eq!(
        world.authorise(&caller, "alpha", Asked { endpoint: "groups", params: &[], verb: "PUT" }).await,
        "allowed"
    );
}

async fn patterns_are_tried_in_the_order_of_the_document(place: Arc<Place>) {
    let mut world = World::new(&place).await;
    for (rules, params, verb, expected) in [
        (json!({"/": ["GET"]}), &[][..], "GET", "allowed"),
        (json!({"/": ["GET"]}), &[], "PUT", "restricted"),
        (json!({"/": ["GET"]}), &["g"], "GET", "restricted"),
        (json!({"*": ["GET"]}), &[], "GET", "restricted"),
        (json!({"*": ["GET"]}), &["g"], "GET", "allowed"),
        (json!({"#": ["GET"]}), &["g"], "GET", "allowed"),
        (json!({"#": ["_"]}), &["g"], "DELETE", "allowed"),
        (json!({"#": ["get"]}), &[], "GET", "restricted"),
        (json!({"#": "GET"}), &[], "GET", "restricted"),
        (json!({"#": []}), &[], "GET", "restricted"),
        (json!({}), &[], "GET", "restricted"),
        (json!(["#"]), &[], "GET", "restricted"),
        (json!({"g": ["GET"], "#": ["_"]}), &["g"], "PUT", "restricted"),
        (json!({"#": ["_"], "g": ["GET"]}), &["g"], "PUT", "allowed"),
        (json!({"z": [], "g": ["GET"], "a": []}), &["g"], "GET", "allowed"),
        (json!({"g/": ["GET"]}), &["g"], "GET", "allowed"),
        (json!({"/g": ["GET"]}), &["g"], "GET", "restricted"),
    ] {
        world = restricted(world, for_groups(rules)).await;
        check(&world, "alpha_admin", ("alpha", params, verb), expected).await;
    }
}

async fn endpoints_without_rules_are_refused_once_there_are_any(place: Arc<Place>) {
    let mut world = World::new(&place).await;
    let all = json!({"#": ["_"]});
    for (rules, expected) in [
        (json!({"groups": [{"rules": all}]}), "allowed"),
        (json!({"_": [{"rules": all}]}), "allowed"),
        (json!({"users": [{"rules": all}]}), "restricted"),
        (json!({}), "restricted"),
        (json!({"groups": []}), "restricted"),
        (json!({"groups": [], "_": [{"rules": all}]}), "restricted"),
        (json!({"groups": {}, "_": [{"rules": all}]}), "allowed"),
        (json!({"groups": [{}]}), "restricted"),
        (json!({"groups": [{"rules": {}}, {"rules": all}]}), "restricted"),
    ] {
        world = restricted(world, json!({"_": {"_": rules}})).await;
        check(&world, "alpha_admin", ("alpha", &[], "GET"), expected).await;
    }
}

async fn the_first_rules_that_speak_of_the_account_count(place: Arc<Place>) {
    let mut world = World::new(&place).await;
    let (alpha, gamma, beta) = (id("alpha"), id("gamma"), id("beta"));
    for (accounts, own, below, elsewhere) in [
        (json!(null), "allowed", "allowed", "out of reach"),
        (json!("x"), "allowed", "allowed", "out of reach"),
        (json!(["_"]), "allowed", "allowed", "out of reach"),
        (json!([]), "restricted", "restricted", "restricted"),
        (json!(["{AUTH_ACCOUNT_ID}"]), "allowed", "restricted", "restricted"),
        (json!([alpha]), "allowed", "restricted", "restricted"),
        (json!(["{DESCENDANT_ACCOUNT_ID}"]), "restricted", "allowed", "restricted"),
        (json!([gamma]), "restricted", "allowed", "restricted"),
        (json!([beta]), "restricted", "restricted", "out of reach"),
        (json!(["x", "_"]), "allowed", "allowed", "out of reach"),
    ] {
        let item = json!({"allowed_accounts": accounts, "rules": {"#": ["_"]}});
        world = restricted(world, json!({"_": {"_": {"groups": [item]}}})).await;
        for (target, expected) in [("alpha", own), ("gamma", below), ("beta", elsewhere)] {
            check(&world, "alpha_admin", (target, &[], "GET"), expected).await;
        }
    }
    // The first matching item decides, even if a later one would allow the request.
    let items = json!([
        {"allowed_accounts": [gamma], "rules": {"/": ["GET"]}},
        {"allowed_accounts": ["_"], "rules": {"#": ["_"]}},
    ]);
    world = restricted(world, json!({"_": {"_": {"groups": items}}})).await;
    check(&world, "alpha_admin", ("gamma", &[], "PUT"), "restricted").await;
    check(&world, "alpha_admin", ("alpha", &[], "PUT"), "allowed").await;
}

async fn the_systems_rules_stand_in_for_an_accounts(place: Arc<Place>) {
    let world = World::new(&place).await;
    let get = json!({"_": {"groups": [{"rules": {"#": ["GET"]}}]}});
    let system = json!({"default": {"cb_user_auth": get, "cb_api_auth": true}});
    world.put("system_config", "crossbar.token_restrictions", system).await;
    check(&world, "alpha_admin", ("alpha", &[], "GET"), "allowed").await;
    check(&world, "alpha_admin", ("alpha", &[], "PUT"), "restricted").await;
    check(&world, "beta_admin", ("beta", &[], "PUT"), "restricted").await;
    // A value that is not an object is not a rule. The master is exempt.
    check(&world, "alpha", ("alpha", &[], "PUT"), "allowed").await;
    check(&world, "master_admin", ("alpha", &[], "PUT"), "allowed").await;
    // The system's rules apply if the account has none for the method. Otherwise the account's rules apply.
    let world = restricted(world, json!({"cb_api_auth": {"_": {}}})).await;
    check(&world, "alpha_admin", ("alpha", &[], "PUT"), "restricted").await;
    let world = restricted(world, json!({"cb_user_auth": {"_": {"_": [{"rules": {"#": ["_"]}}]}}})).await;
    check(&world, "alpha_admin", ("alpha", &[], "PUT"), "allowed").await;
    // A deleted document has no rules.
    let alpha = account_id("alpha").db();
    world.change(alpha.as_str(), "token_restrictions", json!({"pvt_deleted": true})).await;
    let world = world.forgotten();
    check(&world, "alpha_admin", ("alpha", &[], "PUT"), "restricted").await;
}

async fn a_token_without_a_method_has_the_rules_of_any(place: Arc<Place>) {
    let world = World::new(&place).await;
    let world = restricted(world, json!({"_": {"_": {}}})).await;
    let caller = world.verify(&token("alpha_admin").claim("method", None).signed()).await.unwrap();
    assert_eq!(
        world.authorise(&caller, "alpha", Asked { endpoint: "groups", params: &[], verb: "GET" }).await,
        "restricted"
    );
}

/// A request that is restricted and out of reach is reported as restricted.
async fn a_restriction_outranks_reach(place: Arc<Place>) {
    let world = restricted(World::new(&place).await, json!({"_": {"_": {}}})).await;
    check(&world, "alpha_admin", ("beta", &[], "GET"), "restricted").await;
}

/// The restrictions of a caller that acts as another user are the other user's.
async fn who_acts_as_another_is_restricted_as_that_one(place: Arc<Place>) {
    let world = World::new(&place).await;
    let gamma = account_id("gamma").db();
    world.put(gamma.as_str(), "token_restrictions", json!({"restrictions": {"_": {"user": {}}}})).await;
    for (user, expected) in [("gamma_user", "restricted"), ("gamma_admin", "allowed")] {
        let wanted = json!({"account_id": id("gamma"), "owner_id": id(user)});
        let caller = world.verify(&token("alpha_admin").claim("as", wanted).signed()).await.unwrap();
        assert_eq!(
            world.authorise(&caller, "gamma", Asked { endpoint: "groups", params: &[], verb: "GET" }).await,
            expected
        );
    }
}

/// A token that acts as another user is no way around the restrictions of the user who signed it.
async fn who_acts_as_another_keeps_the_own_restrictions(place: Arc<Place>) {
    let mut world = World::new(&place).await;
    let get = json!([{"rules": {"#": ["GET"]}}]);
    let below = json!([{"allowed_accounts": ["{DESCENDANT_ACCOUNT_ID}"], "rules": {"#": ["_"]}}]);
    let at_home = json!([{"allowed_accounts": ["{AUTH_ACCOUNT_ID}"], "rules": {"#": ["_"]}}]);
    for (rules, who, verb, expected) in [
        (json!({"_": {"admin": {"groups": get}}}), "alpha_admin", "GET", "allowed"),
        (json!({"_": {"admin": {"groups": get}}}), "alpha_admin", "PUT", "restricted"),
        (json!({"_": {"admin": {"groups": get}}}), "alpha_user", "PUT", "allowed"),
        (json!({"cb_user_auth": {"user": {}}}), "alpha_user", "GET", "restricted"),
        (json!({"cb_api_auth": {"user": {}}}), "alpha_user", "GET", "allowed"),
        // To the signer, the account is one below its own.
        (json!({"_": {"_": {"groups": below}}}), "alpha_user", "PUT", "allowed"),
        (json!({"_": {"_": {"groups": at_home}}}), "alpha_user", "PUT", "restricted"),
        // A superuser has no restrictions.
        (json!({"_": {"_": {}}}), "master_user", "PUT", "allowed"),
    ] {
        world = restricted(world, rules.clone()).await;
        let wanted = json!({"account_id": id("gamma"), "owner_id": id("gamma_admin")});
        let caller = world.verify(&token(who).claim("as", wanted).signed()).await.unwrap();
        let asked = Asked { endpoint: "groups", params: &[], verb };
        assert_eq!(world.authorise(&caller, "gamma", asked).await, expected, "{who} {verb} {rules}");
        let checked = world.auth.check_restrictions(&caller, None, asked, soon()).await;
        let is_free = rules["_"]["_"]["groups"][0]["allowed_accounts"].is_null() && expected == "allowed";
        assert_eq!(checked.is_ok(), is_free, "without an account: {who} {verb} {rules}");
    }
}

/// Restrictions cover every path. If the path names no account, only rules for any account match.
async fn a_path_without_an_account_is_restricted_too(place: Arc<Place>) {
    let all = json!([{"rules": {"#": ["_"]}}]);
    let own = json!([{"allowed_accounts": ["{AUTH_ACCOUNT_ID}"], "rules": {"#": ["_"]}}]);
    let mut world = World::new(&place).await;
    for (rules, endpoint, expected) in [
        (json!({"groups": all}), "groups", true),
        (json!({"groups": all}), "token_auth", false),
        (json!({"token_auth": all}), "token_auth", true),
        (json!({"_": all}), "404", true),
        (json!({"_": own}), "404", false),
        (json!({}), "token_auth", false),
    ] {
        world = restricted(world, json!({"_": {"_": rules}})).await;
        let asked = Asked { endpoint, params: &[], verb: "GET" };
        for (who, expected) in [("alpha_admin", expected), ("master_admin", true), ("beta_admin", true)] {
            let caller = world.verify(&token(who).signed()).await.unwrap();
            let checked = world.auth.check_restrictions(&caller, None, asked, soon()).await;
            assert_eq!(checked.is_ok(), expected, "{who} {rules} {endpoint}");
        }
    }
}

/// A group whose id is `token_restrictions` is ignored. Otherwise clients could write their own rules.
async fn a_group_is_no_restriction(place: Arc<Place>) {
    let world = World::new(&place).await;
    let system = json!({"default": {"_": {"_": {}}}});
    world.put("system_config", "crossbar.token_restrictions", system).await;
    let alpha = account_id("alpha").db();
    let free = json!({"pvt_type": "group", "name": "x", "restrictions": {"_": {"_": []}}});
    world.put(alpha.as_str(), "token_restrictions", free).await;
    check(&world, "alpha_admin", ("alpha", &[], "GET"), "restricted").await;
}

on_each_store![
    a_group_is_no_restriction,
    a_path_without_an_account_is_restricted_too,
    rules_are_chosen_by_method_and_level,
    a_level_is_the_users_own_or_the_systems,
    patterns_are_tried_in_the_order_of_the_document,
    endpoints_without_rules_are_refused_once_there_are_any,
    the_first_rules_that_speak_of_the_account_count,
    the_systems_rules_stand_in_for_an_accounts,
    a_token_without_a_method_has_the_rules_of_any,
    a_restriction_outranks_reach,
    who_acts_as_another_is_restricted_as_that_one,
    who_acts_as_another_keeps_the_own_restrictions,
];
