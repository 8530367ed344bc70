//! What waits for slow peers, counted over the whole process.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// The ceiling for what waits in memory, shared by all shards. It is counted where it changes, which is only where a peer is
/// slow; over it reading from Telegram pauses.
#[derive(Debug)]
pub(crate) struct Memory {
    /// In bytes.
    limit: AtomicUsize,
    used: AtomicUsize,
    pauses: AtomicU64,
    /// Readers to be woken once there is room.
    paused: Mutex<Vec<Waker>>,
}

/// One owner's part of it. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Memory {
    /// A ceiling of so many bytes.
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            pauses: AtomicU64::new(0),
            paused: Mutex::new(Vec::new()),
        }
    }

    /// From now on a ceiling of so many bytes.
    pub(crate) fn limit_to(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
        // Those that wait look for themselves whether there is room now.
        self.wake_all();
    }

    /// A part that is nothing yet.
    pub(crate) fn part(self: &Arc<Self>) -> Held {
        Held { memory: Arc::clone(self), bytes: 0 }
    }

    /// Bytes that wait in all.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// True when no more should be read that may have to wait.
    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.limit.load(Relaxed)
    }

    /// Counts a reader that begins to pause.
    pub(crate) fn pause(&self) {
        self.pauses.fetch_add(1, Relaxed);
    }

    /// How often a reader has paused.
    pub(crate) fn pauses(&self) -> u64 {
        self.pauses.load(Relaxed)
    }

    /// Has a reader woken once there is room. False when there is.
    pub(crate) fn wait(&self, waker: &Waker) -> bool {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at under the lock, which whoever makes room takes after that.
        if !self.is_over() {
            return false;
        }
        if !paused.iter().any(|known| known.will_wake(waker)) {
            paused.push(waker.clone());
        }
        true
    }

    fn give_back(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Relaxed);
        let limit = self.limit.load(Relaxed);
        if before > limit && before - bytes <= limit {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        let paused = std::mem::take(&mut *self.paused.lock().unwrap_or_else(PoisonError::into_inner));
        paused.into_iter().for_each(Waker::wake);
    }
}

impl Held {
    /// True when no more should be kept that may have to wait.
    pub(crate) fn is_over(&self) -> bool {
        self.memory.is_over()
    }

    /// It is this many bytes now.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.memory.used.fetch_add(bytes - self.bytes, Relaxed);
        } else if bytes < self.bytes {
            self.memory.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn parts_add_up_and_are_given_back() {
        let memory = Arc::new(Memory::new(100));
        let (mut a, mut b) = (memory.part(), memory.part());
        a.set(70);
        b.set(31);
        assert!(memory.is_over());
        a.set(69);
        assert_eq!((memory.used(), memory.is_over()), (100, false));
        drop((a, b));
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn who_waits_is_woken_once_when_there_is_room() {
        let memory = Arc::new(Memory::new(100));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(!memory.wait(&waker), "there is room");
        let (mut a, mut b) = (memory.part(), memory.part());
        a.set(150);
        b.set(50);
        assert!(memory.wait(&waker) && memory.wait(&waker));
        b.set(0);
        assert_eq!(woken.0.load(Relaxed), 0, "still over");
        a.set(100);
        assert_eq!(woken.0.load(Relaxed), 1);
        a.set(0);
        assert_eq!(woken.0.load(Relaxed), 1);
    }

    #[test]
    fn who_waits_is_woken_when_the_ceiling_is_raised() {
        let memory = Arc::new(Memory::new(100));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut part = memory.part();
        part.set(150);
        assert!(memory.wait(&waker));
        memory.limit_to(200);
        assert_eq!((woken.0.load(Relaxed), memory.is_over()), (1, false));
        memory.limit_to(50);
        assert!(memory.wait(&waker), "over it again");
    }
}
