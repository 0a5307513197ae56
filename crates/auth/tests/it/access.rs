//! Who may reach which account.

use auth::{Asked, Settings};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::support::{World, account_id, id, token};

const GET: Asked<'static> = Asked { params: &[], verb: "GET" };

async fn check(world: &World, who: &str, target: &str, expected: &str) {
    let caller = world.verify(&token(who).signed()).await.unwrap();
    assert_eq!(world.authorise(&caller, target, GET).await, expected, "{who} to {target}");
}

#[tokio::test]
async fn access_goes_down_the_tree() {
    let world = World::new().await;
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

#[tokio::test]
async fn the_state_of_the_target_is_not_asked() {
    let world = World::new().await;
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

#[tokio::test]
async fn superduper_is_what_kazoo_takes_for_true() {
    let world = World::without_accounts(Settings::default()).await;
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

/// Its own account, even one that no tree is known of; and trees of other forms count as none.
#[tokio::test]
async fn a_tree_of_another_form_opens_nothing() {
    let mut world = World::new().await;
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

/// A token without an identity's signature needs no account of its own.
#[tokio::test]
async fn an_account_that_is_gone_reaches_what_is_below_it() {
    let world = World::new().await;
    world.account("orphan", &["gone"], json!({})).await;
    let unsigned = token("gone").claim("identity_sig", None).signed();
    let caller = world.verify(&unsigned).await.unwrap();
    assert_eq!(world.authorise(&caller, "orphan", GET).await, "allowed");
    assert_eq!(world.authorise(&caller, "alpha", GET).await, "out of reach");
    assert_eq!(world.verdict(&token("gone").signed()).await, "invalid");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Access is allowed exactly to the own account, to those below it, and to whoever may everything.
    #[test]
    fn access_is_own_or_below_or_superduper(
        parents in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
        superduper in prop::collection::vec(prop::bool::weighted(0.15), 8),
    ) {
        Runtime::new().unwrap().block_on(async {
            let world = World::without_accounts(Settings::default()).await;
            let mut trees: Vec<Vec<usize>> = Vec::new();
            for (place, parent) in parents.iter().enumerate() {
                // The first choice is to be a root.
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
                        assert_eq!(answer, if expected { "allowed" } else { "out of reach" }, "{who} {target} {trees:?}");
                    }
                }
            }
        });
    }
}
