//! What is said to a proven hello: what the cover site would say, as far as it is known.

use teleferry_proto::accept::ProvenHello;
use teleferry_proto::fake_tls::profile::Group;
use teleferry_proto::fake_tls::server_hello::{self, Look, Offer};
use teleferry_proto::per_sni;
use teleferry_proto::secret::{HostName, SecretKey};

use super::{Connection, key_share};
use crate::entropy;

/// Makes the answer, which takes after the site's profile; without one after an ordinary server. `None`: the cryptography
/// failed, which it does only without randomness.
pub(super) fn make(
    connection: &Connection,
    name: Option<&HostName>,
    ordinary_len: usize,
    proven: &ProvenHello<'_>,
) -> Option<Vec<u8>> {
    let name = name.map_or("", HostName::as_str);
    let profiles = connection.shard().cover().profiles();
    let hybrid = matches!(Offer::of(&proven.hello, Group::Hybrid), Offer::Hybrid(_));
    let profile = profiles.of(name, hybrid);
    let (look, group) =
        profile.map_or((Look::COMMON, Group::Hybrid), |profile| (profile.look, profile.group));
    let share = key_share::make(Offer::of(&proven.hello, group)).ok()?;
    let random = u32::from_le_bytes(entropy::array());
    let len = profile
        .and_then(|profile| profile.draw(random))
        .unwrap_or_else(|| with_signature_jitter(ordinary_len, random));
    let mut encrypted = vec![0; len];
    entropy::fill(&mut encrypted);
    Some(server_hello::answer(&proven.hello, &proven.key, look, &share, &encrypted))
}

/// The length of the encrypted part when nothing is known of the site: 2,500 to 3,600 bytes, as of a usual certificate chain.
/// It belongs to the site, so it is the same at each start and for each secret; `key` is the first of them.
pub(super) fn ordinary_len(name: Option<&HostName>, key: Option<&SecretKey>) -> usize {
    let name = name.map_or("", HostName::as_str);
    let key = SecretKey::new(key.map_or([0; 16], |key| *key.as_bytes()));
    let hash = per_sni::derive(&key, "length of the encrypted flight", name.as_bytes());
    let [a, b, ..] = *hash.as_bytes();
    2500 + usize::from(u16::from_le_bytes([a, b]) % 1101)
}

/// As that of a server with an ECDSA certificate, the length varies by one with the signature.
const fn with_signature_jitter(len: usize, random: u32) -> usize {
    match random % 256 {
        0..=61 => len - 1,
        62..=194 => len,
        _ => len + 1,
    }
}
