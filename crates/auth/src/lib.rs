//! Kazoo's tokens, and what callers may do with them.
//!
//! Other crates call [`Authenticator`]. Each job has a folder. From the bottom up:
//! - `limits`: the costs of requests, the [`Buckets`] that pay for them, and the count of wrong passwords;
//! - `directory`: reads accounts, identities, keys and configuration, and caches them;
//! - `login_config` (a file): whom an account's configuration lets in, and for how long;
//! - `verify`: checks tokens, bearer documents and Basic credentials, and gives a [`Caller`];
//! - `access`: checks what a [`Caller`] may do to an [`Account`], and gives an [`AccountAccess`]. Nobody
//!   reaches an account's groups without one;
//! - `login`: logs clients in and out, and mints tokens;
//! - `setup`: prepares an empty store, and changes keys, accounts and users for an operator.
//!
//! Imports point down only. `directory` imports `limits`. `verify` imports these and `login_config`. `access`, `login` and `setup`
//! import what is below them, and never each other. The single files beside the folders
//! (`views`, `registry`, `password`, `secret`, `settings` and others) import no folder, so that every folder may use
//! them. Only `authenticator` stands above the folders.
//!
//! Verifying never writes. A token can cause reads of the store, and no other network calls: `iss` must be
//! `kazoo`, and every id is checked before it reaches the store. Secrets are compared in constant time and
//! never printed.

#![forbid(unsafe_code)]

mod access;
mod authenticator;
mod directory;
mod encoding;
mod error;
mod limits;
mod login;
mod login_config;
mod password;
mod registry;
mod secret;
mod settings;
mod setup;
mod verify;
mod views;

pub use access::{AccountAccess, Asked, Denied, Restrictions};
pub use authenticator::Authenticator;
pub use directory::{Account, databases, own_db};
pub use error::{AuthError, Barred};
pub use limits::{BucketEmpty, Buckets, Charged, Client, RateLimits, network};
pub use login::{Login, LoginError, LoginSubject};
pub use registry::{Registered, Registration, registered_design, registrations};
pub use secret::Secret;
pub use settings::Settings;
pub use setup::{bootstrap, changes, keys};
pub use verify::{Caller, read_without_key};
