//! Both ends of the link in memory, with good and bad certificates.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use tokio::io::duplex;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// An authority.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is to be like.
#[derive(Clone, Copy)]
struct Wish<'a> {
    name: &'a str,
    side: Side,
    years: [i32; 2],
    serial: u64,
    is_authority: bool,
}

const BACK: Wish<'_> =
    Wish { name: "back.example.net", side: Side::Back, years: [2020, 2100], serial: 1, is_authority: false };
const FRONT: Wish<'_> = Wish { name: "front-1", side: Side::Front, serial: 2, ..BACK };

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed").der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, wish: Wish<'_>) -> Own {
        let mut params = CertificateParams::new([wish.name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, wish.name);
        params.not_before = date_time_ymd(wish.years[0], 1, 1);
        params.not_after = date_time_ymd(wish.years[1], 1, 1);
        params.serial_number = Some(wish.serial.into());
        params.extended_key_usages = vec![match wish.side {
            Side::Front => ExtendedKeyUsagePurpose::ClientAuth,
            Side::Back => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        if wish.is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().expect("a key");
        let chain = vec![params.signed_by(&key, &self.issuer).expect("signed").der().clone()];
        Own { chain, key: Arc::new(PrivateKeyDer::Pkcs8(key.serialize_der().into())) }
    }

    fn revoke(&self, serials: &[u64]) -> rustls::pki_types::CertificateRevocationListDer<'static> {
        let revoked = serials.iter().map(|&serial| RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2022, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("signed").der().clone()
    }

    fn credentials(&self, own: Own) -> Credentials {
        Credentials { authorities: vec![self.certificate.clone()], own: Some(own), revoked: Vec::new() }
    }
}

/// What either end says of the other after a handshake, and after a byte each way.
type Seen = Result<Option<String>, Refusal>;

/// A front calls a back by this name.
async fn call(front: &Credentials, back: &Credentials, name: &str) -> (Seen, Seen) {
    let client = client_config(front).expect("a front's configuration");
    let server = server_config(back).expect("a back's configuration");
    call_with(client, server, name).await
}

async fn call_with(client: Arc<ClientConfig>, server: Arc<ServerConfig>, name: &str) -> (Seen, Seen) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (near, far) = duplex(64 << 10);
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let front = async {
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let suite = stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite());
        assert_eq!(suite, Some(rustls::CipherSuite::TLS13_AES_128_GCM_SHA256));
        stream.write_all(b"?").await?;
        // In TLS 1.3 a front learns only now what the back thinks of its certificate.
        stream.read_exact(&mut [0]).await?;
        Ok(peer_name(stream.get_ref().1.peer_certificates()))
    };
    let back = async {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        stream.read_exact(&mut [0]).await?;
        stream.write_all(b"!").await?;
        Ok(peer_name(stream.get_ref().1.peer_certificates()))
    };
    let both = async { tokio::join!(front, back) };
    let (front, back) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("in time");
    let refused = |error: std::io::Error| Refusal::of(&error);
    (front.map_err(refused), back.map_err(refused))
}

const fn ours(cause: Cause) -> Refusal {
    Refusal { by_peer: false, cause }
}

const fn theirs(cause: Cause) -> Refusal {
    Refusal { by_peer: true, cause }
}

#[tokio::test]
async fn each_end_knows_the_other_by_its_certificate() {
    let authority = Authority::new("A");
    let (front, back) =
        (authority.credentials(authority.sign(FRONT)), authority.credentials(authority.sign(BACK)));
    front.examine(Side::Front).expect("fine");
    back.examine(Side::Back).expect("fine");
    let (front, back) = call(&front, &back, "back.example.net").await;
    assert_eq!(front, Ok(Some("back.example.net".to_owned())));
    assert_eq!(back, Ok(Some("front-1".to_owned())));
}

#[tokio::test]
async fn a_visitor_without_a_certificate_is_let_through_as_nobody() {
    let authority = Authority::new("A");
    let mut front = authority.credentials(authority.sign(FRONT));
    front.own = None;
    let mut back = authority.credentials(authority.sign(BACK));
    assert_eq!(call(&front, &back, "back.example.net").await.1, Ok(None));
    // Where only a token counts, nobody is asked for one.
    back.authorities.clear();
    back.examine(Side::Back).expect("fine");
    assert_eq!(call(&front, &back, "back.example.net").await.1, Ok(None));
}

#[tokio::test]
async fn bad_fronts_are_refused_and_hear_why() {
    let (authority, stranger) = (Authority::new("A"), Authority::new("B"));
    let impostor = Authority::new("A");
    let mut back = authority.credentials(authority.sign(BACK));
    back.revoked = vec![authority.revoke(&[9, 10])];
    back.examine(Side::Back).expect("fine");
    let expired = Wish { years: [2020, 2021], ..FRONT };
    let early = Wish { years: [2090, 2100], ..FRONT };
    for (what, own, cause) in [
        ("a stranger's", stranger.sign(FRONT), Cause::Stranger),
        ("of an authority that has the same name", impostor.sign(FRONT), Cause::Stranger),
        ("expired", authority.sign(expired), Cause::Expired),
        ("not valid yet", authority.sign(early), Cause::Expired),
        ("revoked", authority.sign(Wish { serial: 9, ..FRONT }), Cause::Revoked),
        ("a server's", authority.sign(BACK), Cause::BadCertificate),
        ("an authority's", authority.sign(Wish { is_authority: true, ..FRONT }), Cause::BadCertificate),
    ] {
        let (front, refused) = call(&authority.credentials(own), &back, "back.example.net").await;
        assert_eq!(refused, Err(ours(cause)), "{what}");
        let heard = front.expect_err(what);
        assert!(heard.by_peer, "{what}: {heard:?}");
        assert!(
            heard.cause == cause || heard.cause == Cause::BadCertificate || heard.cause == Cause::Stranger,
            "{what}: {heard:?}"
        );
    }
    let good = authority.credentials(authority.sign(FRONT));
    assert_eq!(call(&good, &back, "back.example.net").await.1, Ok(Some("front-1".to_owned())));
}

#[tokio::test]
async fn bad_backs_are_refused() {
    let (authority, stranger) = (Authority::new("A"), Authority::new("B"));
    let mut front = authority.credentials(authority.sign(FRONT));
    front.revoked = vec![authority.revoke(&[9])];
    front.examine(Side::Front).expect("fine");
    for (what, own, name, cause) in [
        ("a stranger's", stranger.sign(BACK), "back.example.net", Cause::Stranger),
        ("another name", authority.sign(BACK), "other.example.net", Cause::WrongName),
        ("an address", authority.sign(BACK), "192.0.2.1", Cause::WrongName),
        ("expired", authority.sign(Wish { years: [2020, 2021], ..BACK }), "back.example.net", Cause::Expired),
        ("revoked", authority.sign(Wish { serial: 9, ..BACK }), "back.example.net", Cause::Revoked),
        (
            "a client's",
            authority.sign(Wish { name: "back.example.net", ..FRONT }),
            "back.example.net",
            Cause::BadCertificate,
        ),
        (
            "an authority's",
            authority.sign(Wish { is_authority: true, ..BACK }),
            "back.example.net",
            Cause::BadCertificate,
        ),
    ] {
        let (refused, back) = call(&front, &authority.credentials(own), name).await;
        assert_eq!(refused, Err(ours(cause)), "{what}");
        assert!(back.expect_err(what).by_peer, "{what}");
    }
    // Without an authority of its own, a front believes the system, which knows none of these.
    let system = Credentials { own: front.own, ..Credentials::default() };
    let (refused, back) =
        call(&system, &authority.credentials(authority.sign(BACK)), "back.example.net").await;
    assert_eq!(refused, Err(ours(Cause::Stranger)));
    assert_eq!(back, Err(theirs(Cause::Stranger)));
}

#[tokio::test]
async fn what_is_no_tls_is_refused_without_a_panic() {
    use tokio::io::AsyncWriteExt as _;
    let authority = Authority::new("A");
    let server = server_config(&authority.credentials(authority.sign(BACK))).expect("fine");
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0xff; 64], &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0], &[]]
    {
        let (mut near, far) = duplex(4096);
        near.write_all(bytes).await.expect("room");
        near.shutdown().await.expect("open");
        let error = TlsAcceptor::from(Arc::clone(&server)).accept(far).await.expect_err("no TLS");
        let refusal = Refusal::of(&error);
        let cause = if bytes.is_empty() { Cause::Broken } else { Cause::Protocol };
        assert_eq!(refusal, ours(cause), "{error:?}");
    }
}

#[test]
fn what_is_wrong_with_credentials_is_found_before_anybody_calls() {
    let (authority, stranger) = (Authority::new("A"), Authority::new("B"));
    let front = authority.credentials(authority.sign(FRONT));
    let back = authority.credentials(authority.sign(BACK));
    let flaw = |side, credentials: &Credentials| credentials.examine(side).expect_err("a flaw");

    let mut mixed = front.clone();
    let own = mixed.own.as_mut().expect("there");
    own.key = authority.sign(FRONT).key;
    assert!(matches!(flaw(Side::Front, &mixed), Flaw::KeyMismatch));
    own_key_of_garbage(&mut mixed);
    assert!(matches!(flaw(Side::Front, &mixed), Flaw::KeyUnusable));

    assert!(matches!(flaw(Side::Back, &front), Flaw::WrongUse));
    assert!(matches!(flaw(Side::Front, &back), Flaw::WrongUse));

    let foreign = authority.credentials(stranger.sign(FRONT));
    assert!(matches!(flaw(Side::Front, &foreign), Flaw::NotSigned));
    // A back may show a certificate of somebody else, and is warned.
    let foreign = authority.credentials(stranger.sign(BACK));
    foreign.examine(Side::Back).expect("fine");
    assert!(
        foreign.warnings(Side::Back, NOW)[0].contains("did not sign"),
        "{:?}",
        foreign.warnings(Side::Back, NOW)
    );
    assert_eq!(back.warnings(Side::Back, NOW), [""; 0]);

    let root = authority.credentials(authority.sign(Wish { is_authority: true, ..FRONT }));
    assert!(matches!(flaw(Side::Front, &root), Flaw::IsAuthority));

    let mut leaf_as_root = front.clone();
    leaf_as_root.authorities = authority.sign(FRONT).chain;
    assert!(matches!(flaw(Side::Front, &leaf_as_root), Flaw::NoAuthority));

    let mut revoked = front.clone();
    revoked.revoked = vec![authority.revoke(&[FRONT.serial])];
    assert!(matches!(flaw(Side::Front, &revoked), Flaw::Revoked));
    revoked.revoked = vec![stranger.revoke(&[7])];
    assert!(matches!(flaw(Side::Front, &revoked), Flaw::ListNotSigned));
    revoked.revoked = vec![Authority::new("A").revoke(&[7])];
    assert!(
        matches!(flaw(Side::Front, &revoked), Flaw::ListNotSigned),
        "the name is right, and the key is not"
    );
    revoked.revoked = vec![authority.revoke(&[])];
    revoked.examine(Side::Front).expect("an empty list");
}

fn own_key_of_garbage(credentials: &mut Credentials) {
    let own = credentials.own.as_mut().expect("there");
    own.key = Arc::new(PrivateKeyDer::Pkcs8(vec![0x30, 3, 2, 1, 0].into()));
}

/// The first of January 2025.
const NOW: i64 = 1_735_689_600;

#[test]
fn what_expires_is_spoken_of_in_time() {
    let authority = Authority::new("A");
    let credentials = authority.credentials(authority.sign(Wish { years: [2020, 2026], ..FRONT }));
    let end = 1_767_225_600;
    const SOON: i64 = 30 * 24 * 60 * 60;
    let certificates = credentials.certificates();
    assert_eq!(
        (certificates[0].title().as_str(), certificates[0].not_after),
        ("the certificate of `front-1`", end)
    );
    assert_eq!((certificates[1].title().as_str(), certificates.len()), ("the authority `A`", 2));
    let listed = Credentials { revoked: vec![authority.revoke(&[7, 9])], ..credentials.clone() };
    assert_eq!((credentials.revoked_count(), listed.revoked_count()), (0, 2));
    assert_eq!(credentials.warnings(Side::Front, end - SOON - 1), [""; 0]);
    for (now, words) in [
        (end - SOON + 1, "expires on 2026-01-01"),
        (end + 1, "expired on 2026-01-01"),
        (0, "does not hold before 2020-01-01"),
    ] {
        let warnings = credentials.warnings(Side::Front, now);
        assert!(warnings[0].contains("`front-1`") && warnings[0].contains(words), "{warnings:?}");
    }
    // One that lasts 90 days is renewed when 30 are left.
    let day = SOON / 30;
    assert!(!expires_soon(0, 90 * day, 74 * day) && expires_soon(0, 90 * day, 76 * day));
}

#[test]
fn files_are_read_and_garbage_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file.pem");
    let authority = Authority::new("A");
    let pem = |label: &str, der: &[u8]| {
        format!(
            "some words\n-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            data_encoding::BASE64.encode(der)
        )
    };
    let certificate = pem("CERTIFICATE", &authority.certificate);
    std::fs::write(&path, format!("{certificate}{certificate}")).expect("written");
    assert_eq!(read_certificates(&path).expect("two"), vec![authority.certificate.clone(); 2]);
    assert!(matches!(read_key(&path), Err(FileError::Nothing(_))));
    assert!(matches!(read_revoked(&path), Err(FileError::Nothing(_))));

    std::fs::write(&path, pem("X509 CRL", authority.revoke(&[1]).as_ref())).expect("written");
    assert_eq!(read_revoked(&path).expect("one").len(), 1);

    for (text, what) in [
        (String::new(), "holds no certificate in PEM"),
        ("no PEM at all".to_owned(), "holds no certificate in PEM"),
        (certificate.replace("-----END CERTIFICATE-----", ""), "is not PEM, or broken off"),
        (pem("CERTIFICATE", b"garbage"), "holds a certificate that cannot be understood"),
        (pem("CERTIFICATE", &authority.certificate[..100]), "holds a certificate that cannot be understood"),
        ("x".repeat(5 << 20), "is larger than 4 MiB"),
    ] {
        std::fs::write(&path, &text).expect("written");
        let error = read_certificates(&path).expect_err(what);
        assert_eq!(error.to_string(), what);
    }
    std::fs::write(&path, pem("X509 CRL", b"garbage")).expect("written");
    assert!(matches!(read_revoked(&path), Err(FileError::Garbage(_))));
    assert!(matches!(read_key(&directory.path().join("none")), Err(FileError::Read(_))));
}

#[test]
fn only_what_is_fit_for_a_label_is_a_name() {
    let authority = Authority::new("A");
    for (name, label) in
        [("front-1", true), ("a.example", true), ("2001:db8::1", true), ("a b", false), ("a\nb", false)]
    {
        let own = authority.sign(Wish { name, ..FRONT });
        assert_eq!(peer_name(Some(&own.chain)).is_some(), label, "{name:?}");
    }
    assert_eq!(peer_name(None), None);
    assert_eq!(peer_name(Some(&[CertificateDer::from(vec![1, 2, 3])])), None);
}
