//! Under which address others see this machine, when its own does not say.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use hyper::Uri;

use super::http::FetchError;
use super::source::{Family, Source};
use crate::config::ExternalIp;

/// Whether a socket with this address is seen under another one by Telegram: it is behind NAT. An address of loopback is
/// not: what it talks to is this very machine.
pub(super) const fn is_behind_nat(own: IpAddr) -> bool {
    is_private(own) && !own.is_loopback()
}

/// Asks the services in turn until one tells an address of the family.
///
/// # Errors
/// None did.
pub(super) async fn look_up(
    source: &impl Source,
    services: &[Uri],
    family: Family,
) -> Result<IpAddr, NobodyKnows> {
    let mut reasons = Vec::with_capacity(services.len());
    for service in services {
        let reason = match source.get(service, MAX_ANSWER, Some(family)).await {
            Ok(fetched) => match parse(&fetched.body, family) {
                Some(ip) => return Ok(ip),
                None => Reason::Answer(family),
            },
            Err(error) => Reason::Fetch(error),
        };
        reasons.push((service.to_string(), reason));
    }
    Err(NobodyKnows(reasons))
}

/// The addresses with the one of a family replaced.
pub(super) const fn replace(mut addresses: ExternalIp, family: Family, ip: Option<IpAddr>) -> ExternalIp {
    match family {
        Family::V4 => {
            addresses.v4 = match ip {
                Some(IpAddr::V4(ip)) => Some(ip),
                Some(IpAddr::V6(_)) | None => None,
            }
        }
        Family::V6 => {
            addresses.v6 = match ip {
                Some(IpAddr::V6(ip)) => Some(ip),
                Some(IpAddr::V4(_)) | None => None,
            }
        }
    }
    addresses
}

/// No service told an address: who was asked, and what came of it.
#[derive(Debug)]
pub(super) struct NobodyKnows(Vec<(String, Reason)>);

#[derive(Debug)]
enum Reason {
    /// The answer is no address of the family that others can reach.
    Answer(Family),
    /// There was no answer.
    Fetch(FetchError),
}

/// The address alone, with a line break at most.
fn parse(body: &[u8], family: Family) -> Option<IpAddr> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    let ip = text.parse().ok()?;
    (family.has(ip) && !is_private(ip)).then_some(ip)
}

/// Whether an address means nothing outside of some network, or names no machine.
pub(crate) const fn is_private(ip: IpAddr) -> bool {
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() {
        return true;
    }
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_broadcast() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10, which providers use behind NAT of their own (RFC 6598).
const fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

/// Bytes of an answer, at most.
const MAX_ANSWER: usize = 1024;

impl fmt::Display for NobodyKnows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (service, reason)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{service}: {reason}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(family) => write!(f, "the answer is no public {} address", family.name()),
            Self::Fetch(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NobodyKnows {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_strictly() {
        for (answer, family, ip) in [
            ("203.0.113.7", Family::V4, "203.0.113.7"),
            ("203.0.113.7\n", Family::V4, "203.0.113.7"),
            ("2001:db8::7\r\n", Family::V6, "2001:db8::7"),
        ] {
            assert_eq!(parse(answer.as_bytes(), family), ip.parse().ok(), "{answer:?}");
        }
        for answer in [
            "",
            "\n",
            " 203.0.113.7",
            "203.0.113.7\n\n",
            "203.0.113.7:443",
            "203.0.113.07",
            "203.0.113",
            "3405803783",
            "{\"ip\": \"203.0.113.7\"}",
            "<html>203.0.113.7</html>",
            "2001:db8::7",
            "10.0.0.7",
            "127.0.0.1",
            "0.0.0.0",
            "100.64.0.1",
        ] {
            assert_eq!(parse(answer.as_bytes(), Family::V4), None, "{answer:?}");
        }
        assert_eq!(parse(b"203.0.113.7", Family::V6), None);
        assert_eq!(parse(b"fd00::7", Family::V6), None);
        assert_eq!(parse(&[0xff; 4], Family::V4), None);
    }

    #[test]
    fn private_addresses_are_behind_nat() {
        for (own, behind) in [
            ("10.0.0.5", true),
            ("192.168.1.1", true),
            ("100.127.255.255", true),
            ("169.254.1.1", true),
            ("fd00::1", true),
            ("100.128.0.1", false),
            ("203.0.113.7", false),
            ("2001:db8::1", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(is_behind_nat(own.parse().expect(own)), behind, "{own}");
        }
    }
}
