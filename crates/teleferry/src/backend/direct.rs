//! One session's own connection to a data centre.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use teleferry_proto::cipher::CtrStream;
use teleferry_proto::direct::{Direct, HEADROOM, TAILROOM};
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

/// How bytes go to the client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    /// Encrypted for it.
    Encrypted {
        /// Its cipher at position 0.
        to_client: &'a CtrStream,
        /// Without cryptography where that can be.
        fast_path: bool,
        /// In TLS records.
        records: bool,
    },
    /// Decrypted: the front encrypts.
    Plain,
}

impl DirectLeg {
    /// Connects to the data centre. Its header goes out with the first frames, in one write.
    ///
    /// # Errors
    /// None of its addresses can be connected to.
    pub(crate) async fn open(
        destination: &Destination,
        header: Header,
        way: Way<'_>,
        connect_timeout: Duration,
    ) -> Result<Self, DialError> {
        let (stream, address) = dial(&destination.addresses, connect_timeout).await?;
        let header = Header { dc: destination.dc, ..header };
        let (wire, direct) = draw_header(header, way);
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

    /// Reads into `buf` what goes to the client, ready to be sent; says where it stands. 0 bytes: the data centre has closed.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<Range<usize>>> {
        let room = HEADROOM..buf.len() - TAILROOM;
        loop {
            let mut read = ReadBuf::new(&mut buf[room.clone()]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let len = read.filled().len();
            if len == 0 {
                let rest = self.direct.end();
                buf[..rest.len()].copy_from_slice(rest);
                return Poll::Ready(Ok(0..rest.len()));
            }
            let sent = self.direct.to_client(buf, room.start..room.start + len, entropy::fill);
            if !sent.is_empty() {
                return Poll::Ready(Ok(sent));
            }
        }
    }

    /// The socket, when what comes from it goes to the client as it is, and how many of the next bytes do.
    pub(crate) fn passing(&self) -> Option<(&TcpStream, usize)> {
        match self.direct.unseen() {
            0 => None,
            unseen => Some((&self.stream, unseen)),
        }
    }

    /// So many of these bytes have gone there.
    pub(crate) fn passed(&mut self, len: usize) {
        self.direct.passed(len);
    }

    /// Takes bytes that were to go past and are too few to be sent alone; says where in `buf` those stand that go to the
    /// client now.
    pub(crate) fn take_back(&mut self, buf: &mut [u8], data: Range<usize>) -> Range<usize> {
        self.direct.to_client(buf, data, entropy::fill)
    }

    /// Tells the data centre that the client sends nothing more.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>) {
        // Never blocks on a TCP socket; an error shows in the next read.
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
    }
}

/// Draws random bytes until they make a header that looks like no other protocol.
fn draw_header(header: Header, way: Way<'_>) -> ([u8; HEADER_LEN], Direct) {
    loop {
        let random = entropy::array();
        let drawn = match way {
            Way::Encrypted { to_client, fast_path, records } => {
                Direct::open(&random, header, to_client, fast_path, records)
            }
            Way::Plain => Direct::open_plain(&random, header),
        };
        if let Some(drawn) = drawn {
            return drawn;
        }
    }
}
