//! A client for CouchDB 3.x, and the `datastore` traits on top of it.
//!
//! [`Client`] works with databases, documents, bulk writes, attachments, views and change feeds. It uses
//! CouchDB's words: its errors, revisions and sequences. It does not know what the documents mean, so it is
//! useful without the rest of this project.
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
//! Every call keeps these promises:
//! - It ends at its deadline, whatever the server does.
//! - A read is sent again, on a new connection, if no answer came or the server could not serve it. A write
//!   is sent once.
//! - An [`Error`] names the request (method and address) and the answer (status, `error`, `reason`), or says
//!   why no answer came. The address in it has no credentials and no query.
//! - Where [`Settings::further_urls`] names further nodes of a cluster, a node that is gone is left out until it
//!   answers again. A request that it has certainly not got goes to the next node, and so does every read.
//! - Only [`Client::create_db`] creates a database.
//!
//! The files, from the bottom up:
//! - `error`: one error for every call. `server_url` and `settings`: where the server is, and how to use it;
//! - `plain`: connections over plain HTTP that are kept. `large`: large answers take turns. `request` and `reply`: one
//!   request with its path, and its answer, with a limit for every wait;
//! - `splitter` and `rows`: rows of views and feeds while they arrive;
//! - `login`: a wrong password is not sent again and again. `nodes`: which node of a cluster is well. `copies`: how many copies a document has, and whether one hangs;
//! - `client`: connections and attempts. `probe`: asks nodes whether they are well;
//! - `everywhere`: requests that write. `written`: their answers. `batches` and `together`: writes of one database that
//!   are sent together;
//! - `tombstone` and `outcome`: deletions that can be told apart, and writes whose answer was lost;
//! - `rights`: what the user may do;
//! - `documents`, `leaves`, `views`, `changes`, `databases`, `attachments`, `local`: one file for each thing that can be
//!   asked;
//! - `store`: the traits of `datastore`. Only there, the error becomes a `StoreError`.

#![forbid(unsafe_code)]

mod attachments;
mod batches;
mod changes;
mod client;
mod copies;
mod databases;
mod documents;
mod error;
mod everywhere;
mod large;
mod leaves;
mod local;
mod login;
mod nodes;
mod outcome;
mod plain;
mod probe;
mod reply;
mod request;
mod rights;
mod rows;
mod server_url;
mod settings;
mod splitter;
#[cfg(feature = "standin")]
pub mod standin;
mod store;
mod together;
mod tombstone;
mod views;
mod written;

pub use client::{Client, NodeFigures};
pub use datastore::Backoff;
pub use error::{Call, Error, Refusal};
pub use probe::Version;
pub use rights::{Right, Security, Session};
pub use server_url::{ServerUrl, UrlError};
pub use settings::{Copies, Settings};
