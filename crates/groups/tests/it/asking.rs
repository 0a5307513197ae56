//! What listings ask of the store, and what they make of its refusals.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use auth::AccountAccess;
use datastore::{Backend, Cause, DbName, Deadline, Layer, Result, RowStream, StoreError, ViewQuery};
use futures::future::BoxFuture;
use groups::{FilterValue, Filters, Groups, GroupsError, ListQuery};
use serde_json::json;

use crate::support::{PATIENCE, Place, object, scope};

/// A store that notes the queries. It can refuse them as invalid.
struct Noting {
    inner: Arc<dyn Backend>,
    queries: Mutex<Vec<ViewQuery>>,
    refuses: bool,
}

impl Layer for Noting {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        self.queries.lock().unwrap().push(query.clone());
        if self.refuses {
            return Box::pin(async { Err(StoreError::Invalid(Cause::new("refused"))) });
        }
        self.inner.query(db, query, deadline)
    }
}

/// An account with a group and the views.
async fn account() -> (Place, AccountAccess) {
    let place = Place::new().await;
    let access = place.account().await;
    place.create(&access, json!({"id": "g", "name": "n"})).await.unwrap();
    place.page(&access, ListQuery::default()).await;
    (place, access)
}

fn noting(place: &Place, refuses: bool) -> (Arc<Noting>, Groups) {
    let inner = Arc::<embedded::Embedded>::clone(&place.store);
    let store = Arc::new(Noting { inner, queries: Mutex::default(), refuses });
    (Arc::clone(&store), Groups::new(store))
}

/// A page and the row after it, and documents only for filters, which may need more rows than the page has.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_asks_for_what_it_needs() {
    let (place, access) = account().await;
    let (store, groups) = noting(&place, false);
    let asked = || {
        let queries = std::mem::take(&mut *store.queries.lock().unwrap());
        queries.into_iter().map(|query| (query.limit, query.include_docs)).collect::<Vec<_>>()
    };
    let filters = Filters::from_query([("has_key", &FilterValue::True)]);
    for (page_size, filters, expected) in [
        (None, Filters::default(), (None, false)),
        (None, filters.clone(), (None, true)),
        (Some(10), Filters::default(), (Some(11), false)),
        (Some(10), filters.clone(), (Some(200), true)),
        (Some(500), filters, (Some(501), true)),
        (Some(u64::MAX), Filters::default(), (Some(100_000), false)),
    ] {
        let list = ListQuery { page_size, filters, ..ListQuery::default() };
        let mut cursor = groups.list(&scope(&access), list, PATIENCE).await.unwrap();
        while cursor.next().await.unwrap().is_some() {}
        assert_eq!(asked(), [expected], "{page_size:?}");
    }
    let page = groups.turn_page(&scope(&access), ListQuery::default(), 10, PATIENCE).await.unwrap();
    assert_eq!(page.read(usize::MAX).await.unwrap().rows.unwrap().len(), 1);
    assert_eq!(asked(), [(Some(11), false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_refusal_of_a_range_is_an_empty_listing() {
    let (place, access) = account().await;
    let (_, groups) = noting(&place, true);
    let key = || Some("g".to_owned());
    for (start_key, end_key) in [(None, None), (key(), None), (None, key()), (key(), key())] {
        let is_range = start_key.is_some() && end_key.is_some();
        let list = ListQuery { start_key, end_key, ..ListQuery::default() };
        match groups.list(&scope(&access), list, PATIENCE).await {
            Ok(mut cursor) => assert!(is_range && cursor.next().await.unwrap().is_none()),
            Err(error) => assert!(!is_range && matches!(error, GroupsError::Store(StoreError::Invalid(_)))),
        }
    }
}

/// The views cannot be added to this document, so what the account has is not known.
#[tokio::test(flavor = "multi_thread")]
async fn a_design_document_in_another_language_is_no_empty_listing() {
    let place = Place::new().await;
    let access = place.account().await;
    let design = object(json!({"language": "query", "views": {}}));
    place.write(&access, &BTreeMap::from([("_design/groups".to_owned(), design)])).await;
    let range =
        ListQuery { start_key: Some("z".to_owned()), end_key: Some("a".to_owned()), ..ListQuery::default() };
    for list in [ListQuery::default(), range] {
        let refused = place.list(&access, list).await.err();
        assert!(matches!(refused, Some(GroupsError::Store(StoreError::Invalid(_)))), "{refused:?}");
    }
}
