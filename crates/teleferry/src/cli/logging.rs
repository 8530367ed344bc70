//! Log lines on standard error.

use std::io;

use tracing::subscriber::{SetGlobalDefaultError, set_global_default};

use super::failure::colour;
use crate::config::{Log, LogFormat};

/// Sends everything that is told from now on to standard error, as the settings say.
///
/// # Errors
/// Something else in this process takes log lines already.
pub(super) fn start(settings: &Log) -> Result<(), SetGlobalDefaultError> {
    let lines = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(settings.level)
        .with_target(false)
        // Told on standard error too, and by a macro that panics when it is closed: a lost log must not end the server.
        .log_internal_errors(false)
        .with_ansi(settings.format == LogFormat::Text && colour(&io::stderr()));
    match settings.format {
        LogFormat::Text => set_global_default(lines.finish()),
        LogFormat::Json => set_global_default(lines.json().flatten_event(true).finish()),
    }
}
