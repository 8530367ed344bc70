//! One session's way to Telegram, whichever it is.

use std::net::SocketAddr;
use std::ops::Range;
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use super::{DirectLeg, MiddleLeg, RemoteLeg};
use crate::observe::{CloseReason, Kind};
use crate::shard::Moment;

/// Where a session's frames go and its answers come from.
#[derive(Debug)]
pub(crate) enum Leg {
    /// A connection of its own to the data centre. Answers are [received](Self::poll_receive) by the session.
    Direct(DirectLeg),
    /// A place on a link to a middle proxy. Answers go past the session, to the client's socket.
    Middle(MiddleLeg),
    /// A call to a back, which takes it to Telegram. Answers are [received](Self::poll_receive) by the session.
    Remote(Box<RemoteLeg>),
}

/// The connection to Telegram broke.
fn broken<E>(_: E) -> CloseReason {
    CloseReason::telegram(Kind::Reset)
}

impl Leg {
    /// What the way is called in logs.
    pub(crate) const fn way(&self) -> &'static str {
        match self {
            Self::Direct(_) => "direct",
            Self::Middle(_) => "middle",
            Self::Remote(_) => "remote",
        }
    }

    /// Sends decrypted frames of the client, which stand at `buf[stream]` and may be written over. Says how many bytes
    /// went on; the rest waits.
    ///
    /// # Errors
    /// The session is over, for this reason.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        stream: Range<usize>,
    ) -> Result<usize, CloseReason> {
        match self {
            Self::Direct(leg) => leg.send(cx, buf, stream).map_err(broken),
            Self::Middle(leg) => leg.send(&buf[stream]),
            Self::Remote(leg) => leg.send(&buf[stream]),
        }
    }

    /// Pushes what waits; says how many bytes went on.
    ///
    /// # Errors
    /// The session is over, for this reason.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> Result<usize, CloseReason> {
        match self {
            Self::Direct(leg) => leg.flush(cx).map_err(broken),
            // What has to end now does not wait until the client has taken what is there.
            Self::Middle(leg) => match leg.poll_end(cx) {
                Poll::Ready(Err(reason)) => Err(reason),
                Poll::Ready(Ok(())) | Poll::Pending => Ok(0),
            },
            Self::Remote(leg) => leg.flush(cx).map(|()| 0),
        }
    }

    /// The client does not take what came for it.
    ///
    /// # Errors
    /// The session is over, for this reason.
    pub(crate) fn stalled(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        match self {
            // What waits here is one read; a link keeps an account of its own.
            Self::Direct(_) | Self::Middle(_) => Ok(()),
            Self::Remote(leg) => leg.stalled(cx),
        }
    }

    /// True when more can be sent without piling up.
    pub(crate) fn is_clear(&self) -> bool {
        match self {
            Self::Direct(leg) => leg.is_clear(),
            Self::Middle(leg) => leg.is_clear(),
            Self::Remote(leg) => leg.is_clear(),
        }
    }

    /// Reads into `buf` what goes to the client, ready to be sent; says where it stands. 0 bytes: nothing more comes.
    ///
    /// # Errors
    /// The session is over, for this reason.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<Range<usize>, CloseReason>> {
        match self {
            Self::Direct(leg) => leg.poll_receive(cx, buf).map_err(broken),
            Self::Middle(leg) => leg.poll_end(cx).map_ok(|()| 0..0),
            Self::Remote(leg) => leg.poll_receive(cx, buf),
        }
    }

    /// Tells Telegram that the client sends nothing more.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Direct(leg) => leg.end(cx),
            Self::Middle(leg) => leg.end(),
            Self::Remote(leg) => leg.end(),
        }
    }

    /// When something last came past the session; `None` when all comes through it, or nothing came so far.
    pub(crate) fn heard(&self) -> Option<Moment> {
        match self {
            Self::Direct(_) | Self::Remote(_) => None,
            Self::Middle(leg) => leg.heard(),
        }
    }

    /// How often the session went from one link to another.
    pub(crate) fn migrations(&self) -> u32 {
        match self {
            Self::Middle(leg) => leg.migrations(),
            Self::Direct(_) | Self::Remote(_) => 0,
        }
    }

    /// When a link last went away under the session; what it had asked for there may be lost.
    pub(crate) fn uprooted(&self) -> Option<Moment> {
        match self {
            Self::Direct(_) => None,
            Self::Middle(leg) => leg.uprooted(),
            Self::Remote(leg) => leg.uprooted(),
        }
    }

    /// Bytes that are held of a packet of the client, which goes on once all of it is here.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Direct(_) => 0,
            Self::Middle(leg) => leg.held(),
            Self::Remote(leg) => leg.held(),
        }
    }

    /// The address at the other end as far as it is of interest: of a middle proxy, or of a data centre that has answered
    /// no request.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Direct(leg) => leg.unproven(),
            Self::Middle(leg) => leg.address(),
            Self::Remote(_) => None,
        }
    }

    /// The address of the data centre, as long as that has answered no request. A link is judged by its pool.
    pub(crate) fn unproven(&self) -> Option<SocketAddr> {
        match self {
            Self::Direct(leg) => leg.unproven(),
            Self::Middle(_) | Self::Remote(_) => None,
        }
    }

    /// The data centre has answered; gives its address the first time.
    pub(crate) fn proven(&mut self) -> Option<SocketAddr> {
        match self {
            Self::Direct(leg) => leg.proven(),
            Self::Middle(_) | Self::Remote(_) => None,
        }
    }

    /// The socket, when what comes from it goes to the client as it is, and how many of the next bytes do.
    pub(crate) fn passing(&self) -> Option<(&TcpStream, usize)> {
        match self {
            Self::Direct(leg) => leg.passing(),
            Self::Middle(_) | Self::Remote(_) => None,
        }
    }

    /// So many of these bytes have gone there.
    pub(crate) fn passed(&mut self, len: usize) {
        if let Self::Direct(leg) = self {
            leg.passed(len);
        }
    }

    /// Takes bytes at `buf[data]` that were to go past, and are too few to be sent alone; says which go to the client now.
    pub(crate) fn take_back(&mut self, buf: &mut [u8], data: Range<usize>) -> Range<usize> {
        match self {
            Self::Direct(leg) => leg.take_back(buf, data),
            Self::Middle(_) | Self::Remote(_) => data,
        }
    }
}
