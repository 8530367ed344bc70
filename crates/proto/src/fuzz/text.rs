//! Links, secrets and host names as people type them.

use super::Steering;
use crate::secret::{Domain, HostName, MAX_DOMAIN_LEN, ProxyLink, Secret, is_public_secret};

/// What can be read can be written, and is read again as the same.
pub fn link(data: &[u8]) {
    let Some((_, bytes)) = Steering::split(data) else { return };
    let text = String::from_utf8_lossy(bytes);
    if let Ok(link) = ProxyLink::parse(&text) {
        assert!((1..=255).contains(&link.host().len()) && link.port() != 0, "out of bounds");
        assert_eq!(ProxyLink::parse(&link.to_tg()).as_ref(), Ok(&link));
        assert_eq!(ProxyLink::parse(&link.to_https()).as_ref(), Ok(&link));
    }
    if let Ok(name) = HostName::new(&text) {
        assert_eq!(Domain::new(name.as_str().as_bytes()), Ok(Domain::from(&name)));
    }
    for secret in [Secret::parse(&text), Secret::from_bytes(bytes)].into_iter().flatten() {
        is_written(&secret);
    }
}

fn is_written(secret: &Secret) {
    assert!(secret.domain().is_none_or(|domain| domain.as_bytes().len() <= MAX_DOMAIN_LEN), "out of bounds");
    assert_eq!(Secret::from_bytes(&secret.to_bytes()).as_ref(), Ok(secret));
    assert_eq!(Secret::parse(&secret.to_hex()).as_ref(), Ok(secret));
    let base64 = secret.to_base64url();
    // Clients try hexadecimal first, so a base64 text of hexadecimal digits alone means something else to them.
    if !base64.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        assert_eq!(Secret::parse(&base64).as_ref(), Ok(secret));
    }
    let _ = is_public_secret(secret.key());
}
