//! What a shard counts that belongs to no listener: its data centres, its links, its heartbeat.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::counters::Counter;
use super::histogram::{Histogram, Scale};
use super::links::LinkCounters;
use super::trunks::TrunkTable;

/// Data centres that one shard counts apart; further ones are counted together, as number 0.
const MAX_DCS: usize = 64;

/// What one shard counts as a whole. All but the two lists is relaxed counters with one writer; the lists are
/// locked once a session and once a link.
#[derive(Debug)]
pub struct ShardCounters {
    /// What its moments count from.
    epoch: Instant,
    /// Links to middle proxies.
    pub links: LinkCounters,
    /// Connections between fronts and backs, by the other side's name.
    pub trunks: TrunkTable,
    /// How long handshakes take, by [`Stage`].
    pub stages: [Histogram; Stage::ALL.len()],
    /// Bytes that came from sessions' clients at once.
    pub client_reads: Histogram,
    /// Bytes that came from Telegram at once.
    pub telegram_reads: Histogram,
    /// Messages that went to middle proxies, in bytes.
    pub messages: Histogram,
    /// Messages that came from middle proxies, in bytes.
    pub answers: Histogram,
    /// When it last went round, in milliseconds after the epoch.
    heartbeat: AtomicU64,
    /// When a data centre last answered without a middle proxy, in milliseconds after the epoch; 0: never.
    direct_answer: AtomicU64,
    dcs: Mutex<BTreeMap<i16, Arc<DcCounters>>>,
    gauges: Mutex<Vec<Arc<LinkGauge>>>,
}

/// A part of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the connection to the verdict on its first bytes.
    Verdict,
    /// From the verdict to the header that follows our answer; with fake TLS only.
    Answer,
    /// From there to the first byte relayed to the client.
    Relay,
}

/// What one shard counts for one data centre.
#[derive(Debug, Default)]
pub struct DcCounters {
    /// Sessions that were taken there.
    pub sessions: Counter,
    /// Sessions that ended.
    pub ended: Counter,
    /// Bytes that came from there, over links and directly.
    pub received: Counter,
    /// Bytes that went there.
    pub sent: Counter,
    /// Direct connections that came about.
    pub connected: Counter,
    /// Attempts in which no address answered.
    pub unreachable: Counter,
    /// Direct connections that took a request and answered nothing.
    pub silent: Counter,
}

/// How one link stands; its shard says so with every tick.
#[derive(Debug)]
pub struct LinkGauge {
    /// The data centre.
    pub dc: i16,
    /// The middle proxy.
    pub endpoint: SocketAddr,
    /// Its handshake is done, and it takes clients.
    pub ready: AtomicBool,
    /// It was asked something and answers nothing.
    pub suspect: AtomicBool,
    /// Clients on it.
    pub clients: AtomicU32,
}

impl ShardCounters {
    /// Counters whose moments begin at `epoch`.
    #[must_use]
    pub fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            links: LinkCounters::default(),
            trunks: TrunkTable::default(),
            stages: Stage::ALL.map(|_| Histogram::new(&Scale::STAGE)),
            client_reads: Histogram::new(&Scale::SIZE),
            telegram_reads: Histogram::new(&Scale::SIZE),
            messages: Histogram::new(&Scale::SIZE),
            answers: Histogram::new(&Scale::SIZE),
            heartbeat: AtomicU64::new(0),
            direct_answer: AtomicU64::new(0),
            dcs: Mutex::default(),
            gauges: Mutex::default(),
        }
    }

    /// The shard has gone round.
    pub fn beat(&self, now: Instant) {
        self.heartbeat.store(self.millis(now), Relaxed);
    }

    /// How long ago it last went round.
    #[must_use]
    pub fn since_beat(&self, now: Instant) -> Duration {
        Duration::from_millis(self.millis(now).saturating_sub(self.heartbeat.load(Relaxed)))
    }

    /// A data centre answered without a middle proxy.
    pub fn direct_answer(&self, now: Instant) {
        self.direct_answer.store(self.millis(now).max(1), Relaxed);
    }

    /// How long ago one last did so; `None`: never.
    #[must_use]
    pub fn since_direct_answer(&self, now: Instant) -> Option<Duration> {
        let at = self.direct_answer.load(Relaxed);
        (at > 0).then(|| Duration::from_millis(self.millis(now).saturating_sub(at)))
    }

    /// A moment in milliseconds after the epoch.
    #[must_use]
    pub fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts how long a stage took.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stages[stage as usize].observe(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    /// The counters of a data centre.
    pub fn dc(&self, id: i16) -> Arc<DcCounters> {
        let mut dcs = lock(&self.dcs);
        let id = if dcs.contains_key(&id) || dcs.len() < MAX_DCS { id } else { 0 };
        Arc::clone(dcs.entry(id).or_default())
    }

    /// Those of every data centre that there was.
    pub fn dcs(&self) -> BTreeMap<i16, Arc<DcCounters>> {
        lock(&self.dcs).clone()
    }

    /// A new link, which is listed as long as it is kept.
    pub fn link(&self, dc: i16, endpoint: SocketAddr) -> Arc<LinkGauge> {
        let gauge = Arc::new(LinkGauge {
            dc,
            endpoint,
            ready: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            clients: AtomicU32::new(0),
        });
        let mut gauges = lock(&self.gauges);
        gauges.retain(is_kept);
        gauges.push(Arc::clone(&gauge));
        gauge
    }

    /// The links that there are.
    pub fn link_gauges(&self) -> Vec<Arc<LinkGauge>> {
        lock(&self.gauges).iter().filter(|gauge| is_kept(gauge)).cloned().collect()
    }
}

/// Whether somebody besides the list has it.
fn is_kept(gauge: &Arc<LinkGauge>) -> bool {
    Arc::strong_count(gauge) > 1
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is under it is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LinkGauge {
    /// This is how it stands.
    pub fn set(&self, ready: bool, suspect: bool, clients: usize) {
        self.ready.store(ready, Relaxed);
        self.suspect.store(suspect, Relaxed);
        self.clients.store(u32::try_from(clients).unwrap_or(u32::MAX), Relaxed);
    }
}

impl Stage {
    /// Every stage, in the order of the enumeration.
    pub const ALL: [Self; 3] = [Self::Verdict, Self::Answer, Self::Relay];

    /// Its name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Answer => "answer",
            Self::Relay => "relay",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn data_centres_are_counted_apart_up_to_a_bound() {
        let shard = ShardCounters::new(clock::now());
        for id in 1..=1000 {
            shard.dc(id).sessions.add(1);
        }
        shard.dc(1).sessions.add(1);
        let dcs = shard.dcs();
        assert_eq!(dcs.len(), MAX_DCS + 1);
        assert_eq!(dcs[&1].sessions.get(), 2);
        assert_eq!(dcs[&0].sessions.get(), 1000 - MAX_DCS as u64);
    }

    #[test]
    fn links_are_listed_as_long_as_they_are_kept() {
        let shard = ShardCounters::new(clock::now());
        let endpoint = SocketAddr::from(([192, 0, 2, 1], 8888));
        let first = shard.link(2, endpoint);
        let second = shard.link(4, endpoint);
        second.set(true, false, 3);
        drop(first);
        let listed = shard.link_gauges();
        assert_eq!(listed.iter().map(|gauge| gauge.dc).collect::<Vec<_>>(), [4]);
        assert_eq!(listed[0].clients.load(Relaxed), 3);
    }

    #[test]
    fn moments_count_from_the_epoch() {
        let epoch = clock::now();
        let shard = ShardCounters::new(epoch);
        let at = |ms| epoch + Duration::from_millis(ms);
        assert_eq!(shard.since_direct_answer(at(5)), None);
        shard.beat(at(1000));
        shard.direct_answer(at(0));
        assert_eq!(shard.since_beat(at(1400)), Duration::from_millis(400));
        assert_eq!(shard.since_direct_answer(at(11)), Some(Duration::from_millis(10)));
    }
}
