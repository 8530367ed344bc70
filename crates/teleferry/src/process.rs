//! The life of the process: descriptor limits, the ready line, signals, the clean stop.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::AbortHandle;
use tracing::{error, info, warn};

use crate::admin::{self, Admin, Bounds, OpenError};
use crate::announce::Announcer;
use crate::config::Snapshot;
use crate::control::{Control, Order, ReloadError, ReloadReport, Source};
use crate::logging::Logging;
use crate::net::PIPES;
use crate::server::{Server, StartError, worker_count};
use crate::state::{Listening, Lock, LockError, lock_path};
use crate::sys;
use crate::upgrade::{Inheritance, Inherited, Program, UpgradeError};
use crate::watchdog::Watchdog;

/// Descriptors that each connection may need: its own, and one to Telegram or to the cover site.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;
/// Descriptors for everything else: event queues, logs, lists, and those who watch.
const RESERVED_DESCRIPTORS: u64 = 128 + 2 * admin::CONNECTIONS as u64;
/// Descriptors that each shard may take: its pipes, and its event queue and timers.
const DESCRIPTORS_PER_SHARD: u64 = 2 * PIPES as u64 + 8;
/// Descriptors that each shard needs for an address: its socket, the copy that is lent, and the one that is on its way to
/// a process that takes this one's place.
const DESCRIPTORS_PER_ADDRESS: u64 = 3;

/// Runs the server until the process is told to stop, then stops it in order. `source` is where changed settings are read
/// from.
///
/// # Errors
/// It could not start; nothing is left open.
pub fn run(snapshot: Snapshot, source: &dyn Source, logging: &Logging) -> Result<(), RunError> {
    sys::reuse_freed_memory();
    let descriptors = sys::raise_descriptor_limit();
    let snapshot = Arc::new(within_descriptor_limit(snapshot, descriptors));
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    runtime.block_on(async {
        // Before anything is opened, so that no signal finds us unprepared.
        let mut signals = Signals::listen().map_err(StartError::Thread)?;
        let program = Program::this();
        let mut inherited = Inherited::receive().map_err(RunError::Inherit)?;
        let mut lock = lock(&snapshot.server.state_dir, &mut inherited)?;
        let server = Server::start_with(Arc::clone(&snapshot), &mut inherited)?;
        save_addresses(&server);
        // The handle lives as long as the process, so that orders can always come.
        let (control, mut orders) = Control::new();
        let admin = Admin::open_with(server.observer(), control.clone(), Bounds::default(), &mut inherited)?;
        // Before the process whose place this one takes says that it is done.
        lock.iter().for_each(Lock::sign);
        let before = inherited.accepted();
        let took_over = before.is_some();
        if let Some(before) = before {
            server.open_after(before);
        }
        tell_ready(&server, admin.as_ref(), took_over);
        let admin_sockets = admin.as_ref().map(Admin::sockets);
        let _watched = admin.map(Watching::begin);
        let mut watchdog = Watchdog::begin(server.observer());
        let mut announcer = Some(Announcer::begin(server.observer()));
        // Most of what ran until now runs never again. Where the system does not tell, memory is a little more.
        let _ = sys::forget_files();
        let mut handed_over = false;
        loop {
            let order = tokio::select! {
                told = signals.next() => told,
                Some(order) = orders.recv() => Told::Order(order),
            };
            match order {
                Told::Stop | Told::Order(Order::Drain) => break,
                // Told to whoever reads the log.
                Told::Reload => drop(reload(&server, source, logging, descriptors).await),
                // Whoever asked may have gone, here and below.
                Told::Order(Order::Reload(answer)) => {
                    let _ = answer.send(reload(&server, source, logging, descriptors).await);
                }
                Told::Order(Order::Upgrade(answer)) => {
                    let left = Left { admin: admin_sockets.as_deref(), lock: lock.as_ref() };
                    let started = upgrade(&server, &left, program.as_ref().ok()).await;
                    handed_over = started.is_ok();
                    let _ = answer.send(started);
                    if handed_over {
                        // The new process has it, for itself alone.
                        drop(lock.take());
                        // The new process gives signs of life from now on.
                        watchdog.take();
                        announcer.take();
                        break;
                    }
                }
                Told::Order(Order::Log(levels, answer)) => {
                    if let Some(levels) = levels {
                        info!("log lines are told from now on: {levels}");
                        logging.set_levels(levels);
                    }
                    let _ = answer.send(logging.levels());
                }
                Told::Reopen => match logging.reopen() {
                    Ok(()) => info!("the log goes on here"),
                    Err(error) => warn!("{error}"),
                },
            }
        }
        drop(orders);
        stop(server, &mut signals, handed_over).await;
        Ok(())
    })
}

/// What the process that takes this one's place gets beside the server's sockets.
struct Left<'a> {
    admin: Option<&'a admin::Sockets>,
    lock: Option<&'a Lock>,
}

/// Takes the state directory for this process alone. Where nothing can be kept, nothing is in the way.
fn lock(directory: &Path, inherited: &mut Inherited) -> Result<Option<Lock>, RunError> {
    if let Some(file) = inherited.take_file(&lock_path(directory)) {
        return Ok(Some(Lock::adopt(directory, file)));
    }
    match Lock::take(directory) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::System(error)) => {
            warn!(%error, directory = %directory.display(), "the state directory cannot be locked: see that no other process uses it");
            Ok(None)
        }
        Err(taken) => Err(RunError::Locked(taken)),
    }
}

/// Has a new program take this one's place; gives its process.
async fn upgrade(server: &Server, left: &Left<'_>, program: Option<&Program>) -> Result<u32, UpgradeError> {
    let program = program.cloned().ok_or(UpgradeError::Unknown)?;
    info!("starting the program that takes this one's place");
    let mut sockets = server.lend_sockets().await;
    server.leave();
    sockets.extend(left.admin.into_iter().flat_map(admin::Sockets::lend));
    sockets.extend(left.lock.and_then(|lock| Some(Inheritance::file(lock.path(), lock.lend().ok()?))));
    // It takes until the new one accepts.
    let started = tokio::task::spawn_blocking(move || program.take_over(&sockets)).await;
    match started.unwrap_or(Err(UpgradeError::Stopping)) {
        Ok((child, heir)) => {
            let process = child.id();
            server.hand_on(heir).await;
            info!(process, "the new program accepts connections: this one leaves");
            notify(&[NotifyState::MainPid(process)]);
            if let Some(admin) = left.admin {
                admin.leave();
            }
            Ok(process)
        }
        Err(error) => {
            server.stay();
            left.lock.iter().for_each(|lock| lock.sign());
            error!("nothing was upgraded: {error}");
            Err(error)
        }
    }
}

/// Why the process could not run.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The server could not start.
    Start(StartError),
    /// Those who watch cannot be served as the settings ask.
    Admin(OpenError),
    /// Another process has the state directory.
    Locked(LockError),
    /// The process whose place this one was to take has gone.
    Inherit(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Admin(error) => error.fmt(f),
            Self::Locked(error) => error.fmt(f),
            Self::Inherit(error) => write!(
                f,
                "the sockets of the process whose place this one was to take did not come: {error} (TELEFERRY_HANDOVER is only for a process that is being replaced)"
            ),
        }
    }
}

impl std::error::Error for RunError {}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<OpenError> for RunError {
    fn from(error: OpenError) -> Self {
        Self::Admin(error)
    }
}

/// Serves those who watch, until it is dropped.
struct Watching(AbortHandle);

impl Watching {
    fn begin(admin: Admin) -> Self {
        let serving = tokio::spawn(async move {
            if let Err(error) = admin.serve().await {
                warn!(%error, "nobody can watch this process any more");
            }
        });
        Self(serving.abort_handle())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets connections end by themselves; at once when told again.
async fn stop(server: Server, signals: &mut Signals, handed_over: bool) {
    info!("stopping: no new connections; those that are there may end by themselves");
    // Another process is the service now, and does not stop.
    if !handed_over {
        notify(&[NotifyState::Stopping]);
    }
    let now = server.stopper();
    let mut stopping = tokio::task::spawn_blocking(move || server.stop());
    tokio::select! {
        _ = &mut stopping => {}
        () = signals.stop() => {
            info!("told again: stopping at once");
            now.stop_now();
            // A fault while stopping has been told by its own thread; we are leaving either way.
            let _ = stopping.await;
        }
    }
    info!("stopped");
}

/// Reads the settings anew and applies them; says in the log and to systemd what came of it.
async fn reload(
    server: &Server,
    source: &dyn Source,
    logging: &Logging,
    descriptors: Option<u64>,
) -> Result<ReloadReport, ReloadError> {
    info!("reloading");
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        // Without the time systemd would take it for a failure.
        Err(error) => warn!(%error, "systemd cannot be told of the reload"),
    }
    let reloaded = match source.read() {
        Ok(snapshot) => apply(server, logging, within_descriptor_limit(snapshot, descriptors)).await,
        Err(error) => Err(error),
    };
    server.observer().reloads().count(reloaded.is_ok());
    match &reloaded {
        Ok(report) => {
            report.changes.iter().for_each(|change| info!("{change}"));
            report.restart.iter().for_each(|key| warn!("{key}: this needs a restart"));
            save_addresses(server);
            info!(changes = report.changes.len(), "reloaded");
        }
        Err(error) => {
            error.sentences().iter().for_each(|sentence| error!("{sentence}"));
            error!("nothing was reloaded: the settings stay as they were");
        }
    }
    notify(&[NotifyState::Ready]);
    reloaded
}

/// Takes up new settings as a whole, or nothing of them.
async fn apply(server: &Server, logging: &Logging, snapshot: Snapshot) -> Result<ReloadReport, ReloadError> {
    logging.apply(&snapshot.log).map_err(ReloadError::Log)?;
    let reloaded = server.reload(snapshot).await;
    if reloaded.is_err() {
        // It was open until now. Where that has changed meanwhile, the new one is better than none.
        let _ = logging.apply(&server.snapshot().log);
    }
    reloaded
}

/// Keeps where the server listens for `link`.
fn save_addresses(server: &Server) {
    let directory = &server.snapshot().server.state_dir;
    if let Err(error) = Listening::save(directory, &server.addresses()) {
        warn!(%error, directory = %directory.display(), "the state directory cannot be written");
    }
}

/// Says that everything listens, to the log and to systemd.
fn tell_ready(server: &Server, admin: Option<&Admin>, took_over: bool) {
    let listeners: Vec<_> =
        server.addresses().iter().map(|(name, address)| format!("{name} {address}")).collect();
    if let Some(address) = admin.and_then(Admin::http_address) {
        info!("metrics, health and the status page are at http://{address}/");
    }
    info!("ready: {}", listeners.join(", "));
    // Who took another's place is ready in its name; it tells systemd whose turn it is.
    if !took_over {
        notify(&[NotifyState::Ready]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell, which is no error; with it, it will notice by itself.
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd cannot be told");
    }
}

/// Lowers the connection limit to what this number of descriptors carries.
fn within_descriptor_limit(mut snapshot: Snapshot, descriptors: Option<u64>) -> Snapshot {
    let wanted = snapshot.server.max_connections;
    let Some(limit) = descriptors else { return snapshot };
    let carried = carried_by(&snapshot, limit).max(1);
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

/// Descriptors for everything but connections.
fn reserved(snapshot: &Snapshot) -> u64 {
    let addresses: usize = snapshot.listeners.iter().map(|listener| listener.addresses.len()).sum();
    let per_shard = DESCRIPTORS_PER_SHARD + addresses as u64 * DESCRIPTORS_PER_ADDRESS;
    RESERVED_DESCRIPTORS + worker_count(snapshot.server.workers) as u64 * per_shard
}

/// Descriptors that the connections of these settings may need, and everything else.
pub(crate) fn descriptors_for(snapshot: &Snapshot) -> u64 {
    reserved(snapshot) + snapshot.server.max_connections as u64 * DESCRIPTORS_PER_CONNECTION
}

/// The connections that so many descriptors carry with these settings.
pub(crate) fn carried_by(snapshot: &Snapshot, descriptors: u64) -> usize {
    let carried = descriptors.saturating_sub(reserved(snapshot)) / DESCRIPTORS_PER_CONNECTION;
    usize::try_from(carried).unwrap_or(usize::MAX)
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

    /// Waits for a signal that means something.
    async fn next(&mut self) -> Told {
        let [hangup, reload] = &mut self.reload;
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = hangup.recv() => Told::Reload,
            _ = reload.recv() => Told::Reload,
            _ = self.reopen.recv() => Told::Reopen,
        }
    }

    /// Waits until the process is told to stop.
    async fn stop(&mut self) {
        while !matches!(self.next().await, Told::Stop) {}
    }
}

/// What the process is told, by signals or by orders.
#[derive(Debug)]
enum Told {
    Stop,
    Reload,
    Reopen,
    Order(Order),
}
