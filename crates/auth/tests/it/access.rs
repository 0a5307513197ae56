//! Which caller may reach which account.

use std::sync::Arc;

use auth::{Asked, Settings};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use serde_json::json;

use crate::place::{Kind, Place, on_each_store, run};
use crate::support::{World, account_id, id, token};

const GET: Asked<'static> = Asked { endpoint: "groups", params: &[], verb: "GET" };

async fn check(world: &World, who: &str, target: &str, expected: &str) {
    let caller = world.verify(&token(who).signed()).await.unwrap();
    assert_eq!(world.authorise(&caller, target, GET).await, expected, "{who} to {target}");
}

async fn access_goes_down_the_tree(place: Arc<Place>) {
    let world = World::new(&place).await;
    for (who, target, expected) in [
        ("alpha_admin", "alpha", "allowed"),
        ("alpha_user", "alpha", "allowed"),
        ("alpha", "alpha", "allowed"),
        ("alpha_admin", "gamma", "allowed"),
        ("alpha_user", "gamma", "allowed"),
        ("gamma_admin", "gamma", "allowed"),
        ("gamma_admin", "alpha", "out of reach"),
        ("gamma_admin", "master", "out of reach"),
        ("alpha_admin", "master", "out of reach"),
        ("alpha_admin", "beta", "out of reach"),
        ("beta_admin", "gamma", "out of reach"),
        ("alpha_admin", "echo", "out of reach"),
        ("master_admin", "alpha", "allowed"),
        ("master_user", "gamma", "allowed"),
        ("master", "echo", "allowed"),
    ] {
        check(&world, who, target, expected).await;
    }
}

async fn the_state_of_the_target_is_not_asked(place: Arc<Place>) {
    let world = World::new(&place).await;
    let mut world = world;
    for changes in
        [json!({"pvt_enabled": false}), json!({"pvt_trial_expires": 1}), json!({"pvt_deleted": true})]
    {
        world = world.forgotten();
        let gamma = account_id("gamma");
        world.change(gamma.db().as_str(), gamma.as_str(), changes).await;
        check(&world, "alpha_admin", "gamma", "allowed").await;
    }
    let alpha = account_id("alpha");
    world.change(alpha.db().as_str(), alpha.as_str(), json!({"pvt_enabled": false})).await;
    check(&world, "alpha_admin", "alpha", "allowed").await;
}

async fn superduper_is_what_kazoo_takes_for_true(place: Arc<Place>) {
    let world = World::without_accounts(&place, Settings::default()).await;
    world.account("target", &[], json!({})).await;
    for (name, value, expected) in [
        ("a", json!(true), "allowed"),
        ("b", json!("true"), "allowed"),
        ("c", json!("TRUE"), "out of reach"),
        ("d", json!(1), "out of reach"),
        ("e", json!({}), "out of reach"),
        ("f", json!(null), "out of reach"),
        ("g", json!(false), "out of reach"),
    ] {
        world.account(name, &[], json!({"pvt_superduper_admin": value})).await;
        check(&world, name, "target", expected).await;
    }
}

/// A malformed tree counts as no tree. The account itself and superusers still have access.
async fn a_tree_of_another_form_opens_nothing(place: Arc<Place>) {
    let mut world = World::new(&place).await;
    let gamma = account_id("gamma");
    let alpha = id("alpha");
    for tree in [
        json!(null),
        json!(alpha),
        json!({alpha.as_str(): true}),
        json!([[alpha.as_str()]]),
        json!([7, null]),
    ] {
        world.change(gamma.db().as_str(), gamma.as_str(), json!({"pvt_tree": tree})).await;
        world = world.forgotten();
        check(&world, "alpha_admin", "gamma", "out of reach").await;
        check(&world, "gamma_admin", "gamma", "allowed").await;
        check(&world, "master_admin", "gamma", "allowed").await;
    }
}

/// A token without an identity's signature stays valid when its account does not exist.
async fn an_account_that_is_gone_reaches_what_is_below_it(place: Arc<Place>) {
    let world = World::new(&place).await;
    world.account("orphan", &["gone"], json!({})).await;
    let unsigned = token("gone").claim("identity_sig", None).signed();
    let caller = world.verify(&unsigned).await.unwrap();
    assert_eq!(world.authorise(&caller, "orphan", GET).await, "allowed");
    assert_eq!(world.authorise(&caller, "alpha", GET).await, "out of reach");
    assert_eq!(world.verdict(&token("gone").signed()).await, "invalid");
}

/// On random trees, a caller may reach its own account and the accounts below it, and nothing else. A
/// superuser may reach every account.
fn check_random_trees(kind: Kind, cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let parents = prop::collection::vec(any::<prop::sample::Index>(), 1..8);
    let superduper = prop::collection::vec(prop::bool::weighted(0.15), 8);
    proptest!(config, |(parents in parents, superduper in superduper)| {
        run(kind, async |place| {
            let world = World::without_accounts(&place, Settings::default()).await;
            check_tree(&world, &parents, &superduper).await;
        });
    });
}

async fn check_tree(world: &World, parents: &[prop::sample::Index], superduper: &[bool]) {
    let mut trees: Vec<Vec<usize>> = Vec::new();
    for (place, parent) in parents.iter().enumerate() {
        // Choice 0 makes a root. Choice n makes a child of account n - 1.
        let chosen = parent.index(place + 1);
        let tree = match chosen.checked_sub(1) {
            None => Vec::new(),
            Some(parent) => trees[parent].iter().copied().chain([parent]).collect(),
        };
        trees.push(tree);
    }
    let names: Vec<_> = (0..trees.len()).map(|place| format!("account{place}x")).collect();
    for (place, tree) in trees.iter().enumerate() {
        let above: Vec<_> = tree.iter().map(|place| names[*place].as_str()).collect();
        world.account(&names[place], &above, json!({"pvt_superduper_admin": superduper[place]})).await;
    }
    for own in 0..trees.len() {
        for who in [names[own].clone(), format!("{}_user", names[own])] {
            let caller = world.verify(&token(&who).signed()).await.unwrap();
            for target in 0..trees.len() {
                let expected = own == target || trees[target].contains(&own) || superduper[own];
                let answer = world.authorise(&caller, &names[target], GET).await;
                let expected = if expected { "allowed" } else { "out of reach" };
                assert_eq!(answer, expected, "{who} {target} {trees:?}");
            }
        }
    }
}

#[test]
fn access_is_own_or_below_or_superduper() {
    check_random_trees(Kind::Embedded, 24);
}

/// Both stores share the code of the rule. A few trees show that the documents are read alike.
#[test]
fn access_is_own_or_below_or_superduper_on_couchdb() {
    check_random_trees(Kind::CouchDb, 4);
}

on_each_store![
    access_goes_down_the_tree,
    the_state_of_the_target_is_not_asked,
    superduper_is_what_kazoo_takes_for_true,
    a_tree_of_another_form_opens_nothing,
    an_account_that_is_gone_reaches_what_is_below_it,
];
