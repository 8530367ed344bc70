//! Counters of the links to middle proxies.

use super::counters::Counter;

/// What one shard counts for its links.
#[derive(Debug, Default)]
pub struct LinkCounters {
    /// Links whose handshake was done.
    pub opened: Counter,
    /// Links that ended after that, for whatever reason.
    pub closed: Counter,
    /// Links that ended before.
    pub failed: Counter,
    /// Clients whose link went away under them.
    pub uprooted: Counter,
    /// Clients that were put on a link, for the first time or again.
    pub placed: Counter,
    /// Clients for which no link could be had in time.
    pub stranded: Counter,
}

/// The counters of all shards' links, summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Links whose handshake was done.
    pub opened: u64,
    /// Links that are open now.
    pub open: u64,
    /// Links that ended before their handshake was done.
    pub failed: u64,
    /// Clients whose link went away under them.
    pub uprooted: u64,
    /// Clients that were put on a link, for the first time or again.
    pub placed: u64,
    /// Clients for which no link could be had in time.
    pub stranded: u64,
    /// Bytes that wait for slow clients, and on links, in the whole process.
    pub queued: u64,
    /// How often a link stopped reading because too much waited.
    pub pauses: u64,
}

impl LinkCounts {
    /// Adds what one shard counted.
    pub fn add(&mut self, shard: &LinkCounters) {
        for (sum, counter) in [
            (&mut self.opened, &shard.opened),
            (&mut self.failed, &shard.failed),
            (&mut self.uprooted, &shard.uprooted),
            (&mut self.placed, &shard.placed),
            (&mut self.stranded, &shard.stranded),
        ] {
            *sum += counter.get();
        }
        self.open += shard.opened.get().saturating_sub(shard.closed.get());
    }
}
