//! A part of the load in a process of its own: it says where it is, and serves until its standard input ends.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// Serves, on one thread.
pub(super) fn run(serve: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = serve => done,
            ended = input_end() => ended,
        }
    });
    // A read of standard input cannot be cancelled, so its thread is not waited for.
    runtime.shutdown_background();
    done
}

/// Listens on a port of 127.0.0.1 that the kernel chooses.
pub(super) fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(BACKLOG)
}

/// Says the addresses on standard output, in one line.
pub(super) fn tell(addresses: &[SocketAddr]) -> io::Result<()> {
    let mut out = io::stdout();
    let line: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    writeln!(out, "{}", line.join(" "))?;
    out.flush()
}

async fn input_end() -> io::Result<()> {
    let mut input = tokio::io::stdin();
    while input.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}
