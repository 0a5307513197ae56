//! Another server that answers the same requests: crossbar itself, or another server of this program. `compare` asks
//! it, and so does `serve --shadow`. Whatever it does, an answer takes bounded time and memory, and no error shows a
//! token.

mod address;
mod client;

pub(crate) use self::address::CounterpartUrl;
pub(crate) use self::client::{Bounds, Counterpart, Heard, Question, Unanswered, is_failing, shown_header};
