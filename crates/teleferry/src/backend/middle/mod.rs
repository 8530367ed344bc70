//! The way over middle proxies: the clients of a shard share a few long-lived links.
//!
//! A session has a [`MiddleLeg`], and behind it a [`Port`](port::Port) in the [`Pool`] of its data centre. The
//! pool puts the port on one of its [`Link`](link::Link)s, and on another one when that goes away. From the client to
//! Telegram whole messages are appended to the link's output, which its task writes once a turn; from Telegram to the client
//! the link's task writes to the client's socket itself. Nobody waits for anybody, and nothing is passed through a channel.

mod board;
mod delivery;
mod endpoints;
mod hoarders;
mod leg;
mod link;
mod plan;
mod pool;
mod pools;
mod port;
mod turn;

pub(crate) use board::Board;
pub(crate) use delivery::Workbench;
pub(crate) use endpoints::Endpoints;
pub(crate) use leg::{MiddleLeg, Passenger};
pub(crate) use pool::Pool;
pub(crate) use pools::Pools;
