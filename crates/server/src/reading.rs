//! The memory for what a request reads from the store. The store asks for it before it reads something large.

use std::sync::Arc;

use datastore::{Meter, Room, StoreError};
use futures::FutureExt as _;
use futures::TryFutureExt as _;
use futures::future::BoxFuture;

use crate::budget::{NoRoom, Portion, Reservation};

/// A part of a request's memory, for what one call of the store reads.
#[derive(Debug)]
pub(crate) struct Reading {
    portion: Portion,
    /// What the work takes for each byte that is read.
    per_byte: usize,
}

impl Reading {
    pub(crate) fn new(reservation: &Arc<Reservation>, per_byte: usize) -> Arc<Self> {
        Arc::new(Self { portion: reservation.portion(), per_byte })
    }

    /// The meter for the call.
    pub(crate) fn meter(self: &Arc<Self>) -> Meter {
        let room: Arc<dyn Room> = Arc::<Self>::clone(self);
        Meter::of(room)
    }

    /// What was read stays with the request.
    pub(crate) fn keep(&self) {
        self.portion.keep();
    }

    /// Waits for room for work that takes this many bytes.
    ///
    /// # Errors
    /// [`NoRoom`] if there is none in time.
    pub(crate) async fn hold_for_work(&self, bytes: usize) -> Result<(), NoRoom> {
        self.portion.set(bytes).await
    }

    fn cost(&self, bytes: usize) -> usize {
        bytes.saturating_mul(self.per_byte)
    }
}

impl Room for Reading {
    fn try_hold(&self, bytes: usize) -> bool {
        self.portion.try_set(self.cost(bytes))
    }

    fn hold(&self, bytes: usize) -> BoxFuture<'_, datastore::Result<()>> {
        let held = self.portion.set(self.cost(bytes));
        held.map_err(StoreError::from).boxed()
    }
}
