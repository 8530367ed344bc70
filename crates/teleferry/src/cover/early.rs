//! The cover site, called before it is known whether the connection is a visitor's.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use teleferry_proto::fake_tls::client_hello::ClientHello;

use super::call::Call;
use super::site::{Visitor, Wanted};
use crate::client::Connection;
use crate::clock;
use crate::entropy;
use crate::net::Stream;
use crate::observe::{CloseReason, Kind};

type Calling = Pin<Box<dyn Future<Output = io::Result<Call>>>>;

/// A call to the cover site that was made before there was a verdict. It is given the connection's bytes once they have
/// been judged, and the connection gets nothing of it: as soon as the site says something, it is a visit.
#[derive(Debug, Default)]
pub(crate) struct Early(State);

#[derive(Default)]
enum State {
    /// Not called.
    #[default]
    Idle,
    /// Since then.
    Calling(Calling, Instant),
    /// Connected; this many of the first bytes are on their way there.
    Connected(Call, usize),
    /// It cannot be reached. A client may come in all the same.
    Failed,
}

/// What an early call has come to when it turns out to be a visitor's.
pub(super) enum Progress {
    /// Nothing that is of use.
    None,
    Calling(Calling),
    /// Connected, with this many of the first bytes on their way there.
    Connected(Call, usize),
}

impl Early {
    /// Calls the site, unless there is none, or more than one, or it was called before; says whether it did.
    pub(crate) fn call(&mut self, connection: &Connection, stream: &Stream) -> bool {
        let site = connection.shard().cover();
        if !site.is_one() || !matches!(self.0, State::Idle) {
            return false;
        }
        let visitor = Visitor::new(connection, stream);
        if site.places().calls().lead_back(visitor, &[]) {
            // Nobody is sent round; whether it is a client shows all the same.
            self.0 = State::Failed;
            return true;
        }
        let calling = Box::pin(async move { site.receive(Wanted::default(), visitor).await });
        self.0 = State::Calling(calling, clock::now());
        true
    }

    /// Goes on with the call, and sends what the site has not got of `first_bytes`. Ready once the site has said something,
    /// or ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, first_bytes: &[u8]) -> Poll<()> {
        if let State::Calling(calling, _) = &mut self.0
            && let Poll::Ready(called) = calling.as_mut().poll(cx)
        {
            self.0 = called.map_or(State::Failed, |call| State::Connected(call, 0));
        }
        let State::Connected(call, passed_on) = &mut self.0 else { return Poll::Pending };
        let news = &first_bytes[*passed_on..];
        *passed_on = first_bytes.len();
        if call.outbox.write(cx, &mut call.stream, news).is_err() {
            return Poll::Ready(());
        }
        call.stream.poll_read_ready(cx).map(drop)
    }

    /// Whether a hello that is whole now finds the site called; `None`: the call is under way.
    pub(super) const fn has_called(&self) -> Option<bool> {
        match self.0 {
            State::Idle | State::Failed => Some(false),
            State::Connected(..) => Some(true),
            State::Calling(..) => None,
        }
    }

    /// When a client is answered whose hello was proven at this moment: as soon as the site would have answered it. `None`:
    /// nobody knows when that is.
    pub(crate) fn answer_at(
        &self,
        connection: &Connection,
        hello: &ClientHello<'_>,
        proven: Instant,
    ) -> Option<Instant> {
        if !connection.shard().settings().cover.latency {
            return None;
        }
        let site = connection.shard().cover();
        let draw = |called| {
            let question = site.places().question(hello, called);
            site.places().latencies().draw(question, u32::from_le_bytes(entropy::array()))
        };
        match &self.0 {
            State::Connected(..) => Some(proven + draw(true)?),
            // The site has the hello once it has the call, which began earlier.
            State::Calling(_, since) => Some((*since + draw(false)?).max(proven + draw(true)?)),
            State::Idle | State::Failed => Some(proven + draw(false)?),
        }
    }

    /// The connection has ended: so that the site learns of it as it would without us.
    pub(crate) fn break_off(self, reason: CloseReason) {
        if let (State::Connected(call, _), Kind::Reset) = (self.0, reason.kind) {
            call.stream.reset();
        }
    }

    /// What there is for a visitor who wants this. A call to somewhere else is dropped: the visitor has seen nothing of it.
    pub(super) fn into_progress(self, wanted: Wanted) -> Progress {
        match self.0 {
            State::Idle | State::Failed => Progress::None,
            _ if wanted != Wanted::default() => Progress::None,
            State::Calling(calling, _) => Progress::Calling(calling),
            State::Connected(call, passed_on) => Progress::Connected(call, passed_on),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Calling(..) => "Calling",
            Self::Connected(..) => "Connected",
            Self::Failed => "Failed",
        })
    }
}
