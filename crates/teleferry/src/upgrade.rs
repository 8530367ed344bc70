//! Taking the place of the running program: a new one is started and given the listening sockets; once it accepts, the
//! old one accepts no more, lets its connections end by themselves and leaves. Nobody is refused in between.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::config::ListenAddress;
use crate::listen::Handover;

/// Set for a program that finds [`Handover`] at its standard input.
const VARIABLE: &str = "TELEFERRY_HANDOVER";

/// How long a new program may take until it accepts.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listening socket with the address that the settings gave it and the one it has, or another open file.
#[derive(Debug)]
pub(crate) struct Inheritance {
    configured: String,
    opened: String,
    socket: OwnedFd,
}

/// How this program was started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// Why no other program took our place. We go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The new program cannot be started.
    Start(PathBuf, io::Error),
    /// It ended before it accepted; its own log tells why.
    Ended(ExitStatus),
    /// It did not accept in time, and was stopped.
    Late(Duration),
    /// The sockets cannot be handed over.
    Sockets(io::Error),
    /// We are about to leave anyway.
    Stopping,
    /// The system does not tell which program this is.
    Unknown,
}

impl Inheritance {
    pub(crate) fn new(configured: &ListenAddress, opened: &ListenAddress, socket: OwnedFd) -> Self {
        Self { configured: configured.to_string(), opened: opened.to_string(), socket }
    }

    /// What a process needs beside sockets, by its place in the file system.
    pub(crate) fn file(path: &Path, file: OwnedFd) -> Self {
        let name = format!("file:{}", path.display());
        Self { configured: name.clone(), opened: name, socket: file }
    }

    fn name(&self) -> String {
        format!("{}\n{}", self.configured, self.opened)
    }

    fn from_name(name: &str, socket: OwnedFd) -> io::Result<Self> {
        let (configured, opened) = name.split_once('\n').ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { configured: configured.to_owned(), opened: opened.to_owned(), socket })
    }
}

/// What an earlier process left for this one.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    sockets: Vec<Inheritance>,
    /// Where to say that we accept.
    waiting: Option<Handover>,
}

impl Inherited {
    /// Takes what an earlier process left, when there is one; blocks until all is here.
    ///
    /// # Errors
    /// There is one, and it is gone.
    pub(crate) fn receive() -> io::Result<Self> {
        if std::env::var_os(VARIABLE).is_none() {
            return Ok(Self::default());
        }
        let handover = Handover::adopt(io::stdin().as_fd().try_clone_to_owned()?);
        let sockets = handover.take()?.into_iter();
        let sockets = sockets.map(|(name, socket)| Inheritance::from_name(&name, socket));
        Ok(Self { sockets: sockets.collect::<io::Result<_>>()?, waiting: Some(handover) })
    }

    /// The sockets that listen on this address, with the address that they have; empty when none was left.
    pub(crate) fn take(&mut self, address: &ListenAddress) -> Vec<OwnedFd> {
        let wanted = address.to_string();
        let fits = |socket: &&Inheritance| socket.configured == wanted || socket.opened == wanted;
        // Port 0 can stand in the settings twice: each takes one of the ports that the kernel chose.
        let Some(opened) = self.sockets.iter().find(fits).map(|socket| socket.opened.clone()) else {
            return Vec::new();
        };
        self.sockets.extract_if(.., |socket| socket.opened == opened).map(|socket| socket.socket).collect()
    }

    /// The open file that stands there; `None` when none was left.
    pub(crate) fn take_file(&mut self, path: &Path) -> Option<OwnedFd> {
        let wanted = format!("file:{}", path.display());
        self.sockets.extract_if(.., |left| left.opened == wanted).next().map(|left| left.socket)
    }

    /// Whether an earlier process waits until we can accept.
    pub(crate) const fn is_awaited(&self) -> bool {
        self.waiting.is_some()
    }

    /// We can accept: the earlier process may leave. Sockets that nobody took are closed. Gives the way to it, if there is one.
    pub(crate) fn accepted(self) -> Option<Handover> {
        // One that is gone does not wait for it either.
        self.waiting.inspect(|handover| drop(handover.say_ready()))
    }
}

impl Program {
    /// The one that runs here. Call it early: the file may be replaced by a newer one.
    ///
    /// # Errors
    /// The system does not tell where it is.
    pub(crate) fn this() -> io::Result<Self> {
        Ok(Self { path: std::env::current_exe()?, arguments: std::env::args_os().skip(1).collect() })
    }

    /// Starts what stands at the program's place now, with the same arguments, and gives it the sockets. Blocks until it
    /// can accept; gives its process and the way to it.
    ///
    /// # Errors
    /// It does not come to that; it does not run any more, and nothing has changed.
    pub(crate) fn take_over(&self, sockets: &[Inheritance]) -> Result<(Child, Handover), UpgradeError> {
        let (handover, end) = Handover::pair().map_err(UpgradeError::Sockets)?;
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env(VARIABLE, "1").stdin(Stdio::from(end));
        // It names this process; the new one is asked for signs of life as well.
        command.env_remove("WATCHDOG_PID");
        let started = command.spawn();
        // It holds the other end too: it would keep it open when the new program ends.
        drop(command);
        let mut child = started.map_err(|error| UpgradeError::Start(self.path.clone(), error))?;
        match Self::introduce(&handover, sockets) {
            Ok(()) => Ok((child, handover)),
            Err(error) => Err(Self::failure(&mut child, error)),
        }
    }

    fn introduce(handover: &Handover, sockets: &[Inheritance]) -> io::Result<()> {
        let names: Vec<_> = sockets.iter().map(Inheritance::name).collect();
        let sockets = sockets.iter().map(|inheritance| inheritance.socket.as_fd());
        handover.give(names.iter().map(String::as_str).zip(sockets))?;
        handover.wait_ready(PATIENCE)
    }

    /// Ends what was started, and finds out what went wrong.
    fn failure(child: &mut Child, error: io::Error) -> UpgradeError {
        let late = error.kind() == io::ErrorKind::WouldBlock;
        if late {
            // It may end by itself in this moment.
            let _ = child.kill();
        }
        match child.wait() {
            Ok(_) if late => UpgradeError::Late(PATIENCE),
            Ok(status) => UpgradeError::Ended(status),
            Err(_) => UpgradeError::Sockets(error),
        }
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(path, error) => write!(f, "{} cannot be started: {error}", path.display()),
            Self::Ended(status) => {
                write!(
                    f,
                    "the new program ended before it accepted connections ({status}); its log tells why"
                )
            }
            Self::Late(patience) => {
                write!(
                    f,
                    "the new program did not accept connections within {} s, and was stopped",
                    patience.as_secs()
                )
            }
            Self::Sockets(error) => write!(f, "the listening sockets cannot be handed over: {error}"),
            Self::Unknown => f.write_str("the system does not tell where this program stands"),
            Self::Stopping => f.write_str("the process is about to leave, and starts nothing any more"),
        }
    }
}

impl std::error::Error for UpgradeError {}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn address(text: &str) -> ListenAddress {
        ListenAddress::Inet(text.parse().expect("an address"))
    }

    fn inherited(sockets: &[(&str, &str)]) -> Inherited {
        let socket = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").expect("loopback has room"));
        let sockets = sockets
            .iter()
            .map(|(configured, opened)| Inheritance::new(&address(configured), &address(opened), socket()));
        Inherited { sockets: sockets.collect(), waiting: None }
    }

    #[test]
    fn sockets_are_found_by_either_address_and_once() {
        let mut left = inherited(&[
            ("127.0.0.1:0", "127.0.0.1:1001"),
            ("127.0.0.1:0", "127.0.0.1:1001"),
            ("127.0.0.1:0", "127.0.0.1:1002"),
            ("127.0.0.1:443", "127.0.0.1:443"),
        ]);
        let mut taken = |text| left.take(&address(text)).len();
        assert_eq!(taken("127.0.0.1:443"), 1);
        assert_eq!(taken("127.0.0.1:443"), 0);
        assert_eq!(taken("127.0.0.1:0"), 2);
        assert_eq!(taken("127.0.0.1:1002"), 1);
        assert_eq!(taken("127.0.0.1:0"), 0);
    }

    #[test]
    fn names_come_back() {
        let there = inherited(&[("127.0.0.1:0", "127.0.0.1:1001")]).sockets.remove(0);
        let name = there.name();
        let back = Inheritance::from_name(&name, there.socket).expect("a name");
        assert_eq!((back.configured.as_str(), back.opened.as_str()), ("127.0.0.1:0", "127.0.0.1:1001"));
        assert!(Inheritance::from_name("nonsense", back.socket).is_err());
    }

    #[test]
    fn a_program_that_ends_early_is_told() {
        let program = |path: &str| Program { path: path.into(), arguments: Vec::new() };
        let error = program("/bin/false").take_over(&[]).expect_err("it ends");
        assert!(matches!(error, UpgradeError::Ended(status) if status.code() == Some(1)), "{error}");
        let error = program("/nowhere/teleferry").take_over(&[]).expect_err("it is not there");
        assert!(error.to_string().starts_with("/nowhere/teleferry cannot be started"), "{error}");
    }
}
