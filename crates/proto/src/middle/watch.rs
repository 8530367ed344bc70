//! The clock of a link: is the middle proxy there, and does it answer?

use std::time::{Duration, Instant};

use crate::rpc::ConnId;

/// From the TCP connection to the end of the handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);

/// A link that was asked something and answers nothing at all for this long is suspect.
pub const SUSPECT_AFTER: Duration = Duration::from_secs(5);

/// After half of that it is asked whether it is there: many messages of clients have no answer.
const PROBE_AFTER: Duration = Duration::from_millis(2500);

/// A link that says nothing for this long is asked whether it is there, with some jitter.
const QUIET: Duration = Duration::from_secs(25);
const QUIET_JITTER_MS: u64 = 10_000;

/// Own pings that may be sent one after the other while nothing at all comes.
const MAX_UNANSWERED: u8 = 2;

/// Deadlines of one link.
#[derive(Debug)]
pub(super) struct Watch {
    /// The end of the handshake's time; `None` once it is done.
    handshake: Option<Instant>,
    /// When to ping unless something is heard before.
    ping_at: Instant,
    /// The last ping, while it has no answer.
    ping: Option<([u8; 8], Instant)>,
    /// Pings sent since something came.
    pings: u8,
    /// The first message after which nothing was answered.
    asked: Option<Instant>,
    /// The first of these that was the first of its client, which never go without an answer; and that client.
    opening: Option<(Instant, ConnId)>,
    /// When something was last answered.
    answered: Instant,
    suspect: bool,
    /// State of the generator of ping times and numbers.
    random: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    HandshakeTimeout,
    NoPong,
    Ping([u8; 8]),
    Suspect,
}

impl Watch {
    /// For a connection that is made now.
    pub(super) fn new(now: Instant, seed: u64) -> Self {
        Self {
            handshake: Some(later(now, HANDSHAKE_TIMEOUT)),
            ping_at: now,
            ping: None,
            pings: 0,
            asked: None,
            opening: None,
            answered: now,
            suspect: false,
            random: seed,
        }
    }

    /// The handshake is done.
    pub(super) fn ready(&mut self, now: Instant) {
        self.handshake = None;
        self.heard(now);
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.pings = 0;
        self.ping_at = self.next_ping(now);
    }

    /// A client's message is on its way; `first` if that client never got an answer.
    pub(super) fn asked(&mut self, now: Instant, conn: ConnId, first: bool) {
        self.asked.get_or_insert(now);
        if first {
            self.opening.get_or_insert((now, conn));
        }
    }

    /// A client's message was answered.
    pub(super) fn answered(&mut self, now: Instant) {
        self.answered = now;
        self.asked = None;
        self.opening = None;
        self.suspect = false;
    }

    /// A pong came. When it is the one waited for, how long that took.
    pub(super) fn pong(&mut self, now: Instant, id: [u8; 8]) -> Option<Duration> {
        let (_, sent) = self.ping.take_if(|(expected, _)| *expected == id)?;
        self.asked = None;
        // It is there; but does it pass anything on?
        self.suspect &= self.opening.is_some_and(|(first, _)| later(first, SUSPECT_AFTER) <= now);
        Some(now.saturating_duration_since(sent))
    }

    /// Whether the first message of this client is what an answer is waited for.
    pub(super) fn waits_for(&self, conn: ConnId) -> bool {
        self.opening.is_some_and(|(_, opening)| opening == conn)
    }

    /// That client has gone. The first messages of the others, and when they were sent, are `others`.
    pub(super) fn forget_opening(&mut self, others: impl Iterator<Item = (Instant, ConnId)>) {
        self.opening = others.filter(|&(sent, _)| sent > self.answered).min();
    }

    /// True from the moment that [`Due::Suspect`] was due until something is answered.
    pub(super) const fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// When [`due`](Self::due) will have something.
    pub(super) fn next(&self) -> Instant {
        let ping_at = Some(self.ping_at);
        self.handshake
            .or_else(|| [ping_at, self.probe_at(), self.suspect_at()].into_iter().flatten().min())
            .unwrap_or(self.ping_at)
    }

    /// What is due, one after the other.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        if let Some(deadline) = self.handshake {
            return (deadline <= now).then_some(Due::HandshakeTimeout);
        }
        if self.suspect_at().is_some_and(|at| at <= now) {
            self.suspect = true;
            return Some(Due::Suspect);
        }
        if self.probe_at().is_some_and(|at| at <= now) {
            return Some(self.ping(now));
        }
        if self.ping_at > now {
            return None;
        }
        Some(if self.pings < MAX_UNANSWERED { self.ping(now) } else { Due::NoPong })
    }

    fn probe_at(&self) -> Option<Instant> {
        let asked = self.asked?;
        let probed = self.ping.is_some_and(|(_, sent)| sent >= asked);
        (!probed).then_some(later(asked, PROBE_AFTER))
    }

    fn suspect_at(&self) -> Option<Instant> {
        let opening = self.opening.map(|(sent, _)| sent);
        let first = [self.asked, opening].into_iter().flatten().min()?;
        (!self.suspect).then_some(later(first, SUSPECT_AFTER))
    }

    fn ping(&mut self, now: Instant) -> Due {
        let id = self.next_random().to_le_bytes();
        self.ping = Some((id, now));
        self.pings = self.pings.saturating_add(1);
        self.ping_at = self.next_ping(now);
        Due::Ping(id)
    }

    fn next_ping(&mut self, now: Instant) -> Instant {
        let jitter = self.next_random() % QUIET_JITTER_MS;
        later(later(now, QUIET), Duration::from_millis(jitter))
    }

    /// The next number of SplitMix64.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A time so far away that it cannot be told is now: sooner is safer than never.
fn later(from: Instant, after: Duration) -> Instant {
    from.checked_add(after).unwrap_or(from)
}
