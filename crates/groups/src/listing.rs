//! Listings of groups: reads rows from one of the two group views, filters them, and returns one page. If a
//! filter drops rows, the listing reads further batches until the page is full.

use std::sync::Arc;
use std::time::Duration;

use datastore::{DbName, Deadline, DocId, JsonText, Meter, RowStream, Store, StoreError, ViewQuery, ViewRow};
use fair::Breaks;
use futures::StreamExt as _;
use serde_json::json;

use crate::design::ensure_views;
use crate::error::GroupsError;
use crate::filter::Filters;

/// The smallest batch of a filtered listing. Filters usually drop most rows, so a batch should be larger
/// than the page.
const FILTERED_BATCH: u64 = 200;

/// The largest batch. CouchDB refuses very large limits.
const MAX_BATCH: u64 = 100_000;

/// The parameters of a listing.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only groups that have this user as a direct endpoint.
    pub user_id: Option<String>,
    /// Whether to sort by ascending group id. crossbar's default is descending.
    pub ascending: bool,
    /// The most groups on a page. `None` lists all groups.
    pub page_size: Option<u64>,
    /// The first group id.
    pub start_key: Option<String>,
    /// The last group id.
    pub end_key: Option<String>,
    /// Conditions on the stored documents.
    pub filters: Filters,
}

/// The database that a listing reads.
pub(crate) struct Source {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) db: DbName,
    /// How long each batch after the first may take.
    pub(crate) patience: Duration,
    /// The caller's. Further batches may be read in another task.
    pub(crate) meter: Meter,
}

impl Source {
    /// The first rows of a listing. If the view is missing, it is added to its design document first, as in Kazoo.
    async fn first_rows(
        &self,
        list: &ListQuery,
        limit: Option<u64>,
        deadline: Deadline,
    ) -> datastore::Result<RowStream> {
        let Self { store, db, .. } = self;
        let query = || store.query(db, view_query(list, list.start_key.as_deref(), limit), deadline);
        let answer = match query().await {
            Err(StoreError::ViewMissing(cause)) => {
                let ensured = ensure_views(&**store, db, deadline).await?;
                log::info!(db = db.as_str(), reason = cause.reason(); "a view was missing; {ensured}");
                query().await
            }
            answer => answer,
        };
        match answer {
            // Every store refuses a range that ends before it begins. Such a listing is empty.
            Err(StoreError::Invalid(_)) if list.start_key.is_some() && list.end_key.is_some() => {
                Ok(RowStream::of_page(Arc::new([])))
            }
            answer => answer,
        }
    }
}

/// The rows of a page, each as the view has emitted it.
#[derive(Clone, Debug)]
pub struct ListedRows(Rows);

#[derive(Clone, Debug)]
enum Rows {
    Taken(Vec<JsonText>),
    /// The first rows of a page that the store keeps. A reference to each of them would cost more than to write it.
    AtHand {
        page: Arc<[ViewRow]>,
        shown: usize,
    },
}

impl ListedRows {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Rows::Taken(rows) => rows.len(),
            Rows::AtHand { shown, .. } => *shown,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes they have together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|row| row.get().len()).sum()
    }

    /// The rows in their order.
    pub fn iter(&self) -> impl Iterator<Item = &JsonText> {
        let (taken, at_hand): (&[JsonText], &[ViewRow]) = match &self.0 {
            Rows::Taken(rows) => (rows, &[]),
            Rows::AtHand { page, shown } => (&[], page.get(..*shown).unwrap_or_default()),
        };
        taken.iter().chain(at_hand.iter().map(|row| &row.value))
    }
}

impl From<Vec<JsonText>> for ListedRows {
    fn from(rows: Vec<JsonText>) -> Self {
        Self(Rows::Taken(rows))
    }
}

/// A running listing. It returns its rows one by one.
pub struct Cursor {
    source: Source,
    list: ListQuery,
    rows: RowStream,
    /// The most rows in a batch.
    batch_limit: Option<u64>,
    /// How many rows of the current batch have arrived.
    batch_rows: u64,
    last_id: Option<DocId>,
    returned: u64,
    next_start_key: Option<String>,
    breaks: Breaks,
}

impl Cursor {
    /// Starts a listing.
    pub(crate) async fn open(
        source: Source,
        list: ListQuery,
        deadline: Deadline,
    ) -> Result<Self, GroupsError> {
        let batch_limit = first_limit(&list);
        let rows = source.first_rows(&list, batch_limit, deadline).await?;
        Ok(Self {
            source,
            list,
            rows,
            batch_limit,
            batch_rows: 0,
            last_id: None,
            returned: 0,
            next_start_key: None,
            breaks: Breaks::default(),
        })
    }

    /// The whole page, if the store has it at hand and nothing of it was taken. It has no filters then.
    #[must_use]
    pub fn page_at_hand(&self) -> Option<(ListedRows, Option<&str>)> {
        let page = self.rows.page().filter(|_| self.list.filters.is_empty() && self.batch_rows == 0)?;
        let rows = page.len();
        let shown = self.list.page_size.map_or(rows, |size| usize::try_from(size).unwrap_or(rows).min(rows));
        let next = page.get(shown);
        // Without the row after it, a batch that is full may have another one behind it.
        let is_full = self.batch_limit.is_some_and(|limit| usize::try_from(limit) == Ok(rows));
        if is_full && next.is_none() {
            return None;
        }
        let shown = ListedRows(Rows::AtHand { page: Arc::clone(page), shown });
        Some((shown, next.map(|row| row.id.as_str())))
    }

    /// The row of the next group. `None` at the end of the page.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn next(&mut self) -> Result<Option<JsonText>, GroupsError> {
        while let Some(row) = self.next_row().await? {
            if self.list.page_size == Some(self.returned) {
                // The next page starts with the row after this page, even if the filters drop that row.
                self.next_start_key = Some(row.id.as_str().to_owned());
                return Ok(None);
            }
            if self.is_wanted(&row).await? {
                self.returned += 1;
                return Ok(Some(row.value));
            }
        }
        Ok(None)
    }

    /// The group id that the next page starts with, if there is another page. It is known once
    /// [`Cursor::next`] has returned `None`.
    #[must_use]
    pub fn next_start_key(&self) -> Option<&str> {
        self.next_start_key.as_deref()
    }

    /// Whether a row passes the filters. Others may run between two large documents.
    pub(crate) async fn is_wanted(&mut self, row: &ViewRow) -> Result<bool, GroupsError> {
        if self.list.filters.is_empty() {
            return Ok(true);
        }
        // The document was deleted after its row was read.
        let Some(document) = &row.doc else { return Ok(false) };
        let is_wanted = self.list.filters.matches(document)?;
        self.breaks.after(document.text().len()).await;
        Ok(is_wanted)
    }

    pub(crate) async fn next_row(&mut self) -> Result<Option<ViewRow>, GroupsError> {
        loop {
            if let Some(row) = self.rows.next().await.transpose()? {
                self.batch_rows += 1;
                // Each batch starts with the last row of the one before, unless that row is gone. Skip it.
                if self.last_id.as_ref() == Some(&row.id) {
                    continue;
                }
                self.last_id = Some(row.id.clone());
                return Ok(Some(row));
            }
            let Some(last_id) = &self.last_id else { return Ok(None) };
            if self.batch_limit != Some(self.batch_rows) {
                return Ok(None);
            }
            let query = view_query(&self.list, Some(last_id.as_str()), self.batch_limit);
            let Source { store, db, patience, meter } = &self.source;
            self.rows = meter.scope(store.query(db, query, Deadline::after(*patience))).await?;
            self.batch_rows = 0;
        }
    }
}

fn first_limit(list: &ListQuery) -> Option<u64> {
    let with_next = list.page_size?.saturating_add(1);
    let rows = if list.filters.is_empty() { with_next } else { with_next.max(FILTERED_BATCH) };
    Some(rows.min(MAX_BATCH))
}

fn view_query(list: &ListQuery, from: Option<&str>, limit: Option<u64>) -> ViewQuery {
    let mut query = match &list.user_id {
        None => ViewQuery {
            start_key: from.map(|id| json!(id)),
            end_key: list.end_key.as_ref().map(|id| json!(id)),
            ..ViewQuery::of("groups", "crossbar_listing")
        },
        // All rows of a user have the same key, so the page position is the document id.
        Some(user_id) => ViewQuery {
            start_key: Some(json!(user_id)),
            end_key: Some(json!(user_id)),
            start_key_doc_id: from.map(str::to_owned),
            end_key_doc_id: list.end_key.clone(),
            ..ViewQuery::of("groups", "crossbar_listing_by_user")
        },
    };
    query.descending = !list.ascending;
    query.limit = limit;
    query.include_docs = !list.filters.is_empty();
    query
}
