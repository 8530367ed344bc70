//! Opening listening sockets.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ListenAddress;
use crate::net::SocketKind;
use crate::sys;

/// Connections that wait in the kernel for a shard to take them. (The kernel lowers it to net.core.somaxconn.)
const BACKLOG: i32 = 4096;

/// How long bytes may stay unacknowledged before the kernel gives a connection up. No keepalive probes: a web site would
/// not send them.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// One shard's end of a listening address.
#[derive(Debug)]
pub(crate) struct ListeningSocket {
    /// The socket, listening and non-blocking.
    pub(crate) fd: OwnedFd,
    /// What it accepts.
    pub(crate) kind: SocketKind,
}

impl ListeningSocket {
    /// What a socket is that others opened.
    fn of(socket: Socket) -> io::Result<Self> {
        let kind = if socket.local_addr()?.is_unix() { SocketKind::Unix } else { SocketKind::Tcp };
        Ok(Self { fd: socket.into(), kind })
    }
}

/// A listening address as it was really opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The address; the port that the kernel chose in place of 0.
    pub(crate) address: ListenAddress,
    /// One socket for each shard.
    pub(crate) sockets: Vec<ListeningSocket>,
}

/// Whether an address may be shared with whoever has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exclusive {
    /// Nobody else may have it.
    Yes,
    /// It is ours already in another form, and that is about to close.
    No,
}

/// Opens an address for `shards` shards. TCP gets a socket of its own for each, among which the kernel spreads
/// connections; a unix socket and those that systemd opened are one that they share.
///
/// # Errors
/// What the system says: the address is in use, or is not ours, or the port needs a privilege, or systemd gave nothing of
/// that name.
pub(crate) fn open(address: &ListenAddress, shards: usize, exclusive: Exclusive) -> io::Result<Opened> {
    match address {
        ListenAddress::Inet(address) => open_inet(*address, shards, exclusive),
        ListenAddress::Unix(path) => {
            remove_stale(path)?;
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            share(address, &[listener.into()], shards)
        }
        ListenAddress::Systemd(name) => share(address, &sys::activated(name)?, shards),
    }
}

/// Whether an address could be opened now: opens it as a server would, and closes it before anybody can connect.
///
/// # Errors
/// What the system says.
pub(crate) fn try_open(address: SocketAddr) -> io::Result<()> {
    bind(address, false).map(drop)
}

/// Takes over an address that another process listens on, with its sockets. A shard for which there is none gets a new one.
///
/// # Errors
/// What the system says.
pub(crate) fn adopt(address: &ListenAddress, sockets: Vec<OwnedFd>, shards: usize) -> io::Result<Opened> {
    let ListenAddress::Inet(_) = address else {
        let shared = if sockets.len() < shards {
            share(address, &sockets, shards)?.sockets
        } else {
            adopted(sockets)?
        };
        return Ok(Opened { address: address.clone(), sockets: shared });
    };
    let mut sockets = adopted(sockets)?;
    let Some(first) = sockets.first() else { return Err(io::ErrorKind::NotFound.into()) };
    let opened = local_address(&Socket::from(first.fd.try_clone()?))?;
    for _ in sockets.len()..shards {
        let socket = bind(opened, true)?;
        socket.listen(BACKLOG)?;
        sockets.push(ListeningSocket { fd: socket.into(), kind: SocketKind::Tcp });
    }
    Ok(Opened { address: ListenAddress::Inet(opened), sockets })
}

fn adopted(sockets: Vec<OwnedFd>) -> io::Result<Vec<ListeningSocket>> {
    sockets.into_iter().map(|fd| ListeningSocket::of(fd.into())).collect()
}

fn open_inet(address: SocketAddr, shards: usize, exclusive: Exclusive) -> io::Result<Opened> {
    if exclusive == Exclusive::Yes {
        // Sockets that share a port would also join another process that does; a socket that does not tells.
        bind(address, false)?;
    }
    let first = bind(address, true)?;
    let address = local_address(&first)?;
    let mut sockets = vec![first];
    for _ in 1..shards {
        sockets.push(bind(address, true)?);
    }
    let sockets = sockets.into_iter().map(|socket| {
        socket.listen(BACKLOG)?;
        Ok(ListeningSocket { fd: socket.into(), kind: SocketKind::Tcp })
    });
    Ok(Opened { address: ListenAddress::Inet(address), sockets: sockets.collect::<io::Result<_>>()? })
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // A port that the kernel chooses is new to everybody. With this option it could be one that another process has bound
    // and does not listen on yet, and the two would share it.
    socket.set_reuse_address(address.port() != 0)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // "[::]" serves IPv4 too.
        socket.set_only_v6(false)?;
    }
    set_inherited(&socket)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Options that accepted sockets inherit, which spares two calls a client.
fn set_inherited(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// Gives every shard its own descriptor of sockets that cannot be opened twice.
fn share(address: &ListenAddress, listening: &[OwnedFd], shards: usize) -> io::Result<Opened> {
    let mut sockets = Vec::new();
    for _ in 0..shards {
        for fd in listening {
            let socket = Socket::from(fd.as_fd().try_clone_to_owned()?);
            socket.set_nonblocking(true)?;
            if !socket.local_addr()?.is_unix() {
                set_inherited(&socket)?;
            }
            sockets.push(ListeningSocket::of(socket)?);
        }
    }
    Ok(Opened { address: address.clone(), sockets })
}

/// Removes a unix socket that a process left behind. One that somebody listens on stays, and opening it fails.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && std::os::unix::net::UnixStream::connect(path).err().is_some_and(refused) {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    fn port(address: &ListenAddress) -> u16 {
        let ListenAddress::Inet(address) = address else { panic!("{address:?}") };
        address.port()
    }

    fn local_port(socket: ListeningSocket) -> u16 {
        local_address(&socket.fd.into()).expect("address").port()
    }

    #[test]
    fn all_shards_share_one_port() {
        let opened = open_inet(ANY, 3, Exclusive::Yes).expect("open");
        let expected = port(&opened.address);
        assert_ne!(expected, 0);
        let ports: Vec<_> = opened.sockets.into_iter().map(local_port).collect();
        assert_eq!(ports, [expected; 3]);
    }

    #[test]
    fn an_address_in_use_is_an_error_though_the_other_shares_it() {
        let other = open_inet(ANY, 1, Exclusive::Yes).expect("open");
        let ListenAddress::Inet(taken) = other.address else { panic!("not TCP") };
        assert_eq!(open_inet(taken, 1, Exclusive::Yes).expect_err("taken").kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn accepted_sockets_inherit_their_options() {
        let mut opened = open_inet(ANY, 1, Exclusive::Yes).expect("open");
        let listener: std::net::TcpListener = opened.sockets.remove(0).fd.into();
        listener.set_nonblocking(false).expect("option");
        let _client = std::net::TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let accepted = Socket::from(listener.accept().expect("accept").0);
        assert!(accepted.tcp_nodelay().expect("option"));
        assert_eq!(accepted.tcp_user_timeout().expect("option"), Some(USER_TIMEOUT));
        assert!(!accepted.keepalive().expect("option"));
    }

    #[test]
    fn a_unix_socket_is_shared_and_a_stale_one_replaced() {
        let directory = tempfile::tempdir().expect("directory");
        let address = ListenAddress::Unix(directory.path().join("door"));
        let opened = open(&address, 2, Exclusive::Yes).expect("open");
        assert_eq!(
            opened.sockets.iter().map(|socket| socket.kind).collect::<Vec<_>>(),
            [SocketKind::Unix; 2]
        );
        assert_eq!(open(&address, 1, Exclusive::Yes).expect_err("in use").kind(), io::ErrorKind::AddrInUse);
        drop(opened);
        open(&address, 1, Exclusive::Yes).expect("nobody listens there any more");
    }
}
