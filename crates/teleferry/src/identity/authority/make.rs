//! Makes certificates and revocation lists. Subjects are ordinary: a host's name, and an authority called after its domain.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use data_encoding::HEXUPPER;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};
use rustls::pki_types::CertificateRevocationListDer;
use teleferry_proto::secret::HostName;
use time::OffsetDateTime;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::error::AuthorityError;
use crate::entropy;
use crate::identity::Side;

/// Why a name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostError {
    /// It is no host name and no address.
    NoHost,
    /// It is no name for a front.
    NoName,
    /// A file of the authority itself is called so.
    Taken,
    /// There is none.
    Missing,
}

/// An authority's certificate and key, in PEM.
pub(super) struct MadeAuthority {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Makes an authority that is called after the first host.
pub(super) fn authority(hosts: &[String], now: i64) -> Result<MadeAuthority, AuthorityError> {
    let host = check_names(Side::Back, hosts)?;
    let key = KeyPair::generate().map_err(AuthorityError::Make)?;
    let mut params = params(now, AUTHORITY_LIFE);
    params.distinguished_name = called(&authority_name(host));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(AuthorityError::Make)?;
    Ok(MadeAuthority { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Signs a certificate for a front or a back.
pub(super) fn leaf(
    side: Side,
    names: &[String],
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
    now: i64,
) -> Result<Certificate, AuthorityError> {
    let name = check_names(side, names)?;
    // The library tells addresses from names.
    let named = CertificateParams::new(names).map_err(AuthorityError::Make)?;
    let mut params = params(now, LEAF_LIFE);
    params.subject_alt_names = named.subject_alt_names;
    params.distinguished_name = called(name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match side {
        Side::Front => ExtendedKeyUsagePurpose::ClientAuth,
        Side::Back => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    params.use_authority_key_identifier_extension = true;
    params.signed_by(key, issuer).map_err(AuthorityError::Make)
}

/// A list of the numbers that were taken back and when, in PEM.
pub(super) fn revocation_list(
    revoked: &[(Vec<u8>, i64)],
    issuer: &Issuer<'_, KeyPair>,
    now: i64,
    until: i64,
) -> Result<String, AuthorityError> {
    let revoked_certs = revoked.iter().map(|(serial, when)| RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: time(*when),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: time(now),
        // The last list counts until there is another one.
        next_update: time(until.max(now.saturating_add(1))),
        crl_number: SerialNumber::from(u64::try_from(now).unwrap_or(0)),
        issuing_distribution_point: None,
        revoked_certs: revoked_certs.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).and_then(|list| list.pem()).map_err(AuthorityError::Make)
}

/// The numbers on a list, each with the time when it was taken back.
pub(super) fn serials(list: &CertificateRevocationListDer<'_>) -> Vec<(Vec<u8>, i64)> {
    let Ok((_, list)) = CertificateRevocationList::from_der(list.as_ref()) else { return Vec::new() };
    let revoked = list.iter_revoked_certificates();
    revoked.map(|one| (one.raw_serial().to_vec(), one.revocation_date.timestamp())).collect()
}

/// The first of the names, when all can be used.
pub(super) fn check_names(side: Side, names: &[String]) -> Result<&str, AuthorityError> {
    for name in names {
        check_name(side, name).map_err(|error| AuthorityError::Name(name.clone(), error))?;
    }
    let first = names.first().map(String::as_str);
    first.ok_or_else(|| AuthorityError::Name(String::new(), HostError::Missing))
}

fn check_name(side: Side, name: &str) -> Result<(), HostError> {
    if RESERVED.contains(&name) {
        return Err(HostError::Taken);
    }
    let is_host = name.parse::<IpAddr>().is_ok() || HostName::new(name).is_ok();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // It becomes the name of a file, and a label in metrics.
    let is_name = (1..=LONGEST_NAME).contains(&name.len())
        && name.chars().all(fits)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    match side {
        Side::Back if !is_host => Err(HostError::NoHost),
        Side::Front if !is_name => Err(HostError::NoName),
        Side::Front | Side::Back => Ok(()),
    }
}

/// What an authority of this host's domain might be called: "Example Root CA" would be a stranger's.
fn authority_name(host: &str) -> String {
    if host.parse::<IpAddr>().is_ok() {
        // Machines without a name have authorities of all kinds of names; one that many share would be a sign.
        let number: [u8; 3] = entropy::array();
        return format!("Root CA {}", HEXUPPER.encode(&number));
    }
    let domain = match host.split_once('.') {
        Some((_, domain)) if domain.contains('.') => domain,
        _ => host,
    };
    format!("{domain} Root CA")
}

fn called(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// What all certificates have: a random number, and a time that began a little ago, for clocks that are behind.
fn params(now: i64, life: i64) -> CertificateParams {
    let mut serial: [u8; 16] = entropy::array();
    // Positive, and never shorter.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = time(now.saturating_sub(HOUR));
    params.not_after = time(now.saturating_add(life));
    params
}

/// A time in seconds since 1970, in the library's form.
fn time(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
/// Ten years.
const AUTHORITY_LIFE: i64 = 3652 * DAY;
/// Two years.
const LEAF_LIFE: i64 = 730 * DAY;

/// Files of the authority, without their endings.
const RESERVED: [&str; 3] = ["ca", "revoked", "issued"];
/// As much as a label of a host name has, in bytes.
const LONGEST_NAME: usize = 63;

impl fmt::Display for HostError {
    /// Fits behind the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHost => "is no host name and no address, and fronts know a back by one of these",
            Self::NoName => {
                "is no name for a front: names have 1 to 63 letters, digits, hyphens, underscores and dots, and begin with a letter or a digit"
            }
            Self::Taken => "is the name of a file of the authority itself: take another one",
            Self::Missing => "is no name: at least one is needed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_called_after_domains() {
        assert_eq!(authority_name("back.example.net"), "example.net Root CA");
        assert_eq!(authority_name("example.net"), "example.net Root CA");
        assert_eq!(authority_name("localhost"), "localhost Root CA");
        assert!(authority_name("192.0.2.1").starts_with("Root CA "));
        assert_ne!(authority_name("192.0.2.1"), authority_name("192.0.2.1"));
    }

    #[test]
    fn names_are_fit_for_files_and_certificates() {
        for (side, name, error) in [
            (Side::Back, "back.example.net", None),
            (Side::Back, "2001:db8::1", None),
            (Side::Back, "a b", Some(HostError::NoHost)),
            (Side::Back, "../a", Some(HostError::NoHost)),
            (Side::Front, "front-1", None),
            (Side::Front, "", Some(HostError::NoName)),
            (Side::Front, ".hidden", Some(HostError::NoName)),
            (Side::Front, "../a", Some(HostError::NoName)),
            (Side::Front, "a/b", Some(HostError::NoName)),
            (Side::Front, "ca", Some(HostError::Taken)),
            (Side::Back, "revoked", Some(HostError::Taken)),
        ] {
            assert_eq!(check_name(side, name).err(), error, "{name}");
        }
        assert!(check_names(Side::Front, &[]).is_err());
    }
}
