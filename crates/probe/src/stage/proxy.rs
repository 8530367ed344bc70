//! The built proxy in front of the site.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use teleferry_proto::secret::SecretKey;
use tempfile::TempDir;

use super::{DOMAIN, Guard, PATIENCE, Process};
use crate::clock;
use crate::failure::{Failure, Result};

/// What a proxy is told.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The secret of both listeners.
    pub(crate) key: SecretKey,
    /// The cover site.
    pub(crate) cover: SocketAddr,
    /// How long the cover site waits for a client's next words: so does the proxy.
    pub(crate) patience: Duration,
    /// Where data centre 2 is. Probes need none: an address that answers to nobody.
    pub(crate) data_centre: SocketAddr,
}

/// A running proxy, with a directory of its own.
#[derive(Debug)]
pub(crate) struct Proxy {
    program: PathBuf,
    child: Guard,
    directory: TempDir,
    /// The listener without rules.
    pub(crate) open: SocketAddr,
    /// The listener with [`RULES`].
    pub(crate) ruled: SocketAddr,
    /// Whether the program knows rules; else `ruled` has none.
    pub(crate) knows_rules: bool,
}

impl Proxy {
    /// Starts the program, and waits until it listens.
    pub(crate) fn start(program: &Path, settings: &Settings) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let plain = configuration(settings);
        let (knows_rules, started) = match launch(program, directory.path(), &format!("{plain}{RULES}")) {
            Ok(started) => (true, started),
            // A program that does not know rules refuses the file; whatever else is wrong shows again.
            Err(_) => (false, launch(program, directory.path(), &plain)?),
        };
        let Started { child, open, ruled } = started;
        Ok(Self { program: program.to_owned(), child, directory, open, ruled, knows_rules })
    }

    /// Ends it as an operator would, and starts it again with the same state.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let id = rustix::process::Pid::from_child(&self.child.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).map_err(std::io::Error::from)?;
        self.child.0.wait()?;
        let configuration = fs::read_to_string(self.directory.path().join(FILE))?;
        let started = launch(&self.program, self.directory.path(), &configuration)?;
        (self.child, self.open, self.ruled) = (started.child, started.open, started.ruled);
        Ok(())
    }

    /// What it has warned of since its last start.
    pub(crate) fn warnings(&self) -> Result<Vec<String>> {
        let log = fs::read_to_string(self.directory.path().join(LOG))?;
        let is_warning = |line: &&str| line.contains("WARN") || line.contains("ERROR");
        Ok(log.lines().filter(is_warning).map(str::to_owned).collect())
    }

    pub(crate) fn process(&self) -> Process {
        Process::new(self.child.0.id())
    }
}

/// The configuration's name in the proxy's directory.
const FILE: &str = "teleferry.toml";
/// Its log's name there.
const LOG: &str = "log";

/// The source address that a rule refuses.
pub(crate) const BLOCKED: [u8; 4] = [127, 0, 0, 2];

/// The listener `ruled` refuses one address, and serves one client a network.
const RULES: &str = "
[tables.blocked]
kind = \"network\"
entries = [\"127.0.0.2\"]
[[policy]]
rule = \"not_in_table\"
key = \"client_ipv4\"
table = \"blocked\"
listeners = \"ruled\"
[[policy]]
rule = \"max_connections\"
keys = [\"client_ipv4\"]
limit = 1
listeners = \"ruled\"
";

fn configuration(settings: &Settings) -> String {
    let secret: String = settings.key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let listener = |name: &str| {
        format!(
            "[[listen]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\nsecret = \"{secret}\"\n\
             domain = \"{DOMAIN}\"\nprotocols = [\"tls\"]\n"
        )
    };
    format!(
        "{}{}[telegram]\nmode = \"direct\"\nip_lookup = []\ndc = {{ \"2\" = [\"{}\"] }}\n\
         [cover]\ntarget = \"{}\"\n[handshake]\ntimeout = \"{}s\"\n[server]\ndrain = \"1s\"\n",
        listener("open"),
        listener("ruled"),
        settings.data_centre,
        settings.cover,
        settings.patience.as_secs()
    )
}

struct Started {
    child: Guard,
    open: SocketAddr,
    ruled: SocketAddr,
}

fn launch(program: &Path, directory: &Path, configuration: &str) -> Result<Started> {
    let (file, log) = (directory.join(FILE), directory.join(LOG));
    fs::write(&file, configuration)?;
    let mut command = Command::new(program);
    command.arg("run").arg("--config").arg(&file).env("STATE_DIRECTORY", directory.join("state"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    let child = command.spawn().map_err(|error| {
        Failure::from(error).during(format!("{} cannot be started (build it first)", program.display()))
    })?;
    let mut child = Guard(child);
    let started = clock::now();
    while started.elapsed() < PATIENCE {
        let text = fs::read_to_string(&log)?;
        if let (Some(open), Some(ruled)) = (listening(&text, "open"), listening(&text, "ruled")) {
            return Ok(Started { child, open, ruled });
        }
        if let Some(status) = child.0.try_wait()? {
            return Err(Failure::new(format!("the proxy ended at once ({status}):\n{text}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(Failure::new("the proxy does not say that it listens"))
}

/// A listener's address in the line that says that everything listens; `None` until it is whole.
fn listening(log: &str, name: &str) -> Option<SocketAddr> {
    let (_, line) = log.split_once("ready: ")?;
    let (line, _) = line.split_once('\n')?;
    let listeners = line.split(", ").filter_map(|listener| listener.split_once(' '));
    listeners.filter(|(found, _)| *found == name).find_map(|(_, address)| address.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_every_listener() {
        let log = "INFO ready: open 127.0.0.1:1, ruled 127.0.0.1:2\n";
        assert_eq!(listening(log, "ruled").map(|address| address.port()), Some(2));
        assert_eq!(listening(log, "other"), None);
        assert_eq!(listening("INFO ready: open 127.0.0.1:1", "open"), None, "half a line");
    }
}
