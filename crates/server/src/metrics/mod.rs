//! The figures that the admin listener shows at `/metrics`. Labels are names and templates, never ids, so
//! the number of time series does not grow with the store. `docs/operations.md` lists every figure.
//!
//! A part of the program that has figures of its own registers them once, at start: what it counts through
//! [`Metrics::register`], what it can tell when somebody asks through [`Metrics::read`].

mod figures;
mod process;
mod reading;
mod reasons;
mod registry;
mod store;

pub(crate) use self::reading::{Kind, Reading, number, number_of_u64, one_if};
pub(crate) use self::reasons::ReasonCounts;
pub(crate) use self::registry::{InFlight, MEDIA_TYPE, Metrics};
pub(crate) use self::store::{Measured, StoreFigures};
