//! Listings: rows of the two group views, filtered, a page at a time. Nothing is read that the page
//! does not need, and pages are filled across rows that a filter leaves out.

use std::sync::Arc;
use std::time::Duration;

use datastore::{DbName, Deadline, RowStream, Store, StoreError, ViewQuery, ViewRow, ensure_design};
use futures::{StreamExt as _, stream};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::design::design_document;
use crate::error::GroupsError;
use crate::filter::Filters;

/// How many rows a filtered listing reads at a time, at least: a filter leaves most rows out.
const FILTERED_BATCH: u64 = 200;

/// How many rows are asked for at once, at most: CouchDB refuses limits beyond any use.
const MAX_BATCH: u64 = 100_000;

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only groups that have this user as a direct endpoint.
    pub user_id: Option<String>,
    /// From the lowest group id up; crossbar's default is from the highest down.
    pub ascending: bool,
    /// At most so many groups; none lists all.
    pub page_size: Option<u64>,
    /// The group id to begin with.
    pub start_key: Option<String>,
    /// The group id to end with.
    pub end_key: Option<String>,
    /// Conditions on the stored documents.
    pub filters: Filters,
}

/// Where a listing comes from.
pub(crate) struct Source {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) db: DbName,
    /// How long each further batch may take.
    pub(crate) patience: Duration,
}

impl Source {
    /// A view's rows. A view that is missing is created and asked again, as Kazoo does.
    async fn rows(&self, query: ViewQuery, deadline: Deadline) -> datastore::Result<RowStream> {
        let Self { store, db, .. } = self;
        match store.query(db, query.clone(), deadline).await {
            Err(StoreError::ViewMissing(cause)) => {
                log::info!(db = db.as_str(), reason = cause.reason(); "creating the design document of groups");
                ensure_design(&**store, db, &design_document(), deadline).await?;
                store.query(db, query, deadline).await
            }
            answer => answer,
        }
    }
}

/// A listing in progress: hands out one row after the other.
pub struct Cursor {
    source: Source,
    list: ListQuery,
    rows: RowStream,
    /// How many rows the running query was limited to, and how many of them came.
    batch_limit: Option<u64>,
    batch_rows: u64,
    last_id: Option<String>,
    returned: u64,
    next_start_key: Option<String>,
}

impl Cursor {
    /// Begins a listing.
    pub(crate) async fn open(
        source: Source,
        list: ListQuery,
        deadline: Deadline,
    ) -> Result<Self, GroupsError> {
        let batch_limit = first_limit(&list);
        let query = view_query(&list, list.start_key.as_deref(), batch_limit);
        let rows = match source.rows(query, deadline).await {
            // A range that ends before it begins is refused by every store; there is nothing in it.
            Err(StoreError::Invalid(_)) if list.start_key.is_some() && list.end_key.is_some() => {
                stream::empty().boxed()
            }
            answer => answer?,
        };
        Ok(Self {
            source,
            list,
            rows,
            batch_limit,
            batch_rows: 0,
            last_id: None,
            returned: 0,
            next_start_key: None,
        })
    }

    /// The next group's row, or none at the end of the page or listing.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn next(&mut self) -> Result<Option<Box<RawValue>>, GroupsError> {
        while let Some(row) = self.next_row().await? {
            if self.list.page_size == Some(self.returned) {
                // The row behind the page, matching or not, is where the next one begins.
                self.next_start_key = Some(row.id.as_str().to_owned());
                return Ok(None);
            }
            if self.is_wanted(&row)? {
                self.returned += 1;
                return Ok(Some(row.value));
            }
        }
        Ok(None)
    }

    /// Once [`Cursor::next`] has answered none: the group id that the next page begins with, if any.
    #[must_use]
    pub fn next_start_key(&self) -> Option<&str> {
        self.next_start_key.as_deref()
    }

    fn is_wanted(&self, row: &ViewRow) -> Result<bool, GroupsError> {
        if self.list.filters.is_empty() {
            return Ok(true);
        }
        // A document that went between its row and itself matches nothing.
        let Some(document) = &row.doc else { return Ok(false) };
        Ok(self.list.filters.matches(&Value::Object(document.to_object()?)))
    }

    async fn next_row(&mut self) -> Result<Option<ViewRow>, GroupsError> {
        loop {
            if let Some(row) = self.rows.next().await.transpose()? {
                self.batch_rows += 1;
                // A further batch begins with the row that the last one ended with, if it is still there.
                if self.last_id.as_deref() == Some(row.id.as_str()) {
                    continue;
                }
                self.last_id = Some(row.id.as_str().to_owned());
                return Ok(Some(row));
            }
            let Some(last_id) = &self.last_id else { return Ok(None) };
            if self.batch_limit != Some(self.batch_rows) {
                return Ok(None);
            }
            let query = view_query(&self.list, Some(last_id), self.batch_limit);
            let Source { store, db, patience } = &self.source;
            self.rows = store.query(db, query, Deadline::after(*patience)).await?;
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
        // All rows of a user share one key: the page goes by the group's id behind it.
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
