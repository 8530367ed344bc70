//! The keys of a connection to a middle proxy.

use std::net::{IpAddr, SocketAddr};

use md5::Md5;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::cipher::CbcStream;
use crate::telegram_config::MiddleSecret;

/// Everything that the keys of both directions follow from.
///
/// The addresses are those that the *middle proxy* sees: behind NAT, `proxy` has the external IP and the local port. IPv4
/// mapped into IPv6 counts as IPv4.
#[derive(Debug, Clone, Copy)]
pub struct KeyMaterial<'a> {
    /// The shared secret.
    pub secret: &'a MiddleSecret,
    /// The random part of the middle proxy's nonce.
    pub middle_nonce: [u8; 16],
    /// The random part of the proxy's nonce.
    pub proxy_nonce: [u8; 16],
    /// The time in the proxy's nonce, in seconds since 1970.
    pub proxy_time: u32,
    /// The proxy's end of the connection.
    pub proxy: SocketAddr,
    /// The middle proxy's end.
    pub middle: SocketAddr,
}

/// The two directions of a connection.
#[derive(Debug, Clone)]
pub struct Keys {
    /// From the proxy to the middle proxy.
    pub to_middle: CbcStream,
    /// From the middle proxy to the proxy.
    pub to_proxy: CbcStream,
}

impl KeyMaterial<'_> {
    /// The keys.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys { to_middle: self.stream(b"CLIENT"), to_proxy: self.stream(b"SERVER") }
    }

    /// `key = MD5(s without its first byte)[..12] || SHA-1(s)`, `iv = MD5(s without its first two bytes)`.
    fn stream(&self, purpose: &[u8; 6]) -> CbcStream {
        let string = self.string(purpose);
        let from = |start: usize| string.get(start..).unwrap_or_default();
        let mut key = Zeroizing::new([0; 32]);
        let parts = Md5::digest(from(1)).into_iter().take(12).chain(Sha1::digest(from(0)));
        key.iter_mut().zip(parts).for_each(|(to, byte)| *to = byte);
        CbcStream::new(&key, &Md5::digest(from(2)).into())
    }

    fn string(&self, purpose: &[u8; 6]) -> Zeroizing<Vec<u8>> {
        let (proxy, middle) = (self.proxy.ip().to_canonical(), self.middle.ip().to_canonical());
        let (proxy_v4, middle_v4, v6) = match (proxy, middle) {
            (IpAddr::V4(proxy), IpAddr::V4(middle)) => (u32::from(proxy), u32::from(middle), None),
            (proxy, middle) => (0, 0, Some([octets(proxy), octets(middle)].concat())),
        };
        let mut string = Zeroizing::new(Vec::with_capacity(MAX_STRING));
        for part in [
            self.middle_nonce.as_slice(),
            &self.proxy_nonce,
            &self.proxy_time.to_le_bytes(),
            &middle_v4.to_le_bytes(),
            &self.proxy.port().to_le_bytes(),
            purpose,
            &proxy_v4.to_le_bytes(),
            &self.middle.port().to_le_bytes(),
            self.secret.as_bytes(),
            &self.middle_nonce,
            &v6.unwrap_or_default(),
            &self.proxy_nonce,
        ] {
            string.extend_from_slice(part);
        }
        string
    }
}

/// The longest string that keys are made of, so that no copy of it is left behind by growth.
const MAX_STRING: usize = 118 + MiddleSecret::MAX_LEN;

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
