//! The proxy's end of a link, by the protocol's own machine.

use std::io;
use std::net::SocketAddr;

use teleferry_proto::middle::{Client, DownReason, Event, Middle, Ready, Setup};
use teleferry_proto::rpc::{ConnId, ProcessId};
use teleferry_proto::telegram_config::MiddleSecret;
use teleferry_proto::transport::Framing;
use teleferry_sim::command::{Command, Report};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Where every client says that it is.
pub(crate) fn client_address() -> SocketAddr {
    "192.0.2.7:5001".parse().unwrap()
}

/// Where every client says that it found the proxy.
pub(crate) fn proxy_address() -> SocketAddr {
    "203.0.113.9:443".parse().unwrap()
}

pub(crate) fn client(framing: Framing) -> Client {
    Client { address: client_address(), proxy: proxy_address(), framing, ad_tag: None }
}

/// What a link said, messages copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Answer {
        conn: ConnId,
        message: Vec<u8>,
    },
    Other(Event),
    /// The connection has ended.
    End,
}

pub(crate) struct Link {
    pub(crate) middle: Middle,
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// What a link is made from, once it is known where it comes from.
pub(crate) fn setup(stream: &TcpStream) -> Setup {
    Setup {
        secret: MiddleSecret::embedded(),
        proxy: stream.local_addr().unwrap(),
        middle: stream.peer_addr().unwrap(),
        unix_time: unix_time(),
        process: ProcessId::ANONYMOUS,
        peer: ProcessId::ANONYMOUS,
        crc32c: false,
        entropy: random(),
    }
}

#[expect(clippy::disallowed_methods, reason = "middle proxies judge the real time")]
pub(crate) fn unix_time() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as u32
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl Link {
    /// Connects and sends the nonce; nothing is read yet.
    pub(crate) async fn dial(middle: SocketAddr, change: impl FnOnce(&mut Setup)) -> io::Result<Self> {
        let stream = TcpStream::connect(middle).await?;
        let mut setup = setup(&stream);
        change(&mut setup);
        let mut link = Self { middle: Middle::new(now(), setup), stream, buffer: Vec::new() };
        link.flush().await?;
        Ok(link)
    }

    /// Connects, and does the handshake.
    pub(crate) async fn ready(middle: SocketAddr) -> Self {
        Self::ready_with(middle, |_| {}).await.0
    }

    pub(crate) async fn ready_with(middle: SocketAddr, change: impl FnOnce(&mut Setup)) -> (Self, Ready) {
        let mut link = Self::dial(middle, change).await.unwrap();
        match link.next().await {
            Said::Other(Event::Ready(ready)) => (link, ready),
            other => panic!("not ready: {other:?}"),
        }
    }

    /// Dials, and says why that came to nothing.
    pub(crate) async fn refused(middle: SocketAddr, change: impl FnOnce(&mut Setup)) -> DownReason {
        let mut link = Self::dial(middle, change).await.unwrap();
        match link.next().await {
            Said::Other(Event::Down(reason)) => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// What is said next.
    pub(crate) async fn next(&mut self) -> Said {
        loop {
            match self.middle.poll_event() {
                Some(Event::Answer { conn, message, .. }) => {
                    let message = self.middle.message(&self.buffer, message).to_vec();
                    return Said::Answer { conn, message };
                }
                Some(event) => return Said::Other(event),
                None => {}
            }
            if self.turn().await.is_err() {
                if self.middle.poll_timeout().is_none() {
                    return Said::End;
                }
                self.middle.end_of_input();
            }
        }
    }

    /// Writes what the socket takes and reads what it has, once one of both is possible.
    async fn turn(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.middle.poll_transmit() {
            match self.stream.try_write(bytes) {
                Ok(len) => self.middle.transmitted(len),
                // It is full, or has ended; then there may still be something to read.
                Err(_) => break,
            }
        }
        let writing = if self.middle.queued() > 0 { Interest::WRITABLE } else { Interest::READABLE };
        self.stream.ready(Interest::READABLE | writing).await?;
        self.buffer.resize(64 << 10, 0);
        match self.stream.try_read(&mut self.buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                self.buffer.truncate(len);
                self.middle.input(now(), &mut self.buffer);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next message, which must be this client's.
    pub(crate) async fn answer(&mut self, client: ConnId) -> Vec<u8> {
        match self.next().await {
            Said::Answer { conn, message } if conn == client => message,
            other => panic!("no answer for {client}: {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, conn: ConnId, message: &[u8], quick_ack: bool) {
        self.queue(conn, message, quick_ack);
        self.flush().await.unwrap();
    }

    pub(crate) fn queue(&mut self, conn: ConnId, message: &[u8], quick_ack: bool) {
        self.middle.send(now(), conn, message, quick_ack).unwrap();
    }

    pub(crate) async fn command(&mut self, conn: ConnId, command: &Command) {
        self.send(conn, &command.encode(), false).await;
    }

    pub(crate) async fn echo(&mut self, conn: ConnId, content: &[u8]) {
        let packet = Command::Echo(content.to_vec()).encode();
        self.send(conn, &packet, false).await;
        assert_eq!(self.answer(conn).await, packet);
    }

    pub(crate) async fn report(&mut self, conn: ConnId) -> Report {
        self.command(conn, &Command::Report).await;
        Report::decode(&self.answer(conn).await).unwrap()
    }

    /// Makes it ask whether the other side is there.
    pub(crate) async fn ping(&mut self) {
        let due = self.middle.poll_timeout().unwrap();
        self.middle.timeout(due);
        self.flush().await.unwrap();
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.middle.poll_transmit() {
            let len = bytes.len();
            self.stream.write_all(bytes).await?;
            self.middle.transmitted(len);
        }
        Ok(())
    }
}
