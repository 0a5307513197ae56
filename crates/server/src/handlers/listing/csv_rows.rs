//! The rows of a listing as CSV. The first line names the columns of all rows, so a listing that does not fit into
//! memory is read twice.

use datastore::{Cause, JsonText, StoreError};
use fair::Breaks;
use groups::{Cursor, ListQuery};
use serde_json::Value;

use super::rows::{self, BUFFERED, End};
use crate::answer::csv;
use crate::catalogue::Refusal;

/// Reads all rows. If they fit into memory, they are kept. If not, only their columns are.
pub(super) async fn gather(
    cursor: Cursor,
    query: ListQuery,
    formulas: csv::Formulas,
) -> Result<(Vec<JsonText>, End), Refusal> {
    let (rows, mut rest) = match rows::gather(cursor, BUFFERED).await? {
        (rows, End::Unread(rest)) => (rows, rest),
        all => return Ok(all),
    };
    let mut columns = csv::Columns::new(formulas);
    let mut breaks = Breaks::default();
    for row in &rows {
        columns.add(&parse(row)?)?;
        breaks.after(row.get().len()).await;
    }
    while let Some(row) = rest.next().await? {
        columns.add(&parse(&row)?)?;
        breaks.after(row.get().len()).await;
    }
    Ok((Vec::new(), End::ReadAgain(columns, Box::new(query))))
}

/// The CSV of rows.
pub(super) fn render(rows: &[JsonText], formulas: csv::Formulas) -> Result<Vec<u8>, Refusal> {
    let rows: Vec<_> = rows.iter().map(parse).collect::<Result<_, _>>()?;
    csv::render(&rows, formulas)
}

/// A row as a value.
pub(super) fn parse(row: &JsonText) -> Result<Value, StoreError> {
    let object = datastore::json::parse_stored_object(row.get()).map_err(|error| {
        StoreError::Corrupt(Cause::with_source("a row of the view is not an object", error))
    })?;
    Ok(Value::Object(object))
}
