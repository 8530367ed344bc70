//! What the server tells of itself: why connections end, how many of each kind there were, and what may be shown of an
//! address.

mod counters;
mod links;
mod reach;
mod reason;
mod redact;
mod throttle;

pub use counters::{Counts, ListenerCounters, Protocol};
pub use links::{LinkCounters, LinkCounts};
pub use reach::{Direct, Reach};
pub use reason::{CloseReason, Kind, Side};
pub(crate) use redact::Masked;
pub(crate) use throttle::Throttle;
