//! What is known of Telegram at one moment.

use std::net::SocketAddr;

use teleferry_proto::dc::DcId;
use teleferry_proto::telegram_config::{FALLBACK_DEFAULT_DC, MiddleSecret, TelegramConfig};

use super::item::Piece;
use crate::config::ExternalIp;

/// What is known of Telegram at one moment. It never changes: news is a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    secret: MiddleSecret,
    /// Its default is always there.
    v4: TelegramConfig,
    v6: TelegramConfig,
    /// Both of them together.
    all: TelegramConfig,
    external_ip: ExternalIp,
    clock_offset: Option<i64>,
}

impl Known {
    /// What was known when this was built.
    #[must_use]
    pub fn embedded() -> Self {
        let embedded = TelegramConfig::embedded();
        let family = |of: fn(&SocketAddr) -> bool| {
            let mut config = TelegramConfig::default();
            for (dc, targets) in embedded.iter() {
                targets.iter().filter(|target| of(target)).for_each(|&target| config.add(dc, target));
            }
            config
        };
        let mut v4 = family(SocketAddr::is_ipv4);
        v4.default_dc = embedded.default_dc;
        Self {
            secret: MiddleSecret::embedded(),
            v4,
            v6: family(SocketAddr::is_ipv6),
            all: embedded,
            external_ip: ExternalIp::default(),
            clock_offset: None,
        }
    }

    /// The secret for new connections to middle proxies.
    #[must_use]
    pub const fn secret(&self) -> &MiddleSecret {
        &self.secret
    }

    /// The data centre for ids without middle proxies of their own.
    #[must_use]
    pub fn default_dc(&self) -> DcId {
        self.all.default_dc.unwrap_or(FALLBACK_DEFAULT_DC)
    }

    /// Where the middle proxies are, IPv4 first. It never names none at all.
    #[must_use]
    pub const fn middle_proxies(&self) -> &TelegramConfig {
        &self.all
    }

    /// The addresses under which Telegram sees this machine, where the sockets' own addresses do not say: as configured,
    /// else as looked up. `None`: go by the socket.
    #[must_use]
    pub const fn external_ip(&self) -> ExternalIp {
        self.external_ip
    }

    /// Seconds that this machine's clock was ahead of Telegram's when it was last asked; negative: behind. Middle proxies
    /// refuse more than 30.
    #[must_use]
    pub const fn clock_offset(&self) -> Option<i64> {
        self.clock_offset
    }

    /// The same with one item replaced. A configuration without a default leaves the old one.
    pub(super) fn with(mut self, piece: Piece) -> Self {
        match piece {
            Piece::Secret(secret) => self.secret = secret,
            Piece::Config(mut config) => {
                config.default_dc = config.default_dc.or(self.v4.default_dc);
                self.v4 = config;
            }
            Piece::ConfigV6(config) => self.v6 = config,
        }
        self.all = self.v4.clone();
        self.all.merge(&self.v6);
        self
    }

    /// The same with other addresses of this machine.
    pub(super) const fn with_external_ip(mut self, external_ip: ExternalIp) -> Self {
        self.external_ip = external_ip;
        self
    }

    /// The same with the clock compared anew.
    pub(super) const fn with_clock_offset(mut self, seconds: i64) -> Self {
        self.clock_offset = Some(seconds);
        self
    }
}

#[cfg(test)]
mod tests {
    use teleferry_proto::telegram_config::parse;

    use super::*;

    fn config(text: &str) -> TelegramConfig {
        parse(text.as_bytes()).expect("a configuration").config
    }

    #[test]
    fn embedded_values_are_whole() {
        let known = Known::embedded();
        assert_eq!(known.middle_proxies(), &TelegramConfig::embedded());
        assert_eq!(known.secret(), &MiddleSecret::embedded());
        let mut merged = known.v4.clone();
        merged.merge(&known.v6);
        assert_eq!(merged, TelegramConfig::embedded());
    }

    #[test]
    fn f_22_data_centres_that_vanish_are_dropped_and_new_ones_appear() {
        let known = Known::embedded()
            .with(Piece::Config(config("default 4; proxy_for 2 192.0.2.2:1; proxy_for 4 192.0.2.4:1;")))
            .with(Piece::ConfigV6(config("proxy_for 9 [2001:db8::9]:1;")));
        let ids = |known: &Known| known.middle_proxies().iter().map(|(dc, _)| dc.get()).collect::<Vec<_>>();
        assert_eq!(ids(&known), [2, 4, 9]);
        assert_eq!(known.default_dc().get(), 4);

        let later = known.with(Piece::Config(config("proxy_for 4 192.0.2.44:1; proxy_for 5 192.0.2.5:1;")));
        assert_eq!(ids(&later), [4, 5, 9]);
        assert_eq!(later.default_dc().get(), 4, "a file without a default leaves the old one");
        let (_, four) = later.middle_proxies().find(DcId::new(4)).expect("targets");
        assert_eq!(four, ["192.0.2.44:1".parse().expect("an address")]);
    }
}
