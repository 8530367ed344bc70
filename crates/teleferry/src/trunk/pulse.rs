//! Whether the other end of a trunk still lives: pings of HTTP/2, and the time that their answers take.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

use super::Meter;
use crate::clock;
use crate::shard::{Alarm, Expiry};

/// How long after an answer the next ping follows.
const PAUSE: Duration = Duration::from_millis(1500);
/// How long an answer may take, unless something else comes meanwhile. With the pause it is less than the five seconds in which a dead end has to be noticed.
const PATIENCE: Duration = Duration::from_secs(3);

/// The pings of one trunk.
pub(crate) struct Pulse {
    ping_pong: PingPong,
    alarm: Alarm,
    meter: Rc<Meter>,
    /// When the ping that is under way was sent.
    sent: Option<Instant>,
    /// How long the last answer took.
    round_trip: Option<Duration>,
}

/// The other end does not answer.
#[derive(Debug)]
pub(crate) struct Dead;

impl Pulse {
    /// Begins with a ping at once.
    pub(crate) fn new(ping_pong: PingPong, alarm: Alarm, meter: Rc<Meter>) -> Self {
        Self { ping_pong, alarm, meter, sent: None, round_trip: None }
    }

    /// How long the last answer took.
    pub(crate) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Sends what is due. Ready when the other end is dead, or this one stops.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Dead> {
        loop {
            let Some(sent) = self.sent else {
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
                self.sent = Some(clock::now());
                self.alarm.set(PATIENCE);
                continue;
            };
            match self.ping_pong.poll_pong(cx) {
                Poll::Ready(Ok(_)) => {
                    self.round_trip = Some(clock::now().saturating_duration_since(sent));
                    self.sent = None;
                    self.alarm.set(PAUSE);
                }
                Poll::Ready(Err(_)) => return Poll::Pending,
                Poll::Pending => match self.alarm.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Expiry::Drained) => return Poll::Ready(Dead),
                    Poll::Ready(Expiry::Deadline) => {
                        // The answer may be behind much else.
                        let silent = clock::now().saturating_duration_since(self.meter.heard());
                        match PATIENCE.checked_sub(silent).filter(|rest| !rest.is_zero()) {
                            Some(rest) => self.alarm.set(rest),
                            None => return Poll::Ready(Dead),
                        }
                    }
                },
            }
        }
    }
}
