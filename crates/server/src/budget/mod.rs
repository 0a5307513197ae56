//! The memory that all requests together may use. A request reserves what its work will take before it takes
//! it, and gives it back at its end. A request that finds no room waits for a short time and is refused then.
//!
//! A request that sends much may hold much. What it holds beyond a few times what it sent is its surplus, and
//! all surpluses together have a smaller limit, so that small requests for large documents take turns.
//!
//! It knows amounts and who pays. It does not know what the memory is for; `cost` does.

mod amounts;
mod pool;
mod reservation;
mod sweeper;

pub(crate) use self::amounts::{Limits, Payer};
pub(crate) use self::pool::{Budget, NoRoom};
pub(crate) use self::reservation::{Portion, Reservation};

#[cfg(test)]
mod tests;
