//! Log lines: where they go, and which of them are told. Both can change while the program runs.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::set_global_default;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

use crate::config::{Levels, Log, LogFormat};

/// Lines that wait to be written, at most; those above it are lost.
const WAITING_LINES: usize = 4096;

/// The log of this process. Dropping it ends the writing; keep it to the end.
#[derive(Debug)]
pub struct Logging {
    filter: reload::Handle<Targets, Registry>,
    levels: Mutex<Levels>,
    destination: Destination,
    /// Writes what waits when it is dropped.
    _writing: WorkerGuard,
}

/// Why there is no log, or not the one that was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoggingError {
    /// Something else in this process takes log lines already.
    Taken,
    /// The file cannot be opened. What was before stays.
    Open(PathBuf, io::Error),
}

impl Logging {
    /// Sends everything that is told from now on where the settings say.
    ///
    /// The lines are written on a thread of their own: whoever reads standard error slowly, or not at all, stops nobody.
    ///
    /// # Errors
    /// The file cannot be opened, or log lines are taken already.
    pub(crate) fn start(settings: &Log) -> Result<Self, LoggingError> {
        let destination = Destination::open(settings.file.as_deref())?;
        let (writer, writing) = NonBlockingBuilder::default()
            .buffered_lines_limit(WAITING_LINES)
            .lossy(true)
            .thread_name("log")
            .finish(destination.clone());
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(writer)
            .with_target(false)
            // Told on standard error too, and by a macro that panics when it is closed: a lost log must not end the server.
            .log_internal_errors(false)
            .with_ansi(
                settings.format == LogFormat::Text && settings.file.is_none() && colour(&io::stderr()),
            );
        let lines = match settings.format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let (filter, handle) = reload::Layer::new(targets(&settings.levels));
        set_global_default(Registry::default().with(filter).with(lines)).map_err(|_| LoggingError::Taken)?;
        Ok(Self {
            filter: handle,
            levels: Mutex::new(settings.levels.clone()),
            destination,
            _writing: writing,
        })
    }

    /// Takes on new settings, all but the format, which needs a restart.
    ///
    /// # Errors
    /// The file cannot be opened; nothing has changed.
    pub(crate) fn apply(&self, settings: &Log) -> Result<(), LoggingError> {
        self.destination.switch(settings.file.as_deref())?;
        self.set_levels(settings.levels.clone());
        Ok(())
    }

    /// Tells these levels from now on, until the settings are applied again.
    pub(crate) fn set_levels(&self, levels: Levels) {
        // It fails only when the subscriber is gone, which lives as long as the process.
        let _ = self.filter.reload(targets(&levels));
        *lock(&self.levels) = levels;
    }

    /// The levels in force.
    #[must_use]
    pub(crate) fn levels(&self) -> Levels {
        lock(&self.levels).clone()
    }

    /// Opens the file anew under its name, as whoever rotates it asks for. Does nothing without a file.
    ///
    /// # Errors
    /// It cannot be opened; lines go where they went before.
    pub(crate) fn reopen(&self) -> Result<(), LoggingError> {
        self.destination.reopen()
    }
}

/// The levels as the library knows them.
fn targets(levels: &Levels) -> Targets {
    let target = |room: &str| format!("{}::{room}", env!("CARGO_CRATE_NAME"));
    // Libraries stay below what they would tell at most: their lines were not written for our operators.
    let libraries = levels.default.min(LevelFilter::WARN);
    Targets::new()
        .with_default(libraries)
        .with_target(env!("CARGO_CRATE_NAME"), levels.default)
        .with_targets(levels.rooms.iter().map(|(room, level)| (target(room), *level)))
}

/// Whether a person reads the stream who wants colours (`NO_COLOR`). Colour never says anything that the words do not.
pub(crate) fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Where lines go.
#[derive(Debug, Clone)]
struct Destination(Arc<Mutex<Open>>);

#[derive(Debug)]
enum Open {
    StandardError,
    File(PathBuf, File),
}

impl Destination {
    fn open(file: Option<&Path>) -> Result<Self, LoggingError> {
        Ok(Self(Arc::new(Mutex::new(Open::new(file)?))))
    }

    fn switch(&self, file: Option<&Path>) -> Result<(), LoggingError> {
        if lock(&self.0).path() != file {
            let open = Open::new(file)?;
            *lock(&self.0) = open;
        }
        Ok(())
    }

    fn reopen(&self) -> Result<(), LoggingError> {
        let path = lock(&self.0).path().map(Path::to_owned);
        let open = Open::new(path.as_deref())?;
        *lock(&self.0) = open;
        Ok(())
    }
}

impl Open {
    fn new(file: Option<&Path>) -> Result<Self, LoggingError> {
        let Some(path) = file else { return Ok(Self::StandardError) };
        let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
        opened
            .map(|file| Self::File(path.to_owned(), file))
            .map_err(|error| LoggingError::Open(path.to_owned(), error))
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::StandardError => None,
            Self::File(path, _) => Some(path),
        }
    }
}

impl Write for Destination {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *lock(&self.0) {
            Open::StandardError => io::stderr().write(line),
            Open::File(_, file) => file.write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut *lock(&self.0) {
            Open::StandardError => io::stderr().flush(),
            Open::File(_, file) => file.flush(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Display for LoggingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken => f.write_str("log lines are taken by something else in this process already"),
            Self::Open(path, error) => write!(
                f,
                "the log file {} cannot be opened: {error} (`log.file`; its directory must exist and be writable)",
                path.display()
            ),
        }
    }
}

impl std::error::Error for LoggingError {}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn rooms_have_levels_of_their_own_and_libraries_keep_quiet() {
        let targets = targets(&"debug,cover=off,backend::middle=trace".parse().expect("levels"));
        for (target, level, told) in [
            ("teleferry::client::door", Level::DEBUG, true),
            ("teleferry::client::door", Level::TRACE, false),
            ("teleferry::cover::visit", Level::ERROR, false),
            ("teleferry::backend::middle::link", Level::TRACE, true),
            ("teleferry::backend::direct", Level::TRACE, false),
            ("hyper::client", Level::INFO, false),
            ("hyper::client", Level::WARN, true),
        ] {
            assert_eq!(targets.would_enable(target, &level), told, "{target} {level}");
        }
    }

    #[test]
    fn a_file_is_appended_to_and_opened_anew_under_its_name() {
        let directory = tempfile::tempdir().expect("directory");
        let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
        std::fs::write(&path, "before\n").expect("written");
        let mut destination = Destination::open(Some(&path)).expect("open");
        destination.write_all(b"one\n").expect("written");
        std::fs::rename(&path, &moved).expect("moved");
        destination.write_all(b"two\n").expect("written");
        destination.reopen().expect("opened anew");
        destination.write_all(b"three\n").expect("written");
        let read = |path: &Path| std::fs::read_to_string(path).expect("read");
        assert_eq!((read(&moved).as_str(), read(&path).as_str()), ("before\none\ntwo\n", "three\n"));
    }

    #[test]
    fn a_file_that_cannot_be_opened_changes_nothing() {
        let directory = tempfile::tempdir().expect("directory");
        let (path, nowhere) = (directory.path().join("log"), directory.path().join("missing/log"));
        let mut destination = Destination::open(Some(&path)).expect("open");
        let error = destination.switch(Some(&nowhere)).expect_err("no such directory");
        assert!(error.to_string().contains("missing/log cannot be opened"), "{error}");
        destination.write_all(b"still here\n").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "still here\n");
    }
}
