//! What a middle proxy should not say, and what is done about it.

use proptest::prelude::*;
use teleferry_proto::middle::server;
use teleferry_proto::middle::{DownReason, Event};
use teleferry_proto::rpc::{ConnId, Handshake, Nonce, Packet, ProcessId, SCHEMA_AES};
use teleferry_proto::transport::Framing;
use teleferry_proto::transport::full::{Checksum, Encoder, FullFrameError};

use crate::common::{cases, hex, vectors};
use crate::pair::{Heard, Pair, Said, client, message};

/// A link that carries a client whose echo works.
fn link() -> (Pair, ConnId) {
    let mut pair = Pair::ready();
    let conn = pair.middle.open(client(Framing::Abridged));
    assert_works(&mut pair, conn);
    (pair, conn)
}

fn assert_works(pair: &mut Pair, conn: ConnId) {
    let message = message(14, 9);
    pair.send(conn, &message);
    pair.drive();
    assert!(matches!(&pair.take_heard()[..], [Heard::Request { message: heard, .. }] if *heard == message));
    pair.server.send(&Packet::Answer { flags: 0, conn, message: &message });
    pair.drive();
    assert_eq!(pair.take_said(), [Said::Answer { conn, flags: 0, message }]);
}

#[test]
fn every_measured_reaction() {
    for case in cases(&vectors("rpc-packets"), "reactions") {
        let (mut pair, conn) = link();
        pair.server.send_payload(&[&hex(&case["middle_sends"])]);
        pair.drive();
        let expected = match Packet::decode(&hex(&case["c_reference_answers"])) {
            Ok(Packet::CloseConn(conn)) => vec![Heard::Event(server::Event::Closed { conn })],
            Ok(Packet::Pong(id)) => vec![Heard::Event(server::Event::Pong(id))],
            Ok(other) => panic!("{other:?}"),
            Err(_) => vec![],
        };
        assert_eq!(pair.take_heard(), expected, "{}", case["when"]);
        assert_eq!(pair.take_said(), [], "{}", case["when"]);
        assert_works(&mut pair, conn);
    }
}

#[test]
fn close_conn_from_the_wrong_side_closes() {
    let (mut pair, conn) = link();
    pair.server.send(&Packet::CloseConn(conn));
    pair.drive();
    assert_eq!(pair.take_said(), [Said::Event(Event::Closed { conn })]);
    assert_eq!(pair.take_heard(), []);
}

#[test]
fn what_means_nothing_is_passed_over_and_counted() {
    let (mut pair, conn) = link();
    let id = conn.get().to_le_bytes();
    let head = |kind: u32| kind.to_le_bytes();
    let process = ProcessId::ANONYMOUS;
    let payloads: Vec<Vec<u8>> = vec![
        // Of unknown type.
        vec![7; 24],
        // A quick ack without its token, an answer without its id, and ends with something behind them.
        [head(0x3bac_409b).as_slice(), &id].concat(),
        [head(0x4403_da0d).as_slice(), &[0; 8]].concat(),
        [head(0x5eb6_34a2).as_slice(), &id, &[0; 4]].concat(),
        [head(0x1fcf_425d).as_slice(), &id, &[0; 4]].concat(),
        [head(0x5730_a2df).as_slice(), &id, &[0; 4]].concat(),
        head(0x5730_a2df).to_vec(),
        // An answer that is empty.
        Packet::Answer { flags: 0, conn, message: &[] }.head().as_ref().to_vec(),
        // A request, which goes the other way.
        [head(0x36ce_f1ee).as_slice(), &[0; 4], &id, &[0; 40]].concat(),
        // The handshake again.
        Nonce { selector: [1; 4], schema: SCHEMA_AES, time: 0, nonce: [1; 16] }.encode().as_ref().to_vec(),
        Handshake { flags: 0, sender: process, peer: process }.encode().as_ref().to_vec(),
    ];
    for (count, payload) in payloads.iter().enumerate() {
        pair.server.send_payload(&[payload]);
        pair.drive();
        assert_eq!((pair.take_said(), pair.take_heard()), (vec![], vec![]), "{payload:x?}");
        assert_eq!(pair.middle.ignored(), count as u64 + 1);
        assert_works(&mut pair, conn);
    }
}

#[test]
fn a_frame_that_is_refused_ends_the_link() {
    // The next frame would be number 1, with CRC-32C.
    let frame = |sequence, checksum, payload: &[u8]| {
        let mut wire = Vec::new();
        Encoder::starting_at(sequence, checksum).encode(&[payload], &mut wire);
        wire
    };
    for (wire, error) in [
        (frame(2, Checksum::Crc32c, &[0; 12]), FullFrameError::Sequence),
        (frame(0, Checksum::Crc32c, &[0; 12]), FullFrameError::Sequence),
        (frame(1, Checksum::Crc32, &[0; 12]), FullFrameError::Checksum),
        (vec![0; 16], FullFrameError::Length),
        (vec![0xff; 16], FullFrameError::Length),
    ] {
        let (mut pair, _) = link();
        pair.server.send_raw(&wire);
        // What follows is not looked at.
        pair.server.send(&Packet::Ping([1; 8]));
        pair.drive();
        assert_eq!(pair.take_said(), [Said::Event(Event::Down(DownReason::Frame(error)))]);
        assert_eq!(pair.take_heard(), []);
        assert_eq!(pair.middle.poll_timeout(), None);
    }
}

#[test]
fn the_end_of_input_is_the_end_wherever_it_comes() {
    let (mut pair, conn) = link();
    pair.server.send(&Packet::Answer { flags: 0, conn, message: &message(100, 1) });
    let half = pair.server.poll_transmit().expect("a frame")[..100].to_vec();
    pair.give_middle(&mut half.clone());
    assert_eq!(pair.take_said(), [], "half a message is none");
    pair.middle.end_of_input();
    pair.middle.end_of_input();
    assert_eq!(pair.take_said(), [Said::Event(Event::Down(DownReason::Closed))]);
}

#[test]
fn a_flood_of_questions_is_answered_within_bounds() {
    let (mut pair, conn) = link();
    for round in 0..20 {
        for i in 0..500_u64 {
            pair.server.send(&Packet::Ping((round * 500 + i).to_le_bytes()));
            pair.server.send(&Packet::Ack { conn: ConnId::new(conn.get() - 1), token: [0; 4] });
        }
        // Everything is read, and nothing written.
        let mut flood = pair.server.poll_transmit().expect("pings").to_vec();
        pair.server.transmitted(flood.len());
        pair.give_middle(&mut flood);
        assert!(pair.middle.queued() <= 1024 * 24, "{}", pair.middle.queued());
    }
    // Once it reads, it is answered again.
    pair.drive();
    assert_eq!(pair.take_heard().len(), 1024);
    pair.server.send(&Packet::Ping([1; 8]));
    pair.drive();
    assert_eq!(pair.take_heard(), [Heard::Event(server::Event::Pong([1; 8]))]);
    assert_works(&mut pair, conn);
}

#[test]
fn debug_output_holds_neither_messages_nor_addresses() {
    let (mut pair, conn) = link();
    pair.send(conn, b"a message of whole words");
    let text = format!("{:?} {:?}", pair.middle, pair.server);
    assert_eq!(
        text,
        "Middle { state: \"ready\", clients: 1, queued: 92, .. } Server { state: Ready, queued: 0, .. }"
    );
}

proptest! {
    /// Bytes that no middle proxy sends: before the handshake, behind it, and as well-formed frames.
    #[test]
    fn arbitrary_input_is_safe(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        payload in prop::collection::vec(any::<[u8; 4]>(), 1..40),
        piece in 1usize..50,
    ) {
        let fresh = Pair::new(crate::pair::setup(), crate::pair::counterpart(&crate::pair::setup()));
        for mut pair in [fresh, link().0] {
            bytes.clone().chunks_mut(piece).for_each(|piece| pair.give_middle(piece));
        }
        let (mut pair, conn) = link();
        pair.server.send_payload(&[payload.as_flattened()]);
        pair.drive();
        pair.said.clear();
        pair.heard.clear();
        assert_works(&mut pair, conn);
    }
}
