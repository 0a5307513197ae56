//! Feeds that watch a database.

use std::time::{Duration, Instant};

use datastore::{Changes, Sign, Store};
use futures::{FutureExt as _, StreamExt as _};
use serde_json::json;

use crate::support::{TestStore, draft, soon};

/// After it has told a change, a feed that watches rests, and then it tells all changes that came meanwhile. So many
/// writes do not wake it one by one.
#[tokio::test]
async fn a_watching_feed_rests_between_changes() {
    let test = TestStore::new().await;
    let save = async |id: &str| test.store.save(&test.db, draft(id, None, json!({})), soon()).await.unwrap();
    let mut signs = test.store.watch(&test.db, Duration::from_secs(1));
    assert!(matches!(signs.next().await, Some(Ok(Sign::Alive(_)))));
    let told = |sign| match sign {
        Some(Ok(Sign::Changed { id, .. })) => id.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    for round in 0..3 {
        let ids = ["a", "b", "c"].map(|name| format!("{name}{round}"));
        save(&ids[0]).await;
        assert_eq!(told(signs.next().await), ids[0]);
        let begun = Instant::now();
        save(&ids[1]).await;
        save(&ids[2]).await;
        assert_eq!(told(signs.next().await), ids[1]);
        assert!(begun.elapsed() >= Duration::from_millis(3), "{:?}", begun.elapsed());
        assert_eq!(told(signs.next().now_or_never().unwrap()), ids[2], "it comes with the other one");
    }
}
