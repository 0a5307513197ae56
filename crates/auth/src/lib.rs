//! Kazoo's tokens, and who may do what with them.
//!
//! [`Authenticator`] verifies tokens against the keys and secrets that Kazoo keeps in its store, and
//! knows accounts. [`Authenticator::authorise`] turns a [`Caller`] and a target [`Account`] into an
//! [`AccountAccess`], the only proof that opens an account's groups. [`login`](Authenticator::user_auth)
//! mints tokens, [`bootstrap`] sets up an empty store, [`Buckets`] count failures.
//!
//! Verifying never writes, and nothing in a token ever causes a network call but reads of the store:
//! `iss` must be `kazoo`, and every id is checked before it reaches the store. Secrets are compared in
//! constant time and never shown.

#![forbid(unsafe_code)]

mod account;
mod account_config;
mod authenticator;
mod basic;
pub mod bootstrap;
mod buckets;
mod caller;
mod claims;
mod encoding;
mod error;
mod jwt;
mod key;
mod login;
mod logout;
mod lookup;
mod memory;
mod mint;
mod password;
mod rate_limits;
mod restrictions;
mod secret;
mod views;

pub use account::Account;
pub use authenticator::{Authenticator, Settings};
pub use bootstrap::is_set_up;
pub use buckets::{Buckets, Client, Empty};
pub use caller::{AccountAccess, Caller, Denied};
pub use error::AuthError;
pub use login::{Login, LoginError};
pub use rate_limits::{Charged, RateLimits, network};
pub use restrictions::{Asked, Restrictions};
pub use secret::Secret;
