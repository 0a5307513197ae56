//! Slightly changed tokens are refused.

use std::sync::Arc;

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use serde_json::json;

use crate::place::{Kind, Place, on_each_store, run};
use crate::support::{Token, World, base64url, id, pem, public_key, token};

/// Good tokens, changed after they were signed.
fn mutations(goods: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for good in goods {
        let parts: Vec<_> = good.split('.').collect();
        let join = |parts: &[&str]| parts.join(".");
        for places in [
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
            [0, 0, 2],
            [1, 1, 2],
            [0, 1, 1],
            [0, 1, 0],
        ] {
            all.push(join(&places.map(|place| parts[place])));
        }
        for repeated in 0..3 {
            let mut more = parts.clone();
            more.insert(repeated, parts[repeated]);
            all.push(join(&more));
        }
        all.push(format!("{good}{good}"));
        all.push(format!("{good}.{good}"));
        all.extend((0..good.len()).map(|length| good[..length].to_owned()));
        all.extend((1..good.len()).map(|start| good[start..].to_owned()));
        for other in goods.iter().filter(|other| *other != good) {
            let others: Vec<_> = other.split('.').collect();
            for swapped in 0..3 {
                let mut mixed = parts.clone();
                mixed[swapped] = others[swapped];
                // All tokens have the same header.
                if mixed != parts {
                    all.push(join(&mixed));
                }
            }
        }
        for place in 0..good.len() {
            for replacement in ["A", "Q", "g", "w", "_", "-", ".", "=", "é", "\0"] {
                if good[place..=place] != *replacement {
                    all.push(format!("{}{replacement}{}", &good[..place], &good[place + 1..]));
                }
            }
            all.push(format!("{}A{}", &good[..place], &good[place..]));
            all.push(format!("{}{}", &good[..place], &good[place + 1..]));
        }
    }
    all
}

/// Tokens signed by an HMAC with the public key as its secret, for each form of the public key.
fn confusions() -> Vec<String> {
    let public_pem = |der: &[u8]| {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n").into_bytes()
    };
    let secrets = [public_key(), public_pem(&public_key()), pem().into_bytes(), Vec::new()];
    let mut all = Vec::new();
    for algorithm in ["HS256", "HS384", "HS512", "RS256", "none", "None", "nOnE", "", "ES256", "PS256"] {
        let token = token("alpha_admin").header("alg", json!(algorithm));
        all.extend(secrets.iter().map(|secret| token.signed_with_hmac(secret)));
        all.push(format!("{}.", token.body()));
    }
    all
}

async fn no_mutation_of_a_good_token_is_good(place: Arc<Place>) {
    let world = World::new(&place).await;
    let goods = ["alpha_admin", "beta_admin", "alpha"].map(|name| token(name).signed());
    for good in &goods {
        assert_eq!(world.verdict(good).await, "good");
    }
    let all: Vec<_> = mutations(&goods).into_iter().chain(confusions()).collect();
    assert!(all.len() >= 10_000, "{}", all.len());
    for mutation in all {
        assert_eq!(world.verdict(&mutation).await, "invalid", "{mutation}");
    }
}

/// Changed claims with an old signature are refused.
async fn no_claim_can_be_changed_under_a_signature(place: Arc<Place>) {
    let world = World::new(&place).await;
    let good = token("alpha_admin").signed();
    let signature = good.rsplit('.').next().unwrap();
    for (claim, value) in [
        ("account_id", json!(id("master"))),
        ("owner_id", json!(id("master_admin"))),
        ("exp", json!(9_999_999_999_i64)),
        ("as", json!({"account_id": id("gamma"), "owner_id": id("gamma_admin")})),
        ("method", json!("cb_api_auth")),
    ] {
        let changed = format!("{}.{signature}", token("alpha_admin").claim(claim, value).body());
        assert_eq!(world.verdict(&changed).await, "invalid", "{claim}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random bytes as parts of a token are refused, without a panic.
    #[test]
    fn no_bytes_are_a_token(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..5),
        text in any::<String>(),
    ) {
        run(Kind::Embedded, async |place| {
            let world = World::without_accounts(&place, auth::Settings::default()).await;
            let parts: Vec<_> = parts.iter().map(base64url).collect();
            assert_eq!(world.verdict(&parts.join(".")).await, "invalid");
            assert_eq!(world.verdict(&text).await, "invalid");
            let odd = Token { header: json!(text.as_str()), claims: json!(text.as_str()) };
            assert_eq!(world.verdict(&odd.signed()).await, "invalid");
        });
    }
}

on_each_store![no_mutation_of_a_good_token_is_good, no_claim_can_be_changed_under_a_signature,];
