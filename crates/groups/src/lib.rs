//! The domain logic of groups. Merging, filters, start keys and private fields are plain functions on
//! values. [`Groups`] combines them with calls to a store. This crate knows nothing about HTTP. Every access
//! to an account's database needs the proof from `auth` that the caller may use the account.

#![forbid(unsafe_code)]

mod change;
mod design;
mod document;
mod error;
mod filter;
mod listed;
mod listing;
mod merge;
mod order_4_3;
mod readings;
mod reserved;
mod schemas;
mod service;
pub mod start_key;
mod turns;

pub use change::{Base, Change, Deletion, Edit, IfChanged, Removal, Removed};
pub use design::{design_document, ensure_views};
pub use document::{Stamp, StoredGroup};
pub use error::GroupsError;
pub use filter::{FilterValue, Filters};
pub use listing::{Cursor, ListQuery, ListedRows};
pub use merge::merge;
pub use order_4_3::{PageToTurn, TurnedPage};
pub use schemas::{LoadedSchema, SchemaSource, load_schema};
pub use service::{Groups, NewGroup, Saved, Scope};
pub use turns::Turn;
