//! A client for CouchDB 3.x, good enough to be used alone, and the `datastore` traits on top of it.
//!
//! [`Client`] has a method for everything: databases, documents, bulk writes, attachments, views as
//! streams of rows, and change feeds that survive. It keeps to what CouchDB says: its error words, its
//! revisions, its sequences. It knows nothing of what the documents mean.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use couchdb::{Client, Settings};
//! use datastore::{DbName, Deadline, DocId};
//!
//! let client = Client::new(Settings::new("http://admin:secret@127.0.0.1:5984".parse()?))?;
//! let db = DbName::parse("account/ac/co/unt001")?;
//! let doc = client.fetch(&db, &DocId::parse("sales")?, Deadline::after(Duration::from_secs(5))).await?;
//! println!("{}", doc.text());
//! # Ok(())
//! # }
//! ```
//!
//! What is promised of every call:
//! - It ends at its deadline, whatever the server does.
//! - A read is tried again, on a fresh connection, where no answer came or the server was not able to
//!   serve. A write never is.
//! - An error says what was asked (method and path), what CouchDB answered (status, `error`, `reason`)
//!   or why no answer came. The address in it has neither credentials nor a query.
//! - No database is created but by [`Client::create_db`] and [`Client::ensure_db`].

#![forbid(unsafe_code)]

mod attachments;
mod backoff;
mod changes;
mod client;
mod databases;
mod documents;
mod error;
mod feed_rows;
mod server;
mod server_url;
mod settings;
mod splitter;
#[cfg(feature = "standin")]
pub mod standin;
mod store;
mod update;
mod view_rows;
mod views;

pub use backoff::Backoff;
pub use client::Client;
pub use error::{Call, Error, Refusal, TransportFailure};
pub use server::ServerInfo;
pub use server_url::{Secret, ServerUrl, UrlError};
pub use settings::Settings;
