//! From the first byte to ready, and every way not to get there.

use std::time::Duration;

use teleferry_proto::middle::server::{self, Conduct};
use teleferry_proto::middle::{DownReason, Event, HANDSHAKE_TIMEOUT, Setup};
use teleferry_proto::rpc::{
    CRC32C, Handshake, HandshakeError, Nonce, Packet, ProcessId, SCHEMA_AES, handshake_error,
};
use teleferry_proto::telegram_config::MiddleSecret;
use teleferry_proto::transport::full::{Checksum, Encoder, FullFrameError, PADDING_WORD};

use crate::pair::{Heard, Pair, Said, address, counterpart, setup};

/// A handshake between a link and a server that is made to fit, then changed.
fn pair(change: impl FnOnce(&mut Setup, &mut server::Setup)) -> Pair {
    let mut setup = setup();
    let mut server = counterpart(&setup);
    change(&mut setup, &mut server);
    Pair::new(setup, server)
}

fn down(reason: DownReason) -> Said {
    Said::Event(Event::Down(reason))
}

#[test]
fn both_families_and_behind_nat_in_any_pieces() {
    for (proxy, middle) in [
        ("203.0.113.7:51515", "198.51.100.7:8888"),
        ("[2001:db8::10]:51515", "[2001:db8:ffff::7]:80"),
        // The socket's own address is another, and nobody needs it.
        ("203.0.113.99:1", "[::ffff:198.51.100.7]:65535"),
    ] {
        for piece in [1, 3, 15, 16, 17, 44, usize::MAX] {
            let ends = |setup: &mut Setup, server: &mut server::Setup| {
                (setup.proxy, setup.middle) = (address(proxy), address(middle));
                (server.proxy, server.middle) = (address(proxy), address(middle));
            };
            let mut pair = pair(ends).in_pieces(&[piece]);
            pair.drive();
            let ready = pair.found_out().unwrap_or_else(|| panic!("{proxy} {piece}: {:?}", pair.said));
            assert_eq!((ready.clock_ahead, ready.crc32c), (2, true));
            assert_eq!(pair.heard, [Heard::Event(server::Event::Ready { crc32c: true })]);
        }
    }
}

#[test]
fn crc32c_only_when_both_want_it() {
    for (offered, granted) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut pair = pair(|setup, server| {
            setup.crc32c = offered;
            server.crc32c = granted;
        });
        pair.drive();
        assert_eq!(pair.found_out().map(|ready| ready.crc32c), Some(offered && granted));
        // And the frames behind it agree.
        pair.server.send(&Packet::Ping([1; 8]));
        pair.drive();
        assert_eq!(pair.heard.last(), Some(&Heard::Event(server::Event::Pong([1; 8]))));
    }
}

#[test]
fn secrets_of_the_shortest_and_the_longest_kind() {
    for len in [32, 256] {
        let secret = MiddleSecret::new(&vec![9; len]).expect("a secret");
        let mut pair = pair(|setup, server| {
            setup.secret = secret.clone();
            server.secret = secret;
        });
        pair.drive();
        assert!(pair.middle.is_ready(), "{len}");
    }
}

#[test]
fn a_nonce_that_is_padded_as_if_it_were_encrypted() {
    for padding in 0..4 {
        for piece in [1, 2, 4, 7, 48, 200] {
            let mut pair = pair(|_, _| ());
            let mut hello = pair.middle.poll_transmit().expect("a nonce").to_vec();
            pair.middle.transmitted(hello.len());
            pair.server.input(&mut hello);
            let mut answer = pair.server.poll_transmit().expect("a nonce").to_vec();
            pair.server.transmitted(answer.len());
            answer.extend(PADDING_WORD.repeat(padding));
            answer.chunks_mut(piece).for_each(|piece| pair.give_middle(piece));
            pair.drive();
            assert!(pair.middle.is_ready(), "{padding} {piece}: {:?}", pair.said);
        }
    }
}

#[test]
fn an_outdated_secret_is_known_by_its_selector() {
    let mut pair = pair(|setup, _| setup.secret = MiddleSecret::new(&[9; 128]).expect("a secret"));
    pair.drive();
    assert_eq!(pair.heard, [Heard::Event(server::Event::Down(server::DownReason::Selector))]);
    pair.middle.end_of_input();
    assert_eq!(pair.take_said(), [down(DownReason::ClosedAtNonce)]);
}

#[test]
fn a_clock_more_than_thirty_seconds_off() {
    for (difference, taken) in [(-31, false), (-30, true), (30, true), (31, false)] {
        let mut pair = pair(|setup, server| {
            server.unix_time = setup.unix_time.checked_add_signed(difference).expect("a time");
        });
        pair.drive();
        assert_eq!(pair.found_out().map(|ready| ready.clock_ahead), taken.then_some(difference.into()));
        let refused = Heard::Event(server::Event::Down(server::DownReason::Clock));
        assert_eq!(pair.heard.contains(&refused), !taken, "{difference}");
    }
}

#[test]
fn a_wrong_external_address_is_named_as_the_likely_cause() {
    let mut pair = pair(|_, server| server.proxy = address("203.0.113.8:51515"));
    pair.drive();
    let [Heard::Event(server::Event::Down(server::DownReason::Frame(_)))] = pair.heard[..] else {
        panic!("{:?}", pair.heard)
    };
    pair.middle.end_of_input();
    assert_eq!(pair.take_said(), [down(DownReason::ClosedAtHandshake)]);
    assert!(DownReason::ClosedAtHandshake.to_string().contains("external address is probably wrong"));
}

#[test]
fn silence_ends_after_eight_seconds() {
    for conduct in [Conduct::SilentAtNonce, Conduct::SilentAtHandshake] {
        let mut pair = pair(|_, server| server.conduct = conduct);
        pair.pass(HANDSHAKE_TIMEOUT - Duration::from_millis(1));
        assert_eq!(pair.said, [], "{conduct:?}");
        pair.pass(Duration::from_millis(1));
        assert_eq!(pair.said, [down(DownReason::HandshakeTimeout)], "{conduct:?}");
        assert_eq!(pair.middle.poll_timeout(), None);
    }
}

#[test]
fn a_handshake_error_is_told_by_its_code() {
    for code in [-3, -4, -6, -7, -8, 99] {
        let mut pair = pair(|_, server| server.conduct = Conduct::Refuse(code));
        pair.drive();
        assert_eq!(pair.said, [down(DownReason::Refused(code))]);
        assert_eq!(pair.heard, [Heard::Event(server::Event::Down(server::DownReason::RefusedAsTold))]);
    }
}

/// What a link says to a first payload that is not what it waits for.
fn first_payload(payload: &[u8]) -> Vec<Said> {
    let mut pair = pair(|_, _| ());
    let mut wire = Vec::new();
    Encoder::new().encode(&[payload], &mut wire);
    pair.give_middle(&mut wire);
    pair.take_said()
}

#[test]
fn nonces_that_are_refused() {
    let nonce = Nonce { selector: setup().secret.selector(), schema: SCHEMA_AES, time: 0, nonce: [1; 16] };
    // This one is fine, and its clock none of our business.
    assert_eq!(first_payload(nonce.encode().as_ref()), []);
    for schema in [0, 2, 3] {
        let nonce = Nonce { schema, ..nonce };
        assert_eq!(first_payload(nonce.encode().as_ref()), [down(DownReason::Schema(schema))]);
    }
    let other = Nonce { selector: [1; 4], ..nonce };
    assert_eq!(first_payload(other.encode().as_ref()), [down(DownReason::Selector)]);
    let longer = [nonce.encode().as_ref(), &[0; 4]].concat();
    assert_eq!(first_payload(&longer), [down(DownReason::NotANonce)]);
    assert_eq!(first_payload(&[0; 32]), [down(DownReason::NotANonce)]);
    // Nothing this long belongs into a handshake.
    assert_eq!(first_payload(&[0; 256]), [down(DownReason::Frame(FullFrameError::Length))]);
}

#[test]
fn frames_that_are_refused_in_the_open() {
    let nonce = Nonce { selector: setup().secret.selector(), schema: SCHEMA_AES, time: 0, nonce: [1; 16] };
    for (sequence, checksum, error) in
        [(-1, Checksum::Crc32, FullFrameError::Sequence), (-2, Checksum::Crc32c, FullFrameError::Checksum)]
    {
        let mut pair = pair(|_, _| ());
        let mut wire = Vec::new();
        Encoder::starting_at(sequence, checksum).encode(&[nonce.encode().as_ref()], &mut wire);
        pair.give_middle(&mut wire);
        assert_eq!(pair.take_said(), [down(DownReason::Frame(error))]);
    }
}

/// A server that says `payload` instead of its handshake: what the link says, and what the server hears.
fn second_payload(crc32c: bool, payload: &[u8]) -> (Vec<Said>, Vec<Heard>) {
    let mut pair = pair(|setup, server| {
        setup.crc32c = crc32c;
        server.conduct = Conduct::SilentAtHandshake;
    });
    pair.drive();
    assert_eq!((pair.take_said(), pair.take_heard()), (vec![], vec![]));
    pair.server.send_payload(&[payload]);
    pair.drive();
    (pair.take_said(), pair.take_heard())
}

#[test]
fn handshakes_that_are_refused_are_answered_with_a_code() {
    let us = ProcessId::ANONYMOUS;
    let fine = Handshake { flags: CRC32C, sender: us, peer: us };
    let nobody = ProcessId::new([0; 12]);
    for (crc32c, handshake, reason, code) in [
        (false, fine, DownReason::Crc32cNotOffered, handshake_error::CRC32C),
        (true, Handshake { flags: 1, ..fine }, DownReason::Flags, handshake_error::FLAGS),
        (true, Handshake { peer: ProcessId::new([7; 12]), ..fine }, DownReason::Peer, handshake_error::PEER),
    ] {
        let (said, heard) = second_payload(crc32c, handshake.encode().as_ref());
        assert_eq!(said, [down(reason)]);
        let refused = server::Event::Down(server::DownReason::Refused(code));
        assert_eq!(heard, [Heard::Event(refused)], "{reason:?}");
    }
    // What is not said fits anybody, and who the middle proxy is does not matter.
    for (handshake, crc32c) in [
        (fine, true),
        (Handshake { peer: nobody, sender: nobody, ..fine }, true),
        (Handshake { flags: 0, ..fine }, false),
        (Handshake { flags: 0x100, ..fine }, false),
    ] {
        let (said, _) = second_payload(true, handshake.encode().as_ref());
        let [Said::Event(Event::Ready(ready))] = said[..] else { panic!("{said:?}") };
        assert_eq!(ready.crc32c, crc32c);
    }
    let (said, heard) = second_payload(true, &[0; 32]);
    assert_eq!(said, [down(DownReason::NotAHandshake)]);
    let refused = server::DownReason::Refused(handshake_error::LENGTH);
    assert_eq!(heard, [Heard::Event(server::Event::Down(refused))]);
}

#[test]
fn a_handshake_error_is_not_answered() {
    let error = HandshakeError { code: -6, sender: ProcessId::ANONYMOUS };
    let (said, heard) = second_payload(true, error.encode().as_ref());
    assert_eq!((said, heard), (vec![down(DownReason::Refused(-6))], vec![]));
}

#[test]
fn a_server_judges_handshakes_too() {
    use server::DownReason;
    let nonce = |change: fn(&mut Nonce)| {
        let setup = setup();
        let mut nonce = Nonce {
            selector: setup.secret.selector(),
            schema: SCHEMA_AES,
            time: setup.unix_time,
            nonce: [1; 16],
        };
        change(&mut nonce);
        nonce
    };
    for (payload, reason) in [
        (nonce(|nonce| nonce.schema = 3).encode().as_ref(), DownReason::Schema(3)),
        (nonce(|nonce| nonce.selector = [0; 4]).encode().as_ref(), DownReason::Selector),
        (nonce(|nonce| nonce.time = 0).encode().as_ref(), DownReason::Clock),
        (&[0; 32], DownReason::NotANonce),
    ] {
        let mut server = server::Server::new(counterpart(&setup()));
        let mut wire = Vec::new();
        Encoder::new().encode(&[payload], &mut wire);
        server.input(&mut wire);
        assert_eq!(server.poll_event(), Some(server::Event::Down(reason)));
        assert_eq!(server.poll_transmit(), None, "it closes without a word");
    }
}
