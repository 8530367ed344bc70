//! Telegram on loopback: every data centre, clients for every protocol of a proxy, a cover site. For tests,
//! demonstrations and benches; a product of its own.
//!
//! Start [`telegram::Telegram`], point a proxy at its addresses, connect a client through it, and compare what the client
//! got with what the data centre's counters say.

pub mod client;
mod clock;
pub mod command;
pub mod cover;
pub mod dc;
mod entropy;
pub mod limits;
mod mtproto;
pub mod pattern;
pub mod relay;
pub mod telegram;
