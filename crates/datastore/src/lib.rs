//! The interface between crossbar-groups and its document stores: the [`Store`] trait, its companion traits,
//! and the types that they use. With the feature `suite` it also has the tests that every backend must
//! pass. The crate knows nothing about HTTP, Kazoo or any backend.

#![forbid(unsafe_code)]

mod backoff;
mod change;
mod deadline;
mod design;
mod document;
mod epoch;
mod error;
pub mod json;
mod latest;
mod layer;
mod local;
mod meter;
mod name;
mod random;
mod rev;
mod store;
#[cfg(feature = "suite")]
pub mod suite;
mod view;

pub use backoff::Backoff;
pub use change::{Change, ChangesQuery, Feed, Sign, Since};
pub use deadline::Deadline;
pub use design::{DesignDocument, Ensured, ViewState, ensure_design, missing_views};
pub use document::{Document, Draft, Member, Members};
pub use epoch::{Epoch, EpochClock};
pub use error::{Cause, Result, StoreError, if_found};
pub use latest::Latest;
pub use layer::Layer;
pub use local::{LocalCheck, LocalDocument};
pub use meter::{Meter, Metered, Room, SMALL};
pub use name::{DbName, DocId, NameError, SEGMENT};
pub use random::{hex, random_hex};
pub use rev::Rev;
pub use store::{Attachments, Backend, Changes, Created, Databases, LocalDocuments, Store};
pub use view::{JsonText, ROW_OVERHEAD_BYTES, RowStream, ViewQuery, ViewRow, ViewSource};
