//! Kazoo's JSON schemas (`schemas/*.json`, draft 4): defaults filled in, every violation at once, each
//! in the words that Kazoo's clients show to people. Nothing here does IO or knows HTTP.

#![forbid(unsafe_code)]

mod defaults;
mod error;
mod schema;
mod valico_validator;
mod validator;
mod violations;

pub use error::SchemaError;
pub use schema::Schema;
pub use validator::{Keyword, Problem, Validator};
pub use violations::Violations;
