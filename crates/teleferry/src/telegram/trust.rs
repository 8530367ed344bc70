//! Whom to believe that a server is who it says.

use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tracing::debug;

/// How to speak TLS as a client that believes certificates which these roots vouch for.
///
/// # Errors
/// The library supports no version of TLS, which no build does.
pub(super) fn client_config(roots: RootCertStore) -> io::Result<Arc<ClientConfig>> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The roots of the system's store, or of the file or directory that `SSL_CERT_FILE` and `SSL_CERT_DIR` name; where there
/// are none (containers without a store), those that are built in.
pub(super) fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in native.errors {
        debug!(%error, "a certificate of the system's store cannot be read");
    }
    // Old stores hold some that nobody can parse any more.
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        debug!("the system's store has no certificates: those that are built in count");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
