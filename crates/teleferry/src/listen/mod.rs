//! Listening sockets, and taking connections from them.

mod accept;
mod ceiling;
mod handover;
mod registry;
mod socket;

pub(crate) use accept::accept_loop;
pub(crate) use ceiling::{Ceiling, Place};
pub(crate) use handover::Handover;
pub(crate) use registry::{Account, Registry};
pub(crate) use socket::{Exclusive, ListeningSocket, adopt, open, try_open};
