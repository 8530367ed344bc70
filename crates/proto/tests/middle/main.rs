//! A link and a middle proxy joined in one thread, with virtual time and any cut of the bytes between them.

mod beside;
#[path = "../common/mod.rs"]
mod common;
mod handshake;
mod odd;
mod pair;
mod relay;
mod time;
mod transcript;
mod unsent;
