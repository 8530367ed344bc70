//! The backs as one shard sees them: its trunks to each, and which one a session takes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::front::{Endpoint, Front};
use super::trunk::{Cause, Connected, Trunk};
use crate::clock;
use crate::entropy;
use crate::observe::TrunkCounters;
use crate::shard::Shard;

/// Trunks of one shard to one back, at most.
const MAX_TRUNKS: usize = 4;
/// Calls on every trunk from which on another one is made.
const CROWDED: usize = 2048;
/// How long after a failure the first attempt follows, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// A trunk that has lived this long has shown that its back is of use.
const PROVEN_AFTER: Duration = Duration::from_secs(5);
/// How long a back that would not take a call is asked last, and by those whom a back refused not at all.
pub(super) const SHY: Duration = Duration::from_secs(1);

/// The backs of one shard.
#[derive(Debug, Default)]
pub(crate) struct Backs {
    backs: RefCell<Vec<Rc<Back>>>,
    front: RefCell<Option<Arc<Front>>>,
    /// Sessions that wait for a trunk.
    waiting: RefCell<Vec<Waker>>,
}

/// One back.
#[derive(Debug)]
struct Back {
    endpoint: Arc<Endpoint>,
    counters: Arc<TrunkCounters>,
    trunks: RefCell<Vec<Rc<Trunk>>>,
    /// Attempts to connect that are under way.
    connecting: Cell<usize>,
    /// Failures since it last was of use.
    failures: Cell<u32>,
    /// Until then it is asked last.
    shy_until: Cell<Option<Instant>>,
    /// Ends the pause before the next attempt.
    hurry: Notify,
    /// The settings name it no longer.
    gone: Cell<bool>,
}

impl Backs {
    /// Takes up new settings: backs that are new are connected, those that are gone get no new calls.
    pub(crate) fn follow(self: &Rc<Self>, shard: &Rc<Shard>, front: Option<Arc<Front>>) {
        let endpoints = front.as_ref().map(|front| front.backs.clone()).unwrap_or_default();
        self.front.replace(front);
        let (stay, go): (Vec<_>, Vec<_>) = self
            .backs
            .take()
            .into_iter()
            .partition(|back| endpoints.iter().any(|endpoint| back.endpoint == *endpoint));
        for back in go {
            back.gone.set(true);
            back.trunks.borrow().iter().for_each(|trunk| trunk.leave());
            back.tell();
        }
        let new = endpoints.iter().filter(|endpoint| !stay.iter().any(|back| back.endpoint == **endpoint));
        let new: Vec<_> = new
            .map(|endpoint| {
                Rc::new(Back {
                    endpoint: Arc::clone(endpoint),
                    counters: shard.counters().trunks.of(&endpoint.authority),
                    trunks: RefCell::default(),
                    connecting: Cell::new(0),
                    failures: Cell::new(0),
                    shy_until: Cell::new(None),
                    hurry: Notify::new(),
                    gone: Cell::new(false),
                })
            })
            .collect();
        self.backs.replace(stay.into_iter().chain(new).collect());
        let backs = self.backs.borrow().clone();
        for back in backs {
            // What kept it from being connected may have been mended.
            back.hurry.notify_waiters();
            self.tend(shard, &back);
        }
    }

    /// The settings in force; `None` when they name no backs any more.
    pub(super) fn front(&self) -> Option<Arc<Front>> {
        self.front.borrow().clone()
    }

    /// Whether there is a trunk that takes calls.
    pub(super) fn take_calls(&self) -> bool {
        self.backs.borrow().iter().any(|back| back.takes_calls())
    }

    /// The trunk for a session: to the back with the fewest of them that takes some. With `picky` not to one that has just
    /// refused somebody.
    pub(super) fn choose(self: &Rc<Self>, shard: &Rc<Shard>, picky: bool) -> Option<Rc<Trunk>> {
        let now = clock::now();
        let backs = self.backs.borrow();
        let open = backs.iter().filter(|back| back.takes_calls() && !(picky && back.is_shy(now)));
        let back = Rc::clone(open.min_by_key(|back| (back.is_shy(now), back.calls()))?);
        drop(backs);
        let trunk = {
            let trunks = back.trunks.borrow();
            trunks.iter().filter(|trunk| trunk.takes_calls()).min_by_key(|trunk| trunk.calls()).cloned()
        };
        self.tend(shard, &back);
        trunk
    }

    /// The back of this trunk would not take a call, or asks that its calls go elsewhere.
    pub(super) fn refused(self: &Rc<Self>, shard: &Rc<Shard>, trunk: &Rc<Trunk>) {
        let backs = self.backs.borrow();
        let back = backs.iter().find(|back| back.has(trunk)).cloned();
        drop(backs);
        if let Some(back) = back {
            back.shy_until.set(Some(clock::now() + SHY));
            self.tend(shard, &back);
        }
    }

    /// Has a task woken once there is another trunk.
    pub(super) fn wait(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    /// Makes the trunks that are missing.
    fn tend(self: &Rc<Self>, shard: &Rc<Shard>, back: &Rc<Back>) {
        back.tell();
        if back.gone.get() || back.connecting.get() > 0 || !back.lacks_a_trunk() {
            return;
        }
        back.connecting.set(1);
        spawn_local(keep(Rc::clone(shard), Rc::clone(self), Rc::clone(back)));
    }

    fn wake_all(&self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

impl Back {
    fn takes_calls(&self) -> bool {
        self.trunks.borrow().iter().any(|trunk| trunk.takes_calls())
    }

    fn is_shy(&self, now: Instant) -> bool {
        self.shy_until.get().is_some_and(|until| until > now)
    }

    fn calls(&self) -> usize {
        self.trunks.borrow().iter().map(|trunk| trunk.calls()).sum()
    }

    fn has(&self, trunk: &Rc<Trunk>) -> bool {
        self.trunks.borrow().iter().any(|known| Rc::ptr_eq(known, trunk))
    }

    /// Whether there is none for new calls, or those that there are have many.
    fn lacks_a_trunk(&self) -> bool {
        let trunks = self.trunks.borrow();
        let mut open = trunks.iter().filter(|trunk| !trunk.is_leaving()).peekable();
        open.peek().is_none() || (trunks.len() < MAX_TRUNKS && open.all(|trunk| trunk.calls() >= CROWDED))
    }

    fn tell(&self) {
        self.counters.set_ready(self.trunks.borrow().iter().filter(|trunk| trunk.takes_calls()).count());
    }

    /// Waits before the next attempt, unless new settings come.
    async fn rest(&self) {
        if timeout(self.pause(), self.hurry.notified()).await.is_ok() {
            self.failures.set(0);
        }
    }

    /// How long to wait before the next attempt: longer with every failure, and never as long as others.
    fn pause(&self) -> Duration {
        let failures = self.failures.get();
        if failures == 0 {
            return Duration::ZERO;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(10)).min(LAST_PAUSE);
        let [a, b] = entropy::array::<2>();
        pause.mul_f64(0.5 + f64::from(u16::from_le_bytes([a, b])) / 65536.0)
    }
}

/// Makes one trunk, and runs it until it ends.
async fn keep(shard: Rc<Shard>, backs: Rc<Backs>, back: Rc<Back>) {
    let connected = loop {
        back.rest().await;
        let Some(front) = backs.front().filter(|_| !back.gone.get()) else {
            back.connecting.set(0);
            return;
        };
        match Connected::open(&front, &back.endpoint, &back.counters).await {
            Ok(connected) => break connected,
            Err(cause) => failed(&shard, &back, &cause),
        }
    };
    back.connecting.set(0);
    back.counters.opened.add(1);
    let since = clock::now();
    let trunk = Rc::clone(&connected.trunk);
    let cause = connected
        .run(&shard, || {
            // Only now it is known that HTTP/2 is spoken there.
            info!(back = %back.endpoint.authority, "a back is connected");
            back.shy_until.set(None);
            back.trunks.borrow_mut().push(Rc::clone(&trunk));
            back.tell();
            backs.wake_all();
        })
        .await;
    trunk.leave();
    back.trunks.borrow_mut().retain(|known| !Rc::ptr_eq(known, &trunk));
    back.counters.closed.add(1);
    if clock::now().saturating_duration_since(since) >= PROVEN_AFTER {
        back.failures.set(0);
    }
    lost(&shard, &back, &cause);
    backs.tend(&shard, &back);
    // They may look for another one now.
    backs.wake_all();
}

fn failed(shard: &Shard, back: &Back, cause: &Cause) {
    back.counters.failed.add(cause.failure());
    back.failures.set(back.failures.get().saturating_add(1));
    debug!(back = %back.endpoint.authority, "no connection to a back: {cause}");
    if let Some(more) = shard.throttles.back_unusable.pass(clock::now()) {
        warn!(back = %back.endpoint.authority, more, "a back cannot be used: {cause}");
    }
}

fn lost(shard: &Shard, back: &Back, cause: &Cause) {
    back.failures.set(back.failures.get().saturating_add(1));
    if let Some(more) = shard.throttles.back_unusable.pass(clock::now()) {
        warn!(back = %back.endpoint.authority, more, "a connection to a back ended: {cause}");
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use rustls::pki_types::ServerName;
    use tokio::time::{Instant, advance};

    use super::*;
    use crate::config::CoverHost;

    fn back(failures: u32) -> Back {
        Back {
            endpoint: Arc::new(Endpoint {
                host: CoverHost { host: "back.example.net".to_owned(), port: 443 },
                name: ServerName::try_from("back.example.net").expect("a name"),
                authority: "back.example.net:443".to_owned(),
            }),
            counters: Arc::default(),
            trunks: RefCell::default(),
            connecting: Cell::new(0),
            failures: Cell::new(failures),
            shy_until: Cell::new(None),
            hurry: Notify::new(),
            gone: Cell::new(false),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn new_settings_end_the_pause_after_many_failures() {
        let back = back(20);
        let mut rest = pin!(back.rest());
        let begun = Instant::now();
        tokio::select! {
            biased;
            () = &mut rest => panic!("it waits at least {:?}", LAST_PAUSE / 2),
            () = advance(LAST_PAUSE / 4) => {}
        }
        back.hurry.notify_waiters();
        rest.await;
        assert_eq!((begun.elapsed(), back.failures.get()), (LAST_PAUSE / 4, 0));
        // Without them it lasts.
        let back = self::back(20);
        back.rest().await;
        assert!(begun.elapsed() >= LAST_PAUSE / 4 + LAST_PAUSE / 2 && back.failures.get() == 20);
    }
}
