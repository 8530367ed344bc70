//! The way over a back: a front's session has a call on a trunk, and a back takes it to Telegram.
//!
//! Each shard keeps trunks of its own to every back ([`Backs`]), so that nothing on the data path is shared with another.
//! A session has a [`RemoteLeg`]. What its client sends goes in whole frames, and stays here until the connection has
//! taken it: when the back is lost, or asks for it, the session goes on over another one.

mod backs;
mod front;
mod leg;
mod look;
mod trunk;
mod unsent;

pub(crate) use backs::Backs;
pub(crate) use front::Front;
pub(crate) use leg::RemoteLeg;
pub(crate) use look::{Look, Stop, look};
pub(crate) use trunk::Cause;
