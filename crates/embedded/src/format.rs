//! The format of a store's file: its tables, and the numbers that identify it.

use std::fs::OpenOptions;

use rusqlite::Connection;

/// SQLite's `application_id` in our files: the letters `KZGR`.
pub(crate) const APPLICATION_ID: i32 = 0x4B5A_4752;

/// The version of the tables below. Whoever changes the tables raises the version and adds a step to
/// `upgrade`.
pub(crate) const VERSION: i32 = 3;

/// The tables.
/// - `doc`: one row for each document. A deleted document keeps its row with an empty `text` (a tombstone);
///   rows are removed only with their database. `seq` counts the writes to a database.
/// - `view_row`: `sort` holds the key, the document id and a counter as bytes, and orders the rows. A row
///   with an `emission` has the emission's number at the end of `sort`. If its `value` is empty, it has the
///   emission's value.
/// - `emission`: a value that a document emitted often, stored once. The rows of an emission that is not
///   live are invisible: either they are still being written, or they are left to be removed. An emission
///   with a `digest` belongs to a document with many rows, which are written and removed in parts. The
///   digest is a hash of them all. Rows of such a document that hold their own values have an emission with
///   an empty value.
/// - `local`: the local documents of each database, which have no revision and no sequence.
/// - `garbage`: deleted databases and views whose rows the housekeeper still has to remove. The commit that
///   deletes them adds the entry.
pub(crate) const TABLES: &str = "
CREATE TABLE db (
    db INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE doc (
    doc INTEGER PRIMARY KEY,
    db INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    rev TEXT NOT NULL,
    text TEXT
) STRICT;
CREATE UNIQUE INDEX doc_by_id ON doc (db, id);
CREATE UNIQUE INDEX doc_by_seq ON doc (db, seq);
CREATE TABLE attachment (
    doc INTEGER NOT NULL,
    name TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX attachment_by_name ON attachment (doc, name);
CREATE TABLE map (
    hash BLOB PRIMARY KEY,
    source TEXT NOT NULL
) STRICT;
CREATE TABLE view (
    view INTEGER PRIMARY KEY AUTOINCREMENT,
    db INTEGER NOT NULL,
    design TEXT NOT NULL,
    name TEXT NOT NULL,
    map BLOB NOT NULL,
    ready INTEGER NOT NULL,
    built_seq INTEGER NOT NULL,
    until_seq INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX view_by_name ON view (db, design, name);
CREATE TABLE view_row (
    view INTEGER NOT NULL,
    sort BLOB NOT NULL,
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    emission INTEGER,
    PRIMARY KEY (view, sort)
) STRICT, WITHOUT ROWID;
CREATE INDEX view_row_by_doc ON view_row (view, id, emission);
CREATE TABLE emission (
    emission INTEGER PRIMARY KEY,
    view INTEGER NOT NULL,
    id TEXT NOT NULL,
    live INTEGER NOT NULL,
    digest BLOB,
    value TEXT NOT NULL
) STRICT;
CREATE INDEX emission_by_doc ON emission (view, id);
CREATE INDEX emission_not_live ON emission (live) WHERE live = 0;
CREATE TABLE local (
    db INTEGER NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (db, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE garbage (
    kind TEXT NOT NULL CHECK (kind IN ('db', 'view')),
    number INTEGER NOT NULL
) STRICT;
";

/// The value of an integer pragma.
pub(crate) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Options that create a file which only its owner may read, because a store holds API keys and password
/// hashes. SQLite gives its own files next to it the same mode.
pub(crate) fn for_the_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
