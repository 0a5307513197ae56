//! Turns a query into a range of sort bytes and reads the rows in that range, page by page. Each page is
//! one read transaction. No transaction stays open between pages, so a slow reader blocks nobody.

use std::sync::Arc;
use std::time::Duration;

use datastore::{
    Cause, Deadline, DocId, Document, JsonText, Meter, SMALL, StoreError, ViewQuery, ViewRow, ViewSource,
};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params};
use serde_json::Value;

use crate::catalogue::{Db, Phase, View, database_missing};
use crate::collate;
use crate::error::{SqliteResult, invalid};
use crate::put::sort_of_row;
use crate::read::stored_rev;

/// How long a listing that found no room waits before it asks again.
const PAUSE: Duration = Duration::from_millis(100);

/// The part of a query's rows that is still to be read.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    db: Arc<Db>,
    /// `None` for a listing of all documents.
    view: Option<Arc<View>>,
    /// The lowest sort value in the range.
    low: Sql,
    /// The upper end of the range, which is not part of it.
    high: Sql,
    descending: bool,
    include_docs: bool,
    skip: u64,
    left: Option<u64>,
    page_rows: usize,
    page_bytes: usize,
    meter: Meter,
    /// How many bytes of rows the meter has room for, as far as is known.
    allowance: usize,
    /// The next row needs this much, and there was no room for it.
    wanted: Option<usize>,
    /// Whether rows were returned.
    has_begun: bool,
}

/// Some rows, and the rest of the scan if there may be more.
pub(crate) struct Page {
    pub(crate) rows: Vec<ViewRow>,
    pub(crate) rest: Option<Scan>,
}

impl Scan {
    /// Prepares the scan for a query.
    ///
    /// # Errors
    /// `Invalid` if the range ends before it begins.
    pub(crate) fn new(
        db: Arc<Db>,
        view: Option<Arc<View>>,
        query: &ViewQuery,
        (page_rows, page_bytes): (usize, usize),
        meter: Meter,
    ) -> Result<Self, StoreError> {
        let (first, last) = match &query.key {
            Some(key) => (Some(key), Some(key)),
            None => (query.start_key.as_ref(), query.end_key.as_ref()),
        };
        if let (Some(first), Some(last)) = (first, last) {
            let (first, last) = (collate::encode(first), collate::encode(last));
            if if query.descending { first < last } else { first > last } {
                return Err(invalid(
                    "no rows can match the key range: reverse start_key and end_key, or set descending",
                ));
            }
        }
        let edge = |key: &Value, id: Option<&String>, after: bool| match query.source {
            ViewSource::AllDocs => id_edge(key, after),
            ViewSource::View { .. } => row_edge(key, id, after),
        };
        let (lowest, highest) = match query.source {
            ViewSource::AllDocs => (Sql::Text(String::new()), Sql::Blob(Vec::new())),
            ViewSource::View { .. } => (Sql::Blob(Vec::new()), Sql::Blob(vec![collate::ABOVE])),
        };
        let begin = |after| first.map(|key| edge(key, query.start_key_doc_id.as_ref(), after));
        let end = |after| last.map(|key| edge(key, query.end_key_doc_id.as_ref(), after));
        let (low, high) = if query.descending {
            (end(query.exclusive_end), begin(true))
        } else {
            (begin(false), end(!query.exclusive_end))
        };
        Ok(Self {
            db,
            view,
            low: low.unwrap_or(lowest),
            high: high.unwrap_or(highest),
            descending: query.descending,
            include_docs: query.include_docs,
            skip: query.skip,
            left: query.limit,
            page_rows: page_rows.max(1),
            page_bytes,
            allowance: if meter.counts() { SMALL } else { usize::MAX },
            meter,
            wanted: None,
            has_begun: false,
        })
    }

    /// Waits for the room that the next row needs. No rows are held meanwhile.
    ///
    /// # Errors
    /// `Busy` if there is none before the deadline.
    pub(crate) async fn wait_for_room(&mut self, deadline: Deadline) -> Result<(), StoreError> {
        let Some(wanted) = self.wanted.take() else { return Ok(()) };
        loop {
            match self.meter.hold(wanted).await {
                Ok(()) => {
                    self.allowance = wanted;
                    return Ok(());
                }
                // Rows have been sent, so this caller waits longer than one that has got nothing.
                Err(_) if self.has_begun && deadline.remaining() > PAUSE => tokio::time::sleep(PAUSE).await,
                Err(busy) => return Err(busy),
            }
        }
    }

    /// Whether a page with `held` bytes may take a row of `bytes`. If not, the page ends before it.
    fn has_room(&mut self, held: usize, bytes: usize) -> bool {
        let sum = held.saturating_add(bytes);
        if sum <= self.allowance {
            return true;
        }
        // A page of several rows grows in steps up to its bound. A larger row has a page for itself.
        let wanted = sum.max(self.allowance.saturating_mul(2).min(self.page_bytes));
        if bytes > self.most_loaded() || !self.meter.try_hold(wanted) {
            self.wanted = Some(if held == 0 { wanted } else { bytes });
            return false;
        }
        self.allowance = wanted;
        true
    }

    /// SQLite loads no row with more bytes than this.
    fn most_loaded(&self) -> usize {
        self.page_bytes.max(self.allowance)
    }

    /// The id of the database.
    pub(crate) fn db(&self) -> i64 {
        self.db.id
    }

    /// Reads the next page.
    ///
    /// # Errors
    /// `DatabaseMissing`, or `Unavailable` if the view was replaced.
    pub(crate) fn page(self, connection: &Connection) -> Result<Page, StoreError> {
        let page = self.read(connection)?;
        // Rows are removed only after their database or view is marked as gone. So if it is not marked
        // now, the page that was just read is complete.
        if page.0.db.is_gone() {
            return Err(database_missing(&page.0.db.name));
        }
        if page.0.view.as_ref().is_some_and(|view| *view.phase.borrow() == Phase::Gone) {
            return Err(StoreError::Unavailable(Cause::new("the view was replaced while it was read")));
        }
        let (scan, rows, all) = page;
        Ok(Page { rows, rest: (!all).then_some(scan) })
    }

    fn read(mut self, connection: &Connection) -> Result<(Self, Vec<ViewRow>, bool), StoreError> {
        const WHAT: &str = "reading rows";
        let wanted = usize::try_from(self.left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).min(self.page_rows);
        if wanted == 0 {
            return Ok((self, Vec::new(), true));
        }
        let most_loaded = self.most_loaded();
        let mut statement = connection.prepare_cached(&self.sql()).during(WHAT)?;
        let mut found = statement
            .query(params![
                self.view.as_ref().map_or(self.db.id, |view| view.id),
                self.low,
                self.high,
                i64::try_from(wanted).unwrap_or(i64::MAX),
                i64::try_from(self.skip).unwrap_or(i64::MAX),
                i64::try_from(most_loaded).unwrap_or(i64::MAX),
            ])
            .during(WHAT)?;
        let (mut rows, mut bytes, mut last) = (Vec::new(), 0usize, None);
        while let Some(row) = found.next().during(WHAT)? {
            let size: i64 = row.get(5).during(WHAT)?;
            let size = usize::try_from(size).unwrap_or(0);
            if !self.has_room(bytes, size) {
                break;
            }
            let parts = RowColumns::of(row).during(WHAT)?;
            bytes = bytes.saturating_add(size);
            last = Some(parts.position());
            rows.push(parts.row(self.view.is_some())?);
            if bytes >= self.page_bytes {
                break;
            }
        }
        let full = rows.len() == wanted || bytes >= self.page_bytes || self.wanted.is_some();
        if self.meter.counts() && self.allowance > SMALL {
            // A page keeps the room of an ordinary one, so that the next one need not wait.
            self.allowance = self.allowance.min(self.page_bytes.max(bytes));
            let _ = self.meter.try_hold(self.allowance);
        }
        let taken = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        self.left = self.left.map(|left| left.saturating_sub(taken));
        if !rows.is_empty() {
            (self.skip, self.has_begun) = (0, true);
        }
        match last {
            Some(last) if self.descending => self.high = last,
            Some(last) => self.low = past(last),
            None => {}
        }
        let all = !full || self.left == Some(0);
        Ok((self, rows, all))
    }

    /// The SQL for a page. `?1` is the id of the view or database. The text holds no other values, so that
    /// SQLite can reuse the prepared statement.
    fn sql(&self) -> String {
        // A row of its own is by far the usual one. SQLite knows the length of a text without loading it.
        const LENGTH: &str = "octet_length(r.key) + CASE WHEN r.emission IS NULL OR octet_length(r.value) > 0
             THEN octet_length(r.value) ELSE octet_length(e.value) END";
        const VALUE: &str =
            "CASE WHEN r.emission IS NULL OR octet_length(r.value) > 0 THEN r.value ELSE e.value END";
        const ROWS: &str = "view_row r LEFT JOIN emission e ON e.emission = r.emission";
        const VISIBLE: &str = "WHERE r.view = ?1 AND (r.emission IS NULL OR e.live = 1)";
        const DOC: &str = "LEFT JOIN doc d ON d.db = (SELECT db FROM view WHERE view = ?1) AND d.id = r.id";
        const DOC_LENGTH: &str = "ifnull(octet_length(d.text), 0)";
        const DOCS: &str = "doc WHERE db = ?1 AND text IS NOT NULL";
        // The columns of a row: sort, id, key, value, emission, length, revision, text.
        let (columns, table, sort) = match (&self.view, self.include_docs) {
            (Some(_), false) => (
                format!(
                    "r.sort, r.id, r.key, CASE WHEN {LENGTH} <= ?6 THEN {VALUE} END, r.emission, {LENGTH}"
                ),
                format!("{ROWS} {VISIBLE}"),
                "r.sort",
            ),
            (Some(_), true) => {
                let length = format!("{LENGTH} + {DOC_LENGTH}");
                (
                    format!(
                        "r.sort, r.id, r.key, CASE WHEN {length} <= ?6 THEN {VALUE} END, r.emission, {length},
                         d.rev, CASE WHEN {length} <= ?6 THEN d.text END"
                    ),
                    format!("{ROWS} {DOC} {VISIBLE}"),
                    "r.sort",
                )
            }
            (None, false) => (
                "id, id, id, rev, NULL, octet_length(id) + octet_length(rev) + 0 * ?6".to_owned(),
                DOCS.to_owned(),
                "id",
            ),
            (None, true) => (
                "id, id, id, rev, NULL, octet_length(id) + octet_length(rev) + octet_length(text), rev,
                 CASE WHEN octet_length(id) + octet_length(rev) + octet_length(text) <= ?6 THEN text END"
                    .to_owned(),
                DOCS.to_owned(),
                "id",
            ),
        };
        let order = if self.descending { "DESC" } else { "ASC" };
        format!(
            "SELECT {columns} FROM {table} AND {sort} >= ?2 AND {sort} < ?3
             ORDER BY {sort} {order} LIMIT ?4 OFFSET ?5"
        )
    }
}

/// The sort value where the rows of a key (and document id) begin. With `after`, the value where they end.
fn row_edge(key: &Value, id: Option<&String>, after: bool) -> Sql {
    let mut bytes = collate::encode(key);
    if let Some(id) = id {
        collate::push_text(id, &mut bytes);
    }
    if after {
        bytes.push(collate::ABOVE);
    }
    Sql::Blob(bytes)
}

/// Like [`row_edge`], for a listing of all documents, whose keys are document ids. A key that is not a
/// string sorts before or after all ids, as in a view. In SQLite every blob sorts after every text.
fn id_edge(key: &Value, is_after: bool) -> Sql {
    match key {
        Value::String(id) if is_after => after(Sql::Text(id.clone())),
        Value::String(id) => Sql::Text(id.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => Sql::Text(String::new()),
        Value::Array(_) | Value::Object(_) => Sql::Blob(Vec::new()),
    }
}

/// The next value in SQLite's order.
fn after(value: Sql) -> Sql {
    match value {
        Sql::Text(mut text) => {
            text.push('\0');
            Sql::Text(text)
        }
        Sql::Blob(mut bytes) => {
            bytes.push(0);
            Sql::Blob(bytes)
        }
        other => other,
    }
}

/// The value after which the next page begins. Rows of other emissions with the same key, id and counter
/// are older or newer versions of the last row, so they are skipped.
fn past(position: Sql) -> Sql {
    match position {
        Sql::Blob(mut bytes) => {
            bytes.push(collate::ABOVE);
            Sql::Blob(bytes)
        }
        other => after(other),
    }
}

/// The columns of a row. Texts are copied once, into the row.
struct RowColumns<'r> {
    sort: Sql,
    id: &'r str,
    key: &'r str,
    value: &'r str,
    emission: Option<i64>,
    doc: Option<(&'r str, &'r str)>,
}

impl<'r> RowColumns<'r> {
    fn of(row: &'r rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
        let doc = match row.as_ref().column_count() {
            8 => row.get_ref(7)?.as_str_or_null()?,
            _ => None,
        };
        let doc = doc.map(|doc| Ok::<_, rusqlite::Error>((text(6)?, doc))).transpose()?;
        let [id, key, value] = [text(1)?, text(2)?, text(3)?];
        Ok(Self { sort: row.get(0)?, id, key, value, emission: row.get(4)?, doc })
    }

    /// The row's place in the order of rows.
    fn position(&self) -> Sql {
        match &self.sort {
            Sql::Blob(sort) => Sql::Blob(sort_of_row(sort.clone(), self.emission)),
            id => id.clone(),
        }
    }

    fn row(self, of_view: bool) -> Result<ViewRow, StoreError> {
        let id = DocId::from_store(self.id.to_owned());
        // In a listing of all documents, these columns hold the bare id and revision.
        let (key, value) = if of_view {
            (JsonText::parse(self.key)?, JsonText::parse(self.value)?)
        } else {
            let value = format!(r#"{{"rev":"{}"}}"#, self.value);
            (JsonText::parse(&Value::from(self.key).to_string())?, JsonText::parse(&value)?)
        };
        let doc = match self.doc {
            Some((rev, text)) => Some(Document::new(id.clone(), stored_rev(rev)?, text)),
            None => None,
        };
        Ok(ViewRow { id, key, value, doc })
    }
}
