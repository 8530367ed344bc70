//! One session's own connection to a data centre.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use teleferry_proto::cipher::CtrStream;
use teleferry_proto::direct::Direct;
use teleferry_proto::obfuscated::{HEADER_LEN, Header};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use super::Destination;
use crate::entropy;
use crate::net::{DialError, Outbox, dial};

/// One TCP connection to a data centre, for one session.
#[derive(Debug)]
pub(crate) struct DirectLeg {
    stream: TcpStream,
    /// The address that answered the dial, until it has answered a request.
    unproven: Option<Box<SocketAddr>>,
    direct: Direct,
    outbox: Outbox,
}

impl DirectLeg {
    /// Connects to the data centre. Its header goes out with the first frames, in one write.
    ///
    /// # Errors
    /// None of its addresses can be connected to.
    pub(crate) async fn open(
        destination: &Destination,
        header: Header,
        to_client: &CtrStream,
        fast_path: bool,
        connect_timeout: Duration,
    ) -> Result<Self, DialError> {
        let (stream, address) = dial(&destination.addresses, connect_timeout).await?;
        let header = Header { dc: destination.dc, ..header };
        let (wire, direct) = draw_header(header, to_client, fast_path);
        let mut outbox = Outbox::default();
        outbox.hold(&wire);
        Ok(Self { stream, unproven: Some(Box::new(address)), direct, outbox })
    }

    /// The address of the data centre, as long as that has answered no request.
    pub(crate) fn unproven(&self) -> Option<SocketAddr> {
        self.unproven.as_deref().copied()
    }

    /// The data centre has answered; gives its address the first time.
    pub(crate) fn proven(&mut self) -> Option<SocketAddr> {
        self.unproven.take().map(|address| *address)
    }

    /// Sends decrypted frames of the client, which stand at `buf[stream]`; they are encrypted in place. Says how many
    /// bytes the socket took; the rest waits.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        stream: Range<usize>,
    ) -> io::Result<usize> {
        let frames = &mut buf[stream];
        self.direct.to_dc(frames);
        self.outbox.write(cx, &mut self.stream, frames)
    }

    /// Offers the socket what waits; says how many bytes it took.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<usize> {
        self.outbox.flush(cx, &mut self.stream)
    }

    /// True when more can be sent without piling up.
    pub(crate) const fn is_clear(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Reads into `buf` what goes to the client, ready to be sent. 0 bytes: the data centre has closed.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        let received = read.filled_mut();
        self.direct.to_client(received);
        Poll::Ready(Ok(received.len()))
    }

    /// The socket, when what comes from it goes to the client as it is.
    pub(crate) const fn passing(&self) -> Option<&TcpStream> {
        if self.direct.is_fast_path() { Some(&self.stream) } else { None }
    }

    /// Tells the data centre that the client sends nothing more.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>) {
        // Never blocks on a TCP socket; an error shows in the next read.
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
    }
}

/// Draws random bytes until they make a header that looks like no other protocol.
fn draw_header(header: Header, to_client: &CtrStream, fast_path: bool) -> ([u8; HEADER_LEN], Direct) {
    loop {
        if let Some(drawn) = Direct::open(&entropy::array(), header, to_client, fast_path) {
            return drawn;
        }
    }
}
