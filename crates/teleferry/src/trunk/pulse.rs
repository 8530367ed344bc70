//! Whether the other end of a trunk still lives: pings of HTTP/2, and the time that their answers take.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

use super::Meter;
use crate::clock;
use crate::shard::{Alarm, Expiry};
use crate::sys::Way;

/// How long after an answer the next ping follows.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may take, unless something else comes meanwhile. With the pause it is less than the five seconds in
/// which a dead end has to be noticed.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same, where the way is known to take that long: nobody can tell sooner there whether the other end is dead.
const MOST_PATIENCE: Duration = Duration::from_secs(12);
/// How often it is looked meanwhile whether the ping still makes its way to the other end.
const LOOK: Duration = Duration::from_millis(500);

/// The pings of one trunk.
pub(crate) struct Pulse {
    ping_pong: PingPong,
    alarm: Alarm,
    meter: Rc<Meter>,
    /// The ping that is under way.
    under_way: Option<UnderWay>,
    /// How long the last answer took.
    round_trip: Option<Duration>,
}

/// A ping without an answer so far.
#[derive(Debug)]
struct UnderWay {
    since: Instant,
    /// The connection has not been polled since.
    fresh: bool,
    /// Up to where it has been written, in bytes of the connection; `None` as long as it waits behind others.
    end: Option<u64>,
    /// Up to where the other end's system has what was written.
    acknowledged: u64,
    /// The way there and back, as it was last seen.
    way: Way,
    /// When something was last seen to move.
    moved: Instant,
}

/// The other end does not answer.
#[derive(Debug)]
pub(crate) struct Dead;

impl Pulse {
    /// Begins with a ping at once.
    pub(crate) fn new(ping_pong: PingPong, alarm: Alarm, meter: Rc<Meter>) -> Self {
        Self { ping_pong, alarm, meter, under_way: None, round_trip: None }
    }

    /// How long the last answer took.
    pub(crate) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Sends what is due. Ready when the other end is dead, or this one stops.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Dead> {
        if let Some(ping) = &mut self.under_way {
            ping.fresh = false;
        }
        loop {
            let Some(ping) = &mut self.under_way else {
                if self.round_trip.is_some() {
                    match self.alarm.poll(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Expiry::Drained) => return Poll::Ready(Dead),
                        Poll::Ready(Expiry::Deadline) => {}
                    }
                }
                if self.ping_pong.send_ping(Ping::opaque()).is_err() {
                    // The connection is over, and says so itself.
                    return Poll::Pending;
                }
                self.under_way = Some(UnderWay::new(&self.meter));
                self.alarm.set(LOOK);
                continue;
            };
            match self.ping_pong.poll_pong(cx) {
                Poll::Ready(Ok(_)) => {
                    self.round_trip = Some(clock::now().saturating_duration_since(ping.since));
                    self.under_way = None;
                    self.alarm.set(PAUSE);
                }
                Poll::Ready(Err(_)) => return Poll::Pending,
                Poll::Pending => {
                    ping.follow(&self.meter);
                    match self.alarm.poll(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Expiry::Drained) => return Poll::Ready(Dead),
                        Poll::Ready(Expiry::Deadline) => match ping.patience(&self.meter) {
                            Some(rest) => self.alarm.set(rest.min(LOOK)),
                            None => return Poll::Ready(Dead),
                        },
                    }
                }
            }
        }
    }
}

impl UnderWay {
    /// One that is sent now.
    fn new(meter: &Meter) -> Self {
        let now = clock::now();
        Self {
            since: now,
            fresh: true,
            end: None,
            acknowledged: meter.acknowledged().unwrap_or_default(),
            way: meter.way().unwrap_or_default(),
            moved: now,
        }
    }

    /// Notes when it has gone to the socket.
    fn follow(&mut self, meter: &Meter) {
        if !self.fresh && self.end.is_none() {
            self.end = meter.flushed();
        }
    }

    /// How much longer to wait for the answer; `None`: not at all.
    fn patience(&mut self, meter: &Meter) -> Option<Duration> {
        let now = clock::now();
        // Over a narrow way it may take long to get there behind much else. Only until it is there: what is written later
        // is acknowledged by a system whose program stands still, too.
        let way = meter.way().unwrap_or(self.way);
        let acknowledged = meter.acknowledged().unwrap_or(self.acknowledged);
        let goes = acknowledged > self.acknowledged || way.delivered != self.way.delivered;
        // Where something was lost, nothing is heard until it has come again, which is as long behind all the rest.
        let comes = way.early != self.way.early;
        (self.acknowledged, self.way) = (acknowledged, way);
        if comes || (goes && !self.is_there()) {
            self.moved = now;
        }
        // The answer may be behind much else as well.
        let silent = now.saturating_duration_since(self.moved.max(meter.heard()));
        // What got lost is said again after this time, and takes it once more.
        let patience = PATIENCE.max(way.round_trip.saturating_mul(2).min(MOST_PATIENCE));
        patience.checked_sub(silent).filter(|rest| !rest.is_zero())
    }

    /// The other end's system has it.
    fn is_there(&self) -> bool {
        self.end.is_some_and(|end| self.acknowledged >= end)
    }
}
