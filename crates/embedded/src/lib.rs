//! The store for one machine. One SQLite file holds the documents of many databases, their revisions
//! and their view rows. QuickJS runs the map functions of design documents. The crate implements the
//! `Store` traits of [`datastore`] and knows nothing about groups or HTTP.
//!
//! - One thread writes. It puts all waiting writes into one transaction. Each write happens completely or
//!   not at all, and is acknowledged after the commit has returned ([`Settings::durability`]).
//! - Map threads compute a document's view rows before the write is queued, and the rows are committed
//!   together with the document. So a view shows every acknowledged write, and a slow map function delays
//!   only its own database.
//! - No call blocks an async caller for long. Reads of small documents by id and building a document's text run on the
//!   caller's thread, because they take microseconds and switching threads would take longer. Scans, bulk
//!   writes, attachments and maps run on other threads, and SQLite stops them at their deadline.
//! - Scans read page by page and hold no transaction open for a slow reader. A listing longer than one
//!   page is therefore not a snapshot: a row that moves during the listing can appear twice or not at all.
//! - Keys sort by CouchDB's rules, except that strings sort by bytes and not by ICU.
//! - Only the maps of a design document run. Reduces, filters and validation functions are stored but
//!   never run.
//!
//! A write goes through `save`, which prepares it on the caller's side: `draft` makes text and revision, `maps` and
//! `sandbox` (with `clock` and `large_object`) compute view rows, `collate` makes keys that sort, and `rows` finds values
//! that are shared. `staging` writes the rows of large documents in parts. `writer` is the one thread that writes: it
//! takes jobs from `write_queue` and runs them in a `transaction`; `write` and `put` are what they do there. `checkpoint`
//! copies SQLite's log into the file meanwhile.
//!
//! Reads go through `query`, `feed` (with `recent`, the newest changes in memory), `read` and `local`.
//!
//! `store` has the calls of the traits, `embedded` the parts and how they start and stop, `catalogue` the databases and
//! views in memory. `workers` is a pool of threads. Databases take turns there and in `write_queue`. `design` and `index` take views from design documents. `housekeeper` builds views and removes what nobody
//! sees any more; `in_use` keeps it from what a write still needs.
//!
//! `place` finds the file behind links, `file` locks and opens it, `format` has its tables, `upgrade` the way from older ones. `backup` and `restore`
//! copy it. `open_error` and `error` say what went wrong.

#![forbid(unsafe_code)]

mod backup;
mod catalogue;
mod checkpoint;
mod clock;
mod collate;
mod design;
mod draft;
mod embedded;
mod error;
mod feed;
mod file;
mod format;
mod housekeeper;
mod in_use;
mod index;
mod large_object;
mod local;
mod maps;
mod open_error;
mod owner;
mod place;
mod put;
mod query;
mod read;
mod recent;
mod restore;
mod rows;
mod sandbox;
mod save;
mod settings;
mod staging;
mod store;
mod transaction;
mod upgrade;
mod workers;
mod write;
mod write_queue;
mod writer;

pub use backup::back_up;
pub use embedded::{Embedded, Stats};
pub use open_error::OpenError;
pub use place::place_of;
pub use restore::restore;
pub use settings::{Durability, Settings};
pub use upgrade::Copied;
