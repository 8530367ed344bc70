//! What all middle proxies together have seen.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Violation;
use crate::counters::counters;

counters! {
    /// The counters of all middle proxies, live.
    Counters { by_rule: Mutex<BTreeMap<Violation, u64>>, }
    /// The counters at one moment.
    Counts {
    /// Links accepted.
    accepted,
    /// Links ended, whoever ended them.
    closed,
    /// Handshakes done.
    ready,
    /// Handshakes after which frames carry CRC-32C.
    crc32c,
    /// Links closed in order because their time was up.
    rotated,
    /// Connection ids opened, by their first message.
    clients_opened,
    /// Connection ids ended, also with their link.
    clients_closed,
    /// Connection ids that the proxy closed.
    closed_by_proxy,
    /// Connection ids that were closed from here.
    closed_here,
    /// Messages received from clients.
    messages_in,
    /// Of these: messages that nobody will answer, or not to the end, as the link was being closed.
    lost,
    /// Of these: messages for connection ids that were closed from here before.
    late,
    /// Messages sent to clients.
    messages_out,
    /// Bytes of the messages received.
    bytes_in,
    /// Bytes of the messages sent.
    bytes_out,
    /// Messages that asked for a quick ack.
    acks_asked,
    /// Quick acks sent.
    acks_sent,
    /// Pings received.
    pings_in,
    /// Pings sent.
    pings_out,
    /// Pings answered by the proxy.
    pongs,
    /// Answers and quick acks sent for connection ids that never were.
    strangers,
    /// Of these ids: closed by the proxy, as they should be.
    strangers_closed,
    /// Rules broken; see [`Counters::violations`].
    violations,
    }
}

impl Counts {
    /// Links open.
    #[must_use]
    pub const fn links(&self) -> u64 {
        self.accepted.saturating_sub(self.closed)
    }

    /// Connection ids open.
    #[must_use]
    pub const fn clients(&self) -> u64 {
        self.clients_opened.saturating_sub(self.clients_closed)
    }
}

impl Counters {
    /// Which rules were broken, and how often.
    #[must_use]
    pub fn violations(&self) -> BTreeMap<Violation, u64> {
        self.by_rule.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn count_violation(&self, violation: Violation) {
        *self.by_rule.lock().unwrap_or_else(PoisonError::into_inner).entry(violation).or_default() += 1;
        self.violations.bump();
    }
}
