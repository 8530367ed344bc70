//! Judging the fields of a request.

use std::net::{IpAddr, SocketAddr};

use teleferry_proto::message::{JUDGED_PREFIX, Judgement, judge};
use teleferry_proto::rpc::{AdTag, ConnId, flags};
use teleferry_proto::transport::Framing;

use super::{Settings, Violation};

/// A request, without its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) conn: ConnId,
    pub(super) flags: u32,
    pub(super) client: SocketAddr,
    pub(super) proxy: SocketAddr,
    pub(super) ad_tag: Option<AdTag>,
}

/// Flags that differ between the messages of one client.
const OF_THE_MESSAGE: u32 = flags::NOT_ENCRYPTED | flags::QUICK_ACK;

impl Asked {
    /// Whether the message wants a quick ack.
    pub(super) const fn quick_ack(&self) -> bool {
        self.flags & flags::QUICK_ACK != 0
    }

    /// The framing that the flags name; `None` when they name none or several.
    pub(super) fn framing(&self) -> Option<Framing> {
        match self.flags & !OF_THE_MESSAGE & !flags::AD_TAG & !flags::ALWAYS {
            flags::ABRIDGED => Some(Framing::Abridged),
            flags::INTERMEDIATE => Some(Framing::Intermediate),
            both if both == flags::INTERMEDIATE | flags::PADDED => Some(Framing::Padded),
            _ => None,
        }
    }

    /// The rules that this request breaks on its own.
    pub(super) fn broken(&self, message: &[u8], settings: &Settings) -> impl Iterator<Item = Violation> {
        let encrypted = !message.starts_with(&[0; 8]);
        let flags_fit = self.framing().is_some()
            && self.flags & flags::ALWAYS == flags::ALWAYS
            && (self.flags & flags::NOT_ENCRYPTED == 0) == encrypted
            && (self.flags & flags::AD_TAG != 0) == self.ad_tag.is_some();
        let prefix = &message[..message.len().min(JUDGED_PREFIX)];
        let is_message = judge(message.len() as u32, prefix) == Judgement::Forward;
        let proxy_fits = settings.proxy.map_or_else(|| is_plausible(self.proxy), |proxy| self.proxy == proxy);
        broken([
            (Violation::Flags, flags_fit),
            (Violation::Message, is_message),
            (Violation::ClientAddress, is_plausible(self.client)),
            (Violation::ProxyAddress, proxy_fits),
            (Violation::AdTag, settings.ad_tag.takes(self.ad_tag)),
        ])
    }

    /// The rules that it breaks as it differs from the client's first.
    pub(super) fn changed(&self, first: &Self) -> impl Iterator<Item = Violation> {
        let flags = |asked: &Self| asked.flags & !OF_THE_MESSAGE & !flags::AD_TAG;
        broken([
            (Violation::Flags, flags(self) == flags(first)),
            (Violation::ClientAddress, self.client == first.client),
            (Violation::ProxyAddress, self.proxy == first.proxy),
            (Violation::AdTag, self.ad_tag == first.ad_tag),
        ])
    }
}

fn broken<const N: usize>(rules: [(Violation, bool); N]) -> impl Iterator<Item = Violation> {
    rules.into_iter().filter(|&(_, kept)| !kept).map(|(violation, _)| violation)
}

/// Whether a connection can have this end.
fn is_plausible(address: SocketAddr) -> bool {
    let ip = address.ip();
    let nobody = match ip {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !nobody
}
