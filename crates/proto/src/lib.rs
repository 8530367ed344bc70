//! The protocols of a Telegram MTProto proxy, without IO.
#![forbid(unsafe_code)]

pub mod secret;
