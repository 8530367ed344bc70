//! When memory that was freed goes back to the system. The allocator keeps it as long as anything that is still in use
//! stands behind it: after a flood of connections, or of bytes that waited for slow clients, that can be nearly all of it.

use std::cell::Cell;

/// Connections that have gone before memory is given back.
const EBB: usize = 1000;

/// Ticks after which memory is given back whoever came and went: a minute. Where much is going on the memory is
/// soon taken again, so it is not worth doing more often.
const EVERY: u32 = 600;

/// Bytes that waited and wait no more, of all shards, before memory is given back.
const EBB_OF_BYTES: usize = 8 << 20;
/// Bytes of buffers that a shard's links gave back, before the same.
const GIVEN_BACK: usize = 1 << 20;
/// Ticks between two times that bytes make it go back: five seconds.
const SELDOM: u32 = 50;

/// What there was since memory was last given back.
#[derive(Debug)]
pub(super) struct Tide {
    /// The most connections of the shard.
    most: Cell<usize>,
    /// The most bytes that waited.
    most_bytes: Cell<usize>,
    /// What links gave back of their buffers.
    given_back: Cell<usize>,
    ticks: Cell<u32>,
    /// Whether it looks after the whole process.
    is_first: bool,
}

impl Tide {
    /// Of a shard with this number.
    pub(super) fn of(shard: usize) -> Self {
        Self {
            most: Cell::new(0),
            most_bytes: Cell::new(0),
            given_back: Cell::new(0),
            ticks: Cell::new(0),
            is_first: shard == 0,
        }
    }

    /// Links gave back so many bytes of their buffers.
    pub(super) fn gave_back(&self, bytes: usize) {
        self.given_back.set(self.given_back.get().saturating_add(bytes));
    }

    /// Whether memory is to be given back now. Asked with every tick, while so many connections live on this shard and so many
    /// bytes wait in all.
    pub(super) fn turns(&self, live: usize, bytes: usize) -> bool {
        self.most.set(self.most.get().max(live));
        self.most_bytes.set(self.most_bytes.get().max(bytes));
        self.ticks.set(self.ticks.get().saturating_add(1));
        let ebbed = self.is_first && self.most_bytes.get() - bytes >= EBB_OF_BYTES;
        let wait = match ebbed || self.given_back.get() >= GIVEN_BACK {
            true => SELDOM,
            false if self.is_first => EVERY,
            false => u32::MAX,
        };
        let turns = self.ticks.get() >= wait || self.most.get() - live >= EBB;
        if turns {
            self.most.set(live);
            self.most_bytes.set(bytes);
            self.given_back.set(0);
            self.ticks.set(0);
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
                [0, 1500, 900, 501, 500, 0, 500].into_iter().map(|live| tide.turns(live, 0)).collect();
            assert_eq!(turned, [false, false, false, false, true, false, false]);
        }
    }

    /// Bytes that waited leave as much behind as connections, and nobody goes: without this a soak over middle proxies went
    /// from 33 to 61 MiB, and 49 were left in the end.
    #[test]
    fn it_turns_once_a_minute_in_the_whole_process() {
        let turned = |shard| {
            let tide = Tide::of(shard);
            (1..=1300).filter(|_| tide.turns(700, 0)).count()
        };
        assert_eq!((turned(0), turned(1), turned(7)), (2, 0, 0));
    }

    #[test]
    fn it_turns_when_bytes_have_left_but_not_all_the_time() {
        let turned = |shard| {
            let tide = Tide::of(shard);
            // Ten seconds in which a client's bytes come and go, twice a second.
            (0..100).filter(|tick| tide.turns(700, if tick % 5 == 0 { EBB_OF_BYTES } else { 0 })).count()
        };
        assert_eq!((turned(0), turned(1)), (2, 0));
    }

    /// Links that had bulk keep no buffers for it, and without this the system had them a minute later.
    #[test]
    fn it_turns_when_links_gave_back_their_buffers_but_not_all_the_time() {
        for shard in [0, 1] {
            let tide = Tide::of(shard);
            let turned: Vec<_> = (1..=200)
                .filter(|_| {
                    tide.gave_back(GIVEN_BACK / 4);
                    tide.turns(700, 0)
                })
                .collect();
            assert_eq!(turned, [50, 100, 150, 200]);
            let tide = Tide::of(shard);
            tide.gave_back(GIVEN_BACK - 1);
            assert!((1..EVERY).all(|_| !tide.turns(700, 0)));
        }
    }
}
