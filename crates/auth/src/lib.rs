//! Kazoo's tokens, and what callers may do with them.
//!
//! [`Authenticator`] is the face. Behind it, one folder for each job:
//! - `directory`: every read of accounts, identities, keys and configuration, and the memory of them;
//! - `verify`: tokens, bearer documents and Basic become a [`Caller`];
//! - `access`: a [`Caller`] and an [`Account`] become an [`AccountAccess`], the only proof that opens an
//!   account's groups;
//! - `login`: logging in and out, and minting tokens;
//! - `limits`: what failures cost, and the [`Buckets`] that pay for them;
//! - `setup`: setting up an empty store.
//!
//! Imports run one way: `limits` and `directory` know none of the others, `verify` knows `directory`,
//! `access` and `login` know both.
//!
//! Verifying never writes. Nothing in a token causes a network call except reads of the store: `iss` must
//! be `kazoo`, and every id is checked before it reaches the store. Secrets are compared in constant time
//! and never shown.

#![forbid(unsafe_code)]

mod access;
mod authenticator;
mod directory;
mod encoding;
mod error;
mod limits;
mod login;
mod password;
mod secret;
mod settings;
mod setup;
mod verify;

pub use access::{AccountAccess, Asked, Denied, Restrictions};
pub use authenticator::Authenticator;
pub use directory::Account;
pub use error::AuthError;
pub use limits::{Buckets, Charged, Client, Empty, RateLimits, network};
pub use login::{Login, LoginError};
pub use secret::Secret;
pub use settings::Settings;
pub use setup::bootstrap::{self, is_set_up};
pub use verify::Caller;
