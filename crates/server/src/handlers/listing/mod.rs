//! Listings: a page, all groups, CSV, or chunks.

mod csv_rows;
mod rows;
mod sender;

use std::pin::pin;
use std::sync::Arc;

use ::groups::{Cursor, ListQuery, ListedRows, Scope, TurnedPage, start_key};
use auth::AccountAccess;
use datastore::random_hex;
use futures::future::{self, Either};

use self::rows::{BUFFERED, BUFFERED_WHOLE, End, gather};
use self::sender::Sender;
use super::call::{Call, csv_file_name};
use super::groups::{self, scope};
use crate::answer::{self, Answer, Data, Encoding, Pace, Paging, Success, csv};
use crate::catalogue::Refusal;
use crate::cost;
use crate::profile::{BadPageSize, Chunks, ListingOrder};
use crate::reading::Reading;
use crate::request::exchange::Exchange;
use crate::request::format::Format;

/// A page of at most this many groups is found on the event loop, unless there are filters.
const LIGHT_PAGE: u64 = 1_000;

/// A listing. Either all rows are read, or only the first ones.
pub(crate) struct Prepared {
    access: AccountAccess,
    rows: ListedRows,
    range: Range,
    end: End,
    pace: Pace,
    /// crossbar's tag covers the request's id, so no two listings have the same tag.
    etag: Option<String>,
}

/// The range of the listing, as the envelope shows it.
struct Range {
    is_paged: bool,
    start_key: Option<String>,
    /// The first group of the next page, if it is known before the rows are read.
    next_start_key: Option<String>,
}

impl Range {
    /// The envelope's members about paging. A listing that does not come in pages has none.
    fn paging(&self, rows: u64, next_start_key: Option<&str>) -> Paging {
        Paging {
            next_start_key: next_start_key.or(self.next_start_key.as_deref()).map(start_key::encode),
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
    let profile = exchange.profile();
    let query = list_query(exchange, call)?;
    let pace = match profile.listing.chunks {
        Chunks::OnRequest(_) if call.parameters.is_chunked && call.format == Format::Json => Pace::RowByRow,
        _ => Pace::InBlocks,
    };
    let scope = scope(exchange, access);
    // The store's rows count here until the request itself counts them.
    let reading = Reading::new(&exchange.reservation, cost::PER_ROW_BYTE);
    let (query, range, first) = match (profile.listing.order, query.page_size) {
        (ListingOrder::OfTheClient, page_size) => {
            let start_key = query.start_key.clone();
            (query, Range { is_paged: page_size.is_some(), start_key, next_start_key: None }, None)
        }
        (ListingOrder::PagesTurned, None) => {
            (query.turned(), Range { is_paged: false, start_key: None, next_start_key: None }, None)
        }
        (ListingOrder::PagesTurned, Some(page_size)) => {
            let page = Box::pin(turned_page(exchange, scope, query, page_size, &reading)).await?;
            let TurnedPage { rows, again, start_key, next_start_key } = page;
            (again, Range { is_paged: true, start_key, next_start_key }, rows)
        }
    };
    let (rows, end) = match first {
        Some(rows) => (rows.into(), End::Known(None)),
        None => gather_all(exchange, call.format, pace, &scope, query, &reading).await?,
    };
    let size = rows.bytes();
    let wanted = match &end {
        // A large row counts with its page until the next page is read.
        End::Unread(_) | End::ReadAgain(..) => cost::STREAM,
        End::Known(_) => cost::of_document(size),
    };
    if size > answer::LIGHT || !matches!(end, End::Known(_)) {
        exchange.reservation.grow_to(wanted).await?;
    }
    let is_empty = rows.is_empty() && matches!(end, End::Known(_));
    let etag = (!is_empty && pace == Pace::InBlocks).then(random_hex);
    Ok(Prepared { access: access.clone(), rows, range, end, pace, etag })
}

/// Reads the rows of a page that is shown in another order than it is taken in.
async fn turned_page(
    exchange: &Exchange<'_>,
    scope: Scope<'_>,
    query: ListQuery,
    page_size: u64,
    reading: &Arc<Reading>,
) -> Result<TurnedPage, Refusal> {
    let patience = exchange.app.live().store_timeout;
    let is_light = query.filters.is_empty() && page_size <= LIGHT_PAGE;
    let opened =
        reading.meter().scope(exchange.app.groups.turn_page(&scope, query, page_size, patience)).await;
    let page = opened?.read(BUFFERED_WHOLE);
    if is_light {
        return Ok(page.await?);
    }
    exchange.reservation.grow_to(cost::STREAM).await?;
    Ok(exchange.lane().run(page).await??)
}

/// Reads the rows of a listing, or the first ones if there are many.
async fn gather_all(
    exchange: &Exchange<'_>,
    format: Format,
    pace: Pace,
    scope: &Scope<'_>,
    query: ListQuery,
    reading: &Arc<Reading>,
) -> Result<(ListedRows, End), Refusal> {
    let patience = exchange.app.live().store_timeout;
    let is_filtered = !query.filters.is_empty();
    let cursor = reading.meter().scope(exchange.app.groups.list(scope, query.clone(), patience)).await?;
    if format == Format::Csv {
        exchange.reservation.grow_to(cost::STREAM).await?;
        let formulas = csv::Formulas::of(exchange.app.live());
        let work = Reading::new(&exchange.reservation, 1);
        return exchange.lane().run(csv_rows::gather(cursor, query, formulas, work)).await?;
    }
    let gathering = gather(cursor, if pace == Pace::RowByRow { 0 } else { BUFFERED });
    if is_filtered {
        exchange.reservation.grow_to(cost::STREAM).await?;
        return Ok(exchange.lane().run(gathering).await??);
    }
    Ok(gathering.await?)
}

pub(super) async fn carry_out(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    listing: Prepared,
) -> Result<Answer, Refusal> {
    let Prepared { access, rows, range, end, pace, etag } = listing;
    let revision = match exchange.is_read() {
        true => etag,
        // A listing through POST has no entity tag. crossbar writes this word in its place.
        false => etag.map(|_| "automatic".to_owned()),
    };
    let next_start_key = match end {
        End::Known(_) if call.format == Format::Csv => return as_csv(exchange, call, rows).await,
        End::Known(next_start_key) => next_start_key,
        End::Unread(cursor) => return Ok(streamed(exchange, pace, rows, *cursor, range, revision)),
        End::ReadAgain(columns, query) => return read_again(exchange, call, &access, columns, *query).await,
    };
    let paging = range.paging(count(&rows), next_start_key.as_deref());
    answer::success(exchange, Success { revision, paging, ..Success::new(200, Data::Rows(rows)) }).await
}

/// A listing that is sent while it is read.
fn streamed(
    exchange: &Exchange<'_>,
    pace: Pace,
    first: ListedRows,
    rest: Cursor,
    range: Range,
    revision: Option<String>,
) -> Answer {
    let encoding = match pace {
        // crossbar neither indents nor compresses this form.
        Pace::RowByRow => Encoding::default(),
        Pace::InBlocks => answer::encoding(exchange),
    };
    let start_key = range.paging(0, None).start_key;
    let writer = answer::listing_writer(exchange, pace, encoding, start_key, revision);
    let sender = Sender::new(exchange.request_id.clone(), sender::Form::Json(Box::new(writer), pace));
    let chunks = sender.send(&exchange.lane(), first, rest, move |rows, next| range.paging(rows, next));
    answer::streamed(exchange, encoding, chunks)
}

/// A listing as CSV that is read a second time, and sent meanwhile. What was written in between has no columns
/// of its own.
async fn read_again(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    access: &AccountAccess,
    columns: csv::Columns,
    query: ListQuery,
) -> Result<Answer, Refusal> {
    let patience = exchange.app.live().store_timeout;
    let scope = scope(exchange, access);
    let reading = Reading::new(&exchange.reservation, cost::PER_ROW_BYTE);
    let cursor = reading.meter().scope(exchange.app.groups.list(&scope, query, patience)).await?;
    let form = sender::Form::csv(columns, Reading::new(&exchange.reservation, 1));
    let sender = Sender::new(exchange.request_id.clone(), form);
    let chunks = sender.send(&exchange.lane(), Vec::new().into(), cursor, |_, _| Paging::default());
    Ok(answer::streamed_csv(exchange, chunks, &csv_file_name(call)))
}

fn count(rows: &ListedRows) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

fn list_query(exchange: &Exchange<'_>, call: &Call<'_>) -> Result<ListQuery, Refusal> {
    let parameters = call.parameters;
    let listing = &exchange.profile().listing;
    let default_size = exchange.app.live().page_size;
    let page_size = match parameters.page_size(default_size) {
        Err(_) if listing.bad_page_size == BadPageSize::Default => Some(default_size),
        page_size => page_size?,
    };
    if let Chunks::OnRequest(_) = listing.chunks {
        parameters.check_chunk_size()?;
    }
    Ok(ListQuery {
        user_id: call.user_id.map(str::to_owned),
        ascending: parameters.is_ascending,
        page_size,
        start_key: parameters.start_key.as_deref().map(start_key::decode),
        end_key: parameters.end_key.clone(),
        filters: parameters.filters()?,
    })
}

/// A listing as CSV whose rows are all there.
async fn as_csv(exchange: &Exchange<'_>, call: &Call<'_>, rows: ListedRows) -> Result<Answer, Refusal> {
    if rows.is_empty() {
        return Ok(answer::no_csv());
    }
    let formulas = csv::Formulas::of(exchange.app.live());
    let work = Reading::new(&exchange.reservation, 1);
    let csv = exchange.lane().run(async move { csv_rows::render(&rows, formulas, &work).await }).await??;
    Ok(answer::as_csv(exchange, csv, &csv_file_name(call)))
}
