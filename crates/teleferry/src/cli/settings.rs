//! Where the settings come from: a file, flags, container variables, and what an earlier start made up.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use clap::Args;
use teleferry_proto::secret::HostName;

use super::container::Variables;
use super::failure::Failure;
use crate::clock;
use crate::config::{
    self, ConfigError, CoverHost, CoverTarget, ListenAddress, Mode, Overrides, Protocol, Protocols, Snapshot,
};
use crate::state::{self, Generated, Listening};

/// The flags that `run`, `check` and `link` share. No `Debug`: one of them is a secret.
#[derive(Args)]
pub(super) struct Flags {
    /// The configuration file; without one, the other flags and the state directory decide
    #[arg(long, value_name = "FILE", env = "TELEFERRY_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    /// An address to listen on, such as `[::]:443`; can be given several times
    #[arg(long, value_name = "ADDR", value_parser = config::listen_address)]
    listen: Vec<ListenAddress>,

    /// The secret, 32 hex digits. Other users of this machine can see it: a file is safer
    #[arg(long, value_name = "HEX")]
    secret: Option<String>,

    /// The cover domain: the site that fake-TLS clients seem to visit
    #[arg(long, value_name = "NAME", value_parser = config::domain)]
    domain: Option<HostName>,

    /// The ad tag that Telegram's @MTProxybot gave out, 32 hex digits
    #[arg(long, value_name = "HEX")]
    ad_tag: Option<String>,

    /// A kind of client to serve: tls, secure or classic; can be given several times
    #[arg(long, value_name = "KIND", value_parser = config::protocol)]
    protocol: Vec<Protocol>,

    /// How clients are taken to Telegram: auto, middle or direct
    #[arg(long, value_name = "MODE", value_parser = config::mode)]
    mode: Option<Mode>,

    /// Where state is kept from one start to the next
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// Told of settings without a cover site.
pub(super) const NO_COVER: &str = "there is no cover site: whoever is not a client gets no answer for up to five minutes and is closed then, which tells a probe that this is no web server (set `cover.target` in a configuration file)";

/// The settings, and what is worth saying about them.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) snapshot: Snapshot,
    /// Sentences without a full stop.
    pub(super) warnings: Vec<String>,
}

/// What to do when there is no file and nothing was made up yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// Make up a secret and a domain, and keep them.
    Make,
    /// Say that there is nothing.
    Refuse,
}

impl Flags {
    /// The file that the settings come from.
    pub(super) fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Finds the settings.
    pub(super) fn settings(&self, absent: Absent) -> Result<Settings, Failure> {
        let variables = Variables::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let default_state_dir = state::default_directory(rustix::process::geteuid().is_root(), |name| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
        });
        let flags = self.overrides()?;
        let mut settings = match &self.config {
            Some(file) => {
                let snapshot = config::load(file, &flags, &default_state_dir)?;
                let warnings = variables
                    .set
                    .iter()
                    .map(|name| format!("{name} is not used, because a configuration file was named"));
                Settings { snapshot, warnings: warnings.collect() }
            }
            None => without_file(flags, variables, &default_state_dir, absent)?,
        };
        if settings.snapshot.cover.target.is_none() && !settings.snapshot.listeners.is_empty() {
            settings.warnings.push(NO_COVER.to_owned());
        }
        settings.warnings.extend(tags_without_use(&settings.snapshot));
        let now = i64::try_from(clock::unix_time()).unwrap_or(i64::MAX);
        settings.warnings.extend(settings.snapshot.role.warnings(now));
        Ok(settings)
    }

    fn overrides(&self) -> Result<Overrides, Failure> {
        // Both parsed here and not by clap, which would quote what is wrong.
        let secret = self.secret.as_deref().map(config::secret_key).transpose();
        let secret = secret.map_err(|wrong| Failure::Usage(format!("the value of --secret {wrong}")))?;
        let ad_tag = self.ad_tag.as_deref().map(config::ad_tag).transpose();
        let ad_tag = ad_tag.map_err(|wrong| Failure::Usage(format!("the value of --ad-tag {wrong}")))?;
        let protocols = self.protocol.iter().fold(Protocols::NONE, |served, &one| served.with(one));
        Ok(Overrides {
            addresses: self.listen.clone(),
            secret,
            ad_tag,
            domain: self.domain.clone(),
            protocols: (!self.protocol.is_empty()).then_some(protocols),
            mode: self.mode,
            state_dir: self.state_dir.clone(),
        })
    }
}

/// Only middle proxies take ad tags.
fn tags_without_use(snapshot: &Snapshot) -> impl Iterator<Item = String> {
    let direct = snapshot.telegram.mode == Mode::Direct;
    snapshot.listeners.iter().filter(move |listener| direct && listener.ad_tag.is_some()).map(|listener| {
        format!(
            "the ad tag of listener `{}` is not used: direct mode cannot tell Telegram about it (set `telegram.mode` to \"auto\" or \"middle\")",
            listener.name
        )
    })
}

/// Flags come first, then container variables, then what an earlier start made up.
fn without_file(
    mut overrides: Overrides,
    variables: Variables,
    default_state_dir: &Path,
    absent: Absent,
) -> Result<Settings, Failure> {
    variables.fill(&mut overrides)?;
    let mut warnings = Vec::new();
    let needs_domain = overrides.protocols.is_none_or(|served| served.tls) && overrides.domain.is_none();
    if overrides.secret.is_none() || needs_domain {
        let directory = overrides.state_dir.as_deref().unwrap_or(default_state_dir);
        let made = generated(directory, absent)?;
        if needs_domain {
            warnings.push(format!(
                "the cover domain {0} was chosen at random: a domain of your own with its own site is better (set it with --domain, or as `domain` and `cover.target` in a configuration file)",
                made.domain
            ));
            overrides.domain = Some(made.domain);
        }
        if overrides.secret.is_none() {
            overrides.secret = Some(made.secret);
        }
    }
    if overrides.addresses.is_empty() && absent == Absent::Refuse {
        // Who only looks may be another user than the one who runs: where it listens was written down.
        let directory = overrides.state_dir.as_deref().unwrap_or(default_state_dir);
        overrides.addresses = Listening::load(directory).of(config::DEFAULT_LISTENER).collect();
    }
    if overrides.addresses.is_empty() {
        overrides.addresses = vec![ListenAddress::Inet(address_that_may_be_opened())];
    }
    let mut snapshot = config::without_file(&overrides, default_state_dir)?;
    if needs_domain {
        // The site that clients seem to visit is the one that strangers see. (A domain that was given may be our own.)
        snapshot.cover.target = snapshot.listeners.first().and_then(|listener| {
            let host = |domain: &HostName| CoverHost { host: domain.to_string(), port: 443 };
            listener.domain.as_ref().map(|domain| CoverTarget::HostPort(host(domain)))
        });
    }
    Ok(Settings { snapshot, warnings })
}

fn generated(directory: &Path, absent: Absent) -> Result<Generated, Failure> {
    let wrong =
        |doing, error| Failure::Config(ConfigError::State { doing, path: Generated::path(directory), error });
    match (Generated::load(directory).map_err(|error| wrong("read", error))?, absent) {
        (Some(made), _) => Ok(made),
        (None, Absent::Make) => Generated::make(directory).map_err(|error| wrong("written", error)),
        (None, Absent::Refuse) => Err(Failure::Usage(no_settings(directory))),
    }
}

/// Where the service has its settings.
const SERVICE: &str = "/etc/teleferry/teleferry.toml";

fn no_settings(directory: &Path) -> String {
    if Path::new(SERVICE).exists() {
        return format!("which settings? name a file with --config; the service's are in {SERVICE}");
    }
    format!(
        "there are no settings: name a file with --config, or let `teleferry run` make up a secret (it would be kept in {})",
        directory.display()
    )
}

/// Port 443 of every address when this process may open it, else port 8443; IPv4 alone on a machine without IPv6.
fn address_that_may_be_opened() -> SocketAddr {
    let with_ip = |port| {
        let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match TcpListener::bind(everywhere) {
            Err(error) if lacks_ipv6(&error) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            Ok(_) | Err(_) => everywhere,
        }
    };
    let https = with_ip(443);
    match TcpListener::bind(https) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => with_ip(8443),
        // One that is taken is the right one still: that it is taken will be told.
        Ok(_) | Err(_) => https,
    }
}

fn lacks_ipv6(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
    )
}
