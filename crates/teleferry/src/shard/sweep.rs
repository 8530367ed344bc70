//! Deadlines without timers: one coarse tick a shard walks them all.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How often the deadlines are walked, and so how exact they are.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A deadline that never comes.
const NEVER: u32 = u32::MAX;

/// A moment in the life of a shard, to a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u32);

impl Moment {
    /// True when `now` is this time after it.
    pub(crate) fn is_ago(self, time: Duration, now: Self) -> bool {
        self.0.saturating_add(ticks(time)) < now.0
    }

    /// The moment so long after the shard began.
    #[cfg(test)]
    pub(crate) fn at(since_start: Duration) -> Self {
        Self(ticks(since_start))
    }
}

/// What an [`Alarm`] has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Its deadline has passed.
    Deadline,
    /// The shard stops, and its time to drain is over.
    Drained,
}

/// The deadlines of one shard.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Ticks since the shard began.
    now: Cell<u32>,
    drained: Cell<bool>,
    slots: RefCell<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    /// Freed slots have no waker and never come due.
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    due: u32,
    waker: Option<Waker>,
}

impl Sweep {
    /// A new alarm, not set.
    pub(crate) fn alarm(self: &Rc<Self>) -> Alarm {
        let mut slots = self.slots.borrow_mut();
        let slot = Slot { due: NEVER, waker: None };
        let index = match slots.free.pop() {
            Some(index) => {
                slots.slots[index as usize] = slot;
                index
            }
            None => {
                slots.slots.push(slot);
                slots.slots.len() as u32 - 1
            }
        };
        Alarm { sweep: Rc::clone(self), index }
    }

    /// This moment.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.now.get())
    }

    /// Goes on to the given time since the shard began, and wakes whoever is due.
    pub(crate) fn tick(&self, since_start: Duration) {
        let now = ticks(since_start);
        self.now.set(now);
        for slot in &mut self.slots.borrow_mut().slots {
            if slot.due <= now
                && let Some(waker) = slot.waker.take()
            {
                waker.wake();
            }
        }
    }

    /// Makes every alarm say [`Expiry::Drained`], now and from now on.
    pub(crate) fn drain(&self) {
        self.drained.set(true);
        for slot in &mut self.slots.borrow_mut().slots {
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }
}

/// One session's deadline. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Alarm {
    sweep: Rc<Sweep>,
    index: u32,
}

impl Alarm {
    /// Sets the deadline to this time from now, up to a tick more. Costs a store.
    pub(crate) fn set(&self, after: Duration) {
        let due = self.sweep.now.get().saturating_add(ticks(after)).saturating_add(1).min(NEVER - 1);
        self.sweep.slots.borrow_mut().slots[self.index as usize].due = due;
    }

    /// Sets the deadline to this time after a moment that has been. False when it has passed already.
    pub(crate) fn set_since(&self, moment: Moment, after: Duration) -> bool {
        let due = moment.0.saturating_add(ticks(after)).saturating_add(1).min(NEVER - 1);
        self.sweep.slots.borrow_mut().slots[self.index as usize].due = due;
        due > self.sweep.now.get()
    }

    /// Brings the deadline forward to this time after a moment that has been, unless it is sooner already.
    pub(crate) fn bring_forward(&self, moment: Moment, after: Duration) {
        let due = moment.0.saturating_add(ticks(after)).saturating_add(1);
        let slot = &mut self.sweep.slots.borrow_mut().slots[self.index as usize];
        slot.due = slot.due.min(due);
    }

    /// Takes the deadline away.
    pub(crate) fn clear(&self) {
        self.sweep.slots.borrow_mut().slots[self.index as usize].due = NEVER;
    }

    /// Ready once the deadline has passed.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Expiry> {
        if self.sweep.drained.get() {
            return Poll::Ready(Expiry::Drained);
        }
        let slot = &mut self.sweep.slots.borrow_mut().slots[self.index as usize];
        if slot.due <= self.sweep.now.get() {
            return Poll::Ready(Expiry::Deadline);
        }
        if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Runs a future until the deadline.
    pub(crate) async fn within<F: Future>(&self, future: F) -> Result<F::Output, Expiry> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll(cx).map(Err),
        })
        .await
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut slots = self.sweep.slots.borrow_mut();
        slots.slots[self.index as usize] = Slot { due: NEVER, waker: None };
        slots.free.push(self.index);
    }
}

/// Whole ticks in a time, rounded up.
fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tick: u32) -> Duration {
        TICK * tick
    }

    fn poll(alarm: &Alarm) -> Poll<Expiry> {
        alarm.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_59_an_alarm_goes_off_at_its_deadline() {
        let sweep = Rc::new(Sweep::default());
        let alarm = sweep.alarm();
        alarm.set(at(3));
        for tick in 0..4 {
            sweep.tick(at(tick));
            assert_eq!(poll(&alarm), Poll::Pending, "{tick}");
        }
        sweep.tick(at(4));
        assert_eq!(poll(&alarm), Poll::Ready(Expiry::Deadline));
    }

    #[test]
    fn a_60_setting_again_begins_anew_and_clearing_stops() {
        let sweep = Rc::new(Sweep::default());
        let alarm = sweep.alarm();
        alarm.set(at(3));
        sweep.tick(at(3));
        alarm.set(at(3));
        sweep.tick(at(6));
        assert_eq!(poll(&alarm), Poll::Pending);
        sweep.tick(at(7));
        assert_eq!(poll(&alarm), Poll::Ready(Expiry::Deadline));
        alarm.clear();
        sweep.tick(at(1_000_000));
        assert_eq!(poll(&alarm), Poll::Pending);
    }

    #[test]
    fn who_is_due_is_woken_and_nobody_else() {
        let sweep = Rc::new(Sweep::default());
        let (due, later) = (sweep.alarm(), sweep.alarm());
        due.set(at(1));
        later.set(at(9));
        assert_eq!(poll(&due), Poll::Pending);
        assert_eq!(poll(&later), Poll::Pending);
        sweep.tick(at(2));
        let slots = sweep.slots.borrow();
        assert!(slots.slots[0].waker.is_none(), "woken");
        assert!(slots.slots[1].waker.is_some(), "left alone");
    }

    #[test]
    fn a_deadline_can_count_from_a_moment_that_has_been() {
        let sweep = Rc::new(Sweep::default());
        let alarm = sweep.alarm();
        sweep.tick(at(5));
        let moment = sweep.moment();
        sweep.tick(at(7));
        assert!(alarm.set_since(moment, at(3)));
        sweep.tick(at(8));
        assert_eq!(poll(&alarm), Poll::Pending);
        sweep.tick(at(9));
        assert_eq!(poll(&alarm), Poll::Ready(Expiry::Deadline));
        assert!(!alarm.set_since(moment, at(3)), "it has passed");
    }

    #[test]
    fn a_deadline_is_brought_forward_and_never_put_off() {
        let sweep = Rc::new(Sweep::default());
        let alarm = sweep.alarm();
        let moment = sweep.moment();
        alarm.set(at(9));
        alarm.bring_forward(moment, at(3));
        alarm.bring_forward(moment, at(5));
        sweep.tick(at(3));
        assert!(poll(&alarm).is_pending() && !moment.is_ago(at(3), sweep.moment()));
        sweep.tick(at(4));
        assert_eq!(poll(&alarm), Poll::Ready(Expiry::Deadline));
        assert!(moment.is_ago(at(3), sweep.moment()), "whoever was woken for it sees why");
    }

    #[test]
    fn slots_are_given_back() {
        let sweep = Rc::new(Sweep::default());
        for _ in 0..100 {
            let alarm = sweep.alarm();
            alarm.set(at(1));
        }
        assert_eq!(sweep.slots.borrow().slots.len(), 1);
    }

    #[test]
    fn draining_goes_before_every_deadline() {
        let sweep = Rc::new(Sweep::default());
        let alarm = sweep.alarm();
        sweep.drain();
        assert_eq!(poll(&alarm), Poll::Ready(Expiry::Drained));
        assert_eq!(poll(&sweep.alarm()), Poll::Ready(Expiry::Drained));
    }
}
