//! Middle-proxy payloads against the vectors, and there and back.

mod common;

use std::net::{IpAddr, SocketAddr};

use common::{array, cases, hex, vectors};
use proptest::prelude::*;
use serde_json::Value;
use teleferry_proto::cipher::CbcStream;
use teleferry_proto::rpc::{
    ConnId, HEAD_MAX, Handshake, HandshakeError, KeyMaterial, Nonce, Packet, PacketError, ProcessId, Request,
    RequestHead, flags, handshake_error,
};
use teleferry_proto::telegram_config::MiddleSecret;
use teleferry_proto::transport::Framing;

fn conn(value: &Value) -> ConnId {
    ConnId::new(value.as_str().expect("text").parse().expect("number"))
}

fn address(value: &Value) -> SocketAddr {
    let ip: IpAddr = value[0].as_str().expect("text").parse().expect("address");
    SocketAddr::new(ip, value[1].as_u64().expect("number") as u16)
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    [packet.head().as_ref(), packet.message()].concat()
}

#[test]
fn a_71_nothing_is_no_packet() {
    for len in 0..4 {
        assert_eq!(Packet::decode(&vec![0; len]), Err(PacketError::Malformed));
    }
    assert_eq!(Nonce::decode(&[]), None);
    assert_eq!(Handshake::decode(&[]), None);
    assert_eq!(HandshakeError::decode(&[]), None);
}

#[test]
fn a_72_a_73_every_request_vector() {
    let file = vectors("rpc-packets");
    for case in cases(&file, "proxy_req") {
        let (packet, message, name) = (hex(&case["packet"]), hex(&case["message"]), &case["name"]);
        let expected = Request {
            flags: case["flags"].as_u64().expect("number") as u32,
            conn: conn(&case["conn_id"]),
            client: address(&case["remote"]),
            proxy: address(&case["our"]),
            ad_tag: case["ad_tag"].is_string().then(|| array(&case["ad_tag"])),
            message: &message,
        };
        assert_eq!(Packet::decode(&packet), Ok(Packet::Request(expected)), "{name}");
        assert_eq!(encode(&Packet::Request(expected)), packet, "{name}");

        // The head that is written once for a client. The official proxy, which the vectors are from, does not set the
        // flag of the padded framing; we do as all others.
        let framing = match name.as_str().expect("text").split(' ').next() {
            Some("abridged") => Framing::Abridged,
            Some("intermediate") => Framing::Intermediate,
            Some("padded") => Framing::Padded,
            other => panic!("framing {other:?}"),
        };
        let quick_ack = name.as_str().expect("text").contains("quickack");
        let head = RequestHead::new(expected.conn, expected.client, expected.proxy, framing, expected.ad_tag);
        let mut found = [head.before(&message, quick_ack).as_ref(), &message].concat();
        if framing == Framing::Padded {
            assert_eq!(found[7] & 0x08, 0x08, "{name}");
            found[7] &= !0x08;
        }
        assert_eq!(found, packet, "{name}");
    }
}

#[test]
fn a_72_a_73_every_other_packet_vector() {
    let file = vectors("rpc-packets");
    for case in cases(&file, "answers_and_control") {
        let (packet, kind) = (hex(&case["packet"]), case["type"].as_str().expect("text"));
        let id = || case["id"].as_str().expect("text").parse::<i64>().expect("number").to_le_bytes();
        let data = if case["data"].is_string() { hex(&case["data"]) } else { Vec::new() };
        let expected = match kind {
            "PROXY_ANS" => Packet::Answer {
                flags: case["flags"].as_u64().expect("number") as u32,
                conn: conn(&case["conn_id"]),
                message: &data,
            },
            "SIMPLE_ACK" => Packet::Ack { conn: conn(&case["conn_id"]), token: array(&case["token_le"]) },
            "CLOSE_EXT" => Packet::CloseExt(conn(&case["conn_id"])),
            "CLOSE_CONN" => Packet::CloseConn(conn(&case["conn_id"])),
            "PING" => Packet::Ping(id()),
            "PONG" => Packet::Pong(id()),
            "unknown" => {
                assert_eq!(Packet::decode(&packet), Err(PacketError::UnknownType(0x1122_3344)));
                continue;
            }
            "SIMPLE_ACK short" | "PROXY_ANS short" => {
                assert_eq!(Packet::decode(&packet), Err(PacketError::Malformed), "{kind}");
                continue;
            }
            other => panic!("unknown kind {other}"),
        };
        assert_eq!(Packet::decode(&packet), Ok(expected), "{kind}");
        assert_eq!(encode(&expected), packet, "{kind}");
        // A word too many or too few is another matter only where a message follows.
        let longer = [packet.as_slice(), &[0; 4]].concat();
        assert_eq!(Packet::decode(&longer).is_ok(), kind == "PROXY_ANS", "{kind}");
        assert!(Packet::decode(&packet[..8]).is_err(), "{kind}");
    }
}

#[test]
fn extra_fields_are_skipped_whatever_they_hold() {
    let case = &vectors("rpc-packets")["proxy_req"][2];
    let mut packet = hex(&case["packet"]);
    let message = hex(&case["message"]);
    // Something that is no tag.
    packet[60..64].copy_from_slice(&0xd45a_b381_u32.to_le_bytes());
    let Ok(Packet::Request(request)) = Packet::decode(&packet) else { panic!("a request") };
    assert_eq!((request.ad_tag, request.message), (None, message.as_slice()));
    // More than there is.
    packet[56..60].copy_from_slice(&0x7fff_fffc_u32.to_le_bytes());
    assert_eq!(Packet::decode(&packet), Err(PacketError::Malformed));
    // A port that is none.
    let mut packet = hex(&case["packet"]);
    packet[34] = 1;
    assert_eq!(Packet::decode(&packet), Err(PacketError::Malformed));
}

#[test]
fn every_handshake_error_vector() {
    let file = vectors("middle-proxy-session");
    for case in cases(&file, "handshake_errors") {
        let payload = hex(&case["payload"]);
        let error = HandshakeError::decode(&payload).expect("an error");
        assert_eq!(i64::from(error.code), case["code"].as_i64().expect("number"));
        assert_eq!(error.encode().as_ref(), payload);
        let name = match error.code {
            handshake_error::LENGTH => "packet length",
            handshake_error::PEER => "peer pid is not ours",
            handshake_error::SENDER => "sender pid",
            handshake_error::FLAGS => "unknown flag bits",
            handshake_error::CRC32C => "CRC32C not offered but answered",
            other => panic!("unknown code {other}"),
        };
        assert_eq!(case["meaning"], name);
    }
}

#[test]
fn a_process_by_its_address() {
    let file = vectors("middle-proxy-session");
    let sent = hex(&file["sessions"][0]["steps"][2]["frames"][0]["payload"]);
    let handshake = Handshake::decode(&sent).expect("a handshake");
    let address = "::ffff:192.0.2.10".parse().expect("address");
    assert_eq!(
        handshake.sender,
        ProcessId::of(address, 51515, 0x1234, u32::from_le_bytes([0xec, 0x23, 0x22, 0x69]))
    );
    let v6 = "2001:db8::1".parse().expect("address");
    assert_eq!(ProcessId::of(v6, 1, 2, 3), ProcessId::new([0, 0, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0]));
}

#[test]
fn debug_output_keeps_addresses_and_nonces_to_itself() {
    let nonce = Nonce { selector: [1; 4], schema: 1, time: 5, nonce: [0xab; 16] };
    assert_eq!(format!("{nonce:?}"), "Nonce { schema: 1, time: 5, .. }");
    let packet = hex(&vectors("rpc-packets")["proxy_req"][2]["packet"]);
    let text = format!("{:?}", Packet::decode(&packet).expect("a request"));
    assert!(!text.contains("203.0.113"), "{text}");
}

#[test]
fn a_56_every_key_vector() {
    let file = vectors("middle-proxy-kdf");
    for case in cases(&file, "vectors") {
        let secret = MiddleSecret::new(&hex(&case["middle_secret"])).expect("a secret");
        assert_eq!(secret.selector().as_slice(), hex(&case["key_selector"]));
        let end = |side: &str| {
            let ip = case[format!("{side}_ip")].as_str().expect("text").parse().expect("address");
            SocketAddr::new(ip, case[format!("{side}_port")].as_u64().expect("number") as u16)
        };
        let material = KeyMaterial {
            secret: &secret,
            middle_nonce: array(&case["nonce_server"]),
            proxy_nonce: array(&case["nonce_client"]),
            proxy_time: case["client_timestamp"].as_u64().expect("number") as u32,
            proxy: end("client"),
            middle: end("server"),
        };
        let keys = material.keys();
        for (mut found, expected) in
            [(keys.to_middle, &case["proxy_to_middle"]), (keys.to_proxy, &case["middle_to_proxy"])]
        {
            let mut expected = CbcStream::new(&array(&expected["aes_key"]), &array(&expected["aes_iv"]));
            let (mut a, mut b) = ([7; 32], [7; 32]);
            found.encrypt(&mut a);
            expected.encrypt(&mut b);
            assert_eq!(a, b, "{}", case["name"]);
        }
    }
}

#[test]
fn ipv4_mapped_into_ipv6_counts_as_ipv4() {
    let secret = MiddleSecret::embedded();
    let keys = |proxy: &str, middle: &str| {
        let (proxy, middle) = (proxy.parse().expect("address"), middle.parse().expect("address"));
        let material = KeyMaterial {
            secret: &secret,
            middle_nonce: [1; 16],
            proxy_nonce: [2; 16],
            proxy_time: 3,
            proxy,
            middle,
        };
        let mut block = [0; 16];
        material.keys().to_middle.encrypt(&mut block);
        block
    };
    let plain = keys("192.0.2.10:5", "198.51.100.7:6");
    assert_eq!(keys("[::ffff:192.0.2.10]:5", "[::ffff:198.51.100.7]:6"), plain);
    assert_ne!(keys("192.0.2.11:5", "198.51.100.7:6"), plain);
}

fn words(limit: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<[u8; 4]>(), 0..limit).prop_map(|words| words.concat())
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port))
}

proptest! {
    #[test]
    fn a_51_nonce(selector: [u8; 4], schema: u32, time: u32, random: [u8; 16]) {
        let nonce = Nonce { selector, schema, time, nonce: random };
        let payload = nonce.encode();
        prop_assert_eq!(payload.as_ref().len(), 32);
        prop_assert_eq!(Nonce::decode(payload.as_ref()), Some(nonce));
        prop_assert_eq!(Nonce::decode(&payload.as_ref()[..31]), None);
        prop_assert_eq!(Handshake::decode(payload.as_ref()), None);
    }

    #[test]
    fn a_52_handshake(flags: u32, code: i32, sender: [u8; 12], peer: [u8; 12]) {
        let (sender, peer) = (ProcessId::new(sender), ProcessId::new(peer));
        let handshake = Handshake { flags, sender, peer };
        let payload = handshake.encode();
        prop_assert_eq!(payload.as_ref().len(), 32);
        prop_assert_eq!(Handshake::decode(payload.as_ref()), Some(handshake));
        prop_assert_eq!(Handshake::decode(&payload.as_ref()[..31]), None);
        let error = HandshakeError { code, sender };
        prop_assert_eq!(HandshakeError::decode(error.encode().as_ref()), Some(error));
        prop_assert_eq!(Nonce::decode(payload.as_ref()), None);
    }

    #[test]
    fn a_53_packets_to_the_proxy(flags: u32, id: i64, message in words(40), token: [u8; 4], ping: [u8; 8]) {
        let conn = ConnId::new(id);
        for packet in [
            Packet::Answer { flags, conn, message: &message },
            Packet::Ack { conn, token },
            Packet::CloseExt(conn),
            Packet::Ping(ping),
            Packet::Pong(ping),
        ] {
            let payload = encode(&packet);
            prop_assert_eq!(Packet::decode(&payload), Ok(packet));
        }
    }

    #[test]
    fn a_54_packets_to_the_middle_proxy(
        id: i64,
        other_flags: u32,
        client in addresses(),
        proxy in addresses(),
        ad_tag: Option<[u8; 16]>,
        message in words(40),
    ) {
        let conn = ConnId::new(id);
        let tag = if ad_tag.is_some() { flags::AD_TAG } else { 0 };
        let flags = other_flags & !(flags::AD_TAG | flags::HTTP) | tag;
        let request = Packet::Request(Request { flags, conn, client, proxy, ad_tag, message: &message });
        prop_assert!(request.head().as_ref().len() <= HEAD_MAX);
        for packet in [request, Packet::CloseConn(conn)] {
            let payload = encode(&packet);
            prop_assert_eq!(Packet::decode(&payload), Ok(packet));
        }
    }

    #[test]
    fn arbitrary_payloads_are_safe(mut bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 0usize..8) {
        if let (Some(word), Some(kind)) = (bytes.first_chunk_mut::<4>(), [
            0x36ce_f1ee_u32, 0x4403_da0d, 0x3bac_409b, 0x5eb6_34a2, 0x1fcf_425d, 0x5730_a2df, 0x8430_eaa7,
        ].get(kind)) {
            *word = kind.to_le_bytes();
        }
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert!(packet.message().len() <= bytes.len());
        }
    }
}
