//! What a back asks of those who connect.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, header};
use rustls::ServerConfig;

use crate::config;
use crate::identity::{self, Flaw, Token};

/// What the address for fronts is called where listeners are.
pub(crate) const LISTENER: &str = "fronts";

/// How fronts are known; follows from the settings.
#[derive(Clone)]
pub(crate) struct Back {
    /// How to speak TLS with whoever comes.
    pub(crate) tls: Arc<ServerConfig>,
    /// What fronts without a certificate show.
    token: Option<Token>,
}

impl Back {
    /// What follows from the settings of a back. From those `before` it keeps what has not changed.
    ///
    /// # Errors
    /// Its certificates cannot be used.
    pub(crate) fn new(settings: &config::Back, before: Option<(&config::Back, &Self)>) -> Result<Self, Flaw> {
        let credentials = &settings.tls.credentials;
        let tls = match before {
            Some((before, back)) if before.tls.credentials == *credentials => Arc::clone(&back.tls),
            _ => identity::server_config(credentials)?,
        };
        Ok(Self { tls, token: settings.token.clone() })
    }

    /// Whether somebody without a certificate shows the token.
    pub(crate) fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
        self.token.as_ref().zip(given).is_some_and(|(token, given)| token.is(given))
    }

    /// Whether somebody without a certificate may be a front.
    pub(crate) const fn takes_tokens(&self) -> bool {
        self.token.is_some()
    }
}

impl fmt::Debug for Back {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Back").field("takes_tokens", &self.takes_tokens()).finish_non_exhaustive()
    }
}
