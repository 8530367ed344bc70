//! Test packets: messages with the key id `TESTECHO`, which the simulated data centre echoes or obeys.
//!
//! They look like encrypted messages to a proxy: a key id that is not zero, at least 56 bytes, a multiple of four.
//!
//! | offset | length | meaning (integers little-endian) |
//! |---|---|---|
//! | 0 | 8 | `TESTECHO` |
//! | 8 | 4 | kind: what to do, or what this is |
//! | 12 | 4 | length of the content |
//! | 16 | … | content, then zeros up to a multiple of four and to 56 bytes in all |
//!
//! What follows that length (padding of the transport) is ignored. Kinds from 256 on are answers.

use std::net::{IpAddr, SocketAddr};

use teleferry_proto::rpc::AdTag;

use crate::pattern;

/// The key id of every test packet.
pub const KEY_ID: [u8; 8] = *b"TESTECHO";
/// Where the content begins.
pub const CONTENT_OFFSET: usize = 16;
/// The shortest test packet, in bytes.
pub const MIN_PACKET: usize = 56;
/// The longest content of a packet from a client, in bytes.
pub const MAX_CONTENT: usize = teleferry_proto::transport::MAX_CLIENT_MESSAGE - CONTENT_OFFSET;
/// The longest packet that [`Send`] asks for, in bytes.
pub const MAX_PACKET: usize = teleferry_proto::transport::MAX_SERVER_MESSAGE;

/// What a client asks of the data centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send the same packet back. Kind 0; the content is free.
    Echo(Vec<u8>),
    /// Count it and answer nothing. Kind 1; the content is free.
    Discard(Vec<u8>),
    /// Send packets of known content. Kind 2.
    Send(Send),
    /// Send these bytes as one frame: an error code, a no-op. Kind 3; a multiple of four bytes, not none.
    Frame(Vec<u8>),
    /// Send these bytes in the stream without any framing. Kind 4. Through a middle proxy it does nothing.
    Raw(Vec<u8>),
    /// Send a quick ack with this token, its last bit set. Kind 5.
    QuickAck([u8; 4]),
    /// Answer with a [`Report`]. Kind 6.
    Report,
    /// Answer nothing any more, but go on reading. Kind 7.
    Stall,
    /// Answer nothing and read nothing any more. Kind 8. Through a middle proxy the same as [`Stall`](Self::Stall).
    Freeze,
    /// Send FIN, answer nothing any more, go on reading until the client ends. Kind 9. Through a middle proxy this and the
    /// two that follow make it close the client.
    HalfClose,
    /// Close the connection: FIN, when everything that came was read. Kind 10.
    Close,
    /// Close the connection with RST. Kind 11.
    Reset,
}

/// A wish for `count` packets of `size` bytes; see [`data_packet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Send {
    /// How many packets.
    pub count: u32,
    /// Length of each packet in bytes, brought to a multiple of four between [`MIN_PACKET`] and [`MAX_PACKET`].
    pub size: u32,
    /// Makes the content differ between connections.
    pub seed: u64,
}

/// What the data centre has seen of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The connection's number at this data centre, counted from 1.
    pub connection: u64,
    /// The data centre's own id.
    pub dc: i16,
    /// The DC id in the connection's header.
    pub asked_dc: i16,
    /// The tag of the framing in the header.
    pub framing: [u8; 4],
    /// Bytes received, the header included.
    pub bytes_in: u64,
    /// Bytes sent before this answer.
    pub bytes_out: u64,
    /// Frames received, this command included.
    pub frames_in: u64,
    /// Frames sent before this answer.
    pub frames_out: u64,
    /// What a middle proxy was told; `None` on a direct connection.
    pub middle: Option<ViaMiddle>,
}

/// What a middle proxy was told of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViaMiddle {
    /// The number of the link that this packet came over, counted from 1 over all middle proxies.
    pub link: u64,
    /// The client's connection id on it.
    pub conn: i64,
    /// Where the client is.
    pub client: SocketAddr,
    /// Where it found the proxy.
    pub proxy: SocketAddr,
    /// Whose channel it is shown.
    pub ad_tag: Option<AdTag>,
}

/// Kind of a packet that [`Command::Send`] asked for.
pub const DATA: u32 = 256;
/// Kind of the answer to [`Command::Report`].
pub const REPORT: u32 = 257;

impl Command {
    /// An error code instead of a message, as −404 for an unknown key.
    #[must_use]
    pub fn error(code: i32) -> Self {
        Self::Frame(code.to_le_bytes().to_vec())
    }

    /// The packet that asks for this.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let content: &[u8] = match self {
            Self::Echo(bytes) | Self::Discard(bytes) | Self::Frame(bytes) | Self::Raw(bytes) => bytes,
            Self::QuickAck(token) => token,
            Self::Send(send) => {
                let mut content = Vec::with_capacity(16);
                content.extend(send.count.to_le_bytes());
                content.extend(send.size.to_le_bytes());
                content.extend(send.seed.to_le_bytes());
                return packet(self.kind(), &content);
            }
            _ => &[],
        };
        packet(self.kind(), content)
    }

    /// The command in a packet; `None` when it is not a well-formed one.
    #[must_use]
    pub fn decode(packet: &Packet<'_>) -> Option<Self> {
        let content = packet.content;
        Some(match packet.kind {
            0 => Self::Echo(content.to_vec()),
            1 => Self::Discard(content.to_vec()),
            2 => Self::Send(Send {
                count: u32::from_le_bytes(*content.first_chunk()?),
                size: u32::from_le_bytes(*content.get(4..)?.first_chunk()?),
                seed: u64::from_le_bytes(*content.get(8..)?.first_chunk()?),
            }),
            3 if !content.is_empty() && content.len().is_multiple_of(4) => Self::Frame(content.to_vec()),
            4 => Self::Raw(content.to_vec()),
            5 => Self::QuickAck(*content.first_chunk()?),
            6 => Self::Report,
            7 => Self::Stall,
            8 => Self::Freeze,
            9 => Self::HalfClose,
            10 => Self::Close,
            11 => Self::Reset,
            _ => return None,
        })
    }

    const fn kind(&self) -> u32 {
        match self {
            Self::Echo(_) => 0,
            Self::Discard(_) => 1,
            Self::Send(_) => 2,
            Self::Frame(_) => 3,
            Self::Raw(_) => 4,
            Self::QuickAck(_) => 5,
            Self::Report => 6,
            Self::Stall => 7,
            Self::Freeze => 8,
            Self::HalfClose => 9,
            Self::Close => 10,
            Self::Reset => 11,
        }
    }
}

/// A test packet, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What to do, or what this is.
    pub kind: u32,
    /// Its content.
    pub content: &'a [u8],
    /// The whole packet, without what a transport padded it with.
    pub whole: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Understands a message; `None` when it is no test packet or not whole.
    #[must_use]
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let rest = message.strip_prefix(&KEY_ID)?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let content = rest.get(..u32::from_le_bytes(*len) as usize)?;
        let whole = message.get(..packet_len(content.len()))?;
        Some(Self { kind: u32::from_le_bytes(*kind), content, whole })
    }
}

impl Send {
    /// The length that each packet really has, in bytes.
    #[must_use]
    pub fn packet_len(&self) -> usize {
        (self.size as usize).clamp(MIN_PACKET, MAX_PACKET) & !3
    }

    /// Whether `message` is the packet with this index. Padding behind it is allowed: the client's end of a padded
    /// transport cannot always cut it off.
    #[must_use]
    pub fn verify(&self, index: u32, message: &[u8]) -> bool {
        message.starts_with(&data_packet(self, index))
    }
}

/// The packet with this index (from 0) in answer to a wish. Its content: index as u32, seed as u64, then the
/// [`pattern`] of `seed + index`.
#[must_use]
pub fn data_packet(send: &Send, index: u32) -> Vec<u8> {
    let len = send.packet_len();
    let mut packet = Vec::with_capacity(len);
    packet.extend(KEY_ID);
    packet.extend(DATA.to_le_bytes());
    packet.extend(((len - CONTENT_OFFSET) as u32).to_le_bytes());
    packet.extend(index.to_le_bytes());
    packet.extend(send.seed.to_le_bytes());
    let pattern_at = packet.len();
    packet.resize(len, 0);
    pattern::fill(send.seed.wrapping_add(u64::from(index)), 0, &mut packet[pattern_at..]);
    packet
}

impl Report {
    /// The answering packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut content = Vec::with_capacity(48);
        content.extend(self.connection.to_le_bytes());
        content.extend(self.dc.to_le_bytes());
        content.extend(self.asked_dc.to_le_bytes());
        content.extend(self.framing);
        for number in [self.bytes_in, self.bytes_out, self.frames_in, self.frames_out] {
            content.extend(number.to_le_bytes());
        }
        if let Some(middle) = &self.middle {
            middle.encode(&mut content);
        }
        packet(REPORT, &content)
    }

    /// The report in a message, when it is one.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        let packet = Packet::parse(message).filter(|packet| packet.kind == REPORT)?;
        let (connection, rest) = packet.content.split_first_chunk()?;
        let (dc, rest) = rest.split_first_chunk()?;
        let (asked_dc, rest) = rest.split_first_chunk()?;
        let (framing, rest) = rest.split_first_chunk()?;
        let number = |at: usize| Some(u64::from_le_bytes(*rest.get(at * 8..)?.first_chunk()?));
        Some(Self {
            connection: u64::from_le_bytes(*connection),
            dc: i16::from_le_bytes(*dc),
            asked_dc: i16::from_le_bytes(*asked_dc),
            framing: *framing,
            bytes_in: number(0)?,
            bytes_out: number(1)?,
            frames_in: number(2)?,
            frames_out: number(3)?,
            middle: rest.get(32..).and_then(ViaMiddle::decode),
        })
    }
}

impl ViaMiddle {
    fn encode(&self, content: &mut Vec<u8>) {
        content.extend(self.link.to_le_bytes());
        content.extend(self.conn.to_le_bytes());
        for address in [self.client, self.proxy] {
            let ip = match address.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            content.extend(ip.octets());
            content.extend(address.port().to_le_bytes());
        }
        content.extend(self.ad_tag.iter().flatten());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (link, rest) = bytes.split_first_chunk()?;
        let (conn, rest) = rest.split_first_chunk()?;
        let (client, rest) = address(rest)?;
        let (proxy, rest) = address(rest)?;
        Some(Self {
            link: u64::from_le_bytes(*link),
            conn: i64::from_le_bytes(*conn),
            client,
            proxy,
            ad_tag: rest.try_into().ok(),
        })
    }
}

fn address(bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (ip, rest) = bytes.split_first_chunk::<16>()?;
    let (port, rest) = rest.split_first_chunk()?;
    Some((SocketAddr::new(IpAddr::from(*ip).to_canonical(), u16::from_le_bytes(*port)), rest))
}

/// The token of the quick ack for a test packet that asks for one in its frame: its first four bytes after the key id,
/// mixed, with the last bit set. (For real messages it comes from the auth key.)
#[must_use]
pub fn quick_ack_token(packet: &Packet<'_>) -> [u8; 4] {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(packet.whole);
    [digest[0], digest[1], digest[2], digest[3] | 0x80]
}

fn packet(kind: u32, content: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(packet_len(content.len()));
    packet.extend(KEY_ID);
    packet.extend(kind.to_le_bytes());
    packet.extend((content.len() as u32).to_le_bytes());
    packet.extend_from_slice(content);
    packet.resize(packet_len(content.len()), 0);
    packet
}

fn packet_len(content: usize) -> usize {
    (CONTENT_OFFSET + content).next_multiple_of(4).max(MIN_PACKET)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn commands() -> impl Strategy<Value = Command> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            bytes().prop_map(Command::Echo),
            bytes().prop_map(Command::Discard),
            any::<(u32, u32, u64)>().prop_map(|(count, size, seed)| Command::Send(Send {
                count,
                size,
                seed
            })),
            any::<i32>().prop_map(Command::error),
            bytes().prop_map(Command::Raw),
            any::<[u8; 4]>().prop_map(Command::QuickAck),
            Just(Command::Report),
            Just(Command::Stall),
            Just(Command::Freeze),
            Just(Command::HalfClose),
            Just(Command::Close),
            Just(Command::Reset),
        ]
    }

    proptest! {
        #[test]
        fn commands_survive_and_padding_is_ignored(command in commands(), padding in 0usize..4) {
            let encoded = command.encode();
            prop_assert!(encoded.len() >= MIN_PACKET && encoded.len().is_multiple_of(4));
            let mut padded = encoded.clone();
            padded.resize(encoded.len() + padding * 4, 0xaa);
            let packet = Packet::parse(&padded).unwrap();
            prop_assert_eq!(packet.whole, &encoded);
            prop_assert_eq!(Command::decode(&packet), Some(command));
        }

        #[test]
        fn any_bytes_are_safe(mut bytes: Vec<u8>, ours: bool) {
            if ours {
                bytes.splice(..0, KEY_ID);
            }
            if let Some(packet) = Packet::parse(&bytes) {
                let _ = Command::decode(&packet);
            }
            let _ = Report::decode(&bytes);
        }

        #[test]
        fn data_packets_are_as_long_as_asked(size: u32, seed: u64, index: u32) {
            let send = Send { count: 1, size: size % 5000, seed };
            let packet = data_packet(&send, index);
            prop_assert_eq!(packet.len(), send.packet_len());
            prop_assert_eq!(Packet::parse(&packet).unwrap().whole, &packet);
            prop_assert!(send.verify(index, &packet));
            let mut wrong = packet;
            *wrong.last_mut().unwrap() ^= 1;
            prop_assert!(!send.verify(index, &wrong));
        }
    }

    #[test]
    fn report_survives() {
        let mut report = Report {
            connection: 1,
            dc: 2,
            asked_dc: -3,
            framing: [0xee; 4],
            bytes_in: 4,
            bytes_out: 5,
            frames_in: 6,
            frames_out: 7,
            middle: None,
        };
        assert_eq!(Report::decode(&report.encode()), Some(report));
        for ad_tag in [None, Some([9; 16])] {
            let (client, proxy) = ("192.0.2.1:8".parse().unwrap(), "[2001:db8::1]:443".parse().unwrap());
            report.middle = Some(ViaMiddle { link: 1, conn: -2, client, proxy, ad_tag });
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
    }
}
