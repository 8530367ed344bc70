//! A door: a port that is kept for good, and the loop that accepts.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What a listener does with new connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Speaks with them.
    #[default]
    Serve,
    /// Accepts and reads, but never answers.
    Silent,
    /// Accepts and closes at once. A client that has already sent something sees a reset.
    Close,
    /// Keeps the port without listening on it: connections are refused.
    Refuse,
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// A connection that was accepted.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    /// The address that it was accepted at, as the listener has it.
    pub(crate) local: SocketAddr,
    /// Who connected.
    pub(crate) peer: SocketAddr,
}

/// What a listener is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) behaviour: Behaviour,
    /// When this changes, all connections are dropped.
    pub(crate) generation: u64,
}

/// A running listener. Dropping it ends it and its connections.
pub(crate) struct Listener {
    address: SocketAddr,
    orders: watch::Sender<Order>,
    /// The last order that has taken effect.
    obeyed: watch::Receiver<Order>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens on a port that the kernel chooses. `serve` says what each connection gets; `None` closes it.
    pub(crate) fn start<F>(
        ip: IpAddr,
        serve: impl Fn(Accepted, Behaviour) -> Option<F> + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let port = Port::reserve(ip)?;
        let (orders, told) = watch::channel(Order::default());
        let (obeying, obeyed) = watch::channel(Order::default());
        let (address, listener) = (port.address, port.listen()?);
        let task = tokio::spawn(accept_all(serve, port, listener, told, obeying));
        Ok(Self { address, orders, obeyed, task })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does, and waits until it does so.
    pub(crate) async fn obey(&self, change: impl FnOnce(&mut Order)) {
        self.orders.send_modify(change);
        let wanted = *self.orders.borrow();
        // An error says that the task has ended, with the runtime: nothing is accepted any more.
        let _ = self.obeyed.clone().wait_for(|order| *order == wanted).await;
    }

    /// Accepts nothing any more, and waits until all its connections are closed.
    pub(crate) async fn close(&self) {
        self.obey(|order| *order = Order { behaviour: Behaviour::Refuse, generation: order.generation + 1 })
            .await;
    }

    /// Ends it and waits until all its connections are closed.
    pub(crate) async fn stop(mut self) {
        self.close().await;
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port that stays ours also while nobody listens on it.
struct Port {
    address: SocketAddr,
    _reservation: TcpSocket,
}

impl Port {
    fn reserve(ip: IpAddr) -> io::Result<Self> {
        let reservation = socket(SocketAddr::new(ip, 0))?;
        Ok(Self { address: reservation.local_addr()?, _reservation: reservation })
    }

    fn listen(&self) -> io::Result<TcpListener> {
        socket(self.address)?.listen(BACKLOG)
    }
}

/// A bound socket. Several of ours may be bound to one port; only those that listen get connections.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept_all<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(Accepted, Behaviour) -> Option<F>,
    port: Port,
    listener: TcpListener,
    mut told: watch::Receiver<Order>,
    obeying: watch::Sender<Order>,
) {
    let mut listener = Some(listener);
    let mut order = Order::default();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            changed = told.changed() => {
                if changed.is_err() {
                    return;
                }
                let new = *told.borrow_and_update();
                if new.generation != order.generation {
                    connections.shutdown().await;
                }
                order = new;
                if order.behaviour == Behaviour::Refuse {
                    listener = None;
                } else if listener.is_none() {
                    listener = port.listen().ok();
                }
                obeying.send_replace(order);
            }
            Some(_) = connections.join_next() => {}
            Ok((stream, peer)) = accept(listener.as_ref()) => {
                let accepted = Accepted { stream, local: port.address, peer };
                if let Some(connection) = serve(accepted, order.behaviour) {
                    connections.spawn(connection);
                }
            }
        }
    }
}

/// The next connection; none while there is no listener.
async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    /// How long to wait when the process is out of file descriptors.
    const PAUSE: Duration = Duration::from_millis(20);
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok(accepted) => return Ok(accepted),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
