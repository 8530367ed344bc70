//! Every rule, broken.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use teleferry_proto::middle::DownReason;
use teleferry_proto::rpc::{
    ConnId, Handshake, HandshakeError, Nonce, Packet, Request, flags, handshake_error,
};
use teleferry_proto::transport::full::{Checksum, Encoder};
use teleferry_sim::command::Command;
use teleferry_sim::middle::{ExpectedTag, MiddleProxies, Settings, Violation};
use teleferry_sim::telegram::Telegram;

use crate::link::{Link, client_address, proxy_address};
use crate::rogue::Rogue;
use crate::{endpoint, telegram};

const TAG: [u8; 16] = [8; 16];

/// Waits for as many violations as are expected, and compares.
async fn assert_broken(proxies: &MiddleProxies, expected: &[Violation]) {
    proxies.counters().wait_until(|counts| counts.violations >= expected.len() as u64).await;
    let mut counted = BTreeMap::new();
    for violation in expected {
        *counted.entry(*violation).or_default() += 1;
    }
    assert_eq!(proxies.counters().violations(), counted);
}

/// A nonce that was changed is the end of the link.
async fn assert_nonce(expected: Violation, change: impl FnOnce(&mut Nonce)) {
    let telegram = telegram();
    let mut rogue = Rogue::connect(endpoint(&telegram, 2)).await;
    let mut nonce = rogue.nonce();
    change(&mut nonce);
    rogue.send(nonce.encode().as_ref()).await;
    rogue.expect_end().await;
    assert_broken(telegram.middle(), &[expected]).await;
}

#[tokio::test]
async fn nonces() {
    assert_nonce(Violation::Selector, |nonce| nonce.selector = [1; 4]).await;
    assert_nonce(Violation::Schema, |nonce| nonce.schema = 3).await;
    assert_nonce(Violation::Clock, |nonce| nonce.time -= 40).await;
    assert_nonce(Violation::Clock, |nonce| nonce.time += 40).await;
}

/// Bytes in the open, after which the link ends.
async fn assert_open(expected: Violation, bytes: impl FnOnce(&mut Rogue) -> Vec<u8>) {
    let telegram = telegram();
    let mut rogue = Rogue::connect(endpoint(&telegram, 2)).await;
    let bytes = bytes(&mut rogue);
    rogue.send_raw(bytes).await;
    rogue.expect_end().await;
    assert_broken(telegram.middle(), &[expected]).await;
}

#[tokio::test]
async fn frames_in_the_open() {
    assert_open(Violation::Nonce, |rogue| rogue.frame(&[5; 32])).await;
    assert_open(Violation::Nonce, |rogue| rogue.frame(rogue.handshake().encode().as_ref())).await;
    assert_open(Violation::Length, |_| vec![17, 0, 0, 0]).await;
    assert_open(Violation::Checksum, |rogue| {
        let mut frame = rogue.frame(rogue.nonce().encode().as_ref());
        frame[20] ^= 1;
        frame
    })
    .await;
    assert_open(Violation::Sequence, |rogue| {
        rogue.encoder = Encoder::starting_at(0, Checksum::Crc32);
        rogue.frame(rogue.nonce().encode().as_ref())
    })
    .await;
}

/// A payload where the handshake is due, after which the link ends.
async fn assert_handshake(expected: Violation, payload: impl FnOnce(&mut Rogue) -> Vec<u8>) {
    let telegram = telegram();
    let mut rogue = Rogue::keyed(endpoint(&telegram, 2)).await;
    let payload = payload(&mut rogue);
    rogue.send(&payload).await;
    rogue.expect_end().await;
    assert_broken(telegram.middle(), &[expected]).await;
}

#[tokio::test]
async fn handshakes() {
    assert_handshake(Violation::Handshake, |_| vec![5; 32]).await;
    assert_handshake(Violation::HandshakeFlags, |rogue| {
        Handshake { flags: 1, ..rogue.handshake() }.encode().as_ref().to_vec()
    })
    .await;
    assert_handshake(Violation::Refused, |rogue| {
        let error = HandshakeError { code: handshake_error::PEER, sender: rogue.setup.process };
        error.encode().as_ref().to_vec()
    })
    .await;
    assert_handshake(Violation::Sequence, |rogue| {
        rogue.encoder = Encoder::starting_at(0, Checksum::Crc32);
        rogue.handshake().encode().as_ref().to_vec()
    })
    .await;
}

#[tokio::test]
async fn key_material() {
    let other: SocketAddr = "198.51.100.1:1".parse().unwrap();
    type Change = fn(&mut teleferry_proto::middle::Setup, SocketAddr);
    let changes: [Change; 4] = [
        |setup, other| setup.proxy.set_ip(other.ip()),
        |setup, other| setup.proxy.set_port(other.port()),
        |setup, other| setup.middle.set_ip(other.ip()),
        |setup, _| {
            // The same selector, and another secret behind it.
            let mut bytes = setup.secret.as_bytes().to_vec();
            bytes[100] ^= 1;
            setup.secret = teleferry_proto::telegram_config::MiddleSecret::new(&bytes).unwrap();
        },
    ];
    for change in changes {
        let telegram = telegram();
        let reason = Link::refused(endpoint(&telegram, 2), |setup| change(setup, other)).await;
        assert_eq!(reason, DownReason::ClosedAtHandshake);
        assert_broken(telegram.middle(), &[Violation::Keys]).await;
    }
}

/// Bytes after the handshake, under the keys, after which the link ends.
async fn assert_frame(expected: Violation, bytes: impl FnOnce(&mut Rogue) -> Vec<u8>) {
    let telegram = telegram();
    let mut rogue = Rogue::ready(endpoint(&telegram, 2)).await;
    let bytes = bytes(&mut rogue);
    rogue.send_raw(bytes).await;
    rogue.expect_end().await;
    assert_broken(telegram.middle(), &[expected]).await;
}

#[tokio::test]
async fn frames() {
    let ping = || Packet::Ping([1; 8]).head();
    assert_frame(Violation::Length, |_| 14_u32.to_le_bytes().repeat(4)).await;
    assert_frame(Violation::Length, |_| ((1_u32 << 24) + 4).to_le_bytes().repeat(4)).await;
    assert_frame(Violation::Checksum, |rogue| {
        let mut frame = rogue.frame(ping().as_ref());
        frame[9] ^= 1;
        frame
    })
    .await;
    assert_frame(Violation::Checksum, |rogue| {
        rogue.encoder = Encoder::starting_at(0, Checksum::Crc32c);
        rogue.frame(ping().as_ref())
    })
    .await;
    assert_frame(Violation::Sequence, |rogue| {
        let _lost = rogue.frame(ping().as_ref());
        rogue.frame(ping().as_ref())
    })
    .await;
}

/// Payloads after the handshake; the link goes on.
async fn assert_payloads(expected: &[Violation], payloads: &[&[u8]]) {
    let telegram = telegram();
    let mut rogue = Rogue::ready(endpoint(&telegram, 2)).await;
    for payload in payloads {
        rogue.send(payload).await;
    }
    assert_broken(telegram.middle(), expected).await;
    rogue.send(Packet::Ping([1; 8]).head().as_ref()).await;
    telegram.middle().counters().wait_until(|counts| counts.pings_in == 1).await;
}

#[tokio::test]
async fn packets() {
    let conn = ConnId::new(1);
    let close = Packet::CloseConn(conn).head();
    let answer = Packet::Answer { flags: 0, conn, message: &[] }.head();
    let ack = Packet::Ack { conn, token: [1; 4] }.head();
    let too_long = [close.as_ref(), &[0; 4]].concat();
    assert_payloads(&[Violation::Packet], &[&[7; 12]]).await;
    assert_payloads(&[Violation::Packet; 2], &[&too_long, &too_long]).await;
    assert_payloads(
        &[Violation::Packet; 3],
        &[answer.as_ref(), ack.as_ref(), Packet::CloseExt(conn).head().as_ref()],
    )
    .await;
    assert_payloads(&[Violation::Packet], &[&[0xee, 0xf1, 0xce, 0x36]]).await;
    assert_payloads(&[Violation::Pong], &[Packet::Pong([4; 8]).head().as_ref()]).await;
    assert_payloads(&[Violation::CloseUnknown], &[close.as_ref()]).await;
}

/// A request as it should be, without a tag.
fn request(message: &[u8]) -> Request<'_> {
    Request {
        flags: flags::ALWAYS | flags::ABRIDGED,
        conn: ConnId::new(77),
        client: client_address(),
        proxy: proxy_address(),
        ad_tag: None,
        message,
    }
}

fn tagged(message: &[u8]) -> Request<'_> {
    let request = request(message);
    Request { flags: request.flags | flags::AD_TAG, ad_tag: Some(TAG), ..request }
}

fn packet() -> Vec<u8> {
    Command::Discard(Vec::new()).encode()
}

#[tokio::test]
async fn connection_ids() {
    let telegram = telegram();
    let mut rogue = Rogue::ready(endpoint(&telegram, 2)).await;
    let message = packet();
    let close = Packet::CloseConn(request(&message).conn).head();
    rogue.request(&request(&message)).await;
    rogue.send(close.as_ref()).await;
    rogue.request(&request(&message)).await;
    assert_broken(telegram.middle(), &[Violation::ConnReused]).await;
    rogue.send(close.as_ref()).await;
    assert_broken(telegram.middle(), &[Violation::ConnReused, Violation::CloseRepeated]).await;
    // On another link it is another connection.
    let mut other = Rogue::ready(endpoint(&telegram, 2)).await;
    other.request(&request(&message)).await;
    let counts = telegram.middle().counters().wait_until(|counts| counts.clients_opened == 2).await;
    assert_eq!(counts.violations, 2);
}

async fn started(change: impl Fn(&mut Settings)) -> (Telegram, Rogue) {
    let telegram = telegram();
    telegram.middle().configure(change).await;
    let rogue = Rogue::ready(endpoint(&telegram, 2)).await;
    (telegram, rogue)
}

/// One request each on connections of their own.
async fn assert_requests(expected: Violation, settings: impl Fn(&mut Settings), requests: &[Request<'_>]) {
    let (telegram, mut rogue) = started(settings).await;
    for (request, conn) in requests.iter().zip(1..) {
        rogue.request(&Request { conn: ConnId::new(conn), ..*request }).await;
    }
    assert_broken(telegram.middle(), &vec![expected; requests.len()]).await;
}

#[tokio::test]
async fn addresses() {
    let message = packet();
    let nobodies = ["0.0.0.0:1", "192.0.2.1:0", "224.0.0.1:5", "255.255.255.255:5", "[::]:1", "[ff02::1]:1"];
    let nobodies = nobodies.map(|address| address.parse::<SocketAddr>().unwrap());
    let as_client = nobodies.map(|client| Request { client, ..request(&message) });
    assert_requests(Violation::ClientAddress, |_| {}, &as_client).await;
    let as_proxy = nobodies.map(|proxy| Request { proxy, ..request(&message) });
    assert_requests(Violation::ProxyAddress, |_| {}, &as_proxy).await;
    let expect_other = |settings: &mut Settings| settings.proxy = Some(client_address());
    assert_requests(Violation::ProxyAddress, expect_other, &[request(&message)]).await;
}

#[tokio::test]
async fn request_flags() {
    let message = packet();
    let unencrypted = teleferry_proto::message::req_pq_multi(4, [1; 16]);
    let with = |flags, message| Request { flags, ..request(message) };
    let right = flags::ALWAYS | flags::ABRIDGED;
    let requests = [
        with(flags::ALWAYS, message.as_slice()),
        with(flags::ABRIDGED, &message),
        with(0x1000 | flags::ABRIDGED, &message),
        with(right | flags::INTERMEDIATE, &message),
        with(right | flags::PADDED, &message),
        with(flags::ALWAYS | flags::PADDED, &message),
        with(right | flags::NOT_ENCRYPTED, &message),
        with(right, &unencrypted),
        with(right | flags::HTTP, &message),
        with(right | 0x1_0000, &message),
        with(right | 0x1000_0000, &message),
        with(right | 1, &message),
        // A tag is promised, and none is there.
        with(right | flags::AD_TAG, &message),
    ];
    assert_requests(Violation::Flags, |_| {}, &requests).await;
}

#[tokio::test]
async fn ad_tags() {
    let message = packet();
    let expect = |tag| move |settings: &mut Settings| settings.ad_tag = tag;
    let (without, with) = (request(&message), tagged(&message));
    assert_requests(Violation::AdTag, expect(ExpectedTag::Absent), &[with]).await;
    assert_requests(Violation::AdTag, expect(ExpectedTag::Exactly(TAG)), &[without]).await;
    assert_requests(Violation::AdTag, expect(ExpectedTag::Exactly([1; 16])), &[with, without]).await;
}

#[tokio::test]
async fn messages() {
    let mut not_the_exchange = teleferry_proto::message::req_pq_multi(4, [1; 16]);
    not_the_exchange[20] ^= 1;
    let unencrypted = flags::ALWAYS | flags::ABRIDGED | flags::NOT_ENCRYPTED;
    let requests =
        [request(&[]), request(&[1; 52]), Request { flags: unencrypted, ..request(&not_the_exchange) }];
    assert_requests(Violation::Message, |_| {}, &requests).await;
}

#[tokio::test]
async fn what_changes_between_messages() {
    let message = packet();
    let other: SocketAddr = "192.0.2.99:99".parse().unwrap();
    let changed = [
        (Violation::ClientAddress, Request { client: other, ..request(&message) }),
        (Violation::ProxyAddress, Request { proxy: other, ..request(&message) }),
        (Violation::Flags, Request { flags: flags::ALWAYS | flags::INTERMEDIATE, ..request(&message) }),
        (Violation::AdTag, tagged(&message)),
    ];
    for (expected, changed) in changed {
        let (telegram, mut rogue) = started(|_| {}).await;
        rogue.request(&request(&message)).await;
        rogue.request(&changed).await;
        assert_broken(telegram.middle(), &[expected]).await;
    }
}

/// What is right in every respect, in all forms.
#[tokio::test]
async fn nothing_that_is_right_is_blamed() {
    let (telegram, mut rogue) = started(|settings| settings.proxy = Some(proxy_address())).await;
    let (message, unencrypted) = (packet(), teleferry_proto::message::req_pq_multi(4, [1; 16]));
    let framings = [flags::ABRIDGED, flags::INTERMEDIATE, flags::INTERMEDIATE | flags::PADDED];
    for (index, framing) in (0_u8..).zip(framings) {
        for (tag, base) in (0_u8..).zip([request(&message), tagged(&message)]) {
            let conn = ConnId::new(i64::from(index * 2 + tag));
            let all = flags::ALWAYS | framing | base.flags & flags::AD_TAG;
            rogue.request(&Request { conn, flags: all, ..base }).await;
            rogue.request(&Request { conn, flags: all | flags::QUICK_ACK, ..base }).await;
            let flags = all | flags::NOT_ENCRYPTED;
            rogue.request(&Request { conn, flags, message: &unencrypted, ..base }).await;
        }
    }
    rogue.send(Packet::Ping([1; 8]).head().as_ref()).await;
    let counts = telegram.middle().counters().wait_until(|counts| counts.pings_in == 1).await;
    assert_eq!((counts.messages_in, counts.clients(), counts.acks_asked), (18, 6, 6));
    assert_eq!(telegram.middle().counters().violations(), [].into());
}
