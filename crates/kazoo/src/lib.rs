//! Kazoo's vocabulary: the names and conventions of its documents. It consists of plain functions on values,
//! without IO. Every crate above `datastore` uses them, so each idea has one definition.
//!
//! This crate does not know groups, access rules or storage.

#![forbid(unsafe_code)]

pub mod account;
mod account_id;
mod config;
mod config_document;
mod decoder_fault;
mod kind;
pub mod member;
mod private;
mod search_name;
mod system_db;
pub mod term;
mod time;
pub mod user;

pub use account_id::{AccountId, matches_account_raw};
pub use config::{Config, NodeAndZone, Sections};
pub use config_document::ConfigDocument;
pub use decoder_fault::{DecoderFault, decoder_fault};
pub use kind::Kind;
pub use private::{is_deleted, is_private, mark_deleted, stamp_created, stamp_modified};
pub use search_name::search_name;
pub use system_db::SystemDb;
pub use time::Time;
