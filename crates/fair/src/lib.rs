//! Shares threads between those who want them. `queue`: a queue in which they take turns. `breaks`: long work that
//! lets others run between its parts.

#![forbid(unsafe_code)]

mod breaks;
mod queue;

pub use self::breaks::{Breaks, SLICE};
pub use self::queue::FairQueue;
