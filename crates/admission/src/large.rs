//! The turns of large calls. A large answer keeps the store and this process busy for longer than many small ones, so
//! few of them are read at once.

use std::sync::Arc;

use crate::gate::{Gate, Limits};
use crate::shares::Shares;
use crate::sizes::Sizes;

/// An answer with more bytes than this is large.
const LARGE: usize = 256 * 1024;

/// The gate of large calls, and what is known of the sizes of answers.
#[derive(Debug)]
pub(crate) struct Large {
    pub(crate) gate: Arc<Gate>,
    pub(crate) sizes: Sizes,
}

impl Large {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { gate: Gate::new(limits, Shares::of_large(limits.calls)), sizes: Sizes::new() }
    }
}

/// Whether an answer of so many bytes is large.
pub(crate) fn is_large(bytes: usize) -> bool {
    bytes > LARGE
}
