//! Listening sockets, and taking connections from them.

mod accept;
mod ceiling;
mod handover;
mod socket;

pub(crate) use accept::accept_loop;
pub(crate) use ceiling::{Ceiling, Place};
pub(crate) use handover::Handover;
pub(crate) use socket::{ListeningSocket, open};
