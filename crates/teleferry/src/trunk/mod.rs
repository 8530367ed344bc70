//! What front and back have in common: a *trunk* is a connection of HTTP/2 between them, and each session of a front is a
//! *call* on one, a streaming call in gRPC's wire format.
//!
//! h2 does the transport. What is ours: what a call says (`proto::call`), when a byte counts as sent, whether the other side
//! still lives, and what its status means.

mod batch;
mod incoming;
mod meter;
mod outgoing;
mod pace;
mod pulse;
mod status;

pub(crate) use batch::{Batch, Batched};
pub(crate) use incoming::{Ended, Incoming, Note};
pub(crate) use meter::{Meter, Metered};
pub(crate) use outgoing::{Message, Outgoing, Parcel};
pub(crate) use pace::unpace_at_home;
pub(crate) use pulse::Pulse;
pub(crate) use status::Status;

/// Bytes of one call that may be under way or wait with the receiver: its share of the connection, at the pace at which its
/// reader takes them.
pub(crate) const CALL_WINDOW: u32 = 512 << 10;
/// Calls on one trunk, at most.
pub(crate) const MAX_CALLS: u32 = 4096;
/// Bytes of all calls of a trunk that may be under way: so many that calls whose readers stand still take nothing from the
/// others. (The most that the protocol has.)
pub(crate) const TRUNK_WINDOW: u32 = (1 << 31) - 1;
/// Bytes of a call that may stand in one frame: what comes at once from Telegram or a client leaves in one.
pub(crate) const MAX_FRAME: u32 = 128 << 10;
/// Bytes that TLS takes at once, so that a frame leaves in one write: its head and all of it.
pub(crate) const TLS_BUFFER: usize = 2 * MAX_FRAME as usize;
/// Bytes of a call that may wait for the trunk before its source is not read from.
pub(crate) const FULL: usize = 128 << 10;
/// Streams that the other side ended and that we may still speak of.
pub(crate) const REMEMBERED: usize = 1024;

const _: () = assert!(CALL_WINDOW as u64 * MAX_CALLS as u64 <= TRUNK_WINDOW as u64 + 1);

/// What gRPC calls its content.
pub(crate) const CONTENT_TYPE: &str = "application/grpc";
