//! Sessions from end to end: real sockets, every protocol, both ways of carrying answers.

mod common;

use std::net::{Ipv6Addr, SocketAddr};

use common::tap::Tap;
use common::{DOMAIN, Proxy, at, key, settings, soon, telegram, telegram_on_both};
use teleferry::config::ListenAddress;
use teleferry_proto::secret::HostName;
use teleferry_proto::transport::{MAX_CLIENT_MESSAGE, ServerFrame};
use teleferry_sim::client::{Client, HelloShape, Options, Protocol};
use teleferry_sim::command::{Command, Send};

/// The label under which a protocol is counted.
const fn label(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Abridged => "abridged",
        Protocol::Intermediate => "intermediate",
        Protocol::Padded => "secure",
        Protocol::FakeTls => "tls",
    }
}

#[tokio::test]
async fn a_01_echo_in_every_protocol() {
    for fast_path in [true, false] {
        let telegram = telegram();
        let mut snapshot = settings(&telegram);
        snapshot.telegram.fast_path = fast_path;
        let proxy = Proxy::start(snapshot);
        for protocol in Protocol::ALL {
            let mut client = proxy.client(protocol).await;
            soon(client.req_pq()).await.expect("resPQ");
            soon(client.echo(vec![7; 64])).await.expect("echo");
        }
        let counts = proxy.closed(&[("client:closed", 4)]).await;
        assert_eq!((counts.accepted, counts.open, counts.messages), (4, 0, 8), "{fast_path}");
        assert_eq!(counts.clients.into_iter().collect::<Vec<_>>(), Protocol::ALL.map(|p| (label(p), 1)));
        assert_eq!((counts.dc_connected, counts.dc_unknown, counts.messages_filtered), (4, 0, 0));
        let dc = telegram.counters(2).read();
        assert_eq!((dc.accepted, dc.res_pq, dc.echoed, dc.bad_headers, dc.bad_frames), (4, 4, 4, 0, 0));
        assert_eq!(
            (dc.bytes_in, dc.bytes_out),
            (counts.to_telegram, counts.from_telegram),
            "nothing is lost"
        );
    }
}

/// The protocols' names sort as they are listed in the counts.
#[test]
fn labels_are_sorted() {
    assert!(Protocol::ALL.map(label).is_sorted());
}

#[tokio::test]
async fn a_02_many_packets_in_order() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    for protocol in Protocol::ALL {
        let mut client = proxy.client(protocol).await;
        let packets: Vec<_> =
            (0..15_u8).map(|i| Command::Echo(vec![i; 40 + usize::from(i) * 10]).encode()).collect();
        // All in one write, then all answers.
        let mut wire = Vec::new();
        for packet in &packets {
            wire.extend(client.sender.encode(packet, false));
        }
        soon(client.sender.send_raw(&wire)).await.expect("sent");
        for packet in &packets {
            soon(client.receiver.expect_packet(packet)).await.expect("the same packet");
        }
    }
    assert_eq!(telegram.counters(2).read().echoed, 60);
}

#[tokio::test]
async fn a_03_a_04_short_and_long_hellos() {
    let telegram = telegram();
    let longest = format!("{0}.{0}.{1}", "a".repeat(60), "b".repeat(60));
    for (shape, domain) in [
        (HelloShape::Padded517, DOMAIN),
        (HelloShape::Modern, DOMAIN),
        (HelloShape::Modern, longest.as_str()),
    ] {
        let mut snapshot = settings(&telegram);
        // Clients ask for the name that is in the listener's links.
        snapshot.listeners[0].domain = Some(HostName::new(domain).expect("a name"));
        let proxy = Proxy::start(snapshot);
        let options =
            Options { shape, domain: domain.to_owned(), ..Options::new(Protocol::FakeTls, Some(key())) };
        let mut client = soon(Client::connect(proxy.address, &options)).await.expect("let in");
        soon(client.echo(vec![1; 5000])).await.expect("echo");
        assert_eq!(proxy.counts().clients, [("tls", 1)].into());
    }
}

#[tokio::test]
async fn a_05_ipv6_on_both_sides() {
    let telegram = telegram_on_both();
    let mut snapshot = settings(&telegram);
    snapshot.listeners[0].addresses = vec![at(Ipv6Addr::LOCALHOST.into())];
    snapshot.telegram.prefer = teleferry::config::AddressPreference::OnlyIpv6;
    let proxy = Proxy::start(snapshot);
    let mut client = proxy.client(Protocol::Padded).await;
    soon(client.echo(vec![1; 100])).await.expect("echo");
    drop(client);
    let counts = proxy.closed(&[("client:closed", 1)]).await;
    assert_eq!((counts.accepted, counts.open), (1, 0));
}

#[tokio::test]
async fn an_ipv6_listener_serves_ipv4_too() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.listeners[0].addresses = vec![at(Ipv6Addr::UNSPECIFIED.into())];
    let proxy = Proxy::start(snapshot);
    for ip in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(ip.parse().expect("address"), proxy.address.port());
        let options = Options::new(Protocol::FakeTls, Some(key()));
        let mut client = soon(Client::connect(address, &options)).await.expect("let in");
        soon(client.echo(vec![1; 100])).await.expect("echo");
    }
}

#[tokio::test]
async fn a_06_a_packet_too_large_closes_its_sender_alone() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let mut neighbour = proxy.client(Protocol::FakeTls).await;
    for protocol in Protocol::ALL {
        let mut client = proxy.client(protocol).await;
        soon(client.echo(vec![1; 64])).await.expect("echo");
        let wire = client.sender.encode(&vec![1; MAX_CLIENT_MESSAGE + 4096], false);
        // It may be cut off before all of it is sent.
        let _ = client.sender.send_raw(&wire).await;
        assert!(matches!(soon(client.recv()).await, Ok(None) | Err(_)), "{protocol:?}");
        soon(neighbour.echo(vec![2; 64])).await.expect("the neighbour does not notice");
    }
    proxy.closed(&[("client:frame_length", 4)]).await;
    assert_eq!(telegram.counters(2).read().bad_frames, 0);
}

#[tokio::test]
async fn the_largest_packets_pass_both_ways() {
    let telegram = telegram();
    for fast_path in [true, false] {
        let mut snapshot = settings(&telegram);
        snapshot.telegram.fast_path = fast_path;
        let proxy = Proxy::start(snapshot);
        for protocol in Protocol::ALL {
            let (mut sender, mut receiver) = proxy.client(protocol).await.split();
            let packet = Command::Echo(vec![5; 1_000_000]).encode();
            let (sent, came) =
                tokio::join!(soon(sender.send(&packet, false)), soon(receiver.expect_packet(&packet)));
            sent.expect("sent");
            came.expect("the same packet");
        }
    }
}

#[tokio::test]
async fn f_16_quick_acks_both_ways() {
    let telegram = telegram();
    for fast_path in [true, false] {
        let mut snapshot = settings(&telegram);
        snapshot.telegram.fast_path = fast_path;
        let proxy = Proxy::start(snapshot);
        for protocol in Protocol::ALL {
            let mut client = proxy.client(protocol).await;
            soon(client.echo_with_quick_ack(vec![1; 100])).await.expect("ack, then echo");
        }
    }
    let dc = telegram.counters(2).read();
    assert_eq!((dc.quick_acks_asked, dc.quick_acks_sent), (8, 8));
}

#[tokio::test]
async fn error_codes_and_noops_pass_as_they_are() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    for protocol in Protocol::ALL {
        let mut client = proxy.client(protocol).await;
        for payload in [(-404_i32).to_le_bytes().to_vec(), (-429_i32).to_le_bytes().to_vec(), vec![0; 8]] {
            soon(client.command(&Command::Frame(payload.clone()))).await.expect("sent");
            assert_eq!(soon(client.recv()).await.expect("a frame"), Some(ServerFrame::Message(payload)));
        }
    }
}

#[tokio::test]
async fn messages_that_no_client_sends_are_left_out() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let mut client = proxy.client(Protocol::FakeTls).await;
    // Not encrypted and no part of a key exchange; then too short to be a message.
    soon(client.send(&[0; 60])).await.expect("sent");
    soon(client.send(&[1; 16])).await.expect("sent");
    soon(client.echo(vec![1; 100])).await.expect("the connection goes on");
    let counts = proxy.counted(|counts| counts.messages == 1).await;
    assert_eq!(counts.messages_filtered, 2);
    assert_eq!(telegram.counters(2).read().frames_in, 1);
}

#[tokio::test]
async fn f_01_illegal_frames_harm_their_sender_alone() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let mut neighbour = proxy.client(Protocol::Intermediate).await;
    for (protocol, frame) in [
        (Protocol::Intermediate, vec![58, 0, 0, 0]),
        (Protocol::Intermediate, vec![0; 4]),
        (Protocol::Abridged, vec![0]),
        (Protocol::Abridged, vec![0x7f, 1, 0, 0]),
        (Protocol::FakeTls, vec![0xff, 0xff, 0xff, 0x7f]),
        (Protocol::Padded, vec![3, 0, 0, 0]),
    ] {
        let mut client = proxy.client(protocol).await;
        let wire = client.sender.encode_stream(&frame);
        soon(client.sender.send_raw(&wire)).await.expect("sent");
        soon(client.receiver.expect_end()).await.expect("an orderly end, and nothing before it");
        soon(neighbour.echo(vec![2; 64])).await.expect("the neighbour does not notice");
    }
    proxy.closed(&[("client:frame_length", 5), ("client:frame_padding", 1)]).await;
}

#[tokio::test]
async fn illegal_records_end_the_session() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    for record in [
        vec![21, 3, 3, 0, 2, 1, 0],
        vec![22, 3, 3, 0, 4, 1, 2, 3, 4],
        vec![23, 3, 1, 0, 1, 0],
        vec![23, 3, 3, 0x40, 0x01],
        [20, 3, 3, 0, 1, 1].repeat(40),
    ] {
        let mut client = proxy.client(Protocol::FakeTls).await;
        soon(client.echo(vec![1; 64])).await.expect("echo");
        soon(client.sender.send_raw(&record)).await.expect("sent");
        soon(client.receiver.expect_end()).await.expect("an orderly end, and nothing before it");
    }
    proxy.closed(&[("client:tls_alert", 1), ("client:tls_record", 4)]).await;
}

#[tokio::test]
async fn a_client_that_half_closes_gets_the_rest_of_its_answers() {
    let telegram = telegram();
    for fast_path in [true, false] {
        let mut snapshot = settings(&telegram);
        snapshot.telegram.fast_path = fast_path;
        let proxy = Proxy::start(snapshot);
        for protocol in Protocol::ALL {
            let mut client = proxy.client(protocol).await;
            let send = Send { count: 20, size: 100_000, seed: 9 };
            soon(client.command(&Command::Send(send))).await.expect("sent");
            soon(client.sender.half_close()).await.expect("FIN");
            soon(client.receiver.expect_download(&send)).await.expect("every byte");
            soon(client.receiver.expect_end()).await.expect("then the end");
        }
        proxy.closed(&[("client:closed", 4)]).await;
    }
}

#[tokio::test]
async fn the_end_of_a_data_centre_is_passed_on() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    for (command, reason) in [
        (Command::Close, "telegram:closed"),
        (Command::HalfClose, "telegram:closed"),
        (Command::Reset, "telegram:reset"),
    ] {
        let before = proxy.counts().closed.get(reason).copied().unwrap_or_default();
        let mut client = proxy.client(Protocol::FakeTls).await;
        soon(client.echo(vec![1; 64])).await.expect("echo");
        soon(client.command(&command)).await.expect("sent");
        assert!(!matches!(soon(client.recv()).await, Ok(Some(_))), "{command:?}");
        drop(client);
        proxy.counted(|counts| counts.closed.get(reason) == Some(&(before + 1))).await;
    }
}

#[tokio::test]
async fn a_reset_by_the_client_is_passed_on() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let mut client = proxy.client(Protocol::Padded).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    client.reset().expect("RST");
    proxy.closed(&[("client:reset", 1)]).await;
    soon(telegram.counters(2).wait_until(|counts| counts.open() == 0)).await;
}

/// F-12 in direct mode: a client that does not read stops the reading of its own data centre and nobody else's.
#[tokio::test]
async fn f_12_a_client_that_does_not_read_harms_nobody() {
    let telegram = telegram();
    for fast_path in [true, false] {
        let mut snapshot = settings(&telegram);
        snapshot.telegram.fast_path = fast_path;
        // One shard, so that the neighbour shares everything with it.
        snapshot.server.workers = 1;
        let proxy = Proxy::start(snapshot);
        let (mut sender, mut receiver) = proxy.client(Protocol::FakeTls).await.split();
        let send = Send { count: 40, size: 1_000_000, seed: 3 };
        soon(sender.send(&Command::Send(send).encode(), false)).await.expect("sent");
        let mut neighbour = proxy.client(Protocol::FakeTls).await;
        for _ in 0..200 {
            soon(neighbour.echo(vec![2; 64])).await.expect("echo");
        }
        let counts = proxy.counts();
        // What the kernel's buffers hold on two connections may be on its way, not the 40 MB that were asked for.
        assert!(counts.from_telegram < 30_000_000, "{}", counts.from_telegram);
        soon(receiver.expect_download(&send)).await.expect("every byte, once it reads");
    }
}

/// The same upwards: a data centre that does not read stops the reading of its own client.
#[tokio::test]
async fn a_data_centre_that_does_not_read_stops_its_own_client() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let (mut sender, _receiver) = proxy.client(Protocol::FakeTls).await.split();
    soon(sender.send(&Command::Freeze.encode(), false)).await.expect("sent");
    let packet = Command::Discard(vec![1; 1_000_000]).encode();
    let flood = async {
        for _ in 0..100 {
            sender.send(&packet, false).await.expect("sent");
        }
    };
    let mut neighbour = proxy.client(Protocol::FakeTls).await;
    let echoes = async {
        for _ in 0..200 {
            soon(neighbour.echo(vec![2; 64])).await.expect("echo");
        }
    };
    tokio::select! {
        () = flood => panic!("100 MB went into kernel buffers"),
        () = echoes => {}
    }
    assert!(proxy.counts().from_client < 50_000_000);
}

#[tokio::test]
async fn hundreds_of_clients_at_once() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let clients = (0..200_u64).map(|i| {
        let options = Options::new(Protocol::ALL[i as usize % 4], Some(key())).with_dc(1 + (i % 5) as i16);
        async move {
            let mut client = soon(Client::dial(proxy.address, &options)).await.expect("let in");
            for round in 0..10 {
                soon(client.echo(vec![round; 1000 + i as usize])).await.expect("echo");
            }
            soon(client.download(Send { count: 3, size: 50_000, seed: i })).await.expect("every byte");
        }
    });
    futures_util::future::join_all(clients).await;
    let counts = proxy.closed(&[("client:closed", 200)]).await;
    assert_eq!((counts.accepted, counts.messages), (200, 200 * 11));
}

#[tokio::test]
async fn a_unix_socket_serves_clients() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("door");
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.listeners[0].addresses.push(ListenAddress::Unix(path.clone()));
    let proxy = Proxy::start(snapshot);
    // The client speaks TCP: a relay stands between, as a web server on the same machine would.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let relaying = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("accept");
        let mut unix = tokio::net::UnixStream::connect(path).await.expect("connect");
        let _ = tokio::io::copy_bidirectional(&mut tcp, &mut unix).await;
    });
    let options = Options::new(Protocol::FakeTls, Some(key()));
    let mut client = soon(Client::connect(address, &options)).await.expect("let in");
    soon(client.echo(vec![1; 100_000])).await.expect("echo");
    drop(client);
    proxy.closed(&[("client:closed", 1)]).await;
    soon(relaying).await.expect("relay");
}

/// Towards fake TLS no record is shorter than a real one, and none longer, whatever the data centre sends in whatever pieces:
/// a lone quick ack gets a no-op frame behind it, once the client has shown that it is an official app.
#[tokio::test]
async fn no_record_is_shorter_than_a_real_one() {
    let telegram = telegram();
    for fast_path in [true, false] {
        let mut snapshot = settings(&telegram);
        snapshot.telegram.fast_path = fast_path;
        let proxy = Proxy::start(snapshot);
        let tap = Tap::start(proxy.address).await;
        let options = Options::new(Protocol::FakeTls, Some(key()));
        let mut client = soon(Client::connect(tap.address, &options)).await.expect("let in");
        soon(client.echo_with_quick_ack(vec![1; 64])).await.expect("ack, then echo");
        let before = tap.lens().len();
        // Acks alone, which on the fast path end it; then bulk of every length modulo a record's.
        for _ in 0..3 {
            let packet = Command::Discard(vec![1; 40]).encode();
            soon(client.sender.send(&packet, true)).await.expect("sent");
            assert!(matches!(soon(client.recv()).await.expect("a frame"), Some(ServerFrame::QuickAck(_))));
            let noop = soon(client.receiver.message()).await.expect("a no-op behind it");
            assert!(noop.len() < 16 && noop.starts_with(&[0; 4]), "{noop:?}");
        }
        assert_eq!(tap.lens()[before..], [19; 3]);
        for size in (16_380..16_440).step_by(4).chain([65_600, 300_000, 1_000_000]) {
            soon(client.download(Send { count: 3, size, seed: 7 })).await.expect("what was asked for");
        }
        soon(client.echo(vec![2; 64])).await.expect("echo");
        let lens = tap.lens();
        assert!(lens[before..].iter().all(|len| (18..=16_401).contains(len)), "{lens:?}");
    }
}

/// On the fast path, bulk is spliced; its records are as even as others.
#[tokio::test]
async fn no_record_of_bulk_is_shorter_than_a_real_one() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let tap = Tap::start(proxy.address).await;
    let options = Options::new(Protocol::FakeTls, Some(key()));
    let mut client = soon(Client::connect(tap.address, &options)).await.expect("let in");
    for size in [100, 65_600, 131_072, 500_004, 1_000_000] {
        soon(client.download(Send { count: 8, size, seed: 7 })).await.expect("what was asked for");
    }
    let lens = tap.lens();
    assert!(lens.iter().all(|len| (18..=16_401).contains(len)), "{lens:?}");
}
