//! Version 2: binary, its length known after 16 bytes.

use std::net::{IpAddr, SocketAddr};

use super::{Ends, MAX_TLVS_LEN, Scan, Told};
use crate::reader::Reader;

/// What the header begins with.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length of the rest.
pub(super) const FIXED_LEN: usize = 16;

/// Two paths of unix sockets.
pub(super) const LONGEST_ADDRESSES: usize = 216;

/// Version 2 in the upper half; the sender's own connection.
const LOCAL: u8 = 0x20;
/// Version 2 in the upper half; a connection that is passed on.
const PROXY: u8 = 0x21;

/// TCP over IPv4, TCP over IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// `bytes` begin like [`SIGNATURE`].
pub(super) fn scan(bytes: &[u8]) -> Scan {
    let mut reader = Reader::new(bytes);
    if reader.take(SIGNATURE.len()).is_none() {
        return Scan::NeedMore;
    }
    // Each field is judged as soon as it is here.
    let Some(command) = reader.u8() else { return Scan::NeedMore };
    if command != LOCAL && command != PROXY {
        return Scan::Malformed;
    }
    let Some(family) = reader.u8() else { return Scan::NeedMore };
    let Some(addresses) = addresses_len(family) else { return Scan::Malformed };
    let Some(len) = reader.u16().map(usize::from) else { return Scan::NeedMore };
    let least = if command == PROXY { addresses } else { 0 };
    if len < least || len > addresses.saturating_add(MAX_TLVS_LEN) {
        return Scan::Malformed;
    }
    let Some(rest) = reader.take(len) else { return Scan::NeedMore };
    let ends = if command == PROXY { ends(family, rest) } else { None };
    Scan::Whole { told: ends.map_or(Told::Nothing, Told::Ends), len: FIXED_LEN.saturating_add(len) }
}

/// How many bytes the addresses of a family and transport have; `None` when there is no such thing.
const fn addresses_len(family: u8) -> Option<usize> {
    let transport_exists = family & 0xf <= 2;
    match family >> 4 {
        _ if !transport_exists => None,
        0 => Some(0),
        1 => Some(12),
        2 => Some(36),
        3 => Some(LONGEST_ADDRESSES),
        _ => None,
    }
}

/// The addresses, when they are TCP's.
fn ends(family: u8, rest: &[u8]) -> Option<Ends> {
    let mut reader = Reader::new(rest);
    let (source, destination): (IpAddr, IpAddr) = match family {
        TCP4 => ((*reader.array::<4>()?).into(), (*reader.array::<4>()?).into()),
        TCP6 => ((*reader.array::<16>()?).into(), (*reader.array::<16>()?).into()),
        _ => return None,
    };
    let (from, to) = (reader.u16()?, reader.u16()?);
    Some(Ends { source: SocketAddr::new(source, from), destination: SocketAddr::new(destination, to) })
}

pub(super) fn encode(ends: Option<Ends>) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(36);
    let (command, family) = match ends.map(|ends| (ends.source, ends.destination)) {
        Some((SocketAddr::V4(from), SocketAddr::V4(to))) => {
            addresses.extend([from.ip().octets(), to.ip().octets()].concat());
            addresses.extend([from.port().to_be_bytes(), to.port().to_be_bytes()].concat());
            (PROXY, TCP4)
        }
        Some((SocketAddr::V6(from), SocketAddr::V6(to))) => {
            addresses.extend([from.ip().octets(), to.ip().octets()].concat());
            addresses.extend([from.port().to_be_bytes(), to.port().to_be_bytes()].concat());
            (PROXY, TCP6)
        }
        _ => (LOCAL, 0),
    };
    let [high, low] = (addresses.len() as u16).to_be_bytes();
    [SIGNATURE, &[command, family, high, low], &addresses].concat()
}
