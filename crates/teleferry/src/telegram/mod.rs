//! What Telegram publishes for proxies, kept fresh: the secret shared with middle proxies, where those are, and under which
//! address they see this machine.
//!
//! A start needs no network: what an earlier run kept in the state directory counts, else what was embedded when this was
//! built. Every item is fetched by itself, and one that fails holds up no other.

mod address;
mod backoff;
mod cache;
mod cycle;
mod feed;
mod http;
mod item;
mod known;
mod look;
mod source;
mod trust;

pub(crate) use address::is_private;
pub(crate) use cache::lock_file;
pub(crate) use cycle::MAX_CLOCK_OFFSET;
pub use feed::Feed;
pub(crate) use http::Http;
pub use known::Known;
pub(crate) use look::{Look, Seen, Way, look, way};
pub(crate) use source::{Family, Source};

/// What TLS connections to others are made with: the system's roots, or built-in ones where there are none.
///
/// # Errors
/// There is nobody to trust.
pub(crate) fn client_config() -> std::io::Result<std::sync::Arc<rustls::ClientConfig>> {
    trust::client_config(trust::roots())
}
