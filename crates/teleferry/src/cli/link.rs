//! `teleferry link`

use std::io::Write;

use clap::Args;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use teleferry_proto::secret::HostName;

use super::failure::Failure;
use super::settings::{Absent, Flags};
use crate::config::{self, Listener, Role};
use crate::links::{Link, links_of};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,

    /// Only the links of this listener
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,

    /// Only the link of this host name, with `sni_secrets`; without it, that of the listener's domain
    #[arg(long, value_name = "NAME", value_parser = config::domain)]
    sni: Option<HostName>,

    /// Also shows each link as a QR code
    #[arg(long, conflicts_with = "json")]
    qr: bool,

    /// Prints JSON: an object with the list `links`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let snapshot = arguments.flags.settings(Absent::Refuse)?.snapshot;
    if arguments.sni.is_some() && snapshot.sni_secrets.salt.is_none() {
        return Err(Failure::Usage(
            "--sni names a secret of its own, and there are none: set sni_secrets.enabled and sni_secrets.salt"
                .to_owned(),
        ));
    }
    if let Role::Back(_) = snapshot.role {
        return Err(Failure::Usage("a back has no listeners: its fronts print the links".to_owned()));
    }
    let listeners: Vec<&Listener> = snapshot
        .listeners
        .iter()
        .filter(|listener| arguments.listener.as_ref().is_none_or(|name| *name == listener.name))
        .collect();
    if let (Some(name), true) = (&arguments.listener, listeners.is_empty()) {
        let known: Vec<&str> = snapshot.listeners.iter().map(|listener| listener.name.as_str()).collect();
        return Err(Failure::Usage(format!(
            "there is no listener \"{name}\"; there are: {}",
            known.join(", ")
        )));
    }
    let mut links = Vec::new();
    for listener in listeners {
        links.extend(links_of(listener, arguments.sni.as_ref(), &snapshot).map_err(Failure::Usage)?);
    }
    if arguments.json {
        let json = serde_json::json!({ "links": links });
        writeln!(out, "{json:#}")?;
        return Ok(());
    }
    for (at, link) in links.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        write_link(link, arguments.qr, out)?;
    }
    Ok(())
}

fn write_link(link: &Link, qr: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let named = link.name.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    let tagged = if link.ad_tag { ", with ad tag" } else { "" };
    writeln!(out, "{}{named} ({}{tagged}):", link.listener, link.protocol)?;
    writeln!(out, "{}\n{}", link.tg, link.https)?;
    if qr {
        let code = QrCode::new(&link.tg).map_err(|error| Failure::Run(error.into()))?;
        // Light modules are printed, dark ones left blank: right on a dark terminal, and readable on a light one.
        let drawn = code.render().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        writeln!(out, "{drawn}")?;
    }
    Ok(())
}
