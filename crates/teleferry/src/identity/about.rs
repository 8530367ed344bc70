//! What a certificate says of itself.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

/// What a certificate says of itself. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The subject's common name.
    pub common_name: Option<String>,
    /// Host names and addresses that it is for.
    pub names: Vec<String>,
    /// Its number, as the authority gave it.
    pub serial: Vec<u8>,
    /// When it begins to hold, in seconds since 1970.
    pub not_before: i64,
    /// When it ceases to hold, in seconds since 1970.
    pub not_after: i64,
    /// Whether it is an authority's, which signs others.
    pub is_authority: bool,
    /// Whether a server may have it.
    pub for_servers: bool,
    /// Whether a client may have it.
    pub for_clients: bool,
}

impl About {
    /// Reads a certificate; `None` when it is none.
    #[must_use]
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
        if !rest.is_empty() {
            return None;
        }
        // Without an extension that says more, a certificate is for everything.
        let usage = parsed.extended_key_usage().ok().flatten().map(|extension| extension.value);
        Some(Self {
            common_name: common_name(&parsed),
            names: names(&parsed),
            serial: parsed.raw_serial().to_vec(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            is_authority: parsed.is_ca(),
            for_servers: usage.is_none_or(|usage| usage.any || usage.server_auth),
            for_clients: usage.is_none_or(|usage| usage.any || usage.client_auth),
        })
    }

    /// What to call its holder: the first name that it is for, or the subject's.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.names.first().or(self.common_name.as_ref()).map(String::as_str)
    }
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.subject().iter_common_name().next()?.as_str().ok().map(ToOwned::to_owned)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extensions = certificate.extensions().iter();
    let lists = extensions.filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    lists
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Whose certificate the other side of a finished handshake had: fit for log lines and as a metric's label. `None` when it had
/// none, or when what it says is no name.
#[must_use]
pub fn peer_name(chain: Option<&[CertificateDer<'_>]>) -> Option<String> {
    let about = About::read(chain?.first()?)?;
    about.name().filter(|name| is_label(name)).map(ToOwned::to_owned)
}

fn is_label(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '*');
    (1..=LONGEST_LABEL).contains(&name.len()) && name.chars().all(fits)
}

/// More bytes than any host name has that is in use.
const LONGEST_LABEL: usize = 128;

/// The day of a time in seconds since 1970, in UTC: 2026-11-28.
#[must_use]
pub fn day(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%d").to_string(),
        Err(_) => "a day that no calendar has".to_owned(),
    }
}
