//! Telling the running process what to do: to apply changed settings, or to leave in order.

use std::fmt;
use std::io;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::config::{ConfigError, Snapshot};
use crate::server::StartError;

/// A way to tell the process what to do, from any thread. The process takes orders one after the other.
#[derive(Debug, Clone)]
pub struct Control {
    /// Unbounded, and no longer than its users make it: each waits for its answer before it asks again.
    orders: mpsc::UnboundedSender<Order>,
}

/// What the process is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Read the settings again and apply them.
    Reload(oneshot::Sender<Result<ReloadReport, ReloadError>>),
    /// Accept nothing more, let connections end by themselves for the configured time, leave.
    Drain,
}

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReloadReport {
    /// What is in force now, in words, such as "limits.memory: 512MiB → 1GiB". Secrets are not shown.
    pub changes: Vec<String>,
    /// What changed in the file and needs a restart, in the same words. Until then the old value stays in force.
    pub restart: Vec<String>,
}

/// Why the settings stay as they were. All of them do.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadError {
    /// The process was started without a file.
    NoFile,
    /// Something in the file is wrong.
    Config(ConfigError),
    /// What the command line or the environment says does not fit. The text is a sentence without a full stop.
    Usage(String),
    /// What the settings ask for cannot be had.
    Open(StartError),
    /// The system has no thread to give.
    Thread(io::Error),
    /// The process is about to leave.
    Stopping,
}

/// Where the settings come from, and whoever else follows them.
pub trait Source {
    /// Reads the settings anew.
    ///
    /// # Errors
    /// There is nothing to read, or something in it is wrong.
    fn read(&self) -> Result<Snapshot, ReloadError>;

    /// These are in force now.
    fn applied(&self, _snapshot: &Snapshot) {}
}

impl Control {
    /// A handle, and the end that the process listens to.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (orders, receiver) = mpsc::unbounded_channel();
        (Self { orders }, receiver)
    }

    /// Has the settings read again and applied; gives what changed, once it is in force everywhere.
    ///
    /// # Errors
    /// They are refused as a whole: what was before stays in force.
    pub async fn reload(&self) -> Result<ReloadReport, ReloadError> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Reload(answer)).map_err(|_| ReloadError::Stopping)?;
        answered.await.unwrap_or(Err(ReloadError::Stopping))
    }

    /// Has the process accept nothing more, let its connections end by themselves for the configured time, and leave.
    pub fn drain(&self) {
        // Where nobody listens, the process is leaving already.
        let _ = self.orders.send(Order::Drain);
    }
}

impl ReloadError {
    /// What is wrong, a sentence each, with its place in the file.
    pub(crate) fn sentences(&self) -> Vec<String> {
        match self {
            Self::Config(ConfigError::Wrong(problems)) => problems.sentences().collect(),
            other => vec![other.to_string()],
        }
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str(
                "there is nothing to reload: the process was started without a file (name one with --config at the next start)",
            ),
            Self::Config(error) => error.fmt(f),
            Self::Usage(text) => f.write_str(text),
            Self::Open(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "the system has no thread to give: {error}"),
            Self::Stopping => f.write_str("the process is about to leave, and reloads nothing any more"),
        }
    }
}

impl std::error::Error for ReloadError {}

impl From<ConfigError> for ReloadError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_nobody_listens_any_more_it_is_said() {
        let (control, orders) = Control::new();
        drop(orders);
        assert!(matches!(control.reload().await, Err(ReloadError::Stopping)));
        control.drain();
    }

    #[tokio::test]
    async fn an_order_that_is_dropped_is_answered_too() {
        let (control, mut orders) = Control::new();
        let (answer, ()) = tokio::join!(control.reload(), async { drop(orders.recv().await) });
        assert!(matches!(answer, Err(ReloadError::Stopping)));
    }
}
