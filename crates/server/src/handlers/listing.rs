//! Listings: a page, all groups, CSV, or chunks.

use std::pin::pin;

use ::groups::{Cursor, ListQuery, start_key};
use auth::AccountAccess;
use bytes::Bytes;
use datastore::{Cause, StoreError, random_hex};
use futures::future::{self, Either};
use futures::{StreamExt as _, stream};
use serde_json::Value;
use serde_json::value::RawValue;

use super::call::{Call, csv_file_name};
use super::groups::{self, scope};
use crate::answer::{self, Answer, ChunkedEnvelope, Data, Paging, Success, csv};
use crate::catalogue::Refusal;
use crate::request::exchange::Exchange;
use crate::request::format::Format;

/// A listing. Either all rows are read, or only the first.
pub(crate) struct Prepared {
    rows: Vec<Box<RawValue>>,
    range: Range,
    end: End,
    /// crossbar's tag covers the request's id, so no two listings have the same tag.
    etag: Option<String>,
}

/// The range that the client asked for.
struct Range {
    is_paged: bool,
    start_key: Option<String>,
}

/// The rest of the listing after the rows that were read.
enum End {
    /// There are no more rows on this page. The group id is the first of the next page.
    Known(Option<String>),
    /// The other rows are sent while they are read.
    Unread(Box<Cursor>),
}

impl Range {
    /// The envelope's members about paging. A listing that does not come in pages has none.
    fn paging(&self, rows: u64, next_start_key: Option<&str>) -> Paging {
        Paging {
            next_start_key: next_start_key.map(start_key::encode),
            page_size: self.is_paged.then_some(rows),
            start_key: self.start_key.as_deref().filter(|_| self.is_paged).map(start_key::encode),
        }
    }
}

impl Prepared {
    pub(super) fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }
}

/// Reads a listing. The user in the path, if there is one, is checked at the same time. If that user does
/// not exist, the refusal says so, whatever became of the listing.
pub(super) async fn prepare(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    access: &AccountAccess,
) -> Result<Prepared, Refusal> {
    // The view is asked first, because it takes longer.
    let listing = pin!(read(exchange, call, access));
    let checked = pin!(groups::check_user(exchange, call, access));
    match future::select(listing, checked).await {
        Either::Left((listing, checked)) => {
            checked.await?;
            listing
        }
        Either::Right((checked, listing)) => {
            checked?;
            listing.await
        }
    }
}

async fn read(exchange: &Exchange<'_>, call: &Call<'_>, access: &AccountAccess) -> Result<Prepared, Refusal> {
    let query = list_query(exchange, call)?;
    let range = Range { is_paged: query.page_size.is_some(), start_key: query.start_key.clone() };
    let patience = exchange.app.settings.store_timeout;
    let mut cursor = exchange.app.groups.list(&scope(exchange, access), query, patience).await?;
    let is_chunked = call.parameters.is_chunked && call.format == Format::Json;
    let mut rows = Vec::new();
    while let Some(row) = cursor.next().await? {
        rows.push(row);
        if is_chunked {
            return Ok(Prepared { rows, range, end: End::Unread(Box::new(cursor)), etag: None });
        }
    }
    let next_start_key = cursor.next_start_key().map(str::to_owned);
    let etag = (!rows.is_empty()).then(random_hex);
    Ok(Prepared { rows, range, end: End::Known(next_start_key), etag })
}

pub(super) fn carry_out(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    listing: Prepared,
) -> Result<Answer, Refusal> {
    let Prepared { rows, range, end, etag } = listing;
    if call.format == Format::Csv {
        return as_csv(exchange, call, &rows);
    }
    let next_start_key = match end {
        End::Known(next_start_key) => next_start_key,
        End::Unread(cursor) => return Ok(in_chunks(exchange, &rows, *cursor, range)),
    };
    let revision = match exchange.is_read() {
        true => etag,
        // A listing through POST has no entity tag. crossbar writes this word in its place.
        false => etag.map(|_| "automatic".to_owned()),
    };
    let paging = range.paging(count(&rows), next_start_key.as_deref());
    answer::success(exchange, Success { revision, paging, ..Success::new(200, Data::Rows(rows)) })
}

fn count(rows: &[Box<RawValue>]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

fn list_query(exchange: &Exchange<'_>, call: &Call<'_>) -> Result<ListQuery, Refusal> {
    let parameters = call.parameters;
    let page_size = parameters.page_size(exchange.app.settings.page_size)?;
    parameters.check_chunk_size()?;
    Ok(ListQuery {
        user_id: call.user_id.map(str::to_owned),
        ascending: parameters.is_ascending,
        page_size,
        start_key: parameters.start_key.as_deref().map(start_key::decode),
        end_key: parameters.end_key.clone(),
        filters: parameters.filters()?,
    })
}

fn as_csv(exchange: &Exchange<'_>, call: &Call<'_>, rows: &[Box<RawValue>]) -> Result<Answer, Refusal> {
    if rows.is_empty() {
        return Ok(answer::no_csv());
    }
    let rows = rows.iter().map(|row| datastore::json::parse_stored_object(row.get()).map(Value::Object));
    let rows = rows.collect::<Result<Vec<_>, _>>();
    let rows = rows.map_err(|error| {
        Refusal::Store(StoreError::Corrupt(Cause::with_source("a row of the view is not an object", error)))
    })?;
    Ok(answer::as_csv(exchange, csv::render(&rows)?, &csv_file_name(call)))
}

/// A listing whose rows are sent while they are read, one in each chunk.
fn in_chunks(exchange: &Exchange<'_>, first: &[Box<RawValue>], rest: Cursor, range: Range) -> Answer {
    let envelope = ChunkedEnvelope::of(exchange);
    let head = envelope.head(first);
    let state = Some((rest, count(first), range, envelope));
    let rows = stream::unfold(state, |state| async move {
        let (mut cursor, sent, range, envelope) = state?;
        match cursor.next().await {
            Ok(Some(row)) => {
                let chunk = [b",", row.get().as_bytes()].concat();
                Some((Ok(Bytes::from(chunk)), Some((cursor, sent + 1, range, envelope))))
            }
            Ok(None) => Some((envelope.tail(range.paging(sent, cursor.next_start_key())), None)),
            Err(error) => {
                // The status has been sent, so the missing last chunk must tell the client.
                let request_id = envelope.request_id();
                log::error!(request_id; "a chunked listing broke off: {}", crate::chain(&error));
                Some((Err(std::io::Error::other("the listing broke off")), None))
            }
        }
    });
    answer::chunked(exchange, Box::pin(stream::once(async move { head }).chain(rows)))
}
