//! Version 1: `PROXY TCP4 SOURCE DESTINATION PORT PORT`, one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Ends, MAX_V1_LEN, Scan, Told};

/// What the line begins with.
pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// `bytes` begin like [`SIGNATURE`].
pub(super) fn scan(bytes: &[u8]) -> Scan {
    let line = bytes.iter().take(MAX_V1_LEN);
    let Some(end) = line.clone().position(|&byte| byte == b'\n') else {
        return if line.len() < MAX_V1_LEN { Scan::NeedMore } else { Scan::Malformed };
    };
    let told = bytes.get(..end).and_then(|line| line.strip_suffix(b"\r")).and_then(parse);
    told.map_or(Scan::Malformed, |told| Scan::Whole { told, len: end.saturating_add(1) })
}

fn parse(line: &[u8]) -> Option<Told> {
    let line = std::str::from_utf8(line.strip_prefix(SIGNATURE)?).ok()?;
    let mut fields = line.split(' ');
    let family = fields.next()?;
    if family == "UNKNOWN" {
        // Whatever stands behind it is to be ignored.
        return Some(Told::Nothing);
    }
    let ip = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    let (source, destination) = (ip(fields.next()?)?, ip(fields.next()?)?);
    let ends = Ends {
        source: SocketAddr::new(source, port(fields.next()?)?),
        destination: SocketAddr::new(destination, port(fields.next()?)?),
    };
    fields.next().is_none().then_some(Told::Ends(ends))
}

/// A port without sign and without zeros in front.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

pub(super) fn encode(ends: Option<Ends>) -> Vec<u8> {
    let line = ends.and_then(|Ends { source, destination }| {
        let family = match (source, destination) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
            (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
            _ => return None,
        };
        let (from, to) = (source.ip(), destination.ip());
        Some(format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()))
    });
    line.unwrap_or_else(|| "PROXY UNKNOWN\r\n".to_owned()).into_bytes()
}
