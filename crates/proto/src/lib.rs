//! The protocols of a Telegram MTProto proxy, without IO: no sockets, no clock, no randomness of its own. Time, entropy
//! and keys are arguments, and nothing here can panic on remote bytes or allocate without a stated bound.
//!
//! A connection goes through these rooms in order: the first bytes prove a client or show a stranger
//! ([`accept`]), then a [`session`] turns the client's bytes into judged frames, and a
//! [`direct`] connection carries them to a data centre, or a [`middle`] link, shared with many others, to a middle proxy.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub mod accept;
pub mod call;
pub mod cipher;
pub mod dc;
pub mod direct;
pub mod downlink;
pub mod fake_tls;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
pub mod haproxy;
pub mod message;
pub mod middle;
pub mod obfuscated;
pub mod per_sni;
mod reader;
pub mod replay;
pub mod rpc;
pub mod secret;
pub mod session;
pub mod telegram_config;
pub mod transport;
