//! The store for one machine: one SQLite file holds the documents of many databases, their revisions
//! and the rows of their views; the map functions of design documents run in QuickJS. It implements the
//! boundary of [`datastore`] and knows nothing of groups or of HTTP.
//!
//! - One thread writes. It takes what is waiting into one transaction, each write whole or not at all,
//!   and acknowledges after the commit has returned ([`Settings::durability`]).
//! - The rows of a document are computed before it is queued, by threads that run nothing else, and are
//!   committed with it: a view shows every acknowledged write, and a slow map holds up its own database.
//! - Nothing blocks an async caller for long: a read by id, and making the text of a write, are done on
//!   its own thread, since they take microseconds where a change of threads takes tens of them. Scans,
//!   bulk writes, attachments and maps are done on threads of their own, and SQLite stops them at their
//!   deadline.
//! - Scans go in pages, and nothing is held open for a slow reader. A listing that is longer than a page
//!   is therefore not one snapshot: a row that moves meanwhile may be met twice or not at all.
//! - Keys sort by CouchDB's rules, but strings by bytes where CouchDB asks ICU.
//! - Of a design document the maps run. Reduces, filters and validation functions are kept, not run.

#![forbid(unsafe_code)]

mod catalogue;
mod collate;
mod design;
mod draft;
mod embedded;
mod error;
mod feed;
mod file;
mod housekeeper;
mod index;
mod maps;
mod query;
mod read;
mod sandbox;
mod save;
mod settings;
mod store;
mod workers;
mod write;
mod writer;

pub use embedded::{Embedded, Stats};
pub use file::OpenError;
pub use settings::{Durability, Settings};
