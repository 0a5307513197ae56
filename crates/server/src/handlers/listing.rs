//! Listings: a page, all of it, as CSV, or as chunks.

use auth::AccountAccess;
use bytes::Bytes;
use datastore::random_hex;
use futures::stream;
use groups::{Cursor, ListQuery, start_key};
use serde_json::Value;
use serde_json::value::RawValue;

use super::groups::scope;
use super::{Call, csv_file_name};
use crate::answer::csv;
use crate::answer::{self, Answer, Paging, Success};
use crate::catalogue::Refusal;
use crate::request::exchange::Exchange;
use crate::request::format::Format;

/// A listing that has been read, or begun.
pub(crate) struct Prepared {
    rows: Vec<Box<RawValue>>,
    /// The rest of a listing that is sent as it is read.
    rest: Option<Cursor>,
    is_paged: bool,
    start_key: Option<String>,
    next_start_key: Option<String>,
    /// Crossbar tags a listing with a digest over the request's id too: no two are equal.
    etag: Option<String>,
}

impl Prepared {
    pub(super) fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }
}

pub(super) async fn prepare(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    access: &AccountAccess,
) -> Result<Prepared, Refusal> {
    let groups = &exchange.app.groups;
    let query = list_query(exchange, call)?;
    let (is_paged, start_key) = (query.page_size.is_some(), query.start_key.clone());
    let patience = exchange.app.settings.store_timeout;
    let mut cursor = groups.list(&scope(exchange, access), query, patience).await?;
    let mut rows = Vec::new();
    while let Some(row) = cursor.next().await? {
        rows.push(row);
        if call.parameters.is_chunked && call.format == Format::Json {
            return Ok(Prepared {
                rows,
                rest: Some(cursor),
                is_paged,
                start_key,
                next_start_key: None,
                etag: None,
            });
        }
    }
    let next_start_key = cursor.next_start_key().map(str::to_owned);
    let etag = (!rows.is_empty()).then(random_hex);
    Ok(Prepared { rows, rest: None, is_paged, start_key, next_start_key, etag })
}

pub(super) fn carry_out(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    listing: Prepared,
) -> Result<Answer, Refusal> {
    if call.format == Format::Csv {
        return as_csv(exchange, call, &listing);
    }
    if let Some(rest) = listing.rest {
        return Ok(as_chunks(exchange, listing.rows, rest, listing.is_paged, listing.start_key));
    }
    let page_size = u64::try_from(listing.rows.len()).unwrap_or(u64::MAX);
    let paging = Paging {
        next_start_key: listing.next_start_key.as_deref().map(start_key::encode),
        page_size: listing.is_paged.then_some(page_size),
        start_key: listing.start_key.as_deref().filter(|_| listing.is_paged).map(start_key::encode),
    };
    let revision = match exchange.is_read() {
        true => listing.etag,
        // Through POST there is no entity tag, and this word stays where its digest would stand.
        false => listing.etag.map(|_| "automatic".to_owned()),
    };
    Ok(answer::success(
        exchange,
        Success { status: 200, data: join(&listing.rows), revision, paging, ..Success::default() },
    ))
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
        filters: parameters.filters(),
    })
}

fn join(rows: &[Box<RawValue>]) -> String {
    let length: usize = rows.iter().map(|row| row.get().len() + 1).sum();
    let mut data = String::with_capacity(length + 2);
    data.push('[');
    for (place, row) in rows.iter().enumerate() {
        if place > 0 {
            data.push(',');
        }
        data.push_str(row.get());
    }
    data.push(']');
    data
}

fn as_csv(exchange: &Exchange<'_>, call: &Call<'_>, listing: &Prepared) -> Result<Answer, Refusal> {
    if listing.rows.is_empty() {
        return Ok(answer::no_csv());
    }
    let rows =
        listing.rows.iter().map(|row| datastore::json::parse_stored_object(row.get()).map(Value::Object));
    let rows =
        rows.collect::<Result<Vec<_>, _>>().map_err(|_| Refusal::Broken("a view's row is no object"))?;
    Ok(answer::as_csv(exchange, csv::render(&Value::Array(rows)), &csv_file_name(call)))
}

/// The listing in crossbar's own order of members for chunks: the data first, then what is known only
/// when it has all been read. All values behind the data are texts.
fn as_chunks(
    exchange: &Exchange<'_>,
    first: Vec<Box<RawValue>>,
    rest: Cursor,
    is_paged: bool,
    start_key: Option<String>,
) -> Answer {
    let sent = u64::try_from(first.len()).unwrap_or(u64::MAX);
    let head = format!("{{\"data\":{}", join(&first).trim_end_matches(']'));
    let closing = Closing {
        is_paged,
        start_key,
        members: answer::chunked_members(exchange),
        request_id: exchange.request_id.clone(),
    };
    let rows = stream::unfold(Some((rest, sent, closing)), |state| async move {
        let (mut cursor, sent, closing) = state?;
        match cursor.next().await {
            Ok(Some(row)) => {
                Some((Ok(Bytes::from(format!(",{}", row.get()))), Some((cursor, sent + 1, closing))))
            }
            Ok(None) => Some((Ok(Bytes::from(closing.text(sent, cursor.next_start_key()))), None)),
            Err(error) => {
                // The status is sent already: ending without the closing chunk is all that can tell.
                log::error!(request_id = closing.request_id.as_str(); "a chunked listing broke off: {}", crate::chain(&error));
                Some((Err(std::io::Error::other("the listing broke off")), None))
            }
        }
    });
    let chunks = futures::StreamExt::chain(stream::once(async move { Ok(Bytes::from(head)) }), rows);
    answer::chunked(exchange, Box::pin(chunks))
}

struct Closing {
    is_paged: bool,
    start_key: Option<String>,
    members: Vec<(&'static str, String)>,
    request_id: String,
}

impl Closing {
    fn text(&self, sent: u64, next_start_key: Option<&str>) -> String {
        let mut members = Vec::new();
        if self.is_paged {
            members.extend(next_start_key.map(|key| ("next_start_key", start_key::encode(key))));
            members.push(("page_size", sent.to_string()));
            members.extend(self.start_key.as_deref().map(|key| ("start_key", start_key::encode(key))));
        }
        members.extend(self.members.iter().cloned());
        let members =
            members.iter().map(|(key, value)| format!(", \"{key}\":{}", Value::from(value.as_str())));
        format!("]{}}}", members.collect::<String>())
    }
}
