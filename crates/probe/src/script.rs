//! What a prober does on one connection.

use std::net::Ipv4Addr;
use std::time::Duration;

/// What a prober does, step by step; then it watches until the other side has ended or the window is over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// A real TLS session first; then `Send` is what goes through it.
    pub(crate) tls: Option<Tls>,
    /// The steps.
    pub(crate) steps: Vec<Step>,
    /// The address that it comes from; the kernel's choice without it.
    pub(crate) source: Option<Ipv4Addr>,
}

/// A TLS session as browsers have it.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    /// TLS 1.2 alone.
    pub(crate) old: bool,
    /// The protocols offered.
    pub(crate) alpn: Vec<&'static [u8]>,
    /// The site asked for.
    pub(crate) name: String,
}

/// One thing that a prober does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Sends these bytes in one piece.
    Send(Vec<u8>),
    /// Sends these bytes one by one, with a pause before each.
    Drip(Vec<u8>, Duration),
    /// Waits; reads what comes.
    Pause(Duration),
    /// Waits until this many bytes of the other side have come in all (of plaintext, in a TLS session).
    Await(u64),
    /// Says goodbye in the TLS session, or on the wire: FIN.
    Finish,
    /// Ends with RST, and watches no more.
    Reset,
}

impl Script {
    /// Raw bytes on the wire.
    pub(crate) fn raw(steps: impl Into<Vec<Step>>) -> Self {
        Self { steps: steps.into(), ..Self::default() }
    }

    /// The same, in a TLS session.
    pub(crate) fn tls(tls: Tls, steps: impl Into<Vec<Step>>) -> Self {
        Self { tls: Some(tls), steps: steps.into(), source: None }
    }
}
