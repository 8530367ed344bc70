//! Proxy links: `tg://proxy?server=…&port=…&secret=…` and its https twin.

use std::num::NonZeroU16;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Secret, SecretError};

/// The longest host name clients take, in bytes.
const MAX_HOST_LEN: usize = 255;

/// The longest text that is looked at, in bytes: several times the longest useful link.
const MAX_LINK_LEN: usize = 4096;

/// A link that configures a client for one proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyLink {
    host: String,
    port: NonZeroU16,
    secret: Secret,
}

/// Why a text is no proxy link. Clients refuse the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkError {
    /// It is not a proxy link at all.
    NotALink,
    /// The port is missing or not in 1..=65535.
    Port,
    /// The secret is missing or not a secret.
    Secret(SecretError),
    /// The server is missing or longer than 255 bytes.
    Server,
}

impl ProxyLink {
    /// Puts a link together. `host` is a name, an IPv4 address or an IPv6 address without brackets.
    ///
    /// # Errors
    /// The host is empty or longer than 255 bytes, or the port is 0.
    pub fn new(host: &str, port: u16, secret: Secret) -> Result<Self, LinkError> {
        if !(1..=MAX_HOST_LEN).contains(&host.len()) {
            return Err(LinkError::Server);
        }
        let port = NonZeroU16::new(port).ok_or(LinkError::Port)?;
        Ok(Self { host: host.to_owned(), port, secret })
    }

    /// Reads a link as the official client library does: parameters in any order, further ones and a fragment ignored,
    /// `tg:` with or without slashes, `t.me` and its aliases with or without a scheme.
    ///
    /// # Errors
    /// It is no proxy link, or a part of it is wrong.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let query = query(text).ok_or(LinkError::NotALink)?;
        let argument = |name| {
            form_urlencoded::parse(query.as_bytes())
                .find_map(|(key, value)| (key == name).then_some(value))
                .unwrap_or_default()
        };
        let port = leading_number(&argument("port")).ok_or(LinkError::Port)?;
        let secret = Secret::parse(&argument("secret")).map_err(LinkError::Secret)?;
        Self::new(&argument("server"), port, secret)
    }

    /// The host: a name or an address, as it stands in the link.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port, never 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port.get()
    }

    /// The secret.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The link that opens the installed client. This prints the key.
    #[must_use]
    pub fn to_tg(&self) -> String {
        self.print("tg://proxy")
    }

    /// The link that also works in a browser. This prints the key.
    #[must_use]
    pub fn to_https(&self) -> String {
        self.print("https://t.me/proxy")
    }

    fn print(&self, base: &str) -> String {
        let host = utf8_percent_encode(&self.host, ESCAPED);
        format!("{base}?server={host}&port={}&secret={}", self.port, self.secret.to_hex())
    }
}

/// What lies between the question mark and the fragment of a proxy link.
fn query(text: &str) -> Option<&str> {
    if text.len() > MAX_LINK_LEN {
        return None;
    }
    let path = match text.strip_prefix("tg:") {
        Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
        None => {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
            ["t.me/", "telegram.me/", "telegram.dog/"].iter().find_map(|site| rest.strip_prefix(site))?
        }
    };
    let rest = path.strip_prefix("proxy")?;
    let query = rest.strip_prefix('/').unwrap_or(rest).strip_prefix('?')?;
    query.split('#').next()
}

/// Clients read digits up to the first other character.
fn leading_number(text: &str) -> Option<u16> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).and_then(|end| text.get(..end)).unwrap_or(text);
    digits.parse().ok()
}

/// Colons stay as they are, so that an IPv6 address can be read.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotALink => {
                f.write_str("this is no proxy link: it begins with tg://proxy? or https://t.me/proxy?")
            }
            Self::Port => f.write_str("the link's port is missing or not in 1..65535"),
            Self::Secret(error) => write!(f, "the link's secret is wrong: {error}"),
            Self::Server => f.write_str("the link's server is missing or longer than 255 bytes"),
        }
    }
}

impl std::error::Error for LinkError {}
