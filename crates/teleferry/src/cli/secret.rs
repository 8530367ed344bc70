//! `teleferry secret`

use std::io::Write;

use clap::Args;
use teleferry_proto::secret::{Domain, HostName, Secret, SecretKey};

use super::failure::Failure;
use crate::{config, entropy};

#[derive(Args)]
pub(super) struct Arguments {
    /// The cover domain for the fake-TLS form; without one that form is left out
    #[arg(long, value_name = "NAME", value_parser = config::domain)]
    domain: Option<HostName>,
    /// Prints the 32 hex digits alone, as the configuration and `secret_file` take them
    #[arg(long, conflicts_with = "domain")]
    bare: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let key = SecretKey::new(entropy::array());
    if arguments.bare {
        writeln!(out, "{}", Secret::Plain(key).to_hex())?;
        return Ok(());
    }
    let tls = arguments.domain.as_ref().map(|domain| Secret::Tls(key.clone(), Domain::from(domain)));
    let forms =
        [("plain", Some(Secret::Plain(key.clone()))), ("secure", Some(Secret::Secure(key))), ("tls", tls)];
    for (kind, secret) in forms {
        let Some(secret) = secret else { continue };
        writeln!(out, "{kind:<6} hex       {}", secret.to_hex())?;
        writeln!(out, "{kind:<6} base64url {}", secret.to_base64url())?;
    }
    Ok(())
}
