//! Who has to go when what waits for slow clients takes all the memory there is, so that the others on their link go on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use teleferry_proto::rpc::ConnId;

/// How long reading pauses before clients go that have taken nothing since.
const STALLED: Duration = Duration::from_secs(2);
/// How long before those go too that take what waits for them, but not fast enough.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pause in the reading from a link.
#[derive(Debug)]
pub(super) struct Pause {
    since: Instant,
    /// What waited for its clients when it began, in bytes. Nothing is added while it lasts.
    waited: HashMap<ConnId, usize>,
}

impl Pause {
    /// Reading pauses from now on, with so much waiting for each client.
    pub(super) fn begin(now: Instant, waiting: impl Iterator<Item = (ConnId, usize)>) -> Self {
        Self { since: now, waited: waiting.collect() }
    }

    /// The clients that have to go now, the worst first, when `excess` bytes have to be freed and these wait for each.
    pub(super) fn overdue(
        &self,
        now: Instant,
        waiting: impl Iterator<Item = (ConnId, usize)>,
        excess: usize,
    ) -> Vec<ConnId> {
        let paused = now.saturating_duration_since(self.since);
        let has_to_go = |conn, bytes| {
            let stalled = self.waited.get(&conn).is_some_and(|&before| bytes >= before);
            bytes > 0 && paused >= if stalled { STALLED } else { PATIENCE }
        };
        let mut overdue: Vec<_> = waiting.filter(|&(conn, bytes)| has_to_go(conn, bytes)).collect();
        overdue.sort_by_key(|&(conn, bytes)| (std::cmp::Reverse(bytes), conn));
        let mut freed = 0;
        let enough = |&(conn, bytes): &(ConnId, usize)| {
            let more = freed < excess;
            freed += bytes;
            more.then_some(conn)
        };
        overdue.iter().map_while(enough).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that wait for the clients 0, 1, 2, …
    fn waiting(bytes: &[usize]) -> impl Iterator<Item = (ConnId, usize)> {
        (0..).map(ConnId::new).zip(bytes.iter().copied())
    }

    fn overdue(seconds: u64, before: &[usize], now: &[usize], excess: usize) -> Vec<i64> {
        let start = crate::clock::now();
        let pause = Pause::begin(start, waiting(before));
        let overdue = pause.overdue(start + Duration::from_secs(seconds), waiting(now), excess);
        overdue.into_iter().map(ConnId::get).collect()
    }

    #[test]
    fn who_takes_nothing_goes_first() {
        let (before, now) = ([900, 500, 0, 700], [800, 500, 0, 0]);
        assert_eq!(overdue(1, &before, &now, 1000), [0; 0]);
        assert_eq!(overdue(2, &before, &now, 1000), [1], "it has taken nothing");
        assert_eq!(overdue(4, &before, &now, 1000), [1]);
        assert_eq!(overdue(5, &before, &now, 1000), [0, 1]);
    }

    #[test]
    fn no_more_go_than_have_to() {
        let same = [100, 400, 200, 300];
        assert_eq!(overdue(2, &same, &same, 1), [1]);
        assert_eq!(overdue(2, &same, &same, 401), [1, 3]);
        assert_eq!(overdue(2, &same, &same, 9999), [1, 3, 2, 0]);
        assert_eq!(overdue(9, &same, &same, 0), [0; 0]);
    }
}
