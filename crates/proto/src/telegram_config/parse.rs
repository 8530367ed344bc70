//! The text of getProxyConfig: statements that end with `;`, comments from `#` to the end of the line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::TelegramConfig;
use super::secret::looks_like_html;
use crate::dc::DcId;

/// The most bytes that are read.
pub const MAX_CONFIG_LEN: usize = 1 << 20;

/// A configuration that was taken, and what was passed over in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What it says; never without a target.
    pub config: TelegramConfig,
    /// Statements that we know and that make no sense.
    pub bad: usize,
    /// Statements that mean nothing to us: settings of the official proxy, and whatever may be invented.
    pub ignored: usize,
}

/// Why a text is no configuration: the old one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A web page.
    Html,
    /// Not a single target.
    NoTargets,
    /// More than a quarter of its statements makes no sense.
    TooManyBad {
        /// Statements that make no sense.
        bad: usize,
        /// All statements that we know.
        known: usize,
    },
    /// Longer than [`MAX_CONFIG_LEN`].
    TooLong,
}

/// Reads a configuration, leniently: statements may stand in any order and anywhere, and a bad one does not spoil the
/// others unless there are many.
///
/// # Errors
/// Not a configuration; keep the old one.
pub fn parse(text: &[u8]) -> Result<Parsed, ConfigError> {
    if text.len() > MAX_CONFIG_LEN {
        return Err(ConfigError::TooLong);
    }
    if looks_like_html(text) {
        return Err(ConfigError::Html);
    }
    let text = without_comments(&String::from_utf8_lossy(text));
    let mut parsed = Parsed { config: TelegramConfig::default(), bad: 0, ignored: 0 };
    let mut known: usize = 0;
    let (statements, unfinished) = text.rsplit_once(';').unwrap_or(("", &text));
    for statement in statements.split(';') {
        match read(statement) {
            Statement::Nothing => continue,
            Statement::Unknown => {
                parsed.ignored = parsed.ignored.saturating_add(1);
                continue;
            }
            Statement::Bad => parsed.bad = parsed.bad.saturating_add(1),
            Statement::Default(dc) => parsed.config.default_dc = Some(dc),
            Statement::Target(dc, target) => parsed.config.add(dc, target),
        }
        known = known.saturating_add(1);
    }
    // A statement without its end: the file was cut.
    if !unfinished.trim().is_empty() {
        parsed.bad = parsed.bad.saturating_add(1);
        known = known.saturating_add(1);
    }
    if parsed.config.is_empty() {
        return Err(ConfigError::NoTargets);
    }
    if parsed.bad.saturating_mul(4) > known {
        return Err(ConfigError::TooManyBad { bad: parsed.bad, known });
    }
    Ok(parsed)
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Html => f.write_str("a web page instead of Telegram's proxy configuration"),
            Self::NoTargets => f.write_str("Telegram's proxy configuration names no middle proxy"),
            Self::TooManyBad { bad, known } => write!(
                f,
                "{bad} of {known} statements in Telegram's proxy configuration make no sense; it is not used"
            ),
            Self::TooLong => f.write_str("Telegram's proxy configuration is longer than 1 MiB"),
        }
    }
}

impl std::error::Error for ConfigError {}

enum Statement {
    Bad,
    Default(DcId),
    Nothing,
    Target(DcId, SocketAddr),
    Unknown,
}

fn read(statement: &str) -> Statement {
    let mut words = statement.split_whitespace();
    let Some(name) = words.next() else { return Statement::Nothing };
    let mut next = || words.next();
    let read = match name {
        "default" => next().and_then(dc).map(Statement::Default),
        "proxy_for" => {
            next().and_then(dc).zip(next().and_then(target)).map(|(dc, target)| Statement::Target(dc, target))
        }
        // The old form, from before there was more than one data centre.
        "proxy" => next().and_then(target).map(|target| Statement::Target(DcId::new(0), target)),
        _ => return Statement::Unknown,
    };
    match (read, words.next()) {
        (Some(statement), None) => statement,
        _ => Statement::Bad,
    }
}

fn dc(word: &str) -> Option<DcId> {
    word.parse().ok().map(DcId::new)
}

/// `HOST:PORT`, where the host is an IPv4 address, or an IPv6 address in brackets.
fn target(word: &str) -> Option<SocketAddr> {
    let (host, port) = word.rsplit_once(':')?;
    let ip = match host.strip_prefix('[') {
        Some(host) => IpAddr::V6(host.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?),
        None => IpAddr::V4(host.parse::<Ipv4Addr>().ok()?),
    };
    let port = port.parse().ok().filter(|&port| port != 0)?;
    Some(SocketAddr::new(ip, port))
}

fn without_comments(text: &str) -> String {
    let lines = text.split('\n').map(|line| line.split_once('#').map_or(line, |(before, _)| before));
    // A line break parts words, and nothing else does when it is gone.
    lines.flat_map(|line| [line, "\n"]).collect()
}
