//! The configuration: a file and a command line, turned into one checked [`Snapshot`].
//!
//! Everything wrong is told at once, with its place and what to do. Nothing is ever guessed: a file that was named must be
//! there, and a key that does not exist is an error.

mod difference;
mod entry;
mod hide;
pub mod keys;
mod known;
mod levels;
mod listen;
mod policy;
mod problem;
mod role;
mod sections;
mod show;
mod snapshot;
mod table;
mod value;

use std::path::{Path, PathBuf};
use std::{fmt, io};

use teleferry_proto::rpc::AdTag;
use teleferry_proto::secret::{HostName, SecretKey};
use toml::de::DeTable;

pub use difference::Difference;
pub use entry::{TableEntry, TableKind};
pub(crate) use entry::{subnet_v4, subnet_v6};
pub use levels::{Levels, LevelsError};
pub use listen::DEFAULT_NAME as DEFAULT_LISTENER;
pub use policy::{ListSource, Policy, PolicyKey, Rule, TableSettings};
pub use problem::Problems;
pub(crate) use problem::{Problem, place};
pub use role::{Back, BackUrl, Front, Role, RoleKind, Tls};
pub(crate) use sections::DEFAULT_SOCKET;
pub use snapshot::{
    AddressPreference, Admin, Cover, CoverHost, CoverTarget, ErrorFilter, ExternalIp, Handshake, Limits,
    ListenAddress, Listener, Log, LogFormat, Mode, NamedSecret, Protocol, Protocols, ProxyProtocol, Relay,
    Replay, Server, Snapshot, SniSecrets, Telegram,
};
pub use value::{MAY_READ, Wrong, ad_tag, domain, listen_address, mode, protocol, secret_key};

use table::Table;

/// What the command line says; it wins over the file. No `Debug`: an ad tag is not shown.
#[derive(Clone, Default)]
pub struct Overrides {
    /// Addresses of the one listener.
    pub addresses: Vec<ListenAddress>,
    /// Its base secret.
    pub secret: Option<SecretKey>,
    /// Its ad tag.
    pub ad_tag: Option<AdTag>,
    /// Its domain.
    pub domain: Option<HostName>,
    /// The kinds of client it serves.
    pub protocols: Option<Protocols>,
    /// How clients are taken to Telegram.
    pub mode: Option<Mode>,
    /// Where state is kept.
    pub state_dir: Option<PathBuf>,
}

/// Why there are no settings.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// What an earlier start made up cannot be used, or nothing can be kept for the next one.
    State {
        /// "read" or "written".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says, or what is wrong with the file.
        error: io::Error,
    },
    /// Something in it is wrong.
    Wrong(Problems),
}

/// Reads a file. `default_state_dir` is where state is kept when neither the file nor `overrides` say.
///
/// # Errors
/// The file cannot be read, or something in it is wrong.
pub fn load(path: &Path, overrides: &Overrides, default_state_dir: &Path) -> Result<Snapshot, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    let source = Source {
        name: Some(path.display().to_string()),
        text: &text,
        directory: path.parent().unwrap_or_else(|| Path::new("")),
    };
    source.understand(overrides, default_state_dir).map_err(ConfigError::Wrong)
}

/// The settings of a command line alone.
///
/// # Errors
/// Something is missing or does not fit.
pub fn without_file(overrides: &Overrides, default_state_dir: &Path) -> Result<Snapshot, ConfigError> {
    let source = Source { name: None, text: "", directory: Path::new("") };
    source.understand(overrides, default_state_dir).map_err(ConfigError::Wrong)
}

/// What a file of this name and text would mean.
///
/// # Errors
/// Something in it is wrong.
pub(crate) fn understand(name: &str, text: &str, default_state_dir: &Path) -> Result<Snapshot, Problems> {
    let source = Source { name: Some(name.to_owned()), text, directory: Path::new("") };
    source.understand(&Overrides::default(), default_state_dir)
}

/// What a file of this text would mean.
#[cfg(test)]
pub(crate) fn for_tests(text: &str) -> Snapshot {
    understand("test.toml", text, Path::new("/dev/null/nowhere")).expect("valid")
}

/// A text and where it comes from.
struct Source<'a> {
    name: Option<String>,
    text: &'a str,
    /// Where relative paths begin.
    directory: &'a Path,
}

impl Source<'_> {
    fn understand(self, overrides: &Overrides, default_state_dir: &Path) -> Result<Snapshot, Problems> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        let secrets = hide::secret_spans(root.get_ref(), self.text, !errors.is_empty());
        let mut problems: Vec<Problem> = errors.iter().map(syntax).collect();
        // Where the text is broken, what follows from the rest would only mislead.
        let snapshot = problems.is_empty().then(|| {
            known::check(root.get_ref(), &mut problems);
            let mut snapshot = self.mean(root.get_ref(), overrides, default_state_dir, &mut problems);
            if let Some(mode) = overrides.mode {
                snapshot.telegram.mode = mode;
            }
            snapshot
        });
        match snapshot {
            Some(snapshot) if problems.is_empty() => Ok(snapshot),
            Some(_) | None => Err(Problems::new(self.name, self.text, &secrets, problems)),
        }
    }

    fn mean(
        &self,
        root: &DeTable<'_>,
        overrides: &Overrides,
        default_state_dir: &Path,
        problems: &mut Vec<Problem>,
    ) -> Snapshot {
        let role = role::read(root, self.directory, problems);
        let listeners = match role {
            Role::Both | Role::Front(_) => self.listeners(root, overrides, problems),
            Role::Back(_) => Vec::new(),
        };
        tell_flags_without_use(&role, overrides, problems);
        let cover = sections::cover(&Table::in_root(root, "cover"), &listeners, problems);
        let mut server =
            sections::server(&Table::in_root(root, "server"), self.directory, default_state_dir, problems);
        if let Some(state_dir) = &overrides.state_dir {
            server.state_dir.clone_from(state_dir);
        }
        let handshake = sections::handshake(&Table::in_root(root, "handshake"), problems);
        let replay = sections::replay(&Table::in_root(root, "replay"), &handshake, problems);
        let tables = policy::tables(root, self.directory, problems);
        let policies = policy::policies(root, &listeners, &tables, problems);
        let admin = Table::in_root(root, "admin");
        Snapshot {
            admin: sections::admin(&admin, self.directory, &server.state_dir, problems),
            server,
            role,
            listeners,
            telegram: sections::telegram(&Table::in_root(root, "telegram"), problems),
            cover,
            handshake,
            relay: sections::relay(&Table::in_root(root, "relay"), problems),
            limits: sections::limits(&Table::in_root(root, "limits"), problems),
            replay,
            sni_secrets: sections::sni_secrets(&Table::in_root(root, "sni_secrets"), problems),
            policies,
            tables,
            log: sections::log(&Table::in_root(root, "log"), self.directory, problems),
        }
    }

    fn listeners(
        &self,
        root: &DeTable<'_>,
        overrides: &Overrides,
        problems: &mut Vec<Problem>,
    ) -> Vec<Listener> {
        let mut typed: Vec<listen::Typed> = Table::all_in_root(root, "listen")
            .iter()
            .map(|table| listen::Typed::read(table, self.directory, problems))
            .collect();
        if overrides.change_a_listener() || self.name.is_none() {
            if typed.is_empty() {
                typed.push(listen::Typed::empty());
            }
            if let [only] = typed.as_mut_slice() {
                only.override_with(overrides);
            } else {
                let title = "--listen, --secret, --ad-tag, --domain and --protocol do not say which listener they mean";
                problems
                    .push(Problem::new(None, title).help("leave them out: the file has several listeners"));
            }
        }
        if typed.is_empty() && root.get("listen").is_none_or(|value| value.get_ref().is_array()) {
            problems.push(Problem::new(None, "there is no listener").help(
                "add a section [[listen]] with an address, a secret and a domain; `teleferry check --explain` tells its keys",
            ));
        }
        tell_doubles(&typed, problems);
        typed.into_iter().map(|listener| listener.mean(problems)).collect()
    }
}

impl Overrides {
    const fn change_a_listener(&self) -> bool {
        !self.addresses.is_empty()
            || self.secret.is_some()
            || self.ad_tag.is_some()
            || self.domain.is_some()
            || self.protocols.is_some()
    }
}

/// Flags for what a role does not have.
fn tell_flags_without_use(role: &Role, overrides: &Overrides, problems: &mut Vec<Problem>) {
    let title = match role {
        Role::Back(_) if overrides.change_a_listener() => {
            "--listen, --secret, --ad-tag, --domain and --protocol mean a listener, and a back has none"
        }
        Role::Front(_) if overrides.mode.is_some() => {
            "--mode is the way to Telegram, which is not a front's but its backs'"
        }
        Role::Both | Role::Front(_) | Role::Back(_) => return,
    };
    problems.push(Problem::new(None, title).help("leave them out"));
}

/// Names and addresses that two listeners share.
fn tell_doubles(listeners: &[listen::Typed], problems: &mut Vec<Problem>) {
    let mut names = std::collections::HashSet::new();
    let mut addresses = std::collections::HashSet::new();
    for listener in listeners {
        let (name, span) = listener.name();
        if !listener.is_name_wrong() && !names.insert(name) {
            problems.push(
                Problem::new(span, format!("there are two listeners of the name `{name}`"))
                    .help("give every listener its own name, such as name = \"second\""),
            );
        }
        for address in listener.addresses() {
            // With port 0 the system chooses another port each time.
            let chosen = matches!(address.get_ref(), ListenAddress::Inet(inet) if inet.port() == 0);
            if !chosen && !addresses.insert(address.get_ref()) {
                let title = format!("the address {} is there twice", address.get_ref());
                problems.push(Problem::new(Some(address.span()), title).help("leave one of them out"));
            }
        }
    }
}

fn syntax(error: &toml::de::Error) -> Problem {
    Problem::new(error.span(), "this is not TOML").label(error.message())
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => {
                write!(f, "the configuration file {} cannot be read: {error}", path.display())
            }
            Self::State { doing, path, error } => {
                write!(f, "{} cannot be {doing}: {error}", path.display())?;
                if error.kind() == io::ErrorKind::PermissionDenied {
                    f.write_str(" (name another directory with --state-dir)")?;
                }
                Ok(())
            }
            Self::Wrong(problems) => problems.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}
