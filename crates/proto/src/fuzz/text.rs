//! Text: links, secrets and host names as people type them, and the lists that Telegram publishes.

use std::fmt::Write as _;

use super::Steering;
use crate::dc::DcId;
use crate::secret::{Domain, HostName, MAX_DOMAIN_LEN, ProxyLink, Secret, is_public_secret};
use crate::telegram_config::{MiddleSecret, TelegramConfig, parse};

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

/// Telegram's lists and secret: what is taken can be used, and says the same when written by us.
pub fn telegram_config(data: &[u8]) {
    let Some((steering, bytes)) = Steering::split(data) else { return };
    if let Ok(secret) = MiddleSecret::new(bytes) {
        assert!(secret.as_bytes() == bytes && bytes.starts_with(&secret.selector()), "another secret");
    }
    let Ok(parsed) = parse(bytes) else { return };
    let config = parsed.config;
    assert!(!config.is_empty() && is_bounded(&config, bytes.len()), "out of bounds");
    assert!(config.find(DcId::new(steering.cut as i16)).is_none_or(|(_, targets)| !targets.is_empty()));

    let again = parse(written(&config).as_bytes()).expect("our own text");
    assert_eq!((again.config, again.bad, again.ignored), (config, 0, 0));
}

/// A target takes at least as many bytes as `proxy 1.1.1.1:1;` has.
fn is_bounded(config: &TelegramConfig, len: usize) -> bool {
    let targets = config.iter().map(|(_, targets)| targets.len()).sum::<usize>();
    targets <= len / 15 && config.iter().all(|(_, targets)| targets.iter().all(|target| target.port() != 0))
}

fn written(config: &TelegramConfig) -> String {
    let mut text = String::new();
    if let Some(dc) = config.default_dc {
        writeln!(text, "default {dc};").expect("memory");
    }
    for (dc, targets) in config.iter() {
        for target in targets {
            writeln!(text, "proxy_for {dc} {target};").expect("memory");
        }
    }
    text
}
