//! Listings as Kazoo 4.3 orders them: each page is taken in ascending order and shown in descending order. A page
//! is read forwards to find where it ends. If its rows take too much memory, they are read once more, backwards.

use std::time::Duration;

use datastore::{DocId, JsonText};

use crate::error::GroupsError;
use crate::listing::{Cursor, ListQuery};
use crate::service::{Groups, Scope};

/// A page of a listing whose pages are turned.
#[derive(Debug)]
pub struct TurnedPage {
    /// The rows in the order in which they are shown. `None` if they take more memory than the caller allows.
    pub rows: Option<Vec<JsonText>>,
    /// A listing without pages that reads the same rows in the same order.
    pub again: ListQuery,
    /// The group id that Kazoo shows as the first of the page. With filters, Kazoo reads a page in parts, and shows
    /// where the last part began.
    pub start_key: Option<String>,
    /// The group id that Kazoo shows as the first of the next page. With filters, it may be there after the last
    /// page, too.
    pub next_start_key: Option<String>,
}

/// The parts in which Kazoo reads a page. Each is as large as what the page still lacks. The filters are applied
/// once a part is read.
struct Parts {
    /// How many rows the page lacked when the part began.
    lacking: u64,
    /// How many rows of the part were read.
    read: u64,
    /// How many of them passed the filters.
    passed: u64,
    start_key: Option<String>,
    next_start_key: Option<String>,
}

impl Parts {
    /// Goes on to a row. Returns whether the row belongs to the page.
    fn advance_to(&mut self, id: &str) -> bool {
        if self.read < self.lacking {
            self.read += 1;
            return true;
        }
        self.next_start_key = Some(id.to_owned());
        self.lacking -= self.passed;
        if self.lacking == 0 {
            return false;
        }
        self.start_key = Some(id.to_owned());
        (self.read, self.passed) = (1, 0);
        true
    }
}

impl ListQuery {
    /// The whole listing from `start_key` on, as Kazoo 4.3 shows it: in descending order.
    #[must_use]
    pub fn turned(self) -> Self {
        Self { ascending: false, start_key: None, end_key: self.start_key, ..self }
    }
}

/// A page that is about to be read.
pub struct PageToTurn {
    cursor: Cursor,
    parts: Parts,
    again: ListQuery,
}

impl Groups {
    /// Opens one page of a listing from `start_key` on. The first batch must arrive by the scope's deadline. Each
    /// further batch may take as long as `patience`.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn turn_page(
        &self,
        scope: &Scope<'_>,
        list: ListQuery,
        page_size: u64,
        patience: Duration,
    ) -> Result<PageToTurn, GroupsError> {
        let forwards = ListQuery { ascending: true, end_key: None, page_size: Some(page_size), ..list };
        let parts = Parts {
            lacking: page_size,
            read: 0,
            passed: 0,
            start_key: forwards.start_key.clone(),
            next_start_key: None,
        };
        let again = ListQuery { page_size: None, ..forwards.clone().turned() };
        Ok(PageToTurn { cursor: self.list(scope, forwards, patience).await?, parts, again })
    }
}

impl PageToTurn {
    /// Reads the page. At most about `most_bytes` of its rows are held.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn read(mut self, most_bytes: usize) -> Result<TurnedPage, GroupsError> {
        let (mut rows, mut bytes) = (Some(Vec::new()), 0_usize);
        let mut last_id = None;
        while let Some(row) = self.cursor.next_row().await? {
            if !self.parts.advance_to(row.id.as_str()) {
                break;
            }
            if self.cursor.is_wanted(&row).await? {
                self.parts.passed += 1;
                bytes = bytes.saturating_add(row.value.get().len());
                rows = rows.filter(|_| bytes <= most_bytes);
                if let Some(rows) = &mut rows {
                    rows.push(row.value);
                }
            }
            last_id = Some(row.id);
        }
        if let Some(rows) = &mut rows {
            rows.reverse();
        }
        let Self { parts: Parts { start_key, next_start_key, .. }, again, .. } = self;
        let again = ListQuery { start_key: last_id.as_ref().map(DocId::to_string), ..again };
        Ok(TurnedPage { rows, again, start_key, next_start_key })
    }
}
