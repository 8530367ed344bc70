//! What a link that went away gives back.

use proptest::prelude::*;
use teleferry_proto::middle::{Event, Unsent};
use teleferry_proto::rpc::ConnId;
use teleferry_proto::transport::Framing;

use crate::pair::{Heard, Pair, Said, client, message};

/// The messages that the server heard.
fn arrived(pair: &mut Pair) -> Vec<(ConnId, Vec<u8>)> {
    let requests = |heard| match heard {
        Heard::Request { conn, message, .. } => Some((conn, message)),
        Heard::Event(_) => None,
    };
    pair.take_heard().into_iter().filter_map(requests).collect()
}

#[test]
fn a_message_that_was_not_written_comes_back_whole() {
    let mut pair = Pair::ready();
    let conn = pair.middle.open(client(Framing::Padded));
    pair.send(conn, &message(20, 1));
    pair.drive();
    pair.send(conn, &message(20, 2));
    pair.middle.send(pair.now, conn, &message(20, 4), true).expect("taken");
    pair.middle.close(conn);
    pair.middle.end_of_input();
    assert!(matches!(pair.take_said()[..], [Said::Event(Event::Down(_))]));
    assert_eq!(
        pair.middle.into_unsent(),
        [
            Unsent { conn, message: message(20, 2), quick_ack: false },
            Unsent { conn, message: message(20, 4), quick_ack: true }
        ]
    );
}

/// The other side can decipher whole blocks only: a message is written when its last block is.
#[test]
fn a_message_whose_last_block_is_not_written_comes_back() {
    for words in 20..24 {
        for missing in 0..=20 {
            let mut pair = Pair::ready();
            let conn = pair.middle.open(client(Framing::Padded));
            pair.send(conn, &message(words, 1));
            pair.send(conn, &message(words, 2));
            let bytes = pair.middle.poll_transmit().expect("two messages");
            let mut written = bytes[..bytes.len() - missing].to_vec();
            pair.middle.transmitted(written.len());
            pair.give_server(&mut written);
            pair.middle.end_of_input();
            let mut found: Vec<_> = arrived(&mut pair).into_iter().map(|(_, message)| message).collect();
            found.extend(pair.middle.into_unsent().into_iter().map(|unsent| unsent.message));
            assert_eq!(
                found,
                [message(words, 1), message(words, 2)],
                "{words} words, {missing} bytes missing"
            );
        }
    }
}

proptest! {
    // Enough of them to go through every way of moving out what is written, and quick.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However much is sent, and however much of it the socket takes in whatever pieces: a message either arrives or comes
    /// back, never both, never neither, never torn.
    #[test]
    fn every_message_arrives_or_comes_back(
        rounds in prop::collection::vec((prop::collection::vec(1usize..9000, 0..12), 0.0..1.5_f64), 1..12),
    ) {
        let mut pair = Pair::ready();
        let conns: Vec<_> = (0..3).map(|_| pair.middle.open(client(Framing::Padded))).collect();
        let mut sent = Vec::new();
        for (sizes, share) in rounds {
            for words in sizes {
                let (conn, message) = (conns[sent.len() % 3], message(words, sent.len() as u8));
                pair.send(conn, &message);
                sent.push((conn, message));
            }
            let Some(bytes) = pair.middle.poll_transmit() else { continue };
            let len = ((bytes.len() as f64 * share) as usize).min(bytes.len());
            let mut bytes = bytes[..len].to_vec();
            pair.middle.transmitted(len);
            pair.give_server(&mut bytes);
        }
        pair.middle.end_of_input();
        let mut found = arrived(&mut pair);
        let back = pair.middle.into_unsent();
        found.extend(back.into_iter().map(|unsent| (unsent.conn, unsent.message)));
        prop_assert!(found == sent, "{} of {} messages", found.len(), sent.len());
    }
}
