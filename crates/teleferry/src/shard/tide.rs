//! When memory that was freed goes back to the system. The allocator keeps it as long as anything that is still in use
//! stands behind it: after a flood of connections, or of bytes that waited for slow clients, that can be nearly all of it.

use std::cell::Cell;

/// Connections that have gone before memory is given back.
const EBB: usize = 1000;

/// Ticks after which memory is given back whoever came and went: a minute. It takes a few milliseconds, and where much is
/// going on the memory is soon taken again.
const EVERY: u32 = 600;

/// What there was since memory was last given back.
#[derive(Debug)]
pub(super) struct Tide {
    /// The most connections of the shard.
    most: Cell<usize>,
    /// Ticks; `None` where another shard counts them for the whole process.
    ticks: Option<Cell<u32>>,
}

impl Tide {
    /// Of a shard with this number.
    pub(super) fn of(shard: usize) -> Self {
        Self { most: Cell::new(0), ticks: (shard == 0).then(Cell::default) }
    }

    /// Whether memory is to be given back now. Asked with every tick, while so many connections live.
    pub(super) fn turns(&self, live: usize) -> bool {
        self.most.set(self.most.get().max(live));
        if let Some(ticks) = &self.ticks {
            ticks.set(ticks.get() + 1);
        }
        let is_time = self.ticks.as_ref().is_some_and(|ticks| ticks.get() >= EVERY);
        let turns = is_time || self.most.get() - live >= EBB;
        if turns {
            self.most.set(live);
            self.ticks.iter().for_each(|ticks| ticks.set(0));
        }
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_turns_when_a_thousand_have_gone() {
        for shard in [0, 1] {
            let tide = Tide::of(shard);
            let turned: Vec<_> =
                [0, 1500, 900, 501, 500, 0, 500].into_iter().map(|live| tide.turns(live)).collect();
            assert_eq!(turned, [false, false, false, false, true, false, false]);
        }
    }

    /// Bytes that waited leave as much behind as connections, and nobody goes: without this a soak over middle proxies went
    /// from 33 to 61 MiB of which 10 were in use.
    #[test]
    fn it_turns_once_a_minute_in_the_whole_process() {
        let turned = |shard| {
            let tide = Tide::of(shard);
            (1..=1300).filter(|_| tide.turns(700)).count()
        };
        assert_eq!((turned(0), turned(1), turned(7)), (2, 0, 0));
    }
}
