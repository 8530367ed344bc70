//! The packet that carries a client's message to a middle proxy.

use std::net::{IpAddr, SocketAddr};

use super::{ConnId, Head, Packet, PacketError};
use crate::reader::Reader;
use crate::transport::Framing;

pub(super) const PROXY_REQ: u32 = 0x36ce_f1ee;

/// The constructor of an ad tag in the extra fields.
const TL_PROXY_TAG: u32 = 0xdb1e_26ae;
/// Bytes of extra fields that hold an ad tag and nothing else.
const AD_TAG_EXTRA: u32 = 24;
/// Where the flags stand.
const FLAGS_OFFSET: usize = 4;

/// The 16 bytes that Telegram's bot for proxy owners gives out; they name the channel that is shown to the clients.
pub type AdTag = [u8; 16];

/// What the flags of a [`Request`] mean.
pub mod flags {
    /// The message is not encrypted: its first eight bytes are zero.
    pub const NOT_ENCRYPTED: u32 = 0x2;
    /// The extra fields begin with HTTP headers; nobody sends this any more.
    pub const HTTP: u32 = 0x4;
    /// The extra fields hold an ad tag.
    pub const AD_TAG: u32 = 0x8;
    /// Always set: a word of the protocol's past, and "extended mode 2".
    pub const ALWAYS: u32 = 0x2_1000;
    /// The client pads its messages.
    pub const PADDED: u32 = 0x0800_0000;
    /// The client speaks the intermediate framing, padded or not.
    pub const INTERMEDIATE: u32 = 0x2000_0000;
    /// The client speaks the abridged framing.
    pub const ABRIDGED: u32 = 0x4000_0000;
    /// The client wants a quick ack for this message.
    pub const QUICK_ACK: u32 = 0x8000_0000;
}

/// A client's message, and whose it is. The first one opens the connection id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// See [`flags`].
    pub flags: u32,
    /// The client's connection.
    pub conn: ConnId,
    /// Where the client is.
    pub client: SocketAddr,
    /// Where the client found us.
    pub proxy: SocketAddr,
    /// The tag that is credited, if any; goes with [`flags::AD_TAG`].
    pub ad_tag: Option<AdTag>,
    /// The message as the client sent it, whole words.
    pub message: &'a [u8],
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("flags", &format_args!("{:#x}", self.flags))
            .field("conn", &self.conn)
            .field("message", &self.message.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Request<'a> {
    /// The packet up to its message.
    pub(super) fn head(&self) -> Head {
        let head = Head::new()
            .with(&PROXY_REQ.to_le_bytes())
            .with(&self.flags.to_le_bytes())
            .with(&self.conn.get().to_le_bytes());
        let head = with_address(with_address(head, self.client), self.proxy);
        match self.ad_tag {
            Some(tag) if self.flags & flags::AD_TAG != 0 => head
                .with(&AD_TAG_EXTRA.to_le_bytes())
                .with(&TL_PROXY_TAG.to_le_bytes())
                .with(&[tag.len() as u8])
                .with(&tag)
                .with(&[0; 3]),
            // Either flag promises a length, be it of nothing.
            _ if self.flags & (flags::HTTP | flags::AD_TAG) != 0 => head.with(&[0; 4]),
            _ => head,
        }
    }

    /// Reads what follows the packet's type.
    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Packet<'a>, PacketError> {
        let mut read = || {
            let flags = reader.u32_le()?;
            let conn = ConnId::new(i64::from_le_bytes(*reader.array()?));
            let client = address(&mut reader)?;
            let proxy = address(&mut reader)?;
            let extra = if flags & (flags::HTTP | flags::AD_TAG) == 0 {
                &[]
            } else {
                let len = reader.u32_le()?;
                reader.take(usize::try_from(len).ok()?)?
            };
            let ad_tag = if flags & flags::AD_TAG == 0 { None } else { ad_tag(extra) };
            Some(Self { flags, conn, client, proxy, ad_tag, message: reader.clone().rest() })
        };
        read().map(Packet::Request).ok_or(PacketError::Malformed)
    }
}

/// What stands before the messages of one client's requests: all but what depends on the message.
#[derive(Debug, Clone)]
pub struct RequestHead {
    head: Head,
    flags: u32,
}

impl RequestHead {
    /// For one client: where it is, where it found us, how it frames its messages, whose channel it is shown.
    #[must_use]
    pub fn new(
        conn: ConnId,
        client: SocketAddr,
        proxy: SocketAddr,
        framing: Framing,
        ad_tag: Option<AdTag>,
    ) -> Self {
        let framing = match framing {
            Framing::Abridged => flags::ABRIDGED,
            Framing::Intermediate => flags::INTERMEDIATE,
            Framing::Padded => flags::INTERMEDIATE | flags::PADDED,
        };
        let tag = if ad_tag.is_some() { flags::AD_TAG } else { 0 };
        let flags = flags::ALWAYS | framing | tag;
        let head = Request { flags, conn, client, proxy, ad_tag, message: &[] }.head();
        Self { head, flags }
    }

    /// What stands before this message on the wire.
    #[must_use]
    pub fn before(&self, message: &[u8], quick_ack: bool) -> Head {
        let ack = if quick_ack { flags::QUICK_ACK } else { 0 };
        let plain = if message.starts_with(&[0; 8]) { flags::NOT_ENCRYPTED } else { 0 };
        self.head.with_word_at(FLAGS_OFFSET, self.flags | ack | plain)
    }
}

/// An address: 16 bytes of IPv6, IPv4 mapped into it, and the port as a whole word.
fn with_address(head: Head, address: SocketAddr) -> Head {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    head.with(&ip.octets()).with(&u32::from(address.port()).to_le_bytes())
}

fn address(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    let ip: &[u8; 16] = reader.array()?;
    let port = reader.u32_le()?.try_into().ok()?;
    Some(SocketAddr::new(IpAddr::from(*ip).to_canonical(), port))
}

/// The tag in extra fields that begin with one.
fn ad_tag(extra: &[u8]) -> Option<AdTag> {
    let mut reader = Reader::new(extra);
    (reader.u32_le()? == TL_PROXY_TAG).then_some(())?;
    reader.vec8()?.try_into().ok()
}
