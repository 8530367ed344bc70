//! The task of one link: it connects, and then takes turn after turn in which it reads, delivers and writes.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use teleferry_proto::middle::{DownReason, Event, Middle};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::delivery::Delivery;
use super::hoarders::Pause;
use super::link::{Cause, Link};
use super::pool::Pool;
use crate::clock;
use crate::net::Held;
use crate::observe::{CloseReason, DcCounters, Kind, Stage};
use crate::shard::{Alarm, Expiry, SCRATCH, Shard, take_turns};

/// Bytes read at once, for many clients: the more there are, the fewer answers come in two pieces and are copied once more.
const READ: usize = SCRATCH;
/// Bytes read before others have their turn.
const TURN: usize = READ;
/// Bytes to encrypt from which it is worth while to look for another link that has as many.
const BULK: usize = 4 << 10;
/// What may wait for the clients of a link that does not pause even then, in bytes.
const MODEST: usize = 64 << 10;
/// How often a pausing link looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// A middle proxy whose clock is this much ahead or behind is told; it takes 30 s.
const CLOCK_WARNING_S: u64 = 5;

/// A connected link in its task.
pub(super) struct Turns {
    shard: Rc<Shard>,
    pool: Rc<Pool>,
    link: Rc<Link>,
    stream: TcpStream,
    alarm: Alarm,
    /// What waits to be written.
    held: Held,
    /// What is counted for its data centre.
    dc: Arc<DcCounters>,
    /// Reading pauses.
    paused: Option<Pause>,
}

/// What a turn found out that the pool has to know.
#[derive(Debug, Default)]
struct News {
    ready: bool,
    suspect: bool,
    down: Option<Cause>,
}

impl Turns {
    /// A link that is connected over `stream`.
    pub(super) fn new(shard: Rc<Shard>, pool: Rc<Pool>, link: Rc<Link>, stream: TcpStream) -> Self {
        let (alarm, held) = (shard.alarm(), shard.shared.memory.part());
        let dc = shard.counters().dc(pool.dc().get());
        Self { shard, pool, link, stream, alarm, held, dc, paused: None }
    }

    /// Runs it until it ends.
    pub(super) async fn run(mut self) -> Cause {
        std::future::poll_fn(|cx| self.turn(cx)).await
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Cause> {
        self.link.begin_turn(cx.waker());
        if let Some(cause) = self.link.take_doom() {
            return Poll::Ready(cause);
        }
        let now = clock::now();
        let news = self.take_in(cx, now);
        if let Some(cause) = news.down {
            // A refused handshake is answered with the reason, if the socket takes it now.
            let _ = self.give_out(cx);
            return Poll::Ready(cause);
        }
        if news.ready || news.suspect {
            self.pool.tend(&self.shard, now);
        }
        self.give_out(cx).map_or(Poll::Pending, |error| Poll::Ready(Cause::Broken(error)))
    }

    /// Reads, delivers, and does what is due.
    fn take_in(&mut self, cx: &mut Context<'_>, now: Instant) -> News {
        let mut news = News::default();
        let due = self.alarm.poll(cx) == Poll::Ready(Expiry::Deadline);
        let link = Rc::clone(&self.link);
        let mut machine = link.machine().borrow_mut();
        let Some(machine) = machine.as_mut() else { return news };
        let pausing = self.is_pausing(cx, now);
        if !pausing {
            self.read(cx, now, machine, &mut news);
        }
        // While it pauses, answers may lie in the socket: nothing is to be concluded from their absence.
        if due && !pausing && news.down.is_none() {
            machine.timeout(now);
            self.heed(now, machine, &[], &mut news);
        }
        news
    }

    fn read(&mut self, cx: &mut Context<'_>, now: Instant, machine: &mut Middle, news: &mut News) {
        let shard = Rc::clone(&self.shard);
        let mut scratch = shard.scratch();
        let mut moved = 0;
        while news.down.is_none() {
            // At the limit every piece is looked at, whether it is for somebody who does not read.
            if moved >= TURN || (moved > 0 && self.shard.shared.memory.is_over()) {
                take_turns(cx);
                break;
            }
            let mut read = ReadBuf::new(&mut scratch[..READ]);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => news.down = Some(Cause::Broken(error)),
                Poll::Ready(Ok(())) => {
                    let data = read.filled_mut();
                    moved += data.len();
                    self.dc.received.add(data.len() as u64);
                    self.shard.counters().telegram_reads.observe(data.len() as u64);
                    if data.is_empty() {
                        machine.end_of_input();
                    } else {
                        machine.input(now, data);
                    }
                    self.heed(now, machine, data, news);
                }
            }
        }
    }

    /// Does what the machine's events ask for; `data` is its last input.
    fn heed(&self, now: Instant, machine: &mut Middle, data: &[u8], news: &mut News) {
        let mut bench = self.shard.workbench();
        let mut delivery = Delivery::new(&mut bench, self.shard.moment());
        while let Some(event) = machine.poll_event() {
            match event {
                Event::Answer { conn, message, .. } => {
                    self.link.answered();
                    if let Some(port) = self.link.port(conn) {
                        let message = machine.message(data, message);
                        if let Some(waited) = port.unanswered(self.shard.counters(), now) {
                            self.shard.counters().stage(Stage::Relay, waited);
                        }
                        self.shard.counters().answers.observe(message.len() as u64);
                        delivery.message(port, message);
                    }
                }
                Event::Ack { conn, token } => {
                    self.link.answered();
                    if let Some(port) = self.link.port(conn) {
                        delivery.ack(port, token);
                    }
                }
                Event::Closed { conn } => {
                    delivery.flush();
                    if let Some(port) = self.link.forget(conn) {
                        port.closed_by_telegram();
                    }
                }
                Event::Ready(ready) => {
                    self.link.became_ready(now);
                    self.shard.links().opened.add(1);
                    self.tell_clock(ready.clock_ahead);
                    news.ready = true;
                }
                Event::Suspect => news.suspect = true,
                Event::Down(reason) => news.down = Some(self.down(reason)),
                _ => {}
            }
        }
        delivery.flush();
    }

    fn down(&self, reason: DownReason) -> Cause {
        if !self.link.was_ready()
            && let Some(more) = self.shard.throttles.middle_refused.pass(clock::now())
        {
            warn!(dc = %self.pool.dc(), endpoint = %self.link.endpoint(), more, "no link to a middle proxy: {reason}");
        }
        Cause::Down(reason)
    }

    fn tell_clock(&self, ahead: i64) {
        debug!(dc = %self.pool.dc(), endpoint = %self.link.endpoint(), clock_ahead = ahead, "a link is ready");
        if ahead.unsigned_abs() > CLOCK_WARNING_S
            && let Some(more) = self.shard.throttles.middle_clock.pass(clock::now())
        {
            warn!(
                seconds = ahead,
                more,
                "a middle proxy's clock is ahead of ours; it refuses more than 30 s: set this machine's clock"
            );
        }
    }

    /// Encrypts bulk beside that of another link, if there is one: two streams at once cost what one costs.
    fn seal_beside(&self, machine: &mut Middle) {
        if machine.unsealed() < BULK {
            return;
        }
        if let Some(link) = self.shard.pools.most_laden_beside(&self.link)
            && let Some(other) = &mut *link.machine().borrow_mut()
            && other.unsealed() >= BULK
        {
            machine.seal_with(other);
        }
    }

    /// Writes what waits, and sets the next deadline.
    fn give_out(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let mut machine = self.link.machine().borrow_mut();
        let machine = machine.as_mut()?;
        self.seal_beside(machine);
        while let Some(bytes) = machine.poll_transmit() {
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(taken)) => {
                    machine.transmitted(taken);
                    self.dc.sent.add(taken as u64);
                }
                Poll::Ready(Err(error)) => return Some(error),
            }
        }
        let queued = machine.queued();
        self.held.set(queued);
        self.link.wake_blocked(queued);
        match (&self.paused, machine.poll_timeout()) {
            (Some(_), _) => self.alarm.set(LOOK_AGAIN),
            (None, Some(at)) => self.alarm.set(at.saturating_duration_since(clock::now())),
            (None, None) => self.alarm.clear(),
        }
        // The slot keeps our waker; that everything was drained means nothing to a link.
        let _ = self.alarm.poll(cx);
        None
    }

    /// Whether too much waits in memory, here too, for more to be read. Those that make others wait do not do so for ever.
    fn is_pausing(&mut self, cx: &Context<'_>, now: Instant) -> bool {
        let memory = &self.shard.shared.memory;
        if !memory.is_over() || self.link.hoarded() <= MODEST || !memory.wait(cx.waker()) {
            self.paused = None;
            return false;
        }
        let hoards = self.link.hoards();
        let pause = self.paused.get_or_insert_with(|| {
            memory.pause();
            Pause::begin(now, hoards.iter().copied())
        });
        let here = hoards.iter().map(|&(_, bytes)| bytes).sum();
        for conn in pause.overdue(now, hoards.into_iter(), memory.excess_of(here)) {
            if let Some(port) = self.link.port(conn) {
                port.finish(Err(CloseReason::client(Kind::Memory)));
            }
        }
        true
    }
}
