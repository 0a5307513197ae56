//! The domain: what a group is, and what can be done with one. Merge, filters, start keys and private
//! fields are plain functions on values; [`Groups`] adds the few calls to a store. Nothing here knows
//! HTTP, and nothing reaches an account's database without `auth`'s proof that the caller may.

#![forbid(unsafe_code)]

mod design;
mod document;
mod error;
mod filter;
mod listing;
mod merge;
mod service;
pub mod start_key;

pub use design::design_document;
pub use document::{Stamp, StoredGroup};
pub use error::GroupsError;
pub use filter::{FilterValue, Filters};
pub use listing::{Cursor, ListQuery};
pub use merge::merge;
pub use service::{Deletion, Draft, Groups, NewGroup, Saved, Scope};
