//! Dialling one of several addresses, staggered as in RFC 8305.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long one attempt has the field for itself before the next begins.
const STAGGER: Duration = Duration::from_millis(250);

/// No address could be connected to.
#[derive(Debug)]
pub(crate) struct DialError {
    /// What the last attempt said; `None` when there was no address to try.
    pub(crate) last: Option<io::Error>,
}

impl std::fmt::Display for DialError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.last {
            Some(error) => error.fmt(f),
            None => f.write_str("no address to try"),
        }
    }
}

/// Connects to the first of `addresses` that answers. They are tried in order: the next one begins when one fails, or
/// 250 ms after the one before; each has `each` to answer. All others are given up once one has answered.
pub(crate) async fn dial(
    addresses: &[SocketAddr],
    each: Duration,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let mut waiting: VecDeque<_> = addresses.iter().copied().collect();
    let mut attempts = FuturesUnordered::new();
    let mut last = None;
    loop {
        match waiting.pop_front() {
            Some(address) => attempts.push(attempt(address, each)),
            None if attempts.is_empty() => return Err(DialError { last }),
            None => {}
        }
        let outcome = if waiting.is_empty() {
            attempts.next().await
        } else {
            tokio::select! {
                biased;
                outcome = attempts.next() => outcome,
                () = sleep(STAGGER) => None,
            }
        };
        match outcome {
            Some(Ok(connected)) => return Ok(connected),
            Some(Err(error)) => last = Some(error),
            None => {}
        }
    }
}

async fn attempt(address: SocketAddr, each: Duration) -> io::Result<(TcpStream, SocketAddr)> {
    let stream = timeout(each, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok((stream, address))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// An address of loopback at which nothing listens: bound, never listening, so connections are refused.
    fn refusing() -> (socket2::Socket, SocketAddr) {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
        let address = socket.local_addr().expect("address").as_socket().expect("ip");
        (socket, address)
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let good = listener.local_addr().expect("address");
        let (_held, bad) = refusing();
        let (_, address) = dial(&[bad, good], Duration::from_secs(5)).await.expect("the second answers");
        assert_eq!(address, good);
    }

    #[tokio::test]
    async fn all_refusing_is_an_error_with_the_last_reason() {
        let (_held, bad) = refusing();
        let error = dial(&[bad, bad], Duration::from_secs(5)).await.expect_err("nobody listens");
        assert_eq!(error.last.expect("a reason").kind(), io::ErrorKind::ConnectionRefused);
        assert!(dial(&[], Duration::from_secs(5)).await.expect_err("no address").last.is_none());
    }
}
