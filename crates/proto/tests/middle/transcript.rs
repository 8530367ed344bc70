//! Recorded conversations, byte for byte.

use std::net::SocketAddr;

use serde_json::Value;
use teleferry_proto::middle::server::{self, Conduct, Server};
use teleferry_proto::middle::{Client, Event, Middle, Ready, Setup};
use teleferry_proto::rpc::{Handshake, KeyMaterial, Keys, Packet, ProcessId};
use teleferry_proto::telegram_config::MiddleSecret;
use teleferry_proto::transport::Framing;
use teleferry_proto::transport::full::{Checksum, Encoder, pad};

use crate::common::{array, cases, hex, vectors};
use crate::pair::{Heard, Pair, Said, some_time};

const TO_MIDDLE: &str = "proxy_to_middle";
const TO_PROXY: &str = "middle_to_proxy";

fn end(session: &Value, side: &str) -> SocketAddr {
    let ip = session[format!("{side}_ip")].as_str().expect("text").parse().expect("address");
    SocketAddr::new(ip, session[format!("{side}_port")].as_u64().expect("number") as u16)
}

fn time(session: &Value, side: &str) -> u32 {
    session[format!("{side}_timestamp")].as_u64().expect("number") as u32
}

fn secret(session: &Value) -> MiddleSecret {
    MiddleSecret::new(&hex(&session["middle_secret"])).expect("a secret")
}

fn is_crc32c(session: &Value) -> bool {
    session["checksum_after_handshake"] == "crc32c"
}

fn steps<'a>(session: &'a Value, direction: &str) -> Vec<&'a Value> {
    cases(session, "steps").iter().filter(|step| step["dir"] == direction).collect()
}

/// The payloads of a step.
fn payloads(step: &Value) -> Vec<Vec<u8>> {
    match step["frames"].as_array() {
        Some(frames) => frames.iter().map(|frame| hex(&frame["payload"])).collect(),
        None => vec![hex(&step["payload"])],
    }
}

/// The handshake that a side sends.
fn handshake(session: &Value, direction: &str) -> Handshake {
    Handshake::decode(&payloads(steps(session, direction)[1])[0]).expect("a handshake")
}

fn keys(session: &Value) -> Keys {
    let secret = secret(session);
    KeyMaterial {
        secret: &secret,
        middle_nonce: array(&session["nonce_server"]),
        proxy_nonce: array(&session["nonce_client"]),
        proxy_time: time(session, "client"),
        proxy: end(session, "client"),
        middle: end(session, "server"),
    }
    .keys()
}

fn server(session: &Value) -> Server {
    Server::new(server::Setup {
        secret: secret(session),
        middle: end(session, "server"),
        proxy: end(session, "client"),
        unix_time: time(session, "server"),
        process: handshake(session, TO_PROXY).sender,
        crc32c: is_crc32c(session),
        nonce: array(&session["nonce_server"]),
        conduct: Conduct::Serve,
    })
}

fn middle(session: &Value) -> Middle {
    let handshake = handshake(session, TO_MIDDLE);
    // The first client of the recording has this id.
    let first = 0x1122_3344_5566_7788_i64.to_le_bytes();
    let entropy = [hex(&session["nonce_client"]).as_slice(), &first, &[0; 8]].concat();
    let setup = Setup {
        secret: secret(session),
        proxy: end(session, "client"),
        middle: end(session, "server"),
        unix_time: time(session, "client"),
        process: handshake.sender,
        peer: handshake.peer,
        crc32c: is_crc32c(session),
        entropy: entropy.try_into().expect("32 bytes"),
    };
    // C names the end it dialled as its peer.
    let (ip, port) = (setup.middle.ip(), setup.middle.port());
    assert_eq!(handshake.peer, ProcessId::of(ip, port, 0, 0));
    Middle::new(some_time(), setup)
}

#[test]
fn every_flush_of_both_directions() {
    for session in cases(&vectors("middle-proxy-session"), "sessions") {
        let keys = keys(session);
        for (direction, mut cipher) in [(TO_MIDDLE, keys.to_middle), (TO_PROXY, keys.to_proxy)] {
            let mut encoder = Encoder::new();
            for (number, step) in steps(session, direction).into_iter().enumerate() {
                let mut wire = Vec::new();
                for payload in payloads(step) {
                    encoder.encode(&[&payload], &mut wire);
                }
                if number > 0 {
                    pad(&mut wire, 0);
                    assert_eq!(wire, hex(&step["plain"]));
                    cipher.encrypt(&mut wire);
                }
                assert_eq!(wire, hex(&step["wire"]), "{} {direction} {number}", session["name"]);
                if number == 1 && is_crc32c(session) {
                    encoder.set_checksum(Checksum::Crc32c);
                }
            }
        }
    }
}

/// A packet to the middle proxy as a pair's server hears it.
fn as_heard(packet: &Packet<'_>) -> Heard {
    match *packet {
        Packet::Request(request) => Heard::Request {
            conn: request.conn,
            flags: request.flags,
            client: request.client,
            proxy: request.proxy,
            ad_tag: request.ad_tag,
            message: request.message.to_vec(),
        },
        Packet::CloseConn(conn) => Heard::Event(server::Event::Closed { conn }),
        Packet::Ping(id) => Heard::Event(server::Event::Ping(id)),
        Packet::Pong(id) => Heard::Event(server::Event::Pong(id)),
        other => panic!("not to a middle proxy: {other:?}"),
    }
}

/// What the owner of a server says in a step: before and after the pong that the server sends by itself.
fn owners_part(step: &Value) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut payloads = payloads(step);
    payloads.retain(|payload| Packet::decode(payload).is_ok());
    match payloads.iter().position(|payload| matches!(Packet::decode(payload), Ok(Packet::Pong(_)))) {
        Some(pong) => {
            let after = payloads.split_off(pong + 1);
            payloads.pop();
            (payloads, after)
        }
        None => (Vec::new(), payloads),
    }
}

#[test]
fn a_server_says_its_part_and_understands_the_other() {
    for session in cases(&vectors("middle-proxy-session"), "sessions") {
        let mut pair = Pair::with(middle(session), server(session));
        let steps = cases(session, "steps");
        let mut understood = 0;
        for (number, step) in steps.iter().enumerate() {
            if step["dir"] == TO_PROXY {
                owners_part(step).1.iter().for_each(|payload| pair.server.send_payload(&[payload]));
                let wire = pair.server.poll_transmit().expect("its turn").to_vec();
                pair.server.transmitted(wire.len());
                assert_eq!(wire, hex(&step["wire"]), "{} {number}", session["name"]);
                continue;
            }
            if let Some(answer) = steps.get(number + 1) {
                owners_part(answer).0.iter().for_each(|payload| pair.server.send_payload(&[payload]));
            }
            pair.give_server(&mut hex(&step["wire"]));
            let payloads = payloads(step);
            let packets: Vec<_> =
                payloads.iter().filter_map(|payload| Packet::decode(payload).ok()).collect();
            let mut heard = pair.take_heard();
            heard.retain(|heard| !matches!(heard, Heard::Event(server::Event::Ready { .. })));
            assert_eq!(
                heard,
                packets.iter().map(as_heard).collect::<Vec<_>>(),
                "{} {number}",
                session["name"]
            );
            understood += packets.len();
        }
        assert_eq!(understood, 5, "two requests, a ping, a pong, a close");
    }
}

#[test]
fn a_link_says_its_part_and_understands_the_other() {
    for session in cases(&vectors("middle-proxy-session"), "sessions") {
        let mut pair = Pair::with(middle(session), server(session));
        let (ours, theirs) = (steps(session, TO_MIDDLE), steps(session, TO_PROXY));
        let expect = |pair: &mut Pair, number: usize| {
            let wire = pair.middle.poll_transmit().expect("its turn").to_vec();
            pair.middle.transmitted(wire.len());
            assert_eq!(wire, hex(&ours[number]["wire"]), "{} {number}", session["name"]);
        };
        expect(&mut pair, 0);
        pair.give_middle(&mut hex(&theirs[0]["wire"]));
        expect(&mut pair, 1);
        pair.give_middle(&mut hex(&theirs[1]["wire"]));
        let ready = Ready { clock_ahead: 2, crc32c: is_crc32c(session) };
        assert_eq!(pair.take_said(), [Said::Event(Event::Ready(ready))]);

        // The first message of a client. (The recording has C's flags, where padded is as intermediate.)
        let first = payloads(ours[2]);
        let Ok(Packet::Request(request)) = Packet::decode(&first[0]) else { panic!("a request") };
        let client = Client {
            address: request.client,
            proxy: request.proxy,
            framing: Framing::Intermediate,
            ad_tag: Some(array(&session["ad_tag"])),
        };
        assert_eq!(pair.middle.open(client), request.conn);
        pair.send(request.conn, request.message);
        expect(&mut pair, 2);

        // From here on the recorded proxy pings when it likes, and we when we must: only what comes is the same.
        let expected: Vec<_> = theirs[2..].iter().flat_map(|step| payloads(step)).collect();
        let expected: Vec<_> = expected.iter().filter_map(|payload| as_said(payload)).collect();
        theirs[2..].iter().for_each(|step| pair.give_middle(&mut hex(&step["wire"])));
        assert_eq!(pair.take_said(), expected, "{}", session["name"]);
        assert_eq!(expected.len(), 5, "three answers, an ack, an end");
    }
}

/// A packet to the proxy as a pair's link tells it.
fn as_said(payload: &[u8]) -> Option<Said> {
    match Packet::decode(payload).expect("a packet") {
        Packet::Answer { flags, conn, message } => {
            Some(Said::Answer { conn, flags, message: message.to_vec() })
        }
        Packet::Ack { conn, token } => Some(Said::Event(Event::Ack { conn, token })),
        Packet::CloseExt(conn) => Some(Said::Event(Event::Closed { conn })),
        // Answered, or not waited for.
        Packet::Ping(_) | Packet::Pong(_) => None,
        other => panic!("not to a proxy: {other:?}"),
    }
}
