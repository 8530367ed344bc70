//! Moments that are kept to some microseconds, for what an outsider may measure. Everything else has the coarse
//! [sweep](super::sweep).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep_until;
use tracing::warn;

use crate::clock;
use crate::sys;

/// One timer of the kernel's for all who wait on a shard. The runtime's own timers are good to a millisecond.
#[derive(Debug)]
pub(crate) struct Punctual {
    /// `None`: the system had none to give, and moments are kept to a millisecond.
    timer: Option<AsyncFd<OwnedFd>>,
    waiting: RefCell<BTreeMap<(Instant, u64), Waker>>,
    /// For when the timer is set.
    armed: Cell<Option<Instant>>,
    next: Cell<u64>,
    /// How late those who wait are woken, about half of them, in nanoseconds.
    lateness: Cell<u32>,
}

/// What is assumed until it is seen, in nanoseconds.
const LATENESS: u32 = 30_000;
/// Nobody is woken earlier than this before the moment, in nanoseconds.
const EARLIEST: u32 = 500_000;

/// A place among those who wait. Given back when dropped.
struct Seat<'a> {
    of: &'a Punctual,
    key: (Instant, u64),
}

impl Punctual {
    /// A timer that is not set.
    pub(super) fn new() -> Self {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(Into::into).and_then(sys::watch);
        if let Err(error) = &timer {
            warn!(%error, "there is no exact timer, so that clients' answers are late by up to a millisecond");
        }
        Self {
            timer: timer.ok(),
            waiting: RefCell::default(),
            armed: Cell::default(),
            next: Cell::default(),
            lateness: Cell::new(LATENESS),
        }
    }

    /// Returns at that moment or a little before or after: the timer is set earlier by what waking takes as a rule.
    pub(crate) async fn wait_until(&self, due: Instant) {
        if clock::now() >= due {
            return;
        }
        if self.timer.is_none() {
            return sleep_until(due.into()).await;
        }
        let number = self.next.replace(self.next.get().wrapping_add(1));
        let wake = due.checked_sub(Duration::from_nanos(self.lateness.get().into())).unwrap_or(due);
        let seat = Seat { of: self, key: (wake, number) };
        std::future::poll_fn(|cx| {
            let now = clock::now();
            if now >= wake {
                self.learn(now.duration_since(wake));
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().insert(seat.key, cx.waker().clone());
            self.arm(wake);
            Poll::Pending
        })
        .await;
    }

    /// Goes a step towards the median.
    fn learn(&self, late: Duration) {
        let known = self.lateness.get();
        let step = (known / 16).max(500);
        let longer = late.as_nanos() > u128::from(known);
        let next = if longer { known.saturating_add(step) } else { known.saturating_sub(step) };
        self.lateness.set(next.min(EARLIEST));
    }

    /// Wakes whoever is due, for ever.
    pub(super) async fn run(&self) {
        let Some(timer) = &self.timer else { return };
        while let Ok(mut ready) = timer.readable().await {
            let mut expirations = [0; 8];
            // That it has gone off is all there is to know.
            let _ = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut expirations)?));
            self.wake(clock::now());
        }
    }

    fn wake(&self, now: Instant) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(first) = waiting.first_entry().filter(|first| first.key().0 <= now) {
            first.remove().wake();
        }
        self.armed.set(None);
        if let Some(((due, _), _)) = waiting.first_key_value() {
            self.arm(*due);
        }
    }

    /// Sets the timer, unless it goes off before that anyway.
    fn arm(&self, due: Instant) {
        let (Some(timer), None) = (&self.timer, self.armed.get().filter(|armed| *armed <= due)) else {
            return;
        };
        self.armed.set(Some(due));
        // Nothing would turn it off.
        let left = due.saturating_duration_since(clock::now()).max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let time = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        // It fails for values that are out of range only.
        let _ = timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &time);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.of.waiting.borrow_mut().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::task::Context;

    use futures_util::future::join_all;
    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    #[tokio::test]
    async fn those_who_wait_go_in_the_order_of_their_moments_and_not_much_too_early() {
        let local = LocalSet::new();
        local
            .run_until(async {
                let punctual = Rc::new(Punctual::new());
                assert!(punctual.timer.is_some());
                let running = Rc::clone(&punctual);
                spawn_local(async move { running.run().await });
                let start = clock::now();
                let order = Rc::new(RefCell::new(Vec::new()));
                let waiting = [30, 1, 20, 1, 0, 7].map(|millis| {
                    let (punctual, order) = (Rc::clone(&punctual), Rc::clone(&order));
                    async move {
                        let due = start + Duration::from_millis(millis);
                        punctual.wait_until(due).await;
                        assert!(clock::now() + Duration::from_nanos(EARLIEST.into()) >= due);
                        order.borrow_mut().push(millis);
                    }
                });
                join_all(waiting).await;
                assert_eq!(*order.borrow(), [0, 1, 1, 7, 20, 30]);
                assert!(punctual.waiting.borrow().is_empty());
            })
            .await;
    }

    #[tokio::test]
    async fn who_goes_before_leaves_nothing_behind() {
        let punctual = Punctual::new();
        let far = clock::now() + Duration::from_secs(3600);
        {
            let mut waiting = std::pin::pin!(punctual.wait_until(far));
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            assert_eq!(punctual.waiting.borrow().len(), 1);
        }
        assert!(punctual.waiting.borrow().is_empty());
        punctual.wait_until(clock::now()).await;
    }
}
