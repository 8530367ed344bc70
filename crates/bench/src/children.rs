//! The processes that take part: the proxy, and copies of this program in other parts.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tempfile::TempDir;

use crate::clock;
use crate::failure::{Failure, Result};
use crate::procfs::Process;

/// How long a process may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the proxy's log is looked at until it listens.
const LOOK: Duration = Duration::from_micros(200);

/// A process that is killed when this is dropped.
#[derive(Debug)]
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A copy of this program that serves.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Guard,
    pub(crate) address: SocketAddr,
    /// A second address, for those parts that have one.
    pub(crate) second: Option<SocketAddr>,
}

impl Helper {
    /// Starts it and waits until it says where it is.
    pub(crate) fn start<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Guard(command.spawn()?);
        let mut line = String::new();
        if let Some(out) = child.0.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let addresses: std::result::Result<Vec<SocketAddr>, _> =
            line.split_whitespace().map(str::parse).collect();
        match addresses.as_deref() {
            Ok([address, more @ ..]) => Ok(Self { child, address: *address, second: more.first().copied() }),
            _ => Err(Failure::new(format!("a helper process said {line:?}"))),
        }
    }

    pub(crate) fn process(&self) -> Process {
        Process::new(Pid::from_child(&self.child.0))
    }
}

/// A running proxy, with a directory of its own.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Guard,
    log: PathBuf,
    _directory: TempDir,
    /// Every listener's name and address.
    pub(crate) listeners: Vec<(String, SocketAddr)>,
    /// From the start of the process to the line that says that everything listens.
    pub(crate) start_time: Duration,
}

impl Proxy {
    /// Starts the program with this configuration, and waits until it listens.
    pub(crate) fn start(program: &Path, configuration: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("teleferry.toml");
        std::fs::write(&file, configuration)?;
        let log = directory.path().join("log");
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(&file).env("STATE_DIRECTORY", directory.path().join("state"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let started = clock::now();
        let child = command.spawn().map_err(|error| {
            Failure::from(error).during(format!("{} cannot be started (build it first)", program.display()))
        })?;
        let mut proxy = Self {
            child: Guard(child),
            log,
            _directory: directory,
            listeners: Vec::new(),
            start_time: Duration::ZERO,
        };
        proxy.wait(started)?;
        Ok(proxy)
    }

    pub(crate) fn process(&self) -> Process {
        Process::new(Pid::from_child(&self.child.0))
    }

    /// Where a listener is.
    pub(crate) fn address(&self, listener: &str) -> Result<SocketAddr> {
        let found = self.listeners.iter().find(|(name, _)| name == listener);
        found.map(|(_, address)| *address).ok_or_else(|| Failure::new(format!("no listener {listener}")))
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    fn wait(&mut self, started: Instant) -> Result<()> {
        let (mut file, mut text) = (File::open(&self.log)?, String::new());
        while started.elapsed() < PATIENCE {
            file.seek(SeekFrom::Start(text.len() as u64))?;
            file.read_to_string(&mut text)?;
            if let Some(listeners) = ready(&text) {
                self.start_time = started.elapsed();
                self.listeners = listeners;
                return Ok(());
            }
            if let Some(status) = self.child.0.try_wait()? {
                return Err(Failure::new(format!("the proxy ended at once ({status}):\n{text}")));
            }
            std::thread::sleep(LOOK);
        }
        Err(Failure::new(format!("the proxy does not say that it listens:\n{text}")))
    }
}

/// The listeners in the line that says that everything listens; `None` until it is whole.
fn ready(log: &str) -> Option<Vec<(String, SocketAddr)>> {
    let (_, line) = log.split_once("ready: ")?;
    let (line, _) = line.split_once('\n')?;
    line.split(", ")
        .map(|listener| {
            let (name, address) = listener.split_once(' ')?;
            Some((name.to_owned(), address.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_every_listener() {
        let log = "INFO something\nINFO ready: dd 127.0.0.1:1, ee [::1]:2\nINFO more";
        let names: Vec<_> =
            ready(log).unwrap().into_iter().map(|(name, address)| (name, address.port())).collect();
        assert_eq!(names, [("dd".to_owned(), 1), ("ee".to_owned(), 2)]);
        assert_eq!(ready("INFO ready: dd 127.0.0.1:1"), None, "half a line");
    }
}
