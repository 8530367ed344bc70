//! The server: everything that touches a socket, a clock or a file.

mod backend;
mod client;
pub mod clock;
pub mod config;
mod cover;
mod entropy;
mod gate;
mod listen;
mod net;
pub mod observe;
pub mod ping;
pub mod server;
mod shard;
mod sys;
