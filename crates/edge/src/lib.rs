//! The edge between sockets and an actix-web application. It gives every connection its deadlines, refuses
//! heads that are malformed or ambiguous, hands requests to actix-http one at a time, and bounds how many
//! connections there are. It knows HTTP/1.1's heads, but neither the framing of bodies, which is
//! actix-http's, nor what a request means.

#![forbid(unsafe_code)]

mod arrival;
mod capacity;
mod chunk_sizes;
mod connection;
mod crowd;
mod drain;
mod exchange;
mod head;
mod limits;
mod listener;
mod refused;
mod socket;
mod wire;

pub use capacity::{Capacity, OpenFiles};
pub use exchange::{LongQuery, PART_BYTES};
pub use limits::{BODY_GRACE, Limits};
pub use listener::{Listener, Service, bind};
pub use refused::{Reason, Report};
