//! The two ends of the link in TLS: 1.3 alone, each certificate checked against the authorities and their revocation lists.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CipherSuite, ClientConfig, RootCertStore, ServerConfig};

use super::credentials::{Credentials, Own};
use super::flaw::Flaw;
use super::trust::system_roots;

/// How a back speaks TLS: as any HTTPS server that knows HTTP/2 and HTTP/1.1. Where it has authorities it asks for a
/// certificate; a visitor without one is let through as a stranger, and one whose certificate is not good is refused.
///
/// # Errors
/// There is no own certificate, or what [`Credentials::examine`] finds.
pub fn server_config(credentials: &Credentials) -> Result<Arc<ServerConfig>, Flaw> {
    let own = credentials.own.as_ref().ok_or(Flaw::Nameless)?;
    let verifier = if credentials.authorities.is_empty() {
        WebPkiClientVerifier::no_client_auth()
    } else {
        front_verifier(credentials)?
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(own.chain.clone(), own.key.clone_key())?;
    config.alpn_protocols = vec![HTTP_2.into(), HTTP_1.into()];
    Ok(Arc::new(config))
}

/// How a front speaks TLS: it believes its authorities alone, or those of the system when it has none.
///
/// # Errors
/// What [`Credentials::examine`] finds.
pub fn client_config(credentials: &Credentials) -> Result<Arc<ClientConfig>, Flaw> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_webpki_verifier(back_verifier(credentials)?);
    let mut config = match &credentials.own {
        Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![HTTP_2.into()];
    Ok(Arc::new(config))
}

/// What a back checks fronts with.
pub(super) fn front_verifier(credentials: &Credentials) -> Result<Arc<dyn ClientCertVerifier>, Flaw> {
    WebPkiClientVerifier::builder_with_provider(credentials.roots()?, provider())
        .with_crls(credentials.revoked.iter().cloned())
        // Of several authorities, not all need to have a list.
        .allow_unknown_revocation_status()
        .allow_unauthenticated()
        // Strangers are not told whose certificates are wanted.
        .clear_root_hint_subjects()
        .build()
        .map_err(verifier)
}

/// What a front checks backs with.
pub(super) fn back_verifier(credentials: &Credentials) -> Result<Arc<WebPkiServerVerifier>, Flaw> {
    let roots: Arc<RootCertStore> = match credentials.authorities.as_slice() {
        [] => Arc::new(system_roots()),
        [..] => credentials.roots()?,
    };
    WebPkiServerVerifier::builder_with_provider(roots, provider())
        .with_crls(credentials.revoked.iter().cloned())
        .allow_unknown_revocation_status()
        .build()
        .map_err(verifier)
}

/// The key in a form that can sign; it fits its certificate.
pub(super) fn certified_key(own: &Own) -> Result<CertifiedKey, Flaw> {
    let key = provider().key_provider.load_private_key(own.key.clone_key()).map_err(|_| Flaw::KeyUnusable)?;
    let certified = CertifiedKey::new(own.chain.clone(), key);
    certified.keys_match()?;
    Ok(certified)
}

fn verifier(error: rustls::client::VerifierBuilderError) -> Flaw {
    use rustls::client::VerifierBuilderError as E;
    match error {
        E::NoRootAnchors => Flaw::NoAuthority,
        E::InvalidCrl(_) => Flaw::ListNotSigned,
        error => Flaw::Tls(rustls::Error::General(error.to_string())),
    }
}

/// With AES-128 before AES-256: ten rounds for fourteen, and the order that browsers have. A back takes what the other side
/// names first.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";
