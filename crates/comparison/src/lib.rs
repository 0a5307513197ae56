//! Whether two answers to one request are the same. One set of rules serves the recordings of real crossbars and
//! two servers that run side by side: which members and headers change from answer to answer, and which differ
//! on purpose. It does no IO, and it does not know where the answers come from.

#![forbid(unsafe_code)]

mod difference;
mod headers;
mod json;
mod live;
mod looks;
mod symbols;

pub use difference::{Difference, What};
pub use headers::{ADDED_HEADERS, header_difference, is_compared};
pub use json::{Texts, difference, order_difference};
pub use live::{Answer, compare, is_comparable};
pub use looks::{Looks, Seen};
pub use symbols::text_matches;
