//! The rows that one document has in one view, in the form in which they are stored. A value that several
//! rows share is stored once, as an `emission`, and those rows refer to it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use datastore::json;
use md5::{Digest, Md5};

use crate::collate;
use crate::sandbox::Emitted;

/// A value is shared if its copies would take more bytes than this.
const MAX_COPIED_BYTES: usize = 2_048;

/// A document with more rows than this, or more bytes of rows, is large: its rows are written in parts.
const LARGE_ROWS: usize = 1_000;
const LARGE_BYTES: usize = 2 << 20;

/// The most rows in a part. A part also ends once it has this many bytes.
const PART_ROWS: usize = 1_000;
const PART_BYTES: usize = 256 << 10;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The key, the document's id and a counter as bytes. They order the rows of a view.
    pub(crate) sort: Vec<u8>,
    /// The key as JSON.
    pub(crate) key: Box<str>,
    pub(crate) value: RowValue,
}

/// The sort bytes, key and value of a row.
pub(crate) type RowParts = (Vec<u8>, Box<str>, Arc<str>);

/// The value of a row, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowValue {
    /// The row holds the value itself.
    Own(Arc<str>),
    /// The row refers to the shared value with this place in [`Rows::shared`].
    Shared(usize),
}

/// The rows of one document in one view, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    pub(crate) shared: Vec<Arc<str>>,
    bytes: usize,
}

/// A few of the rows and shared values of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Shared(Range<usize>),
    Rows(Range<usize>),
}

impl Rows {
    /// Prepares what a map emitted for the document `id`.
    ///
    /// # Errors
    /// A key is nested too deep to be parsed.
    pub(crate) fn new(id: &str, emitted: Vec<Emitted>) -> Result<Self, json::JsonError> {
        let keyed = emitted.into_iter().zip(0u32..).map(|(Emitted { key, value }, n)| {
            let mut sort = collate::encode(&json::parse(key.as_bytes())?);
            collate::push_text(id, &mut sort);
            sort.extend(n.to_be_bytes());
            Ok((sort, key.into_boxed_str(), value))
        });
        keyed.collect::<Result<_, _>>().map(Self::from_values)
    }

    /// Decides which values are shared. Equal values must be clones of one `Arc`, or each is stored.
    pub(crate) fn from_values(mut keyed: Vec<RowParts>) -> Self {
        keyed.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let mut counts: HashMap<*const u8, usize> = HashMap::new();
        if keyed.len() > 1 {
            for (.., value) in &keyed {
                *counts.entry(value.as_ptr()).or_default() += 1;
            }
        }
        let mut places = HashMap::new();
        let mut prepared = Self::default();
        for (sort, key, value) in keyed {
            let copies = counts.get(&value.as_ptr()).map_or(0, |count| count.saturating_sub(1));
            let value = if copies.saturating_mul(value.len()) > MAX_COPIED_BYTES {
                RowValue::Shared(*places.entry(value.as_ptr()).or_insert_with(|| {
                    prepared.bytes = prepared.bytes.saturating_add(value.len());
                    prepared.shared.push(value);
                    prepared.shared.len() - 1
                }))
            } else {
                RowValue::Own(value)
            };
            let row = Row { sort, key, value };
            prepared.bytes = prepared.bytes.saturating_add(row.bytes());
            prepared.rows.push(row);
        }
        prepared
    }

    /// How many bytes the rows take in the file, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether writing the rows at once would make other databases wait.
    pub(crate) fn is_large(&self) -> bool {
        self.rows.len() > LARGE_ROWS || (self.rows.len() > 1 && self.bytes > LARGE_BYTES)
    }

    /// Whether some of these rows hold their own values.
    pub(crate) fn has_own(&self, range: Range<usize>) -> bool {
        let rows = self.rows.get(range).unwrap_or_default();
        rows.iter().any(|row| matches!(row.value, RowValue::Own(_)))
    }

    /// The JSON text of a row's value.
    pub(crate) fn value<'a>(&'a self, row: &'a Row) -> &'a str {
        match &row.value {
            RowValue::Own(value) => value,
            RowValue::Shared(at) => self.shared.get(*at).map_or("", |value| value),
        }
    }

    /// Divides the shared values and then the rows into parts that are quick to write.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let shared = ranges(self.shared.iter().map(|value| value.len())).into_iter().map(Part::Shared);
        shared.chain(ranges(self.rows.iter().map(Row::bytes)).into_iter().map(Part::Rows)).collect()
    }

    /// A hash of all rows.
    pub(crate) fn digest(&self) -> [u8; 16] {
        let mut hash = Md5::new();
        let mut add = |bytes: &[u8]| {
            hash.update(bytes.len().to_be_bytes());
            hash.update(bytes);
        };
        self.shared.iter().for_each(|value| add(value.as_bytes()));
        for row in &self.rows {
            add(&row.sort);
            add(row.key.as_bytes());
            match &row.value {
                RowValue::Own(value) => add(value.as_bytes()),
                RowValue::Shared(at) => add(&at.to_be_bytes()),
            }
        }
        hash.finalize().into()
    }
}

impl Row {
    fn bytes(&self) -> usize {
        let value = match &self.value {
            RowValue::Own(value) => value.len(),
            RowValue::Shared(_) => 0,
        };
        // The sort bytes are stored in the table and in its index.
        self.sort.len().saturating_mul(2).saturating_add(self.key.len()).saturating_add(value)
    }
}

fn ranges(sizes: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let (mut ranges, mut start, mut end, mut bytes) = (Vec::new(), 0, 0, 0usize);
    for size in sizes {
        end += 1;
        bytes = bytes.saturating_add(size);
        if end - start >= PART_ROWS || bytes >= PART_BYTES {
            ranges.push(start..end);
            (start, bytes) = (end, 0);
        }
    }
    if start < end {
        ranges.push(start..end);
    }
    ranges
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
