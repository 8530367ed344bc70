//! Deadlines without timers: one coarse tick a shard walks them all.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;

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

/// Alarms that can be drained together: those of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group(u32);

impl Group {
    /// Of those that belong to no listener.
    pub(crate) const NONE: Self = Self(0);
    /// Of those that were drained.
    const DRAINED: Self = Self(u32::MAX);

    /// The group of a listener, which is numbered from 1.
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }
}

/// What an [`Alarm`] has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Its deadline has passed.
    Deadline,
    /// The shard stops, or its listener is no more, and the time to drain is over.
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
    group: Group,
    waker: Option<Waker>,
}

impl Sweep {
    /// A new alarm of a group, not set.
    pub(crate) fn alarm(self: &Rc<Self>, group: Group) -> Alarm {
        let mut slots = self.slots.borrow_mut();
        let slot = Slot { due: NEVER, group, waker: None };
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

    /// The same for the alarms of one group.
    pub(crate) fn drain_group(&self, group: Group) {
        for slot in self.slots.borrow_mut().slots.iter_mut().filter(|slot| slot.group == group) {
            slot.group = Group::DRAINED;
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
        if slot.group == Group::DRAINED {
            return Poll::Ready(Expiry::Drained);
        }
        if slot.due <= self.sweep.now.get() {
            return Poll::Ready(Expiry::Deadline);
        }
        if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Runs a future until the deadline.
    pub(crate) const fn within<F: Future>(&self, future: F) -> Within<'_, F> {
        Within { alarm: self, future }
    }
}

pin_project! {
    /// A future that has until a deadline. Written by hand: an `async fn` would have room for what it is given twice, which
    /// everybody who waits at the door would take.
    pub(crate) struct Within<'a, F> {
        alarm: &'a Alarm,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Within<'_, F> {
    type Output = Result<F::Output, Expiry>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => this.alarm.poll(cx).map(Err),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut slots = self.sweep.slots.borrow_mut();
        slots.slots[self.index as usize] = Slot { due: NEVER, group: Group::NONE, waker: None };
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
        let alarm = sweep.alarm(Group::NONE);
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
        let alarm = sweep.alarm(Group::NONE);
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
        let (due, later) = (sweep.alarm(Group::NONE), sweep.alarm(Group::NONE));
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
        let alarm = sweep.alarm(Group::NONE);
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
        let alarm = sweep.alarm(Group::NONE);
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
            let alarm = sweep.alarm(Group::NONE);
            alarm.set(at(1));
        }
        assert_eq!(sweep.slots.borrow().slots.len(), 1);
    }

    #[test]
    fn draining_goes_before_every_deadline() {
        let sweep = Rc::new(Sweep::default());
        let alarm = sweep.alarm(Group::NONE);
        sweep.drain();
        assert_eq!(poll(&alarm), Poll::Ready(Expiry::Drained));
        assert_eq!(poll(&sweep.alarm(Group::NONE)), Poll::Ready(Expiry::Drained));
    }

    #[test]
    fn a_group_is_drained_and_nobody_else() {
        let sweep = Rc::new(Sweep::default());
        let (ours, other) = (sweep.alarm(Group::new(1)), sweep.alarm(Group::new(2)));
        assert_eq!((poll(&ours), poll(&other)), (Poll::Pending, Poll::Pending));
        sweep.drain_group(Group::new(1));
        assert_eq!((poll(&ours), poll(&other)), (Poll::Ready(Expiry::Drained), Poll::Pending));
        ours.set(at(9));
        assert_eq!(poll(&ours), Poll::Ready(Expiry::Drained), "for good");
        drop(ours);
        assert_eq!(poll(&sweep.alarm(Group::new(3))), Poll::Pending, "a slot is used again");
    }
}
