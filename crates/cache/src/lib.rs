//! A store before a store. It remembers documents, absences and pages of views, and the change feed of each
//! database tells it what to forget. The crate knows nothing of HTTP, Kazoo or any backend.
//!
//! What it promises:
//!
//! - **Own writes are always seen.** Once a write through this store has been acknowledged, every read that
//!   begins later shows it.
//! - **A write of another program is seen as soon as the feed tells it**, a few milliseconds after it.
//! - **While the feed is not known to be alive, every read goes to the store.** A feed counts as alive until its
//!   next sign of life is late. A store that dies without a sign is noticed after one and a half heartbeats, and
//!   the connection of a single feed after three times as long; until then another program's write may be missed.
//!
//! How it keeps that:
//!
//! - A database is *hot* while it is watched. Each opening of the feed is a new session. When a session ends,
//!   everything remembered in it is forgotten.
//! - A read is remembered only if the feed was alive before it began, and told no change of it until it ended.
//!   The answer of a read that was overtaken by a change goes to those who waited for it, and to nobody else.
//! - While an own write runs, its document and the pages of its database are read from the store.
//! - No request waits for a feed. A feed is opened in the background, after a database was read.
//! - Somebody else may tell of changes too, through [`Hints`]. A hint makes the cache forget sooner. It never makes
//!   a feed count as alive.
//!
//! Memory has one bound for all databases. Reads of the same thing at the same time share one call.
//!
//! The files, from the bottom up:
//! - `memory`: what is remembered, with one bound for all databases;
//! - `written`: a document that was just written, as the store will show it;
//! - `outcome`: a read that several callers wait for;
//! - `hot`: one watched database: whether its feed is alive, its epoch, what is being read and written;
//! - `flight`: makes the reads;
//! - `settings` and `shared`: the settings, and the state that `layer` and `watcher` share;
//! - `hints`: changes that others tell;
//! - `watcher`: the one task that opens feeds and hears what they tell;
//! - `layer`: the calls of a store.

#![forbid(unsafe_code)]

mod flight;
mod hints;
mod hot;
mod layer;
mod memory;
mod outcome;
mod settings;
mod shared;
mod watcher;
mod written;

pub use hints::Hints;
pub use layer::Cache;
pub use settings::Settings;
pub use shared::Figures;
pub use watcher::Watcher;
