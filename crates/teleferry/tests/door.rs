//! At the door: first bytes in every cut, who gets in, and who is a stranger.

mod common;

use std::time::Duration;

use common::{Proxy, key, listener, settings, soon, telegram, wrong_key};
use teleferry::config::{NamedSecret, Protocols};
use teleferry_proto::accept::Stranger;
use teleferry_proto::secret::SecretKey;
use teleferry_sim::client::{Client, Opening, Options, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address).await.expect("connect");
    stream.set_nodelay(true).expect("option");
    stream
}

/// Sends bytes and FIN; everything that comes back until the end.
async fn ask(proxy: &Proxy, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(proxy).await;
    stream.write_all(bytes).await.expect("sent");
    stream.shutdown().await.expect("FIN");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
    answer
}

/// Waits until strangers were counted, by reason.
async fn strangers(proxy: &Proxy, expected: &[(Stranger, u64)]) {
    let expected = expected.iter().map(|(reason, n)| (reason.label(), *n)).collect();
    proxy.counted(|counts| counts.strangers == expected).await;
}

#[tokio::test]
async fn f_06_f_07_first_bytes_in_any_cut() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    for protocol in Protocol::ALL {
        for step in [1, 3, 50, 600] {
            let options = Options::new(protocol, Some(key()));
            let opening = Opening::new(&options);
            let mut stream = connect(&proxy).await;
            for chunk in opening.first_bytes().to_vec().chunks(step) {
                stream.write_all(chunk).await.expect("sent");
            }
            let mut client = soon(opening.finish(stream)).await.expect("let in");
            // The header of a hello's client goes with its first message: byte by byte too.
            let packet = teleferry_sim::command::Command::Echo(vec![1; 100]).encode();
            let wire = client.sender.encode(&packet, false);
            for chunk in wire.chunks(step) {
                soon(client.sender.send_raw(chunk)).await.expect("sent");
            }
            soon(client.receiver.expect_packet(&packet)).await.expect("echo");
        }
    }
}

/// The hello and what follows it in one segment: a client that does not wait for the answer.
#[tokio::test]
async fn f_06_data_that_comes_with_the_hello() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let opening = Opening::new(&Options::new(Protocol::FakeTls, Some(key())));
    let mut stream = connect(&proxy).await;
    let mut wire = opening.first_bytes().to_vec();
    wire.extend([20, 3, 3, 0, 1, 1]);
    stream.write_all(&wire).await.expect("sent");
    let mut client = soon(opening.finish(stream)).await.expect("let in");
    soon(client.echo(vec![1; 100])).await.expect("echo");
}

/// F-07: the header in records of one byte each.
#[tokio::test]
async fn f_07_a_header_spread_over_many_records() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let options = Options::new(Protocol::FakeTls, Some(key()));
    let mut client = soon(Client::dial(proxy.address, &options)).await.expect("let in");
    let packet = teleferry_sim::command::Command::Echo(vec![1; 100]).encode();
    let wire = client.sender.encode(&packet, false);
    // One ChangeCipherSpec, one record with everything: taken apart and put into records anew.
    let (spec, record) = wire.split_at(6);
    let mut cut = spec.to_vec();
    for byte in &record[5..] {
        cut.extend([23, 3, 3, 0, 1, *byte]);
    }
    soon(client.sender.send_raw(&cut)).await.expect("sent");
    soon(client.receiver.expect_packet(&packet)).await.expect("echo");
}

#[tokio::test]
async fn several_secrets_and_listeners() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    let keys: Vec<_> = (0..20).map(|i| SecretKey::new([i; 16])).collect();
    snapshot.listeners[0].secrets =
        keys.iter().map(|key| NamedSecret { name: Some("somebody".to_owned()), key: key.clone() }).collect();
    snapshot.listeners.push(listener("other"));
    let proxy = Proxy::start(snapshot);
    for key in keys {
        for protocol in Protocol::ALL {
            let options = Options::new(protocol, Some(key.clone()));
            let mut client = soon(Client::connect(proxy.address, &options)).await.expect("let in");
            soon(client.echo(vec![1; 64])).await.expect("echo");
        }
    }
    // Each listener has its own secrets and its own counts.
    assert_eq!(proxy.counts().accepted, 80);
    assert_eq!(proxy.server.counts("other").expect("there is one").accepted, 0);
    assert!(proxy.server.counts("nobody").is_none());
}

/// Without a cover site a stranger is told nothing, whatever it sends.
#[tokio::test]
async fn f_15_strangers_are_counted_once_and_told_nothing() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let wrong = |protocol| Opening::new(&Options::new(protocol, Some(wrong_key()))).first_bytes().to_vec();
    let hello = wrong(Protocol::FakeTls);
    let late = Options { clock_skew_s: -700, ..Options::new(Protocol::FakeTls, Some(key())) };
    let early = Options { clock_skew_s: 1300, ..Options::new(Protocol::FakeTls, Some(key())) };
    let mut malformed = hello.clone();
    malformed[5] = 2;
    for bytes in [
        vec![],
        vec![0x16],
        vec![1; 63],
        hello[..hello.len() - 1].to_vec(),
        b"GET / HTTP/1.1\r\nHost: www.example.com\r\nAccept: */*\r\nConnection: close\r\n\r\n".to_vec(),
        vec![0xff; 200],
        wrong(Protocol::Abridged),
        wrong(Protocol::Padded),
        hello,
        Opening::new(&late).first_bytes().to_vec(),
        Opening::new(&early).first_bytes().to_vec(),
        malformed,
    ] {
        assert!(ask(&proxy, &bytes).await.is_empty(), "{} bytes", bytes.len());
    }
    strangers(
        &proxy,
        &[
            (Stranger::Gone, 4),
            (Stranger::HeaderTag, 4),
            (Stranger::TlsDigest, 1),
            (Stranger::TlsMalformed, 1),
            (Stranger::TlsTime, 2),
        ],
    )
    .await;
    let counts = proxy.closed(&[("client:closed", 12)]).await;
    assert_eq!((counts.accepted, counts.open), (12, 0));
    assert!(counts.clients.is_empty() && counts.dc_connected == 0);
}

#[tokio::test]
async fn kinds_of_client_that_are_not_served_are_strangers() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.listeners[0].protocols = Protocols::NONE.with(teleferry::config::Protocol::Secure);
    let proxy = Proxy::start(snapshot);
    for protocol in [Protocol::Abridged, Protocol::Intermediate, Protocol::FakeTls] {
        let bytes = Opening::new(&Options::new(protocol, Some(key()))).first_bytes().to_vec();
        assert!(ask(&proxy, &bytes).await.is_empty(), "{protocol:?}");
    }
    // A hello is 64 bytes of a header that fits no secret, to a listener without fake TLS.
    strangers(&proxy, &[(Stranger::TransportNotAllowed, 2), (Stranger::HeaderTag, 1)]).await;
    let mut client = proxy.client(Protocol::Padded).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");

    let mut snapshot = settings(&telegram);
    snapshot.listeners[0].protocols = Protocols::TLS;
    let proxy = Proxy::start(snapshot);
    for protocol in [Protocol::Abridged, Protocol::Intermediate, Protocol::Padded] {
        let bytes = Opening::new(&Options::new(protocol, Some(key()))).first_bytes().to_vec();
        assert!(ask(&proxy, &bytes).await.is_empty(), "{protocol:?}");
    }
    // Recognised at the first byte, not at the 64th.
    strangers(&proxy, &[(Stranger::NotTls, 3)]).await;
}

/// What comes on a connection until it ends in order.
async fn rest(client: Client) -> Vec<u8> {
    let (mut bytes, mut stream) = (Vec::new(), client.into_stream().expect("both halves"));
    soon(stream.read_to_end(&mut bytes)).await.expect("an orderly end");
    bytes
}

/// As every server of TLS 1.3 ends a connection on which it cannot decrypt a record.
fn is_alert(bytes: &[u8]) -> bool {
    bytes.len() == 24 && bytes.starts_with(&[23, 3, 3, 0, 19])
}

/// Who plays with a client's hello and cannot go on sees what a server says to that: an encrypted alert and an end; and to
/// an alert in the clear, an end alone.
#[tokio::test]
async fn records_that_no_client_sends_are_answered_by_an_alert() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let garbage = |len: u16| {
        let mut record = vec![23, 3, 3];
        record.extend(len.to_be_bytes());
        record.resize(5 + usize::from(len), 0x5a);
        record
    };
    for (bytes, has_alert) in [
        (garbage(200), true),
        ([&[20, 3, 3, 0, 1, 1], garbage(69).as_slice()].concat(), true),
        ([20, 3, 3, 0, 1, 1].repeat(40), true),
        (vec![20, 3, 3, 0, 1, 2], true),
        (vec![23, 3, 3, 0x41, 1], true),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), true),
        (Opening::new(&Options::new(Protocol::FakeTls, Some(key()))).first_bytes().to_vec(), true),
        (vec![21, 3, 3, 0, 2, 1, 0], false),
    ] {
        let opening = Opening::new(&Options::new(Protocol::FakeTls, Some(key())));
        let mut stream = connect(&proxy).await;
        stream.write_all(opening.first_bytes()).await.expect("sent");
        let mut client = soon(opening.finish(stream)).await.expect("the hello is proven");
        soon(client.sender.send_raw(&bytes)).await.expect("sent");
        let rest = rest(client).await;
        assert!(if has_alert { is_alert(&rest) } else { rest.is_empty() }, "{:?}: {rest:?}", &bytes[..5]);
    }
}

/// F-23: behind a proven hello only the padded framing is legal, and only the hello's own secret.
#[tokio::test]
async fn f_23_another_framing_behind_a_hello_is_refused_and_counted() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.listeners[0].secrets.push(NamedSecret { name: Some("other".to_owned()), key: wrong_key() });
    let proxy = Proxy::start(snapshot);
    for inner in [
        Options::new(Protocol::Abridged, Some(key())),
        Options::new(Protocol::Intermediate, Some(key())),
        Options::new(Protocol::Padded, Some(wrong_key())),
    ] {
        let opening = Opening::new(&Options::new(Protocol::FakeTls, Some(key())));
        let mut stream = connect(&proxy).await;
        stream.write_all(opening.first_bytes()).await.expect("sent");
        let mut client = soon(opening.finish(stream)).await.expect("the hello is proven");
        let header = Opening::new(&inner);
        let mut record = vec![23, 3, 3, 0, 64];
        record.extend(header.first_bytes());
        soon(client.sender.send_raw(&record)).await.expect("sent");
        assert!(is_alert(&rest(client).await));
    }
    let counts = proxy.closed(&[("client:header_tag", 3)]).await;
    assert!(counts.clients.is_empty());
}

#[tokio::test]
async fn who_proves_nothing_in_time_is_a_stranger() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.handshake.timeout = Duration::from_millis(200);
    let proxy = Proxy::start(snapshot);
    let _silent = connect(&proxy).await;
    let mut partial = connect(&proxy).await;
    partial.write_all(&[0x16, 3, 1]).await.expect("sent");
    strangers(&proxy, &[(Stranger::HandshakeTimeout, 2)]).await;
    // Behind an answered hello it is no stranger any more: it is ended.
    let opening = Opening::new(&Options::new(Protocol::FakeTls, Some(key())));
    let mut stream = connect(&proxy).await;
    stream.write_all(opening.first_bytes()).await.expect("sent");
    let mut client = soon(opening.finish(stream)).await.expect("let in");
    soon(client.receiver.expect_end()).await.expect("an orderly end");
    // And who sends its header but never a message has not begun either.
    let mut client = proxy.client(Protocol::Padded).await;
    soon(client.receiver.expect_end()).await.expect("an orderly end");
    proxy.closed(&[("client:handshake_timeout", 2)]).await;
}

#[tokio::test]
async fn a_stranger_that_resets_is_counted() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let mut stream = connect(&proxy).await;
    stream.write_all(&[1; 10]).await.expect("sent");
    proxy.counted(|counts| counts.accepted == 1).await;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("option");
    drop(stream);
    proxy.closed(&[("client:reset", 1)]).await;
}

/// Garbage of any kind, many times at once: bounded, counted, and clients do not notice.
#[tokio::test]
async fn a_flood_of_garbage_harms_no_client() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let mut client = proxy.client(Protocol::FakeTls).await;
    let flood = (0..200_usize).map(|i| {
        let proxy = &proxy;
        async move {
            let bytes: Vec<u8> = (0..i * 37).map(|n| (n * i) as u8).collect();
            assert!(ask(proxy, &bytes).await.is_empty());
        }
    });
    futures_util::future::join_all(flood).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    let counts = proxy.counted(|counts| counts.open == 1).await;
    assert_eq!(counts.strangers.values().sum::<u64>(), 200);
    assert_eq!(counts.closed, [("client:closed".to_owned(), 200)].into());
}
