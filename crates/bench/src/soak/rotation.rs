//! Middle proxies that end their links, in order and by reset in turn.
//!
//! What a proxy has written to a link may be lost with it, as Telegram loses it: the app asks again. What it still holds must
//! not be lost. A link that is closed in order is read to its end, so the middle proxies count every request that they
//! drop, and no client may miss more. After a reset nobody can know what was under way; then only those may miss
//! something that had asked before the reset, and what comes has to be in order and whole all the same.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use teleferry_sim::middle::{LinkState, MiddleProxies, Order};

use crate::clock;

/// How long after the end of a link requests may still be written to it, as that is not noticed at once.
const UNNOTICED: Duration = Duration::from_secs(2);

/// How links were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// What is queued goes out, then FIN.
    InOrder,
    Reset,
}

/// One time when all links were ended.
#[derive(Debug, Clone, Copy)]
struct Rotation {
    at: Instant,
    way: Way,
    /// What the middle proxies had dropped before.
    dropped_before: u64,
}

/// All of them so far.
#[derive(Debug, Default)]
pub(super) struct Rotations(Mutex<Vec<Rotation>>);

/// What they came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) rotations: usize,
    /// Requests that clients missed after links were closed in order, and those that the middle proxies dropped then.
    pub(super) missed_in_order: u64,
    pub(super) dropped_in_order: u64,
    /// Requests that clients missed after links were reset.
    pub(super) missed_by_reset: u64,
}

impl Rotations {
    /// Ends all links every so often, for ever.
    pub(super) async fn go_on(&self, middle: &MiddleProxies, every: Duration) {
        let mut turns = tokio::time::interval(every);
        turns.tick().await;
        for way in [Way::InOrder, Way::Reset].into_iter().cycle() {
            turns.tick().await;
            let order = if way == Way::InOrder { Order::Close } else { Order::Reset };
            let dropped_before = middle.counters().read().lost;
            self.note(Rotation { at: clock::now(), way, dropped_before });
            for link in middle.links().iter().filter(|link| link.state == LinkState::Ready) {
                // One that has gone by itself needs no end.
                let _ = middle.tell(link.number, order.clone()).await;
            }
        }
    }

    /// Whether a request of this time may have gone with its link.
    pub(super) fn may_have_taken(&self, sent: Instant) -> bool {
        self.way_of(sent).is_some()
    }

    /// What was lost in all. `missed` says when the requests were sent that were not answered; `dropped` is the middle
    /// proxies' count now.
    pub(super) fn losses(&self, missed: &[Instant], dropped: u64) -> Losses {
        let all = self.all();
        let mut losses = Losses { rotations: all.len(), ..Losses::default() };
        for way in missed.iter().filter_map(|sent| self.way_of(*sent)) {
            match way {
                Way::InOrder => losses.missed_in_order += 1,
                Way::Reset => losses.missed_by_reset += 1,
            }
        }
        let dropped_until = all.iter().skip(1).map(|next| next.dropped_before).chain([dropped]);
        for (rotation, until) in all.iter().zip(dropped_until) {
            if rotation.way == Way::InOrder {
                losses.dropped_in_order += until.saturating_sub(rotation.dropped_before);
            }
        }
        losses
    }

    /// How the links were ended that may have had a request of this time: the first time that its answer was not there.
    fn way_of(&self, sent: Instant) -> Option<Way> {
        self.all().iter().find(|rotation| rotation.at + UNNOTICED >= sent).map(|rotation| rotation.way)
    }

    fn note(&self, rotation: Rotation) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(rotation);
    }

    fn all(&self) -> Vec<Rotation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_belong_to_the_rotation_that_follows_the_request() {
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let rotations = Rotations::default();
        assert!(!rotations.may_have_taken(start));
        rotations.note(Rotation { at: at(30), way: Way::InOrder, dropped_before: 5 });
        rotations.note(Rotation { at: at(60), way: Way::Reset, dropped_before: 8 });
        assert!(rotations.may_have_taken(at(10)) && rotations.may_have_taken(at(62)));
        assert!(!rotations.may_have_taken(at(63)));
        let losses = rotations.losses(&[at(29), at(32), at(33), at(61)], 20);
        let expected = Losses { rotations: 2, missed_in_order: 2, dropped_in_order: 3, missed_by_reset: 2 };
        assert_eq!(losses, expected);
    }
}
