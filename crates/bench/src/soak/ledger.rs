//! What a client has asked for and not got yet. Every packet that comes is compared whole, and has to be the next one.

use std::collections::VecDeque;
use std::time::Instant;

use teleferry_sim::command::{Command, Packet, Send};

/// A request, in the order in which they were sent.
#[derive(Debug)]
struct Asked {
    command: Command,
    at: Instant,
    /// Packets of its answer that have come.
    come: u32,
}

/// Requests without their whole answers.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    asked: VecDeque<Asked>,
    /// Packets that have come, each of them right.
    pub(super) packets: u64,
    /// When those were sent that were not answered, or not in full, though later ones were.
    pub(super) lost: Vec<Instant>,
}

impl Ledger {
    /// This is being sent: an echo or a file.
    pub(super) fn ask(&mut self, command: Command, at: Instant) {
        self.asked.push_back(Asked { command, at, come: 0 });
    }

    /// Whether nothing is to come any more.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// When the first of those that are not answered was sent.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.asked.front().map(|asked| asked.at)
    }

    /// A message came. Requests are passed over when the rest of their answers `may_be_lost`.
    ///
    /// # Errors
    /// It is not the next packet: torn, doubled, out of order, or one before it is missing.
    pub(super) fn take(
        &mut self,
        message: &[u8],
        may_be_lost: impl Fn(Instant) -> bool,
    ) -> Result<(), String> {
        while let Some(first) = self.asked.front_mut() {
            if first.is_answered_by(message) {
                first.come += 1;
                self.packets += 1;
                if first.is_done() {
                    self.asked.pop_front();
                }
                return Ok(());
            }
            if !may_be_lost(first.at) {
                return Err(format!("{} bytes came that are not the next packet", message.len()));
            }
            self.lost.push(first.at);
            self.asked.pop_front();
        }
        Err(format!("{} bytes came that nobody waits for", message.len()))
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// Something is missing that cannot have been lost.
    pub(super) fn close(&mut self, may_be_lost: impl Fn(Instant) -> bool) -> Result<(), String> {
        for Asked { at, .. } in self.asked.drain(..) {
            if !may_be_lost(at) {
                return Err("an answer did not come".to_owned());
            }
            self.lost.push(at);
        }
        Ok(())
    }
}

impl Asked {
    fn is_answered_by(&self, message: &[u8]) -> bool {
        match &self.command {
            Command::Send(send) => send.verify(self.come, message),
            command => Packet::parse(message).is_some_and(|packet| packet.whole == command.encode()),
        }
    }

    const fn is_done(&self) -> bool {
        match &self.command {
            Command::Send(Send { count, .. }) => self.come >= *count,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use teleferry_sim::command::data_packet;

    use super::*;
    use crate::clock;

    const FILE: Send = Send { count: 3, size: 100, seed: 9 };

    fn ledger() -> (Ledger, Vec<Vec<u8>>) {
        let mut ledger = Ledger::default();
        let echoes = [Command::Echo(vec![1; 80]), Command::Echo(vec![2; 80])];
        ledger.ask(echoes[0].clone(), clock::now());
        ledger.ask(Command::Send(FILE), clock::now());
        ledger.ask(echoes[1].clone(), clock::now());
        let file = (0..3).map(|index| data_packet(&FILE, index));
        let answers = [echoes[0].encode()].into_iter().chain(file).chain([echoes[1].encode()]);
        (ledger, answers.collect())
    }

    #[test]
    fn all_that_was_asked_for_comes_in_order() {
        let (mut ledger, answers) = ledger();
        for answer in &answers {
            ledger.take(answer, |_| false).unwrap();
        }
        assert!(ledger.is_empty());
        assert_eq!((ledger.packets, ledger.lost.len()), (5, 0));
        ledger.close(|_| false).unwrap();
    }

    #[test]
    fn nothing_is_missing_doubled_swapped_or_torn() {
        for order in [&[1][..], &[0, 0], &[0, 2], &[0, 1, 3], &[0, 1, 1], &[0, 1, 4]] {
            let (mut ledger, answers) = ledger();
            let (last, before) = order.split_last().unwrap();
            before.iter().for_each(|index| ledger.take(&answers[*index], |_| false).unwrap());
            assert!(ledger.take(&answers[*last], |_| false).is_err(), "{order:?}");
        }
        let (mut ledger, answers) = ledger();
        let mut torn = answers[0].clone();
        torn[70] ^= 1;
        assert!(ledger.take(&torn, |_| true).is_err(), "also when something may be lost");
    }

    #[test]
    fn what_went_with_a_link_is_passed_over_and_never_comes_later() {
        let (mut ledger, answers) = ledger();
        ledger.take(&answers[0], |_| true).unwrap();
        ledger.take(&answers[1], |_| true).unwrap();
        ledger.take(&answers[4], |_| true).unwrap();
        assert_eq!(ledger.lost.len(), 1, "the rest of the file");
        assert!(ledger.take(&answers[4], |_| true).is_err(), "doubled");

        let (mut ledger, _) = self::ledger();
        assert!(ledger.close(|_| false).is_err());
        let (mut ledger, _) = self::ledger();
        ledger.close(|_| true).unwrap();
        assert_eq!(ledger.lost.len(), 3);
    }
}
