//! Tests of groups on an embedded store: listings compared with a model, and concurrent changes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop, and says why"
)]

mod asking;
mod changing;
mod listings;
mod model;
mod order_4_3;
mod paging;
mod racing;
mod registry;
mod schemas;
mod support;
