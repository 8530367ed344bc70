//! What the server tells of itself: why connections end, how many of each kind there were, and what may be shown of an
//! address.

mod counters;
mod histogram;
mod links;
mod process;
mod reach;
mod reason;
mod redact;
mod reloads;
mod shards;
mod throttle;
mod trunks;

pub use counters::{Counter, Counts, ListenerCounters, Protocol};
pub use histogram::{Histogram, Scale, Spread};
pub use links::{LinkCounters, LinkCounts};
pub use process::ProcessReading;
pub use reach::{Direct, Reach};
pub use reason::{CloseReason, Kind, Side};
pub(crate) use redact::Masked;
pub use reloads::{ReloadCounts, Reloads};
pub use shards::{DcCounters, LinkGauge, ShardCounters, Stage};
pub(crate) use throttle::Throttle;
pub use trunks::{
    CallRefusal, CallRefusalCounts, CallRefusals, TrunkCounters, TrunkCounts, TrunkFailure, TrunkTable,
};
