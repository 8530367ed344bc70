//! The life of the process: descriptor limits, the ready line, signals, the clean stop.

use std::io;
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::config::Snapshot;
use crate::logging::Logging;
use crate::net::PIPES;
use crate::server::{Server, StartError, worker_count};
use crate::state::Listening;
use crate::sys;

/// Descriptors that each connection may need: its own, and one to Telegram or to the cover site.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;
/// Descriptors for everything else: listening sockets, event queues, logs.
const RESERVED_DESCRIPTORS: u64 = 128;
/// Descriptors that each shard's pipes may take.
const DESCRIPTORS_PER_SHARD: u64 = 2 * PIPES as u64;

/// Runs the server until the process is told to stop, then stops it in order.
///
/// # Errors
/// It could not start; nothing is left open.
pub(crate) fn run(snapshot: Snapshot, logging: &Logging) -> Result<(), StartError> {
    let snapshot = Arc::new(within_descriptor_limit(snapshot));
    let control = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    control.block_on(async {
        // Before anything is opened, so that no signal finds us unprepared.
        let mut signals = Signals::listen().map_err(StartError::Thread)?;
        let server = Server::start(Arc::clone(&snapshot))?;
        if let Err(error) = Listening::save(&snapshot.server.state_dir, server.addresses()) {
            warn!(%error, directory = %snapshot.server.state_dir.display(), "the state directory cannot be written");
        }
        tell_ready(&server);
        // Most of what ran until now runs never again. Where the system does not tell, memory is a little more.
        let _ = sys::forget_files();
        signals.stop(logging).await;
        info!("stopping: no new connections; those that are there may end by themselves");
        notify(&[NotifyState::Stopping]);
        let now = server.stopper();
        let mut stopping = tokio::task::spawn_blocking(move || server.stop());
        tokio::select! {
            _ = &mut stopping => {}
            () = signals.stop(logging) => {
                info!("told again: stopping at once");
                now.stop_now();
                // A fault while stopping has been told by its own thread; we are leaving either way.
                let _ = stopping.await;
            }
        }
        info!("stopped");
        Ok(())
    })
}

/// Says that everything listens, to the log and to systemd.
fn tell_ready(server: &Server) {
    let listeners: Vec<_> =
        server.addresses().iter().map(|(name, address)| format!("{name} {address}")).collect();
    info!("ready: {}", listeners.join(", "));
    notify(&[NotifyState::Ready]);
}

fn notify(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell, which is no error; with it, it will notice by itself.
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd cannot be told");
    }
}

/// Raises the descriptor limit as far as it goes, and lowers the connection limit to what that carries.
fn within_descriptor_limit(mut snapshot: Snapshot) -> Snapshot {
    let wanted = snapshot.server.max_connections;
    let Some(limit) = sys::raise_descriptor_limit() else { return snapshot };
    let shards = worker_count(snapshot.server.workers) as u64;
    let reserved = RESERVED_DESCRIPTORS + shards * DESCRIPTORS_PER_SHARD;
    let carried = limit.saturating_sub(reserved) / DESCRIPTORS_PER_CONNECTION;
    let carried = usize::try_from(carried).unwrap_or(usize::MAX).max(1);
    if carried < wanted {
        warn!(
            max_connections = carried,
            wanted,
            descriptors = limit,
            "server.max_connections is lowered: the descriptor limit carries no more (raise LimitNOFILE or ulimit -n)"
        );
        snapshot.server.max_connections = carried;
    }
    snapshot
}

/// The signals that we know.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Those whose default would end the process, and which mean something to operators.
    reload: [Signal; 2],
    reopen: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: [signal(SignalKind::hangup())?, signal(SignalKind::user_defined2())?],
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits until the process is told to stop.
    async fn stop(&mut self, logging: &Logging) {
        loop {
            let [hangup, reload] = &mut self.reload;
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = hangup.recv() => warn!("reload is not yet supported: restart to apply a new configuration"),
                _ = reload.recv() => warn!("reload is not yet supported: restart to apply a new configuration"),
                _ = self.reopen.recv() => match logging.reopen() {
                    Ok(()) => info!("the log goes on here"),
                    Err(error) => warn!("{error}"),
                },
            }
        }
    }
}
