//! Rate limits: the costs of requests, and the buckets that pay for them. Nothing here does IO. The
//! [directory](crate::directory) reads the configuration.

mod bucket;
mod buckets;
mod known_addresses;
mod password_guesses;
mod rate_limits;

pub(crate) use bucket::{Bucket, Capacity};
pub use buckets::{BucketEmpty, Buckets, Client};
pub(crate) use password_guesses::{Password, PasswordGuesses};
pub use rate_limits::{Charged, RateLimits, network};
