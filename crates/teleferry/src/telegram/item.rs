//! The files that Telegram publishes.

use std::fmt;

use hyper::Uri;
use teleferry_proto::telegram_config::{
    ConfigError, MAX_CONFIG_LEN, MiddleSecret, MiddleSecretError, TelegramConfig, parse,
};
use tracing::debug;

use crate::config::Telegram;

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// getProxySecret
    Secret,
    /// getProxyConfig
    Config,
    /// getProxyConfigV6
    ConfigV6,
}

/// What a file says.
#[derive(Debug)]
pub(super) enum Piece {
    /// The secret shared with middle proxies.
    Secret(MiddleSecret),
    /// Where middle proxies are, over IPv4.
    Config(TelegramConfig),
    /// Where they are, over IPv6.
    ConfigV6(TelegramConfig),
}

/// Why bytes are not such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No configuration.
    Config(ConfigError),
    /// No secret.
    Secret(MiddleSecretError),
}

impl Item {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Secret, Self::Config, Self::ConfigV6];

    /// What it is called in log lines.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Secret => "Telegram's proxy secret",
            Self::Config => "Telegram's list of middle proxies",
            Self::ConfigV6 => "Telegram's list of IPv6 middle proxies",
        }
    }

    /// The name of the copy in the state directory.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Secret => "telegram-proxy-secret",
            Self::Config => "telegram-proxy-config",
            Self::ConfigV6 => "telegram-proxy-config-v6",
        }
    }

    /// The most bytes that are read of it: enough to see that it is something else.
    pub(super) const fn limit(self) -> usize {
        match self {
            Self::Secret => 64 << 10,
            Self::Config | Self::ConfigV6 => MAX_CONFIG_LEN,
        }
    }

    /// Where it is published.
    pub(super) const fn url(self, settings: &Telegram) -> &Uri {
        match self {
            Self::Secret => &settings.proxy_secret_url,
            Self::Config => &settings.proxy_config_url,
            Self::ConfigV6 => &settings.proxy_config_v6_url,
        }
    }

    /// Judges what was fetched or kept.
    ///
    /// # Errors
    /// It is something else; what was known before stays in use.
    pub(super) fn read(self, bytes: &[u8]) -> Result<Piece, Refusal> {
        let config = || {
            let parsed = parse(bytes).map_err(Refusal::Config)?;
            if parsed.bad > 0 {
                debug!(bad = parsed.bad, "{} has statements that make no sense", self.name());
            }
            Ok(parsed.config)
        };
        match self {
            Self::Secret => MiddleSecret::new(bytes).map(Piece::Secret).map_err(Refusal::Secret),
            Self::Config => config().map(Piece::Config),
            Self::ConfigV6 => config().map(Piece::ConfigV6),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Secret(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}
