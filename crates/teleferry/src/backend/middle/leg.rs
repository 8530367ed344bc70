//! One session's way to Telegram over a link.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use teleferry_proto::middle::Client;
use teleferry_proto::obfuscated::Header;
use teleferry_proto::rpc::AdTag;
use teleferry_proto::transport::{Collected, Collector};

use super::pool::{Pool, seen_from_outside};
use super::port::{Down, Port};
use crate::backend::Exit;
use crate::clock;
use crate::config::ErrorFilter;
use crate::net::{Held, Peer};
use crate::observe::{CloseReason, Kind};
use crate::shard::{Listener, Moment, Shard};

/// How long a new session waits for a link, at most.
const FIRST_LINK_TIME: Duration = Duration::from_secs(5);
/// The same when it can go direct instead.
const CHOICE_TIME: Duration = Duration::from_secs(2);

/// What is left in memory of one half message before it is counted, in bytes. Most come in one piece.
const COUNTED_FROM: usize = 16 << 10;

/// A session's end of a link. Answers go past it, from the link's task straight to the client's socket.
#[derive(Debug)]
pub(crate) struct MiddleLeg {
    port: Rc<Port>,
    collector: Collector,
    /// What is held of a message that is not whole.
    held: Held,
}

/// Who wants to go to Telegram.
pub(crate) struct Passenger<'a> {
    /// What its header said.
    pub(crate) header: Header,
    /// Where its answers go.
    pub(crate) exit: Exit,
    /// Where it is.
    pub(crate) peer: Peer,
    /// The address of ours that it found, or its front.
    pub(crate) own: Option<SocketAddr>,
    /// What middle proxies are told with its messages.
    pub(crate) ad_tag: Option<AdTag>,
    /// It was somewhere else before, and had answers.
    pub(crate) moved: bool,
    /// The listener that it came through.
    pub(crate) listener: &'a Rc<Listener>,
}

impl MiddleLeg {
    /// Waits for a link of the pool. With `can_go_direct` there is less patience.
    ///
    /// # Errors
    /// None could be had in time.
    pub(crate) async fn open(
        shard: &Rc<Shard>,
        pool: &Rc<Pool>,
        passenger: &Passenger<'_>,
        can_go_direct: bool,
    ) -> Result<Self, CloseReason> {
        let patience = if can_go_direct { CHOICE_TIME } else { FIRST_LINK_TIME };
        let now = clock::now();
        let framing = passenger.header.framing;
        let (filter, queue_limit, connect_timeout) = {
            let settings = shard.settings();
            let telegram = &settings.telegram;
            (settings.relay.filter_server_errors, settings.limits.client_queue, telegram.connect_timeout)
        };
        // What comes first is behind a client that moved.
        let filter = if passenger.moved && filter == ErrorFilter::First { ErrorFilter::Off } else { filter };
        let down = Down { exit: passenger.exit.clone(), framing, filter, queue_limit, answered: false };
        let memory = &shard.shared.memory;
        let until = now + patience.min(connect_timeout);
        let listener = Rc::clone(passenger.listener);
        // The low half counts on from zero when it is full.
        let begun = shard.counters().millis(now) as u32;
        let client = passenger.introduce(shard);
        let leg = Self {
            port: Rc::new(Port::new(client, listener, down, begun, until, memory.part())),
            collector: Collector::new(framing),
            held: memory.part(),
        };
        pool.join(shard, &leg.port, now);
        std::future::poll_fn(|cx| leg.port.poll_placed(cx)).await?;
        Ok(leg)
    }

    /// Takes decrypted frames of the client; every message that is whole goes out with the link's next flush. Says how
    /// many bytes those have.
    ///
    /// # Errors
    /// The session is over, for this reason.
    pub(crate) fn send(&mut self, mut frames: &[u8]) -> Result<usize, CloseReason> {
        let now = clock::now();
        let mut sent = 0;
        loop {
            let next = self.collector.next(&mut frames);
            match next.map_err(|_| CloseReason::client(Kind::FrameLength))? {
                Some(Collected { message, quick_ack }) => {
                    sent += message.map(<[u8]>::len).iter().sum::<usize>();
                    self.port.send(now, message, quick_ack)?;
                }
                None => break,
            }
        }
        self.count_held()?;
        Ok(sent)
    }

    /// True when more can be sent without piling up; when not, the session is woken once it can.
    pub(crate) fn is_clear(&self) -> bool {
        self.port.is_clear()
    }

    /// Ready once nothing more comes for the client: in order, or for this reason.
    pub(crate) fn poll_end(&self, cx: &Context<'_>) -> Poll<Result<(), CloseReason>> {
        self.port.poll_end(cx)
    }

    /// The client sends nothing more, and so gets nothing more: the middle proxy knows no half of a client.
    pub(crate) fn end(&self) {
        self.port.leave();
        self.port.finish(Ok(()));
    }

    /// When something last came from Telegram.
    pub(crate) fn heard(&self) -> Option<Moment> {
        self.port.heard()
    }

    /// When a link last went away under it, with what the client had asked for there.
    pub(crate) fn uprooted(&self) -> Option<Moment> {
        self.port.uprooted()
    }

    /// Bytes that are held of a message that is not whole.
    pub(crate) fn held(&self) -> usize {
        self.collector.held()
    }

    /// How often it went from one link to another.
    pub(crate) fn migrations(&self) -> u32 {
        self.port.migrations()
    }

    /// The address of the middle proxy.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.port.endpoint()
    }

    /// Half a message takes memory like everything that waits; when there is none left, its client goes.
    fn count_held(&mut self) -> Result<(), CloseReason> {
        let held = self.collector.held();
        self.held.set(if held < COUNTED_FROM { 0 } else { held });
        if held >= COUNTED_FROM && self.held.is_over() {
            return Err(CloseReason::client(Kind::Memory));
        }
        Ok(())
    }
}

impl Drop for MiddleLeg {
    fn drop(&mut self) {
        self.port.leave();
    }
}

impl Passenger<'_> {
    /// What a middle proxy is told of the client.
    fn introduce(&self, shard: &Shard) -> Client {
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let own = self.own.unwrap_or(nowhere);
        Client {
            address: match self.peer {
                Peer::Inet(address) => SocketAddr::new(address.ip().to_canonical(), address.port()),
                Peer::Local => nowhere,
            },
            proxy: shard.pools.known().map_or(own, |known| seen_from_outside(own, &known)),
            framing: self.header.framing,
            ad_tag: self.ad_tag,
        }
    }
}
