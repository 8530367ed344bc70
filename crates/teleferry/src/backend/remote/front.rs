//! What a front knows of its backs.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::config::{self, CoverHost};
use crate::identity::{self, Flaw};

/// Where the backs are and how they are spoken to; follows from the settings.
#[derive(Clone)]
pub(crate) struct Front {
    /// Where the backs are.
    pub(crate) backs: Vec<Arc<Endpoint>>,
    /// How to speak TLS with them.
    pub(crate) tls: Arc<ClientConfig>,
    /// What is shown to them.
    pub(crate) authorization: Option<HeaderValue>,
    /// Whether random bytes hide how long messages are.
    pub(crate) padding: bool,
}

/// Where a back is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Its name or address, and its port.
    pub(crate) host: CoverHost,
    /// The name that its certificate has to have.
    pub(crate) name: ServerName<'static>,
    /// As it stands in requests, in logs and metrics.
    pub(crate) authority: String,
}

impl Front {
    /// What follows from the settings of a front. From those `before` it keeps what has not changed.
    ///
    /// # Errors
    /// Its certificates cannot be used.
    pub(crate) fn new(
        settings: &config::Front,
        before: Option<(&config::Front, &Self)>,
    ) -> Result<Self, Flaw> {
        let credentials = &settings.tls.credentials;
        let tls = match before {
            Some((before, front)) if before.tls.credentials == *credentials => Arc::clone(&front.tls),
            _ => identity::client_config(credentials)?,
        };
        let endpoint = |back: &config::BackUrl| {
            let config::BackUrl(host) = back;
            let name = ServerName::try_from(host.host.clone()).ok()?;
            Some(Arc::new(Endpoint { host: host.clone(), name, authority: host.to_string() }))
        };
        let authorization = settings.token.as_ref().and_then(|token| {
            let mut value = HeaderValue::from_bytes(&[b"Bearer ", token.as_bytes()].concat()).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Ok(Self {
            backs: settings.backs.iter().filter_map(endpoint).collect(),
            tls,
            authorization,
            padding: settings.padding,
        })
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("backs", &self.backs).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BackUrl, Tls};
    use crate::identity::authority::passing;

    #[test]
    fn what_has_not_changed_is_kept() {
        let settings = |port| {
            let [_, credentials] = passing("127.0.0.1", "front-1", 1_767_225_600).expect("certificates");
            config::Front {
                backs: vec![BackUrl(CoverHost { host: "127.0.0.1".to_owned(), port })],
                token: None,
                token_file: None,
                padding: true,
                tls: Tls { credentials, ..Tls::default() },
            }
        };
        let before = settings(1);
        let front = Front::new(&before, None).expect("a front");
        let elsewhere = config::Front { backs: settings(2).backs, ..before.clone() };
        let moved = Front::new(&elsewhere, Some((&before, &front))).expect("a front");
        assert!(Arc::ptr_eq(&front.tls, &moved.tls) && front.backs != moved.backs);
        let renewed = Front::new(&settings(1), Some((&before, &front))).expect("a front");
        assert!(!Arc::ptr_eq(&front.tls, &renewed.tls));
    }
}
