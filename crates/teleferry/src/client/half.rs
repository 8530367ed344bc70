//! A packet of which only a part has come, and which takes memory until the rest does.

use std::time::Duration;

use crate::shard::Moment;

/// What such a packet may take, however little of it has come.
const TIME: Duration = Duration::from_secs(60);

/// It may take a second more for so many bytes of it as have come: clients on the slowest links send more than that.
const BYTES_A_SECOND: usize = 1024;

/// Since when such a packet is waited for. Sessions that hold no memory for it are not concerned.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Half(Option<Moment>);

impl Half {
    /// Now `held` bytes of a packet wait for their rest; `begun` when that is another packet than before.
    pub(super) fn note(&mut self, held: usize, begun: bool, now: Moment) {
        self.0 = match self.0 {
            _ if held == 0 => None,
            Some(since) if !begun => Some(since),
            _ => Some(now),
        };
    }

    /// From when on, and how long, it is waited for the rest of a packet of which `held` bytes are here.
    pub(super) fn deadline(self, held: usize) -> Option<(Moment, Duration)> {
        let more = Duration::from_secs((held / BYTES_A_SECOND) as u64);
        self.0.map(|since| (since, TIME + more))
    }

    /// True when it was waited for that long.
    pub(super) fn is_late(self, held: usize, now: Moment) -> bool {
        self.deadline(held).is_some_and(|(since, time)| since.is_ago(time, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment::at(Duration::from_secs(second))
    }

    #[test]
    fn a_packet_that_is_never_finished_is_late() {
        let mut half = Half::default();
        half.note(100, true, at(10));
        for second in 11..70 {
            assert!(!half.is_late(100, at(second)), "{second}");
        }
        assert!(half.is_late(100, at(71)));
    }

    #[test]
    fn trickling_does_not_move_the_deadline_and_a_slow_link_does() {
        let mut half = Half::default();
        half.note(1, true, at(0));
        for second in 1..=100 {
            half.note(second, false, at(second as u64));
            assert_eq!(half.is_late(second, at(second as u64)), second > 60, "{second} bytes");
        }
        // 3 KiB a second: half a megabyte takes three minutes.
        let mut half = Half::default();
        for second in 1..=170 {
            half.note(3072 * second, second == 1, at(second as u64));
            assert!(!half.is_late(3072 * second, at(second as u64)), "{second}");
        }
    }

    #[test]
    fn every_packet_has_its_own_time() {
        let mut half = Half::default();
        for second in (0..1000).step_by(50) {
            half.note(100, true, at(second));
            assert!(!half.is_late(100, at(second + 49)));
        }
        half.note(0, false, at(1000));
        assert!(!half.is_late(0, at(5000)), "nothing is held");
    }
}
