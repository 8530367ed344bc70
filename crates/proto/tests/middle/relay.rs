//! Many clients on one link.

use std::collections::BTreeMap;

use proptest::prelude::*;
use teleferry_proto::middle::server;
use teleferry_proto::middle::{Client, Event, MAX_MESSAGE, SendError};
use teleferry_proto::rpc::{ConnId, Packet, flags};
use teleferry_proto::transport::Framing;
use teleferry_proto::transport::full::{MAX_FRAME, OVERHEAD};

use crate::pair::{Heard, Pair, Said, address, client, counterpart, message, setup};

fn request(heard: &Heard) -> (ConnId, u32, &[u8]) {
    match heard {
        Heard::Request { conn, flags, message, .. } => (*conn, *flags, message),
        other => panic!("no request: {other:?}"),
    }
}

fn closed(heard: &Heard) -> ConnId {
    match heard {
        Heard::Event(server::Event::Closed { conn }) => *conn,
        other => panic!("not closed: {other:?}"),
    }
}

#[test]
fn a_request_says_who_and_how() {
    let mut pair = Pair::ready();
    for (framing, tag, expected) in [
        (Framing::Abridged, None, flags::ABRIDGED),
        (Framing::Intermediate, None, flags::INTERMEDIATE),
        (Framing::Padded, None, flags::INTERMEDIATE | flags::PADDED),
        (Framing::Padded, Some([7; 16]), flags::INTERMEDIATE | flags::PADDED | flags::AD_TAG),
    ] {
        for (from, proxy) in [
            ("192.0.2.200:1", "203.0.113.7:443"),
            ("[2001:db8::1]:65535", "203.0.113.7:443"),
            ("192.0.2.200:1", "[2001:db8::7]:8443"),
        ] {
            let client = Client { address: address(from), proxy: address(proxy), framing, ad_tag: tag };
            let conn = pair.middle.open(client);
            let message = message(14, 3);
            pair.send(conn, &message);
            pair.drive();
            let flags = flags::ALWAYS | expected;
            let (client, proxy) = (client.address, client.proxy);
            let expected = Heard::Request { conn, flags, client, proxy, ad_tag: tag, message };
            assert_eq!(pair.take_heard(), [expected]);
        }
    }
}

#[test]
fn unencrypted_messages_and_quick_acks_are_flagged() {
    let mut pair = Pair::ready();
    let conn = pair.middle.open(client(Framing::Abridged));
    let (encrypted, plain) = (message(14, 3), vec![0; 40]);
    for (message, quick_ack, expected) in [
        (&encrypted, false, 0),
        (&encrypted, true, flags::QUICK_ACK),
        (&plain, false, flags::NOT_ENCRYPTED),
        (&encrypted, false, 0),
    ] {
        pair.middle.send(pair.now, conn, message, quick_ack).expect("taken");
        pair.drive();
        let heard = pair.take_heard();
        assert_eq!(
            request(&heard[0]),
            (conn, flags::ALWAYS | flags::ABRIDGED | expected, message.as_slice())
        );
    }
}

#[test]
fn f_16_a_quick_ack_comes_back() {
    let mut pair = Pair::ready();
    let conn = pair.middle.open(client(Framing::Abridged));
    pair.middle.send(pair.now, conn, &message(14, 3), true).expect("taken");
    pair.server.send(&Packet::Ack { conn, token: [1, 2, 3, 0x84] });
    pair.drive();
    assert_eq!(pair.take_said(), [Said::Event(Event::Ack { conn, token: [1, 2, 3, 0x84] })]);
}

#[test]
fn f_01_a_message_of_no_legal_length_is_its_senders_fault_alone() {
    let mut pair = Pair::ready();
    let (bad, good) = (pair.middle.open(client(Framing::Padded)), pair.middle.open(client(Framing::Padded)));
    for len in [0, 1, 57, MAX_MESSAGE + 4] {
        let refused = pair.middle.send(pair.now, bad, &vec![1; len], false);
        assert_eq!(refused, Err(SendError::Length), "{len}");
    }
    pair.middle.close(bad);
    assert_eq!(pair.middle.send(pair.now, bad, &message(14, 1), false), Err(SendError::UnknownConn));
    pair.send(good, &message(14, 1));
    pair.drive();
    let heard = pair.take_heard();
    assert_eq!(heard.len(), 1, "the middle proxy never heard of the other");
    assert_eq!(request(&heard[0]).0, good);
}

#[test]
fn f_30_the_longest_messages_pass_both_ways() {
    let mut pair = Pair::ready().in_pieces(&[100_000]);
    let conn = pair.middle.open(client(Framing::Padded));
    let up = vec![3; MAX_MESSAGE];
    pair.send(conn, &up);
    let down = vec![5; MAX_FRAME - OVERHEAD - 16];
    pair.server.send(&Packet::Answer { flags: 8, conn, message: &down });
    pair.drive();
    assert!(request(&pair.heard[0]).2 == up, "not what was sent");
    assert!(pair.said == [Said::Answer { conn, flags: 8, message: down }], "not what was answered");
}

#[test]
fn what_a_turn_brings_goes_out_together() {
    let mut pair = Pair::ready();
    let conns: Vec<_> = (0..10).map(|_| pair.middle.open(client(Framing::Abridged))).collect();
    for &conn in &conns {
        pair.send(conn, &message(14, 1));
    }
    // 10 frames of 12 + 56 + 56 bytes, and one padding to whole blocks.
    let queued = pair.middle.queued();
    assert_eq!(queued, 1240);
    assert_eq!(pair.middle.poll_transmit().map(<[u8]>::len), Some(1248));
    // What was shown is not changed by what comes later.
    let shown = pair.middle.poll_transmit().expect("bytes").to_vec();
    pair.send(conns[0], &message(14, 1));
    assert!(pair.middle.poll_transmit().expect("bytes").starts_with(&shown));
    pair.drive();
    assert_eq!((pair.take_heard().len(), pair.middle.queued()), (11, 0));
}

#[test]
fn a_client_is_closed_exactly_once() {
    let mut pair = Pair::ready();
    let conns: Vec<_> = (0..4).map(|_| pair.middle.open(client(Framing::Abridged))).collect();
    let [silent, leaves, left, stays] = conns[..] else { panic!("four") };
    for conn in [leaves, left, stays] {
        pair.send(conn, &message(14, 1));
    }
    pair.drive();
    pair.take_heard();

    // The middle proxy never heard of it.
    pair.middle.close(silent);
    // It is told, once, whatever is still under way.
    pair.middle.close(leaves);
    pair.middle.close(leaves);
    pair.server.send(&Packet::Answer { flags: 0, conn: leaves, message: &[1; 4] });
    pair.server.send(&Packet::Ack { conn: leaves, token: [1; 4] });
    // It tells us, and gets no answer.
    pair.server.send(&Packet::CloseExt(left));
    pair.server.send(&Packet::CloseExt(left));
    pair.drive();
    pair.middle.close(left);
    pair.server.send(&Packet::Answer { flags: 0, conn: left, message: &[1; 4] });
    pair.drive();

    let heard = pair.take_heard();
    assert_eq!(heard.iter().map(closed).collect::<Vec<_>>(), [leaves]);
    assert_eq!(pair.take_said(), [Said::Event(Event::Closed { conn: left })]);
    assert_eq!(pair.middle.clients(), 1);
    pair.send(stays, &message(14, 1));
}

#[test]
fn the_end_closes_all_and_takes_nothing_more() {
    let mut pair = Pair::ready();
    let conns: Vec<_> = (0..3).map(|_| pair.middle.open(client(Framing::Abridged))).collect();
    conns[1..].iter().for_each(|&conn| pair.send(conn, &message(14, 1)));
    pair.drive();
    pair.take_heard();
    pair.middle.finish();
    pair.middle.finish();
    assert_eq!(pair.middle.send(pair.now, conns[1], &message(14, 1), false), Err(SendError::NotReady));
    pair.drive();
    assert_eq!(pair.take_heard().iter().map(closed).collect::<Vec<_>>(), conns[1..]);
    assert_eq!((pair.middle.clients(), pair.middle.poll_timeout()), (0, None));
}

#[test]
fn nothing_is_sent_before_the_handshake_is_done() {
    let mut pair = Pair::new(setup(), counterpart(&setup()));
    let conn = pair.middle.open(client(Framing::Abridged));
    assert_eq!(pair.middle.send(pair.now, conn, &message(14, 1), false), Err(SendError::NotReady));
    pair.drive();
    pair.send(conn, &message(14, 1));
}

#[test]
fn ids_count_up_from_a_random_one_and_over_the_end() {
    let mut setup = setup();
    setup.entropy[16..24].copy_from_slice(&i64::MAX.to_le_bytes());
    let mut pair = Pair::new(setup.clone(), counterpart(&setup));
    pair.drive();
    let conns: Vec<_> = (0..3).map(|_| pair.middle.open(client(Framing::Abridged))).collect();
    assert_eq!(conns.iter().map(|conn| conn.get()).collect::<Vec<_>>(), [i64::MAX, i64::MIN, i64::MIN + 1]);
    pair.send(conns[1], &message(14, 1));
    pair.middle.close(conns[1]);
    pair.drive();
    pair.take_heard();
    // One that was ours is closed already; the next one is not ours yet.
    let next = ConnId::new(i64::MIN + 2);
    for conn in [conns[1], next] {
        pair.server.send(&Packet::Answer { flags: 0, conn, message: &[1; 4] });
    }
    pair.drive();
    assert_eq!(pair.take_heard().iter().map(closed).collect::<Vec<_>>(), [next]);
}

/// What happens on a link in a property.
#[derive(Debug, Clone)]
enum Step {
    Up { client: usize, words: usize, quick_ack: bool },
    Down { client: usize, words: usize },
    Close { client: usize },
    CloseExt { client: usize },
    Carry,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0usize..5;
    prop::collection::vec(
        prop_oneof![
            4 => (client.clone(), 1usize..2000, any::<bool>())
                .prop_map(|(client, words, quick_ack)| Step::Up { client, words, quick_ack }),
            4 => (client.clone(), 1usize..2000).prop_map(|(client, words)| Step::Down { client, words }),
            1 => client.clone().prop_map(|client| Step::Close { client }),
            1 => client.prop_map(|client| Step::CloseExt { client }),
            3 => Just(Step::Carry),
        ],
        0..40,
    )
}

proptest! {
    /// Whatever clients and server say, and in whatever pieces it arrives: each side hears what the other said to it, whole
    /// and in order, and a client's end comes through once.
    #[test]
    fn any_conversation_in_any_pieces(steps in steps(), pieces in prop::collection::vec(1usize..9000, 1..6)) {
        let mut pair = Pair::ready().in_pieces(&pieces);
        let mut conns: Vec<_> = (0..5).map(|_| pair.middle.open(client(Framing::Padded))).collect();
        let mut up: BTreeMap<ConnId, Vec<Vec<u8>>> = BTreeMap::new();
        let mut down = up.clone();
        let (mut closed_by_client, mut closed_by_server) = (Vec::new(), Vec::new());
        for (fill, step) in steps.into_iter().enumerate() {
            match step {
                Step::Up { client, words, quick_ack } => {
                    let message = message(words, fill as u8);
                    pair.middle.send(pair.now, conns[client], &message, quick_ack).expect("taken");
                    up.entry(conns[client]).or_default().push(message);
                }
                Step::Down { client, words } => {
                    let message = message(words, fill as u8);
                    pair.server.send(&Packet::Answer { flags: 0, conn: conns[client], message: &message });
                    down.entry(conns[client]).or_default().push(message);
                }
                Step::Close { client: index } => {
                    // All that was said to it must have come through before it goes.
                    pair.drive();
                    pair.middle.close(conns[index]);
                    if up.contains_key(&conns[index]) || down.contains_key(&conns[index]) {
                        closed_by_client.push(conns[index]);
                    }
                    conns[index] = pair.middle.open(client(Framing::Padded));
                }
                Step::CloseExt { client: index } => {
                    pair.server.send(&Packet::CloseExt(conns[index]));
                    closed_by_server.push(conns[index]);
                    pair.drive();
                    conns[index] = pair.middle.open(client(Framing::Padded));
                }
                Step::Carry => pair.drive(),
            }
        }
        pair.drive();
        for heard in pair.take_heard() {
            match heard {
                Heard::Request { conn, message, .. } => {
                    prop_assert_eq!(up.get_mut(&conn).expect("asked").remove(0), message);
                }
                Heard::Event(server::Event::Closed { conn }) => {
                    prop_assert_eq!(closed_by_client.remove(0), conn);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        for said in pair.take_said() {
            match said {
                Said::Answer { conn, message, .. } => {
                    prop_assert_eq!(down.get_mut(&conn).expect("answered").remove(0), message);
                }
                Said::Event(Event::Closed { conn }) => prop_assert_eq!(closed_by_server.remove(0), conn),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(up.values().chain(down.values()).all(Vec::is_empty), "something was lost");
        prop_assert!(closed_by_client.is_empty() && closed_by_server.is_empty(), "an end was lost");
        prop_assert_eq!(pair.middle.queued(), 0);
    }
}
