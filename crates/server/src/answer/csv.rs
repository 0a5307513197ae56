//! Data as comma-separated values, flattened and quoted as in crossbar.
//!
//! The rows are read twice. First [`Columns`] collects their columns. Then [`Lines`] writes a line for each row.

use std::io::{self, Write};

use indexmap::IndexSet;
use serde_json::{Map, Value, json};
use validation::Violations;

use super::in_memory;
use crate::catalogue::Refusal;
use crate::settings::LiveSettings;

/// The most columns, and the most cells of a row. A row has more cells than columns if several of them have one name.
const MAX_COLUMNS: usize = 1_000;

/// The most bytes that the names of all columns may have together, and those of all cells of a row.
const MAX_NAMES: usize = 250_000;

/// The columns whose headings differ from their names in the data, as in crossbar.
const HEADINGS: [(&str, &str); 5] = [
    ("id", "ID"),
    ("description", "Description"),
    ("amount", "Amount"),
    ("account_id", "Account ID"),
    ("account_name", "Account Name"),
];

/// What a spreadsheet takes for the start of a formula.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// What becomes of texts that a spreadsheet would run as a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Formulas {
    /// They are written as they are, as in crossbar. Phone numbers begin with `+`, too.
    Kept,
    /// A `'` is put in front of them, so that a spreadsheet takes them for text.
    Disarmed,
}

impl Formulas {
    /// As the settings say.
    pub(crate) fn of(settings: LiveSettings) -> Self {
        if settings.csv_safe { Self::Disarmed } else { Self::Kept }
    }

    fn write_guard(self, is_formula: bool, out: &mut impl Write) -> io::Result<()> {
        if is_formula && self == Self::Disarmed { out.write_all(b"'") } else { Ok(()) }
    }
}

/// The CSV of rows: a line of headings, then one line for each row. Refuses rows with too many columns (400).
pub(crate) fn render(rows: &[Value], formulas: Formulas) -> Result<Vec<u8>, Refusal> {
    let mut columns = Columns::new(formulas);
    rows.iter().try_for_each(|row| columns.add(row))?;
    let mut csv = Vec::new();
    let mut lines = in_memory(Lines::begin(columns, &mut csv));
    in_memory(rows.iter().try_for_each(|row| lines.write(row, &mut csv)));
    Ok(csv)
}

/// The columns of all rows in the order of their first appearance.
#[derive(Debug)]
pub(crate) struct Columns {
    formulas: Formulas,
    names: IndexSet<String>,
    /// The size of all names together.
    names_size: usize,
}

impl Columns {
    /// No columns.
    pub(crate) fn new(formulas: Formulas) -> Self {
        Self { formulas, names: IndexSet::new(), names_size: 0 }
    }

    /// Adds the columns of a row. Refuses too many columns (400).
    pub(crate) fn add(&mut self, row: &Value) -> Result<(), Refusal> {
        let (mut cells, mut size) = (0_usize, 0_usize);
        for_each_cell(row, &mut |name, _| {
            (cells, size) = (cells.saturating_add(1), size.saturating_add(name.len()));
            if cells > MAX_COLUMNS || size > MAX_NAMES {
                return Err(too_wide());
            }
            if self.names.contains(name) {
                return Ok(());
            }
            self.names_size = self.names_size.saturating_add(name.len());
            if self.names.len() >= MAX_COLUMNS || self.names_size > MAX_NAMES {
                return Err(too_wide());
            }
            self.names.insert(name.to_owned());
            Ok(())
        })
    }

    fn write_headings(&self, out: &mut impl Write) -> io::Result<()> {
        write_line(self.names.iter().map(|name| Some(heading(name))), out, |heading, cell| {
            self.formulas.write_guard(heading.starts_with(FORMULA_STARTS), cell)?;
            cell.write_all(heading.as_bytes())
        })
    }
}

fn too_wide() -> Refusal {
    let message = format!(
        "CSV has at most {MAX_COLUMNS} columns, with at most {MAX_NAMES} bytes of headings: ask for JSON instead"
    );
    Refusal::Validation(Violations::one(
        "accept",
        "maxColumns",
        [("message", json!(message)), ("target", json!(MAX_COLUMNS))],
    ))
}

/// Writes the lines of rows, in the order in which [`Columns`] has seen the rows.
#[derive(Debug)]
pub(crate) struct Lines {
    columns: Columns,
    /// How many columns the rows up to this one have. A line ends with the last of these columns.
    known: usize,
}

impl Lines {
    /// Writes the line of headings.
    pub(crate) fn begin(columns: Columns, out: &mut impl Write) -> io::Result<Self> {
        columns.write_headings(out)?;
        Ok(Self { columns, known: 0 })
    }

    /// Writes the line of the next row. Cells that have no column are left out.
    pub(crate) fn write(&mut self, row: &Value, out: &mut impl Write) -> io::Result<()> {
        let mut cells = vec![None; self.columns.names.len()];
        for_each_cell(row, &mut |name, cell| {
            if let Some(place) = self.columns.names.get_index_of(name) {
                self.known = self.known.max(place + 1);
                if let Some(slot) = cells.get_mut(place) {
                    *slot = Some(cell);
                }
            }
            io::Result::Ok(())
        })?;
        write_line(cells.into_iter().take(self.known), out, |cell, out| {
            self.columns.formulas.write_guard(is_formula(cell), out)?;
            write_cell(cell, out)
        })
    }
}

fn heading(name: &str) -> &str {
    HEADINGS.iter().find(|(own, _)| *own == name).map_or(name, |(_, heading)| heading)
}

/// Calls a function with each leaf of an object and its name: the keys on the path to it, joined by `_`. An
/// empty object has no leaves.
fn for_each_cell<'a, E>(
    row: &'a Value,
    visit: &mut impl FnMut(&str, &'a Value) -> Result<(), E>,
) -> Result<(), E> {
    match row {
        Value::Object(members) => visit_members(&mut String::new(), members, visit),
        _ => Ok(()),
    }
}

fn visit_members<'a, E>(
    name: &mut String,
    members: &'a Map<String, Value>,
    visit: &mut impl FnMut(&str, &'a Value) -> Result<(), E>,
) -> Result<(), E> {
    let length = name.len();
    for (key, value) in members {
        if !name.is_empty() {
            name.push('_');
        }
        name.push_str(key);
        match value {
            Value::Object(inner) => visit_members(name, inner, visit)?,
            leaf => visit(name, leaf)?,
        }
        name.truncate(length);
    }
    Ok(())
}

/// Writes cells in quotes, with commas between them. A cell that is `None` has no quotes.
fn write_line<'a, C, W: Write>(
    cells: impl Iterator<Item = Option<&'a C>>,
    out: &mut W,
    write: impl Fn(&C, &mut Quoted<'_, W>) -> io::Result<()>,
) -> io::Result<()>
where
    C: ?Sized + 'a,
{
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        if let Some(cell) = cell {
            out.write_all(b"\"")?;
            write(cell, &mut Quoted(out))?;
            out.write_all(b"\"")?;
        }
    }
    out.write_all(b"\n")
}

/// Whether a spreadsheet would run a cell. A number alone is harmless; in a list, more text follows it.
fn is_formula(cell: &Value) -> bool {
    match cell {
        Value::String(text) => text.starts_with(FORMULA_STARTS),
        Value::Array(items) => items.first().is_some_and(|first| match first {
            Value::Number(number) => number.to_string().starts_with('-'),
            other => is_formula(other),
        }),
        _ => false,
    }
}

fn write_cell(cell: &Value, out: &mut impl Write) -> io::Result<()> {
    match cell {
        Value::String(text) => out.write_all(text.as_bytes()),
        Value::Number(number) => out.write_all(kazoo::term::number_text(number).as_bytes()),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(place, item)| {
            if place > 0 {
                out.write_all(b",")?;
            }
            write_cell(item, out)
        }),
        Value::Null | Value::Bool(_) | Value::Object(_) => Ok(serde_json::to_writer(out, cell)?),
    }
}

/// Writes every quote twice.
struct Quoted<'a, W>(&'a mut W);

impl<W: Write> Write for Quoted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'"') {
            self.0.write_all(part)?;
            if part.ends_with(b"\"") {
                self.0.write_all(b"\"")?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
#[path = "csv_tests.rs"]
#[allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on must stop, and says why")]
mod tests;
