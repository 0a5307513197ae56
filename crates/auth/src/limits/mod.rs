//! How often clients may fail: what requests cost, and the buckets that pay for it. Values only; the
//! configuration is read by the [directory](crate::directory).

mod bucket;
mod buckets;
mod rate_limits;

pub(crate) use bucket::{Bucket, Capacity};
pub use buckets::{BucketEmpty, Buckets, Client};
pub use rate_limits::{Charged, RateLimits, network};
