//! The joined pages must be the whole listing, without gaps or duplicates. This must hold for any query, and
//! while groups are created and deleted between pages.

use std::collections::{BTreeMap, BTreeSet};

use auth::AccountAccess;
use groups::{Deletion, GroupsError, ListQuery};
use proptest::collection::vec;
use proptest::prelude::any;
use serde_json::json;

use crate::listings;
use crate::model::{Asked, USER, id};
use crate::support::{Place, object, runtime};

/// More pages than any listing in these tests has.
const MOST_PAGES: usize = 500;

/// All pages of a listing. Each page is requested with the start key from the one before.
async fn pages(place: &Place, access: &AccountAccess, asked: &Asked) -> Vec<(Vec<String>, Option<String>)> {
    let mut query = asked.query();
    let mut pages = Vec::new();
    loop {
        let (ids, next) = place.page(access, query.clone()).await;
        pages.push((ids, next.clone()));
        assert!(pages.len() < MOST_PAGES, "the listing never ends: {asked:?}");
        match next {
            Some(next) => query.start_key = Some(next),
            None => return pages,
        }
    }
}

#[test]
fn pages_are_those_of_the_model() {
    listings::check(48, 16, async |place, access, docs, asked| {
        assert_eq!(pages(place, access, &asked).await, asked.pages(docs), "{asked:?}");
    });
}

#[test]
fn a_listing_without_pages_is_the_pages_joined() {
    listings::check(32, 2, async |place, access, _, mut asked| {
        asked.end = None;
        let joined: Vec<_> = pages(place, access, &asked).await.into_iter().flat_map(|page| page.0).collect();
        let whole = ListQuery { page_size: None, ..asked.query() };
        assert_eq!(place.page(access, whole).await, (joined, None), "{asked:?}");
    });
}

#[test]
fn a_page_that_the_store_has_whole_is_at_hand() {
    let runtime = runtime();
    runtime.block_on(async {
        let place = Place::new().await;
        let access = place.account().await;
        for n in 0..3 {
            place.create(&access, json!({"id": format!("g{n}"), "name": "n"})).await.unwrap();
        }
        for (page_size, rows, next) in
            [(Some(2), 2, Some("g0")), (Some(3), 3, None), (Some(4), 3, None), (None, 3, None)]
        {
            let query = ListQuery { page_size, ..ListQuery::default() };
            let mut cursor = place.list(&access, query).await.unwrap();
            let (page, next_start_key) = cursor.page_at_hand().expect("few rows are read at once");
            assert_eq!((page.len(), page.iter().count(), next_start_key), (rows, rows, next));
            cursor.next().await.unwrap();
            assert!(cursor.page_at_hand().is_none(), "a row of it was taken");
        }
    });
}

/// Few groups match the filter, so the cursor must read several batches for one page.
#[test]
fn a_page_is_filled_across_many_rows_that_a_filter_leaves_out() {
    let runtime = runtime();
    runtime.block_on(async {
        let place = Place::new().await;
        let access = place.account().await;
        let mut docs = BTreeMap::new();
        for n in 0..1_500 {
            let doc = json!({"name": "n", "endpoints": {USER: {"type": "user"}}, "pvt_type": "group", "rare": n % 400 == 3});
            docs.insert(format!("g{n:04}"), object(doc));
        }
        place.write(&access, &docs).await;
        let truth = groups::FilterValue::Bytes(b"true".to_vec());
        let filters = groups::Filters::from_query([("filter_rare", &truth)]);
        for user_id in [None, Some(USER.to_owned())] {
            let query =
                ListQuery { user_id, page_size: Some(3), filters: filters.clone(), ..ListQuery::default() };
            let (ids, next) = place.page(&access, query.clone()).await;
            assert_eq!(ids, ["g1203", "g0803", "g0403"]);
            assert_eq!(next.as_deref(), Some("g0402"));
            let rest = ListQuery { start_key: next, ..query };
            assert_eq!(place.page(&access, rest).await, (vec!["g0003".to_owned()], None));
        }
    });
}

/// What another client does between two pages: each id with `true` to delete it or `false` to create it.
type Steps = Vec<(String, bool)>;

#[test]
fn groups_that_are_there_all_along_appear_once_whatever_comes_and_goes() {
    let runtime = runtime();
    let place = runtime.block_on(Place::new());
    let property =
        |(kept, steps, page_size, ascending, of_user): (BTreeSet<String>, Vec<Steps>, u64, bool, bool)| {
            runtime.block_on(async {
                let access = place.account().await;
                let asked =
                    Asked { of_user, ascending, page_size, start: None, end: None, conditions: Vec::new() };
                for id in &kept {
                    place.create(&access, group(id)).await.unwrap();
                }
                let seen = pages_while_others_work(&place, &access, &asked, &kept, &steps).await;
                let order: Vec<_> = seen.iter().filter(|id| kept.contains(*id)).collect();
                let mut wanted: Vec<_> = kept.iter().collect();
                if !ascending {
                    wanted.reverse();
                }
                assert_eq!(order, wanted, "every kept group appears, in order: {steps:?}");
                let distinct: BTreeSet<_> = seen.iter().collect();
                assert_eq!(distinct.len(), seen.len(), "no group appears twice: {seen:?}");
            });
            Ok(())
        };
    let kept = proptest::collection::btree_set(id(), 0..12);
    let steps = vec(vec((id(), any::<bool>()), 0..4), 0..12);
    listings::runner(32).run(&(kept, steps, 1_u64..5, any::<bool>(), any::<bool>()), property).unwrap();
}

fn group(id: &str) -> serde_json::Value {
    json!({"id": id, "name": id, "endpoints": {USER: {"type": "user"}}})
}

async fn pages_while_others_work(
    place: &Place,
    access: &AccountAccess,
    asked: &Asked,
    kept: &BTreeSet<String>,
    steps: &[Steps],
) -> Vec<String> {
    let mut query = asked.query();
    let mut seen = Vec::new();
    let mut steps = steps.iter();
    for _ in 0..MOST_PAGES {
        let (ids, next) = place.page(access, query.clone()).await;
        seen.extend(ids);
        let Some(next) = next else { return seen };
        query.start_key = Some(next);
        for (id, is_deletion) in steps.next().into_iter().flatten().filter(|(id, _)| !kept.contains(id)) {
            if *is_deletion {
                let deleted = place.delete(access, id, Deletion::Hard).await;
                assert!(matches!(deleted, Ok(()) | Err(GroupsError::NotFound { .. })), "{deleted:?}");
            } else {
                // The group may exist already.
                let _ = place.create(access, group(id)).await;
            }
        }
    }
    panic!("the listing never ends: {asked:?}")
}
