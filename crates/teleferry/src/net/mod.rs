//! Opening connections, and the bytes that a socket would not take.

mod client_side;
mod dial;
mod interface;
mod memory;
mod outbox;
mod pipe;
mod stream;

pub(crate) use client_side::{ClientSide, PIECE};
pub(crate) use dial::{DialError, dial};
pub(crate) use interface::{interface_address, is_local};
pub(crate) use memory::{Held, Memory};
pub(crate) use outbox::Outbox;
pub(crate) use pipe::{PIPES, Pipe, Pipes};
pub(crate) use stream::{Peer, SocketKind, Source, Stream};
