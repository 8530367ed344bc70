//! Strangers at the cover site: every byte, from the first one on, and the site's own end.

mod common;

use std::time::Duration;

use common::{Proxy, key, settings, soon, telegram, wrong_key};
use teleferry::config::{CoverHost, CoverTarget};
use teleferry_proto::accept::Stranger;
use teleferry_sim::client::{Opening, Options, Protocol};
use teleferry_sim::cover::{Act, CoverSite, End};
use teleferry_sim::pattern;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn host(host: impl Into<String>, port: u16) -> CoverTarget {
    CoverTarget::HostPort(CoverHost { host: host.into(), port })
}

fn target(site: &CoverSite) -> CoverTarget {
    host(site.address().ip().to_string(), site.address().port())
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address).await.expect("connect")
}

/// F-14, A-14 and A-17: whatever a stranger sends, in whatever cut, the site gets it byte for byte, and its answer comes back.
#[tokio::test]
async fn a_14_a_17_strangers_reach_the_site_byte_for_byte() {
    let telegram = telegram();
    let site = CoverSite::start(vec![Act::AwaitEnd, Act::Send(b"site says hello".to_vec()), Act::HalfClose])
        .await
        .expect("site");
    let proxy = Proxy::covered(&telegram, target(&site));
    let hello = Opening::new(&Options::new(Protocol::FakeTls, Some(wrong_key()))).first_bytes().to_vec();
    let late = Options { clock_skew_s: -864_000, ..Options::new(Protocol::FakeTls, Some(key())) };
    let cases = [
        (hello.clone(), hello.len()),
        (hello.clone(), 10),
        (hello[..400].to_vec(), 400),
        (Opening::new(&late).first_bytes().to_vec(), 5000),
        (Opening::new(&Options::new(Protocol::Padded, Some(wrong_key()))).first_bytes().to_vec(), 7),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 100),
        (vec![0xff; 200], 200),
        (vec![0x16], 1),
        (vec![0x16, 3, 1, 0xff, 0xff], 1),
    ];
    for (index, (bytes, first)) in cases.iter().enumerate() {
        let mut stream = connect(&proxy).await;
        stream.set_nodelay(true).expect("option");
        let (head, tail) = bytes.split_at((*first).min(bytes.len()));
        stream.write_all(head).await.expect("sent");
        stream.write_all(tail).await.expect("sent");
        stream.shutdown().await.expect("FIN");
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
        assert_eq!(answer, b"site says hello", "case {index}");
        let visit = soon(site.ended(index)).await;
        assert_eq!((&visit.received, visit.end), (bytes, Some(End::Fin)), "case {index}");
    }
    let counts = proxy.closed(&[("client:closed", cases.len() as u64)]).await;
    let sent: usize = cases.iter().map(|(bytes, _)| bytes.len()).sum();
    assert_eq!((counts.from_visitor, counts.to_visitor), (sent as u64, 15 * cases.len() as u64));
    assert!(counts.clients.is_empty());
}

/// F-04 in part: a verdict is passed at the first byte that tells, not when the stranger has ended.
#[tokio::test]
async fn f_04_a_stranger_is_taken_there_at_the_first_byte_that_tells() {
    let telegram = telegram();
    let site =
        CoverSite::start(vec![Act::Await(1), Act::Send(b"400".to_vec()), Act::Close]).await.expect("site");
    let mut snapshot = settings(&telegram);
    snapshot.cover.target = Some(target(&site));
    snapshot.listeners[0].protocols = teleferry::config::Protocols::TLS;
    let proxy = Proxy::start(snapshot);
    for bytes in [b"G".as_slice(), &[0x16, 3, 3], &[0x16, 3, 1, 0, 0], &[0x17]] {
        let mut stream = connect(&proxy).await;
        stream.write_all(bytes).await.expect("sent");
        let mut answer = [0; 3];
        soon(stream.read_exact(&mut answer)).await.expect("the site answers");
        assert_eq!(&answer, b"400", "{bytes:?}");
    }
}

/// F-14: a large answer arrives whole, and the site's end is its end.
#[tokio::test]
async fn f_14_a_large_answer_arrives_whole() {
    let telegram = telegram();
    let len = 3_000_000;
    let site = CoverSite::start(vec![Act::Await(100), Act::SendPattern { seed: 5, len }, Act::HalfClose])
        .await
        .expect("site");
    let proxy = Proxy::covered(&telegram, target(&site));
    let mut stream = connect(&proxy).await;
    stream.write_all(&[0xff; 100]).await.expect("sent");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
    let mut expected = vec![0; len as usize];
    pattern::fill(5, 0, &mut expected);
    assert!(answer == expected, "{} bytes", answer.len());
    drop(stream);
    proxy.closed(&[("cover:closed", 1)]).await;
}

/// A large upload too, with a site that answers only at its end: a half-close is passed on.
#[tokio::test]
async fn a_large_upload_arrives_whole() {
    let telegram = telegram();
    let site = CoverSite::start(vec![Act::AwaitEnd, Act::Send(b"thanks".to_vec()), Act::HalfClose])
        .await
        .expect("site");
    let proxy = Proxy::covered(&telegram, target(&site));
    let mut stream = connect(&proxy).await;
    let mut upload = vec![0; 3_000_000];
    pattern::fill(6, 0, &mut upload);
    upload[0] = 1;
    stream.write_all(&upload).await.expect("sent");
    stream.shutdown().await.expect("FIN");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
    assert_eq!(answer, b"thanks");
    assert!(soon(site.ended(0)).await.received == upload);
}

#[tokio::test]
async fn the_site_may_be_a_unix_socket() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("site");
    let telegram = telegram();
    let site = CoverSite::start_unix(&path, vec![Act::AwaitEnd, Act::Send(b"local".to_vec())]).expect("site");
    let proxy = Proxy::covered(&telegram, CoverTarget::Unix(path));
    let mut stream = connect(&proxy).await;
    stream.write_all(&[0xff; 100]).await.expect("sent");
    stream.shutdown().await.expect("FIN");
    let mut answer = [0; 5];
    soon(stream.read_exact(&mut answer)).await.expect("the site answers");
    assert_eq!(&answer, b"local");
    assert_eq!(site.visits()[0].received, [0xff; 100]);
}

#[tokio::test]
async fn the_site_may_have_a_name() {
    let telegram = telegram();
    let site = CoverSite::start(vec![Act::Await(1), Act::Send(b"found".to_vec())]).await.expect("site");
    let proxy = Proxy::covered(&telegram, host("localhost", site.address().port()));
    // The name is looked up beside; a stranger that comes before that finds the site out of reach, so ask until it is.
    let asking = async {
        loop {
            let mut stream = connect(&proxy).await;
            stream.write_all(&[0xff; 100]).await.expect("sent");
            let mut answer = [0; 5];
            if stream.read_exact(&mut answer).await.is_ok() {
                break answer;
            }
        }
    };
    assert_eq!(&soon(asking).await, b"found");
}

#[tokio::test]
async fn a_site_that_cannot_be_reached_is_counted() {
    let telegram = telegram();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    let dead = socket.local_addr().expect("address").as_socket().expect("ip");
    let proxy = Proxy::covered(&telegram, host(dead.ip().to_string(), dead.port()));
    let mut stream = connect(&proxy).await;
    stream.write_all(&[0xff; 100]).await.expect("sent");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
    assert!(answer.is_empty());
    drop(stream);
    proxy.closed(&[("cover:unreachable", 1)]).await;
    // A client gets in all the same.
    let mut client = proxy.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
}

/// No timer of ours at the site: a visitor may be silent for longer than any deadline of a client.
#[tokio::test]
async fn a_visitor_is_subject_to_no_deadline_of_ours() {
    let telegram = telegram();
    let idle = Duration::from_millis(900);
    let site = CoverSite::start(vec![Act::AwaitIdle(idle), Act::Send(b"late".to_vec())]).await.expect("site");
    let mut snapshot = settings(&telegram);
    snapshot.cover.target = Some(target(&site));
    snapshot.handshake.timeout = Duration::from_millis(100);
    snapshot.relay.idle_timeout = Duration::from_millis(100);
    let proxy = Proxy::start(snapshot);
    let mut stream = connect(&proxy).await;
    stream.write_all(&[0xff; 100]).await.expect("sent");
    let mut answer = [0; 4];
    soon(stream.read_exact(&mut answer)).await.expect("the site answers in its own time");
    assert_eq!(&answer, b"late");
    // And who is silent from the start is a visitor once the handshake time is over.
    let _silent = connect(&proxy).await;
    proxy.counted(|counts| counts.strangers.get(Stranger::HandshakeTimeout.label()) == Some(&1)).await;
    soon(site.wait_until(|visits| visits.len() == 2)).await;
}

#[tokio::test]
async fn a_visitor_that_is_drained_is_ended() {
    let telegram = telegram();
    let site = CoverSite::start(vec![]).await.expect("site");
    let mut snapshot = settings(&telegram);
    snapshot.cover.target = Some(target(&site));
    snapshot.server.drain = Duration::from_millis(100);
    let proxy = Proxy::start(snapshot);
    let mut stream = connect(&proxy).await;
    stream.write_all(&[0xff; 100]).await.expect("sent");
    soon(site.wait_until(|visits| visits.len() == 1)).await;
    soon(tokio::task::spawn_blocking(move || proxy.server.stop())).await.expect("it ends");
    assert!(!matches!(soon(stream.read(&mut [0; 10])).await, Ok(1..)));
}
