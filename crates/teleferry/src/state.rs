//! The state directory: what is kept from one start to the next.

mod lock;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use teleferry_proto::secret::{HostName, SecretKey};

use crate::config::{self, ListenAddress};
use crate::entropy;
pub use lock::LockError;
pub(crate) use lock::{Lock, lock_path};

/// Where state is kept when nobody says: what systemd gives a service, a system directory for root, else a directory of
/// the user's own. `variable` reads the environment.
#[must_use]
pub fn default_directory(is_root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    // Of several directories, separated by colons, the first one is ours.
    let given = variable("STATE_DIRECTORY")
        .and_then(|list| list.to_str().and_then(|list| list.split(':').next()).map(PathBuf::from));
    if let Some(given) = given {
        return given;
    }
    // systemd tells every service its INVOCATION_ID.
    if is_root || variable("INVOCATION_ID").is_some() {
        return PathBuf::from("/var/lib/teleferry");
    }
    variable("XDG_STATE_HOME")
        .filter(|directory| directory.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .map_or_else(|| PathBuf::from("/var/lib/teleferry"), |state| state.join("teleferry"))
}

/// What was made up for a start without a configuration, and is used again at every further one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The secret.
    pub secret: SecretKey,
    /// The cover domain.
    pub domain: HostName,
}

impl Generated {
    /// What was kept in the directory; `None` when nothing was.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn load(directory: &Path) -> io::Result<Option<Self>> {
        let path = directory.join(GENERATED);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let wrong = |what: &str| {
            let message =
                format!("it holds no valid {what}: mend it, or remove it to have a new secret made");
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        // Neither error is passed on: both would quote the secret.
        let written: Written = toml::from_str(&text).map_err(|_| wrong("secret and domain"))?;
        Ok(Some(Self {
            secret: config::secret_key(&written.secret).map_err(|_| wrong("secret"))?,
            domain: config::domain(&written.domain).map_err(|_| wrong("domain"))?,
        }))
    }

    /// Makes up a secret and a domain and keeps them in the directory, readable for the owner alone.
    ///
    /// # Errors
    /// The directory or the file cannot be written.
    pub fn make(directory: &Path) -> io::Result<Self> {
        let [choice] = entropy::array();
        let domain = DOMAINS[usize::from(choice) % DOMAINS.len()];
        let made = Self {
            secret: SecretKey::new(entropy::array()),
            domain: HostName::new(domain).map_err(io::Error::other)?,
        };
        let secret = teleferry_proto::secret::Secret::Plain(made.secret.clone()).to_hex();
        let text = format!(
            "# Made at a start without a configuration, and used again at the next one.\nsecret = \"{secret}\"\ndomain = \"{domain}\"\n"
        );
        write(directory, GENERATED, text.as_bytes())?;
        Ok(made)
    }

    /// The file in a directory.
    #[must_use]
    pub fn path(directory: &Path) -> PathBuf {
        directory.join(GENERATED)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    secret: String,
    domain: String,
}

/// Where a running server listens: what `link` needs when the system chose a port.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Listening(Vec<(String, String)>);

impl Listening {
    /// Keeps the open addresses, each with the name of its listener.
    ///
    /// # Errors
    /// The directory or the file cannot be written.
    pub fn save(directory: &Path, addresses: &[(String, ListenAddress)]) -> io::Result<()> {
        let written =
            Self(addresses.iter().map(|(name, address)| (name.clone(), address.to_string())).collect());
        write(directory, LISTENING, &serde_json::to_vec(&written)?)
    }

    /// What the last start kept; empty when there is nothing.
    #[must_use]
    pub fn load(directory: &Path) -> Self {
        let text = fs::read(directory.join(LISTENING)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The addresses of a listener.
    pub fn of<'a>(&'a self, listener: &'a str) -> impl Iterator<Item = ListenAddress> + 'a {
        self.0
            .iter()
            .filter(move |(name, _)| name == listener)
            .filter_map(|(_, address)| config::listen_address(address).ok())
    }
}

/// Makes the directory, for the owner alone, unless it is there.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Writes a file for the owner alone, whole or not at all: a crash leaves the old one.
pub(crate) fn write(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_with(directory, name, bytes, 0o600)
}

/// The same with other permissions for the file.
pub(crate) fn write_with(directory: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    make_directory(directory)?;
    let unfinished = directory.join(format!("{name}.{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&unfinished)
        .and_then(|file| fill(file, bytes))
        .and_then(|()| fs::rename(&unfinished, directory.join(name)));
    if written.is_err() {
        // What is wrong was found already; a leftover does no harm.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

const GENERATED: &str = "generated.toml";
const LISTENING: &str = "listening.json";

/// Large sites that speak TLS 1.3 and are visited from everywhere.
const DOMAINS: [&str; 8] = [
    "www.apple.com",
    "www.bing.com",
    "www.ibm.com",
    "www.microsoft.com",
    "www.mozilla.org",
    "www.nvidia.com",
    "www.oracle.com",
    "www.samsung.com",
];

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_made_up_is_kept_for_the_owner_alone() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("a/b");
        assert_eq!(Generated::load(&directory).expect("nothing is no error"), None);
        let made = Generated::make(&directory).expect("made");
        assert_eq!(Generated::load(&directory).expect("kept"), Some(made));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&Generated::path(&directory)), 0o600);
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(fs::read_dir(&directory).expect("readable").count(), 1, "nothing is left over");
    }

    #[test]
    fn a_spoilt_file_is_an_error_that_does_not_quote_it() {
        let directory = tempfile::tempdir().expect("a directory");
        for text in ["secret = \"feedfacefeedface\"\ndomain = \"a.example\"", "feedfacefeedface"] {
            fs::write(Generated::path(directory.path()), text).expect("written");
            let error = Generated::load(directory.path()).expect_err("spoilt").to_string();
            assert!(error.contains("remove it") && !error.contains("feed"), "{error}");
        }
    }

    #[test]
    fn every_built_in_domain_can_stand_in_a_secret() {
        for domain in DOMAINS {
            HostName::new(domain).expect(domain);
        }
    }

    #[test]
    fn state_lives_where_the_system_keeps_it() {
        let directory = |is_root, variables: &[(&str, &str)]| {
            default_directory(is_root, |name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value))
            })
        };
        let user = [("HOME", "/home/a")];
        assert_eq!(directory(false, &user), Path::new("/home/a/.local/state/teleferry"));
        assert_eq!(directory(true, &user), Path::new("/var/lib/teleferry"));
        assert_eq!(directory(false, &[("INVOCATION_ID", "1")]), Path::new("/var/lib/teleferry"));
        assert_eq!(directory(false, &[("STATE_DIRECTORY", "/var/lib/x:/y")]), Path::new("/var/lib/x"));
        assert_eq!(directory(false, &[("XDG_STATE_HOME", "/s")]), Path::new("/s/teleferry"));
        assert_eq!(directory(false, &[]), Path::new("/var/lib/teleferry"));
    }

    #[test]
    fn the_addresses_of_a_running_server_are_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let address = |text| config::listen_address(text).expect(text);
        let open = [("a", "127.0.0.1:4711"), ("b", "unix:/x"), ("a", "[::1]:4712")]
            .map(|(name, text)| (name.to_owned(), address(text)));
        Listening::save(directory.path(), &open).expect("kept");
        let found: Vec<_> = Listening::load(directory.path()).of("a").collect();
        assert_eq!(found, [address("127.0.0.1:4711"), address("[::1]:4712")]);
        assert_eq!(Listening::load(Path::new("/no/such/directory")).of("a").count(), 0);
    }
}
