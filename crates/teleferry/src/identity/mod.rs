//! Who a front and a back are to each other: their certificates, their token, and what becomes of them in TLS.
//!
//! A leaf room: it reads files and makes rustls configurations, and knows nothing of connections or settings.
//!
//! The way through it: [`Credentials`] are what the files hold; [`Credentials::examine`] says what is wrong with them in
//! themselves; [`server_config`] and [`client_config`] are what a back and a front speak TLS with. [`peer_name`] says whose
//! certificate the other side had, and [`Refusal`] why a handshake failed. [`authority`] makes the certificates.

mod about;
pub mod authority;
mod credentials;
mod files;
mod flaw;
mod refusal;
mod tls;
mod token;
mod trust;

#[cfg(test)]
mod tests;

pub use about::{About, day, peer_name};
pub use credentials::{Certificate, Credentials, Own, Side};
pub use files::{FileError, may_be_read_by_others, read_certificates, read_key, read_revoked};
pub use flaw::Flaw;
pub use refusal::{Cause, Refusal};
pub use tls::{client_config, server_config};
pub use token::Token;
pub(crate) use trust::system_roots;

/// Whether a certificate that holds between these times ends soon enough to be spoken of; all in seconds since 1970. Those that
/// last for weeks are renewed late by whoever makes them.
pub(crate) fn expires_soon(begins: i64, ends: i64, now: i64) -> bool {
    const MONTH: i64 = 30 * 24 * 60 * 60;
    ends < now.saturating_add(MONTH.min(ends.saturating_sub(begins) / 6))
}
