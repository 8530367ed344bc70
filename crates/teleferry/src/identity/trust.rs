//! Whom the system believes.

use rustls::RootCertStore;
use tracing::debug;

/// The roots of the system's store, or of the file or directory that `SSL_CERT_FILE` and `SSL_CERT_DIR` name; where there
/// are none (containers without a store), those that are built in.
pub(crate) fn system_roots() -> RootCertStore {
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
