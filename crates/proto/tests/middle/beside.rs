//! Links whose output is encrypted at once.

use proptest::prelude::*;
use teleferry_proto::middle::Setup;
use teleferry_proto::transport::Framing;

use crate::pair::{Heard, Pair, client, counterpart, message, setup};

/// A pair whose keys are its own.
fn ready(number: u8) -> Pair {
    let setup = || Setup { entropy: std::array::from_fn(|n| number.wrapping_add(n as u8)), ..setup() };
    let mut pair = Pair::new(setup(), counterpart(&setup()));
    pair.drive();
    pair.take_heard();
    pair
}

fn heard(pair: &mut Pair) -> Vec<Vec<u8>> {
    let message = |heard| match heard {
        Heard::Request { message, .. } => Some(message),
        Heard::Event(_) => None,
    };
    pair.take_heard().into_iter().filter_map(message).collect()
}

proptest! {
    #[test]
    fn each_says_what_it_would_say_alone(
        sizes in prop::array::uniform2(prop::collection::vec(1_usize..400, 0..6)),
        more in 1_usize..50,
        written in prop::array::uniform2(0_usize..4000),
    ) {
        let mut pairs = [ready(1), ready(2)];
        let conns = pairs.each_mut().map(|pair| pair.middle.open(client(Framing::Padded)));
        let mut sent = [Vec::new(), Vec::new()];
        for (number, sizes) in sizes.iter().enumerate() {
            for (fill, &words) in (0..).zip(sizes) {
                pairs[number].send(conns[number], &message(words, fill));
                sent[number].push(message(words, fill));
            }
        }
        let [one, other] = &mut pairs;
        one.middle.seal_with(&mut other.middle);
        prop_assert_eq!([one.middle.unsealed(), other.middle.unsealed()], [0; 2]);
        for (number, pair) in pairs.iter_mut().enumerate() {
            // What is appended behind is encrypted behind.
            pair.send(conns[number], &message(more, 9));
            sent[number].push(message(more, 9));
            prop_assert!(pair.middle.unsealed() > 0);
        }
        for ((mut pair, sent), written) in pairs.into_iter().zip(sent).zip(written) {
            let bytes = pair.middle.poll_transmit().expect("something");
            let mut bytes = bytes[..written.min(bytes.len())].to_vec();
            pair.middle.transmitted(bytes.len());
            pair.give_server(&mut bytes);
            let mut arrived = heard(&mut pair);
            arrived.extend(pair.middle.into_unsent().into_iter().map(|unsent| unsent.message));
            prop_assert_eq!(arrived, sent, "{} bytes written", bytes.len());
        }
    }
}

#[test]
fn a_link_in_its_handshake_is_left_alone() {
    let mut young = Pair::new(setup(), counterpart(&setup()));
    let mut old = ready(1);
    let conn = old.middle.open(client(Framing::Padded));
    old.send(conn, &message(100, 1));
    old.middle.seal_with(&mut young.middle);
    young.middle.seal_with(&mut old.middle);
    old.drive();
    young.drive();
    assert_eq!(heard(&mut old), [message(100, 1)]);
    assert!(young.middle.is_ready());
}

/// A message that stands in two places is one message, also to the flag for what is not encrypted.
#[test]
fn pieces_of_a_message_are_joined() {
    let plain = [vec![0; 8], message(5, 1)].concat();
    for message in [plain, message(7, 1), vec![0; 4]] {
        let mut flags = Vec::new();
        for cut in 0..=message.len() {
            let mut pair = ready(1);
            let conn = pair.middle.open(client(Framing::Padded));
            let (first, last) = message.split_at(cut);
            pair.middle.send_pieces(pair.now, conn, [first, last], false).expect("taken");
            pair.drive();
            let said = pair.take_heard();
            let [Heard::Request { message: heard, flags: set, .. }] = &said[..] else { panic!("{said:?}") };
            assert_eq!(*heard, message);
            flags.push(*set);
        }
        flags.dedup();
        assert_eq!(flags.len(), 1, "whatever the cut");
    }
}
