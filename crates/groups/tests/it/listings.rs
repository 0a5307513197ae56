//! Properties of listings, on accounts with random groups.

use auth::AccountAccess;
use proptest::collection::vec;
use proptest::test_runner::{Config as ProptestConfig, TestRunner};

use crate::model::{Asked, Docs, asked, docs};
use crate::support::{Place, runtime};

pub(crate) fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() })
}

/// Makes an account for each of `cases`, and checks fewer than `most` listings of each.
pub(crate) fn check(cases: u32, most: usize, property: impl AsyncFn(&Place, &AccountAccess, &Docs, Asked)) {
    let runtime = runtime();
    let place = runtime.block_on(Place::new());
    let of_account = |(docs, asked): (Docs, Vec<Asked>)| {
        runtime.block_on(async {
            let access = place.account().await;
            place.write(&access, &docs).await;
            for asked in asked {
                property(&place, &access, &docs, asked).await;
            }
        });
        Ok(())
    };
    runner(cases).run(&(docs(40), vec(asked(), 1..most)), of_account).unwrap();
}
