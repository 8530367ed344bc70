//! Whom to believe that a server is who it says.

use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

pub(super) use crate::identity::system_roots as roots;

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
