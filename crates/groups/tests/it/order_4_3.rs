//! Pages that are taken in ascending order and shown in descending order, against a model that reads a page in
//! parts, each by itself, as Kazoo 4.3 does.

use auth::AccountAccess;
use groups::{ListQuery, TurnedPage};
use serde_json::Value;

use crate::listings;
use crate::model::{Asked, Docs};
use crate::support::{PATIENCE, Place, scope};

/// What a page shows.
#[derive(Debug, PartialEq)]
struct Shown {
    ids: Vec<String>,
    start_key: Option<String>,
    next_start_key: Option<String>,
}

/// The page of the model. Each part asks for one row more than the page lacks. If there is one, it begins the next
/// part.
fn model(asked: &Asked, docs: &Docs) -> Shown {
    let all = Asked { ascending: true, start: None, end: None, ..asked.clone() }.rows(docs);
    let mut shown = Shown { ids: Vec::new(), start_key: asked.start.clone(), next_start_key: None };
    let mut lacking = usize::try_from(asked.page_size).unwrap();
    loop {
        let start = shown.start_key.clone();
        let from: Vec<_> =
            all.iter().filter(|(id, _)| start.as_ref().is_none_or(|start| id >= start)).collect();
        let part: Vec<_> = from.iter().take(lacking).collect();
        let passed: Vec<_> = part.iter().filter(|(_, passes)| *passes).map(|(id, _)| id.clone()).collect();
        lacking -= passed.len();
        shown.ids = passed.into_iter().rev().chain(shown.ids).collect();
        let Some((next, _)) = from.get(part.len()) else { return shown };
        shown.next_start_key = Some(next.clone());
        if lacking == 0 {
            return shown;
        }
        shown.start_key = Some(next.clone());
    }
}

fn ids<'a>(rows: impl IntoIterator<Item = &'a datastore::JsonText>) -> Vec<String> {
    let row = |row: &datastore::JsonText| serde_json::from_str::<Value>(row.get()).unwrap();
    rows.into_iter().map(|text| row(text)["id"].as_str().unwrap().to_owned()).collect()
}

async fn page(place: &Place, access: &AccountAccess, asked: &Asked, most_bytes: usize) -> TurnedPage {
    let opened = place.groups.turn_page(&scope(access), asked.query(), asked.page_size, PATIENCE).await;
    opened.unwrap().read(most_bytes).await.unwrap()
}

#[test]
fn turned_pages_are_those_of_the_model() {
    listings::check(48, 16, async |place, access, docs, asked| {
        let expected = model(&asked, docs);
        let TurnedPage { rows, again, start_key, next_start_key } =
            page(place, access, &asked, usize::MAX).await;
        let shown = Shown { ids: ids(rows.as_ref().unwrap()), start_key, next_start_key };
        assert_eq!(shown, expected, "{asked:?}");
        // A page that is too large for memory is read again.
        if !shown.ids.is_empty() {
            assert_eq!(place.page(access, again).await, (shown.ids, None), "again: {asked:?}");
            assert!(page(place, access, &asked, 0).await.rows.is_none());
        }
    });
}

#[test]
fn a_turned_listing_without_pages_is_the_turned_pages_joined() {
    listings::check(32, 2, async |place, access, docs, asked| {
        let whole = ListQuery { page_size: None, end_key: None, ..asked.query() }.turned();
        let everything = Asked { page_size: 1_000_000, ..asked.clone() };
        assert_eq!(place.page(access, whole).await, (model(&everything, docs).ids, None), "{asked:?}");
    });
}
