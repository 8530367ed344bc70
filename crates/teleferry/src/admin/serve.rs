//! Connections of those who watch: few, short, and never in each other's way.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::{Access, api};

/// How long to wait when there is no room, or the system has nothing to give.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a request's head, at most; what the library asks for at least.
const HEAD: usize = 16 << 10;

/// Answers on the control socket.
pub(super) async fn unix(listener: std::os::unix::net::UnixListener, access: Arc<Access>) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let mut connections = Connections::new(access);
    loop {
        connections.room().await;
        match listener.accept().await {
            Ok((stream, _)) => connections.begin(stream),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Answers over TCP.
pub(super) async fn tcp(listener: std::net::TcpListener, access: Arc<Access>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = Connections::new(access);
    loop {
        connections.room().await;
        match listener.accept().await {
            Ok((stream, _)) => connections.begin(stream),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// The connections of one listening socket. All end when this is dropped.
struct Connections {
    access: Arc<Access>,
    /// Made with the first connection.
    router: OnceLock<Router>,
    tasks: JoinSet<()>,
    /// Those that are open, the oldest first.
    seats: VecDeque<Seat>,
}

struct Seat {
    task: AbortHandle,
    /// A request is being answered.
    busy: Arc<AtomicBool>,
}

impl Connections {
    fn new(access: Arc<Access>) -> Self {
        Self { access, router: OnceLock::new(), tasks: JoinSet::new(), seats: VecDeque::new() }
    }

    /// Waits until there may be one more. Where there are too many, the one that has been idle for longest makes room.
    async fn room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.seats.retain(|seat| !seat.task.is_finished());
            if self.seats.len() < self.access.shared.bounds.connections {
                return;
            }
            match self.seats.iter().position(|seat| !seat.busy.load(Relaxed)) {
                Some(idle) => {
                    if let Some(seat) = self.seats.remove(idle) {
                        seat.task.abort();
                    }
                }
                None => sleep(PAUSE).await,
            }
        }
    }

    /// Serves a connection in a task of its own.
    fn begin<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&mut self, stream: S) {
        let access = &self.access;
        let router = self.router.get_or_init(|| api::router(Arc::clone(access))).clone();
        let busy = Arc::new(AtomicBool::new(false));
        let serving = serve(stream, router, Arc::clone(&busy), access.shared.bounds.head_time);
        let task = self.tasks.spawn(serving);
        self.seats.push_back(Seat { task, busy });
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    router: Router,
    busy: Arc<AtomicBool>,
    head_time: Duration,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        busy.store(true, Relaxed);
        let (answering, busy) = (router.call(request), Arc::clone(&busy));
        async move {
            let answer = answering.await;
            busy.store(false, Relaxed);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever was there has gone, or was too slow: both are of no interest.
    let _ = connection.await;
}
