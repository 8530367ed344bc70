//! Host names that may be handed out in links.

use super::MAX_DOMAIN_LEN;

/// A host name in lower case, IDN in ASCII form, at most [`MAX_DOMAIN_LEN`] bytes: what an `ee` secret can carry and
/// every client sends unchanged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Box<str>);

/// Why a text is no host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostNameError {
    /// A character that is not a letter, a digit, a hyphen or a dot.
    Character(char),
    /// A label that is empty or longer than 63 bytes: two dots in a row, or one at an end.
    Label,
    /// A label that begins or ends with a hyphen.
    Hyphen,
    /// An address, which cannot be a server name in TLS.
    IpAddress,
    /// Characters beyond ASCII.
    NotAscii,
    /// Longer than [`MAX_DOMAIN_LEN`].
    TooLong,
    /// Capital letters.
    UpperCase,
}

impl HostName {
    /// Takes a text that is a host name.
    ///
    /// # Errors
    /// It is none; the first thing that is wrong is told.
    pub fn new(text: &str) -> Result<Self, HostNameError> {
        if text.len() > MAX_DOMAIN_LEN {
            return Err(HostNameError::TooLong);
        }
        if !text.is_ascii() {
            return Err(HostNameError::NotAscii);
        }
        if text.parse::<std::net::IpAddr>().is_ok() {
            return Err(HostNameError::IpAddress);
        }
        if let Some(wrong) = text.chars().find(|&c| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')) {
            return Err(HostNameError::Character(wrong));
        }
        if text.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(HostNameError::UpperCase);
        }
        for label in text.split('.') {
            if !(1..=63).contains(&label.len()) {
                return Err(HostNameError::Label);
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(HostNameError::Hyphen);
            }
        }
        // Software takes a name whose last label is a number for an IPv4 address.
        if text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(HostNameError::IpAddress);
        }
        Ok(Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for HostName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for HostNameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Character(wrong) => write!(f, "{wrong:?} cannot stand in a host name"),
            Self::Label => f.write_str("the parts between the dots have 1 to 63 characters"),
            Self::Hyphen => f.write_str("a part of a host name neither begins nor ends with a hyphen"),
            Self::IpAddress => f.write_str("an address cannot stand in place of a host name"),
            Self::NotAscii => f.write_str("write an international name in its ASCII form (xn--…)"),
            Self::TooLong => write!(f, "a name in a secret has at most {MAX_DOMAIN_LEN} bytes"),
            Self::UpperCase => f.write_str("write the host name in lower case"),
        }
    }
}

impl std::error::Error for HostNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_names_are_taken() {
        let longest = format!("{}.{}.{}", "a".repeat(60), "b".repeat(60), "c".repeat(60));
        assert_eq!(longest.len(), MAX_DOMAIN_LEN);
        for name in
            ["www.example.com", "localhost", "xn--d1acpjx3f.xn--p1ai", "4chan.org", "a-b.c1", &longest]
        {
            assert_eq!(HostName::new(name).map(|name| name.to_string()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let label = "a".repeat(64);
        let long = format!("{}.{}.{}", "a".repeat(60), "b".repeat(60), "c".repeat(61));
        for (name, error) in [
            ("", HostNameError::Label),
            ("example.com.", HostNameError::Label),
            ("a..b", HostNameError::Label),
            (&label, HostNameError::Label),
            (&long, HostNameError::TooLong),
            ("WWW.example.com", HostNameError::UpperCase),
            ("дом.рф", HostNameError::NotAscii),
            ("a b", HostNameError::Character(' ')),
            ("a_b.com", HostNameError::Character('_')),
            ("-a.com", HostNameError::Hyphen),
            ("a-.com", HostNameError::Hyphen),
            ("192.0.2.1", HostNameError::IpAddress),
            ("2001:db8::1", HostNameError::IpAddress),
            ("example.1", HostNameError::IpAddress),
        ] {
            assert_eq!(HostName::new(name), Err(error), "{name}");
        }
    }
}
