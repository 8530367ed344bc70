//! Opening connections, and the bytes that a socket would not take.

mod dial;
mod interface;
mod outbox;
mod pipe;
mod stream;

pub(crate) use dial::{DialError, dial};
pub(crate) use interface::interface_address;
pub(crate) use outbox::Outbox;
pub(crate) use pipe::{PIPES, Pipe, Pipes};
pub(crate) use stream::Peer;
pub(crate) use stream::{SocketKind, Stream};
