//! Single values: what a text or a number must look like, and what to say when it does not.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::Scheme;
use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use teleferry_proto::rpc::AdTag;
use teleferry_proto::secret::{HostName, Secret, SecretKey, is_public_secret, is_public_tag};

use super::levels::{LEVELS, Levels, LevelsError};
use super::snapshot::{CoverHost, CoverTarget, ListenAddress, Mode, Protocol};

/// Why a value cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong with it: fits behind "the value …".
    pub message: String,
    /// What to do, when that can be told.
    pub help: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What to do about a file that this process may not read.
    pub(super) fn not_allowed(self, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::PermissionDenied { self.help(MAY_READ) } else { self }
    }
}

/// What to do about a file that the process may not read.
pub const MAY_READ: &str =
    "the user that the proxy runs as has to be able to read it: chgrp teleferry FILE; chmod 640 FILE";

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Wrong {}

/// A key: 32 hex digits in either case, and none that stands in a manual.
///
/// # Errors
/// Anything else. The text itself is never repeated.
pub fn secret_key(text: &str) -> Result<SecretKey, Wrong> {
    let key = match Secret::parse(text) {
        Ok(Secret::Plain(key)) if text.len() == 32 => key,
        Ok(Secret::Secure(_) | Secret::Tls(..)) => {
            return Err(Wrong::new("is a secret as it stands in links").help(
                "write only the 32 hex digits of the key: without dd or ee before them and without the domain after them",
            ));
        }
        Ok(Secret::Plain(_)) | Err(_) => {
            let count = text.chars().count();
            let found = if text.chars().all(|c| c.is_ascii_hexdigit()) {
                format!("has {count} hex digits")
            } else {
                "is not written in hex digits".to_owned()
            };
            return Err(Wrong::new(format!("{found}, and a secret has 32"))
                .help("`teleferry secret` makes a new one"));
        }
    };
    if is_public_secret(&key) {
        return Err(Wrong::new("is an example from a manual, and everybody who looks for proxies tries it")
            .help("`teleferry secret` makes a new one"));
    }
    Ok(key)
}

/// An ad tag: 32 hex digits in either case, and none that stands in a manual.
///
/// # Errors
/// Anything else. The text itself is never repeated.
pub fn ad_tag(text: &str) -> Result<AdTag, Wrong> {
    let digits = text.chars().all(|c| c.is_ascii_hexdigit()) && text.len() == 32;
    let tag = u128::from_str_radix(text, 16).ok().filter(|_| digits).map(u128::to_be_bytes);
    let help = "Telegram's @MTProxybot gives it out: 32 hex digits";
    let tag = tag.ok_or_else(|| Wrong::new("is no ad tag").help(help))?;
    if is_public_tag(&tag) {
        return Err(
            Wrong::new("is an example from a manual, and promotes the channel of a stranger").help(help)
        );
    }
    Ok(tag)
}

/// A cover domain.
///
/// # Errors
/// It is no host name that an `ee` secret can carry.
pub fn domain(text: &str) -> Result<HostName, Wrong> {
    HostName::new(text).map_err(|error| Wrong::new(format!("is no host name: {error}")))
}

/// An address to listen on.
///
/// # Errors
/// It has none of the forms.
pub fn listen_address(text: &str) -> Result<ListenAddress, Wrong> {
    if let Some(path) = text.strip_prefix("unix:") {
        return path_after("unix:", path).map(ListenAddress::Unix);
    }
    if let Some(name) = text.strip_prefix("systemd:") {
        return match name {
            "" => Err(Wrong::new("has no name after systemd:")),
            name => Ok(ListenAddress::Systemd(name.to_owned())),
        };
    }
    text.parse().map(ListenAddress::Inet).map_err(|_| not_an_address(text))
}

/// What is meant by a text that is no IP:PORT.
fn not_an_address(text: &str) -> Wrong {
    let wrong = Wrong::new("is no address to listen on");
    if text.parse::<u16>().is_ok() {
        return wrong.help(format!("to listen on every address write \"[::]:{text}\""));
    }
    match text.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => wrong.help(format!("add the port: \"{ip}:443\"")),
        Ok(IpAddr::V6(ip)) => wrong.help(format!("write \"[{ip}]:443\"")),
        Err(_) => {
            wrong.help("the forms are \"IP:PORT\", \"[IPv6]:PORT\", \"unix:PATH\" and \"systemd:NAME\"")
        }
    }
}

fn path_after(prefix: &str, path: &str) -> Result<PathBuf, Wrong> {
    if path.is_empty() { Err(Wrong::new(format!("has no path after {prefix}"))) } else { Ok(path.into()) }
}

/// An address of a data centre.
///
/// # Errors
/// It is not an IP address with a port other than 0.
pub(super) fn dc_address(text: &str) -> Result<SocketAddr, Wrong> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) => Err(Wrong::new("has port 0, which cannot be connected to")),
        Err(_) => Err(Wrong::new("is no address").help("the forms are \"IP:PORT\" and \"[IPv6]:PORT\"")),
    }
}

/// Where the cover site is; `None` is "off". The hosts of "sni" are another key's.
pub(super) fn cover_target(text: &str) -> Result<Option<CoverTarget>, Wrong> {
    match text {
        "off" => return Ok(None),
        "sni" => return Ok(Some(CoverTarget::Sni(Vec::new()))),
        _ => {}
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return path_after("unix:", path).map(|path| Some(CoverTarget::Unix(path)));
    }
    let wrong =
        || Wrong::new("is no target").help("the forms are \"off\", \"HOST:PORT\", \"unix:PATH\" and \"sni\"");
    cover_host_and_port(text, wrong).map(|host| Some(CoverTarget::HostPort(host)))
}

/// A host that visitors may ask for: a name, with a port or on 443.
pub(super) fn cover_domain(text: &str) -> Result<CoverHost, Wrong> {
    if HostName::new(text).is_ok() {
        return Ok(CoverHost { host: text.to_owned(), port: 443 });
    }
    let host = cover_host_and_port(text, || {
        Wrong::new("is no host name").help("the forms are \"HOST\" and \"HOST:PORT\"")
    })?;
    if host.host.parse::<IpAddr>().is_ok() {
        return Err(Wrong::new("is an address, which visitors do not ask for by name"));
    }
    Ok(host)
}

/// "HOST:PORT", with brackets around IPv6.
pub(super) fn cover_host_and_port(text: &str, wrong: impl Fn() -> Wrong) -> Result<CoverHost, Wrong> {
    let (host, port) = text.rsplit_once(':').ok_or_else(|| {
        if HostName::new(text).is_ok() {
            Wrong::new("has no port").help(format!("add it: \"{text}:443\""))
        } else {
            wrong()
        }
    })?;
    let port = port.parse().ok().filter(|&port: &u16| port != 0).ok_or_else(&wrong)?;
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(bare) if bare.parse::<std::net::Ipv6Addr>().is_ok() => bare,
        Some(_) => return Err(wrong()),
        None if host.parse::<std::net::Ipv4Addr>().is_ok() => host,
        None => {
            HostName::new(host).map_err(|error| Wrong::new(format!("has a wrong host: {error}")))?;
            host
        }
    };
    Ok(CoverHost { host: host.to_owned(), port })
}

/// An address for tools of the operator.
pub(super) fn admin_address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let wrong = Wrong::new("is no address to listen on");
        match text.parse::<u16>() {
            Ok(port) => wrong.help(format!("write \"127.0.0.1:{port}\"")),
            Err(_) => wrong.help("the forms are \"IP:PORT\" and \"[IPv6]:PORT\""),
        }
    })
}

/// A host for links: a name, or an address without brackets.
pub(super) fn public_host(text: &str) -> Result<String, Wrong> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    if text.starts_with('[') {
        return Err(Wrong::new("has brackets, which clients do not understand in links")
            .help("write the address without brackets and without a port"));
    }
    match HostName::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) if text.contains(':') => {
            Err(Wrong::new("has a port").help("write the host alone: links carry the port of their listener"))
        }
        Err(error) => Err(Wrong::new(format!("is no host: {error}"))),
    }
}

/// A listener's name: it is a label in metrics and stands in log lines.
pub(super) fn listener_name(text: &str) -> Result<String, Wrong> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=MAX_NAME_LEN).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!(
        "is no name: names have 1 to {MAX_NAME_LEN} letters, digits, hyphens, underscores and dots"
    )))
}

const MAX_NAME_LEN: usize = 64;

/// How clients are taken to Telegram.
///
/// # Errors
/// The word is not one of the modes.
pub fn mode(text: &str) -> Result<Mode, Wrong> {
    one_of(text, &Mode::ALL.map(|mode| (mode.name(), mode)))
}

/// Where something can be fetched: `http` or `https`, with a host.
pub(super) fn url(text: &str) -> Result<Uri, Wrong> {
    let wrong = |what: &str| {
        Wrong::new(format!("is no URL that can be fetched: {what}"))
            .help("the forms are \"https://HOST/PATH\" and \"http://HOST:PORT/PATH\"")
    };
    let url: Uri = text.parse().map_err(|_| wrong("it has no such form"))?;
    if url.scheme() != Some(&Scheme::HTTPS) && url.scheme() != Some(&Scheme::HTTP) {
        return Err(wrong("it begins with neither https:// nor http://"));
    }
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => Err(wrong("it has a user name")),
        Some(authority) if authority.host().is_empty() => Err(wrong("it has no host")),
        Some(authority)
            if authority.as_str().len() > authority.host().len()
                && authority.port_u16().is_none_or(|port| port == 0) =>
        {
            Err(wrong("it has a wrong port"))
        }
        Some(_) => Ok(url),
        None => Err(wrong("it has no host")),
    }
}

/// An address under which others may see this machine.
pub(super) fn external_ip(text: &str) -> Result<IpAddr, Wrong> {
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() => Err(Wrong::new("is the address of no machine")),
        Ok(ip) => Ok(ip),
        Err(_) => Err(Wrong::new("is no IP address").help("write it without a port and without brackets")),
    }
}

/// A number of bytes: a whole number, and a unit of 1024 or none.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim_start());
    let bytes = digits.parse::<u64>().ok().zip(unit).map(|(count, (_, unit))| count.checked_mul(*unit));
    bytes.map(|bytes| bytes.unwrap_or(u64::MAX)).ok_or_else(|| {
        Wrong::new("is no size")
            .help("write a number and a unit, such as \"64KiB\" or \"10MiB\", or plain bytes")
    })
}

/// A number of bytes as it is written in the file, with the largest unit that leaves nothing over.
pub(super) fn show_size(bytes: usize) -> String {
    let bytes = bytes as u64;
    let fits = SIZE_UNITS.iter().rev().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

const SIZE_UNITS: [(&str, u64); 6] =
    [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// A kind of client.
///
/// # Errors
/// The word is not one of the kinds.
pub fn protocol(text: &str) -> Result<Protocol, Wrong> {
    one_of(text, &Protocol::ALL.map(|protocol| (protocol.name(), protocol)))
}

/// One of some words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let wrong = Wrong::new(format!("is not one of {}", known.join(", ")));
    Err(match nearest(text, known.iter().copied()) {
        Some(word) => wrong.help(format!("did you mean \"{word}\"?")),
        None => wrong,
    })
}

/// Which log lines are told.
///
/// # Errors
/// There is no such level, or no such part of the program.
pub(super) fn levels(text: &str) -> Result<Levels, Wrong> {
    text.parse().map_err(|error| match error {
        LevelsError::Level(level) if level == text => match one_of(text, &LEVELS) {
            Err(wrong) => wrong,
            Ok(_) => Wrong::new("is no level"),
        },
        error => Wrong::new(format!("cannot be understood: {error}")),
    })
}

/// A path.
///
/// # Errors
/// It is empty.
pub(super) fn path(text: &str) -> Result<PathBuf, Wrong> {
    if text.is_empty() {
        Err(Wrong::new("is empty").help("name a file, or leave the key out"))
    } else {
        Ok(text.into())
    }
}

/// The word that was probably meant.
pub(super) fn nearest<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|word| (strsim::jaro_winkler(&text.to_lowercase(), word), word))
        .filter(|&(likeness, _)| likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}

/// A length of time such as "90s", "5m" or "1h30m", within bounds.
pub(super) fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    // A day is 24 hours here, wherever the clocks change.
    let parsed: Option<SignedDuration> =
        text.parse::<Span>().ok().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let parsed = parsed.ok_or_else(|| {
        Wrong::new("is no length of time")
            .help("write a number and a unit, such as \"30s\", \"5m\", \"1h\" or \"7d\"")
    })?;
    Duration::try_from(parsed).ok().filter(|parsed| range.contains(parsed)).ok_or_else(|| {
        Wrong::new(format!(
            "is not between {} and {}",
            show_duration(*range.start()),
            show_duration(*range.end())
        ))
    })
}

/// A length of time as it is written in the file.
pub(crate) fn show_duration(duration: Duration) -> String {
    const DAY: Duration = Duration::from_hours(24);
    if duration >= DAY && duration.as_nanos().is_multiple_of(DAY.as_nanos()) {
        return format!("{}d", duration.as_secs() / DAY.as_secs());
    }
    SpanPrinter::new()
        .designator(Designator::Compact)
        .spacing(Spacing::None)
        .unsigned_duration_to_string(&duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        let range = Duration::from_millis(100)..=Duration::from_hours(2);
        for (text, seconds, shown) in
            [("90s", 90, "1m30s"), ("5m", 300, "5m"), ("1h30m", 5400, "1h30m"), ("2 hours", 7200, "2h")]
        {
            let read = duration(text, &range);
            assert_eq!(read, Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(read.map(show_duration).as_deref(), Ok(shown));
        }
        for text in ["0s", "-5s", "99ms", "3h"] {
            assert_eq!(
                duration(text, &range).expect_err(text).message,
                "is not between 100ms and 2h",
                "{text}"
            );
        }
        let range = range.start().to_owned()..=Duration::from_hours(24 * 30);
        for (text, hours, shown) in
            [("7d", 168, "7d"), ("1d12h", 36, "36h"), ("1w", 168, "7d"), ("24h", 24, "1d")]
        {
            let read = duration(text, &range);
            assert_eq!(read, Ok(Duration::from_hours(hours)), "{text}");
            assert_eq!(read.map(show_duration).as_deref(), Ok(shown));
        }
        for text in ["", "5", "five minutes", "1 month", "s"] {
            assert_eq!(duration(text, &range).expect_err(text).message, "is no length of time", "{text}");
        }
    }

    #[test]
    fn cover_targets_are_read_and_shown() {
        for text in ["www.example.com:443", "192.0.2.1:80", "[2001:db8::1]:443", "unix:/run/site.sock"] {
            let target = cover_target(text).expect(text).expect("not off");
            assert_eq!(target.to_string(), text);
        }
        assert_eq!(cover_target("off"), Ok(None));
        for text in ["", "www.example.com", "a:0", "a:65536", "2001:db8::1:443", "[a]:1", "unix:", ":443"] {
            cover_target(text).expect_err(text);
        }
        for (text, shown) in [("a.example", "a.example:443"), ("a.example:8443", "a.example:8443")] {
            assert_eq!(cover_domain(text).expect(text).to_string(), shown);
        }
        for text in ["", "192.0.2.1:443", "[::1]:443", "a:0", "a b"] {
            cover_domain(text).expect_err(text);
        }
    }

    #[test]
    fn listen_addresses_are_read_and_shown() {
        for text in ["0.0.0.0:443", "[::]:443", "127.0.0.1:0", "unix:/run/a.sock", "systemd:web"] {
            assert_eq!(listen_address(text).expect(text).to_string(), text);
        }
        for (text, help) in
            [("443", "\"[::]:443\""), ("192.0.2.1", "\"192.0.2.1:443\""), ("::", "\"[::]:443\"")]
        {
            let wrong = listen_address(text).expect_err(text);
            assert!(wrong.help.as_deref().is_some_and(|told| told.contains(help)), "{text}: {wrong}");
        }
    }

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes, shown) in [
            ("8MiB", 8 << 20, "8MiB"),
            ("64 KiB", 64 << 10, "64KiB"),
            ("1024KiB", 1 << 20, "1MiB"),
            ("1000", 1000, "1000B"),
            ("1000B", 1000, "1000B"),
            ("0", 0, "0"),
            ("2GiB", 2 << 30, "2GiB"),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
            assert_eq!(show_size(bytes as usize), shown);
        }
        assert_eq!(size("18446744073709551615TiB"), Ok(u64::MAX), "too large for any range");
        for text in ["", "MiB", "8MB", "8mib", "8 Mi B", "-1", "1.5GiB", "99999999999999999999"] {
            assert_eq!(size(text).expect_err(text).message, "is no size", "{text}");
        }
    }

    #[test]
    fn urls_that_can_be_fetched_are_taken() {
        for text in ["https://core.telegram.org/getProxySecret", "http://[::1]:80/a?b=c", "http://192.0.2.1"]
        {
            let read = url(text).expect(text);
            assert_eq!(read.to_string().trim_end_matches('/'), text);
        }
        for text in [
            "",
            "core.telegram.org",
            "/getProxySecret",
            "ftp://a.example/",
            "https://",
            "https:///a",
            "http://:80/",
            "http://a.example:0/",
            "http://a.example:65536/",
            "http://a.example:/",
            "http://user@a.example/",
            "http://a b/",
        ] {
            url(text).expect_err(text);
        }
    }

    #[test]
    fn an_ad_tag_has_32_hex_digits_and_is_nobody_elses() {
        let tag = ad_tag("8F1D5B0C4E3A49719C2B7D60A5E4F312").expect("a tag");
        assert_eq!(tag[..4], [0x8f, 0x1d, 0x5b, 0x0c]);
        for text in [
            "",
            "8f1d",
            "+f1d5b0c4e3a49719c2b7d60a5e4f312",
            "dcbe8f1493fa4cd9ab300891c0b5b326",
            "8f1d5b0c4e3a49719c2b7d60a5e4f3122",
        ] {
            let wrong = ad_tag(text).expect_err(text).to_string();
            assert!(text.is_empty() || !wrong.contains(text), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_never_repeated() {
        for text in
            ["0123456789abcdef0123456789abcdef", "0011223344556677", "dd00112233445566778899aabbccddeeff"]
        {
            let wrong = secret_key(text).expect_err(text).to_string();
            assert!(!wrong.contains(text), "{wrong}");
        }
        assert!(secret_key("FBEFBEFBEFBEFBEFBEFBEFBEFBEFBEF0").is_ok(), "upper case is the same");
        // 32 characters of base64 are 24 bytes, and 22 are a key that is not written as asked for.
        secret_key("AAECAwQFBgcICQoLDA0ODw").expect_err("base64");
    }
}
