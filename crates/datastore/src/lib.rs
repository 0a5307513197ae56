//! The boundary between what crossbar-groups does and where documents live: the [`Store`] trait with its
//! capabilities, the names and values that cross it, and (feature `suite`) the behaviours that every
//! backend must show. It knows nothing of HTTP, Kazoo or any backend.

#![forbid(unsafe_code)]

mod change;
mod deadline;
mod design;
mod document;
mod error;
pub mod json;
mod layer;
mod name;
mod random;
mod rev;
mod store;
#[cfg(feature = "suite")]
pub mod suite;
mod view;

pub use change::{Change, ChangesQuery, Feed, Since};
pub use deadline::Deadline;
pub use design::{DesignDocument, ensure_design};
pub use document::{Document, Draft, Members};
pub use error::{Cause, StoreError};
pub use layer::Layer;
pub use name::{DbName, DocId, NameError};
pub use random::{hex, random_hex};
pub use rev::Rev;
pub use store::{Attachments, Backend, Changes, Created, Databases, Result, Store};
pub use view::{RowStream, ViewQuery, ViewRow, ViewSource};
