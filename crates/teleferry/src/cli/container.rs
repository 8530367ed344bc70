//! The variables with which containers of another proxy are started, so that ours can take their place.

use super::failure::Failure;
use crate::config::{self, ListenAddress, Overrides, Protocols};

/// What the environment says. No `Debug`: one of them is a secret.
#[derive(Default)]
pub(super) struct Variables {
    /// The names of those that are set.
    pub(super) set: Vec<&'static str>,
    port: Option<String>,
    secret: Option<String>,
    tag: Option<String>,
    dd_only: Option<String>,
    tls_only: Option<String>,
}

impl Variables {
    /// Reads them with `variable`, which gives `None` for what is not set or empty.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut read = Self::default();
        for (name, place) in [
            ("MTP_PORT", &mut read.port),
            ("MTP_SECRET", &mut read.secret),
            ("MTP_TAG", &mut read.tag),
            ("MTP_DD_ONLY", &mut read.dd_only),
            ("MTP_TLS_ONLY", &mut read.tls_only),
        ] {
            *place = variable(name);
            if place.is_some() {
                read.set.push(name);
            }
        }
        read
    }

    /// Fills in what the flags leave open.
    pub(super) fn fill(self, overrides: &mut Overrides) -> Result<(), Failure> {
        if let (Some(port), true) = (&self.port, overrides.addresses.is_empty()) {
            let port = port.parse().ok().filter(|&port: &u16| port != 0);
            let port = port.ok_or_else(|| wrong("MTP_PORT", "is no port from 1 to 65535"))?;
            overrides.addresses = vec![ListenAddress::Inet((std::net::Ipv6Addr::UNSPECIFIED, port).into())];
        }
        if let (Some(secret), None) = (&self.secret, &overrides.secret) {
            let key = config::secret_key(secret).map_err(|error| wrong("MTP_SECRET", &error.to_string()))?;
            overrides.secret = Some(key);
        }
        if let (Some(tag), None) = (&self.tag, &overrides.ad_tag) {
            let tag = config::ad_tag(tag).map_err(|error| wrong("MTP_TAG", &error.to_string()))?;
            overrides.ad_tag = Some(tag);
        }
        if overrides.protocols.is_none() {
            overrides.protocols = self.protocols()?;
        }
        Ok(())
    }

    /// Where these variables come from every kind of client is served, unless one of the two switches is on.
    fn protocols(&self) -> Result<Option<Protocols>, Failure> {
        let dd = switch("MTP_DD_ONLY", self.dd_only.as_deref())?;
        let tls = switch("MTP_TLS_ONLY", self.tls_only.as_deref())?;
        Ok(match (dd, tls) {
            (false, false) => self.secret.as_ref().map(|_| Protocols::ALL),
            (secure, tls) => Some(Protocols { tls, secure, classic: false }),
        })
    }
}

fn switch(name: &str, value: Option<&str>) -> Result<bool, Failure> {
    match value.map(str::to_ascii_lowercase).as_deref() {
        Some("t" | "true" | "1" | "y" | "yes" | "on") => Ok(true),
        None | Some("f" | "false" | "0" | "n" | "no" | "off") => Ok(false),
        Some(_) => Err(wrong(name, "is neither \"t\" nor \"f\"")),
    }
}

/// The value is not repeated: it may be a secret.
fn wrong(name: &str, what: &str) -> Failure {
    Failure::Usage(format!("the variable {name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(variables: &[(&str, &str)], mut overrides: Overrides) -> Result<Overrides, Failure> {
        let read = Variables::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        read.fill(&mut overrides).map(|()| overrides)
    }

    const SECRET: &str = "8f1d5b0c4e3a49719c2b7d60a5e4f312";
    const TAG: &str = "5d0e2b7f9a1c4836be7d20c1f4a59e63";

    #[test]
    fn variables_fill_what_flags_leave_open() {
        let all = [("MTP_PORT", "8443"), ("MTP_SECRET", SECRET), ("MTP_TAG", TAG)];
        let from_variables = filled(&all, Overrides::default()).expect("settings");
        assert_eq!(from_variables.addresses, [config::listen_address("[::]:8443").expect("an address")]);
        assert_eq!(from_variables.secret, config::secret_key(SECRET).ok());
        assert_eq!(from_variables.ad_tag, config::ad_tag(TAG).ok());
        assert_eq!(from_variables.protocols, Some(Protocols::ALL));

        let flags = Overrides {
            addresses: vec![config::listen_address("127.0.0.1:1").expect("an address")],
            secret: config::secret_key("0b7c91d2e8f64a35bc1d7e90f2a3645c").ok(),
            ad_tag: config::ad_tag("11f0a7c35d2e4b68907a6c5d4e3f2b1a").ok(),
            protocols: Some(Protocols::TLS),
            ..Overrides::default()
        };
        let kept = filled(&all, flags.clone()).expect("settings");
        assert_eq!(kept.addresses, flags.addresses);
        assert_eq!(kept.secret, flags.secret);
        assert_eq!(kept.ad_tag, flags.ad_tag);
        assert_eq!(kept.protocols, flags.protocols);
    }

    #[test]
    fn switches_choose_the_kinds_of_client() {
        for (dd, tls, served) in [
            ("t", "f", Some(Protocols { tls: false, secure: true, classic: false })),
            ("f", "t", Some(Protocols::TLS)),
            ("t", "t", Some(Protocols { tls: true, secure: true, classic: false })),
            ("f", "0", None),
        ] {
            let set = [("MTP_DD_ONLY", dd), ("MTP_TLS_ONLY", tls)];
            assert_eq!(filled(&set, Overrides::default()).expect("settings").protocols, served, "{dd} {tls}");
        }
    }

    #[test]
    fn wrong_variables_are_named_and_not_quoted() {
        for (name, value) in [
            ("MTP_PORT", "0"),
            ("MTP_PORT", "http"),
            ("MTP_SECRET", "feedface"),
            ("MTP_TAG", "feedface"),
            ("MTP_DD_ONLY", "maybe"),
        ] {
            let Err(Failure::Usage(told)) = filled(&[(name, value)], Overrides::default()) else {
                panic!("{name}={value} is taken")
            };
            assert!(told.contains(name) && !told.contains("feedface"), "{told}");
        }
    }
}
