//! The rows of a listing as CSV. The first line names the columns of all rows, so a listing that does not fit into
//! memory is read twice.

use std::sync::Arc;

use datastore::{Cause, JsonText, StoreError};
use fair::Breaks;
use groups::{Cursor, ListQuery, ListedRows};
use serde_json::Value;

use super::rows::{self, BUFFERED_WHOLE, End};
use crate::answer::{self, csv};
use crate::catalogue::Refusal;
use crate::cost;
use crate::reading::Reading;

/// Reads all rows. If they fit into memory, they are kept. If not, only their columns are.
pub(super) async fn gather(
    cursor: Cursor,
    query: ListQuery,
    formulas: csv::Formulas,
    work: Arc<Reading>,
) -> Result<(ListedRows, End), Refusal> {
    let (rows, mut rest) = match rows::gather(cursor, BUFFERED_WHOLE).await? {
        (rows, End::Unread(rest)) => (rows, rest),
        all => return Ok(all),
    };
    let mut columns = csv::Columns::new(formulas);
    let mut breaks = Breaks::default();
    for row in rows.iter() {
        columns.add(&parse(row, &work).await?)?;
        breaks.after(row.get().len()).await;
    }
    while let Some(row) = rest.next().await? {
        columns.add(&parse(&row, &work).await?)?;
        breaks.after(row.get().len()).await;
    }
    Ok((Vec::new().into(), End::ReadAgain(columns, Box::new(query))))
}

/// The CSV of rows.
pub(super) async fn render(
    rows: &ListedRows,
    formulas: csv::Formulas,
    work: &Reading,
) -> Result<Vec<u8>, Refusal> {
    let wanted = rows.iter().map(|row| cost::of_parsed(row.get().as_bytes())).sum();
    if wanted > answer::LIGHT {
        work.hold_for_work(wanted).await?;
    }
    let rows: Vec<_> = rows.iter().map(value_of).collect::<Result<_, _>>()?;
    csv::render(&rows, formulas)
}

/// A row as a value. Before a large one is parsed, there must be room for that.
pub(super) async fn parse(row: &JsonText, work: &Reading) -> Result<Value, StoreError> {
    if row.get().len() > answer::LIGHT {
        let wanted = cost::of_parsed(row.get().as_bytes());
        work.hold_for_work(wanted).await?;
    }
    value_of(row)
}

fn value_of(row: &JsonText) -> Result<Value, StoreError> {
    let object = datastore::json::parse_stored_object(row.get()).map_err(|error| {
        StoreError::Corrupt(Cause::with_source("a row of the view is not an object", error))
    })?;
    Ok(Value::Object(object))
}
