//! Log lines on standard error.

use std::io;

use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use super::failure::colour;
use crate::config::{Log, LogFormat};

/// Lines that wait for standard error to take them, at most; those above it are lost.
const WAITING_LINES: usize = 4096;

/// Sends everything that is told from now on to standard error, as the settings say. What is given back writes until it
/// is dropped; keep it to the end.
///
/// The lines are written on a thread of their own: whoever reads standard error slowly, or not at all, stops nobody.
///
/// # Errors
/// Something else in this process takes log lines already.
pub(super) fn start(settings: &Log) -> Result<WorkerGuard, SetGlobalDefaultError> {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(io::stderr());
    let lines = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(settings.level)
        .with_target(false)
        // Told on standard error too, and by a macro that panics when it is closed: a lost log must not end the server.
        .log_internal_errors(false)
        .with_ansi(settings.format == LogFormat::Text && colour(&io::stderr()));
    match settings.format {
        LogFormat::Text => set_global_default(lines.finish())?,
        LogFormat::Json => set_global_default(lines.json().flatten_event(true).finish())?,
    }
    Ok(guard)
}
