//! Checks documents against Kazoo's JSON schemas (`schemas/*.json`, draft 4). A check fills in defaults and
//! reports every violation at once, with the messages that Kazoo's clients show to people. This crate does
//! no IO and knows nothing about HTTP.

#![forbid(unsafe_code)]

mod defaults;
mod echo;
mod error;
mod operator;
mod schema;
mod valico_validator;
mod validator;
mod violations;

pub use echo::{MAX_ECHO, echo_size, shortened};
pub use error::SchemaError;
pub use schema::Schema;
pub use validator::{Keyword, MAX_PROBLEMS, Problem, Validator};
pub use violations::Violations;
