//! What a client sees when all goes well, and what its neighbours see when it does not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use teleferry::config::{AddressPreference, ErrorFilter, ExternalIp};
use teleferry_proto::rpc::{ConnId, Packet};
use teleferry_proto::transport::{MAX_CLIENT_MESSAGE, ServerFrame};
use teleferry_sim::client::{Client, HelloShape, Options, Protocol};
use teleferry_sim::command::{Command, Send};
use teleferry_sim::middle::{ExpectedTag, Order};

use super::stage::{Stage, link_of, settled};
use crate::common::tap::Tap;
use crate::common::{DOMAIN, Proxy, at, key, soon};

#[tokio::test]
async fn a_01_echo_in_every_protocol() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    for protocol in Protocol::ALL {
        let mut client = proxy.client(protocol).await;
        soon(client.req_pq()).await.expect("resPQ");
        soon(client.echo(vec![7; 64])).await.expect("echo");
    }
    let counts = proxy.closed(&[("client:closed", 4)]).await;
    assert_eq!((counts.accepted, counts.open, counts.messages, counts.answers), (4, 0, 8, 8));
    assert_eq!(counts.clients, ["abridged", "intermediate", "secure", "tls"].map(|name| (name, 1)).into());
    assert_eq!((counts.dc_connected, counts.dc_unknown, counts.messages_filtered), (0, 0, 0));
    let seen = soon(stage.middle().counters().wait_until(|seen| seen.closed_by_proxy == 4)).await;
    assert_eq!((seen.clients_opened, seen.clients_closed), (4, 4));
    assert_eq!((seen.messages_in, seen.messages_out), (8, 8));
    assert_eq!((seen.bytes_in, seen.bytes_out), (counts.to_telegram, counts.from_telegram));
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_02_many_packets_in_order() {
    let stage = Stage::new();
    let proxy = stage.proxy();
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
    assert_eq!(proxy.counts().answers, 60);
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_03_a_04_short_and_long_hellos() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    for shape in [HelloShape::Padded517, HelloShape::Modern] {
        let options =
            Options { shape, domain: DOMAIN.to_owned(), ..Options::new(Protocol::FakeTls, Some(key())) };
        let mut client = soon(Client::connect(proxy.address, &options)).await.expect("let in");
        soon(client.echo(vec![1; 5000])).await.expect("echo");
    }
    assert_eq!(proxy.counts().clients, [("tls", 2)].into());
}

#[tokio::test]
async fn a_05_ipv6_on_both_sides() {
    let stage = Stage::with(1, &[Ipv6Addr::LOCALHOST.into()]);
    let mut snapshot = stage.settings();
    snapshot.listeners[0].addresses = vec![at(Ipv6Addr::LOCALHOST.into())];
    snapshot.telegram.prefer = AddressPreference::OnlyIpv6;
    let proxy = Proxy::start(snapshot);
    let mut client = proxy.client(Protocol::Padded).await;
    soon(client.echo(vec![1; 100])).await.expect("echo");
    drop(client);
    let counts = proxy.closed(&[("client:closed", 1)]).await;
    assert_eq!((counts.accepted, counts.open), (1, 0));
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_06_a_packet_too_large_closes_its_sender_alone() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let mut neighbour = settled(&proxy, Protocol::FakeTls).await;
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
    stage.assert_no_violations();
}

/// F-01: a frame that is not whole words reaches no link.
#[tokio::test]
async fn f_01_an_unaligned_packet_closes_its_sender_alone() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let mut neighbour = settled(&proxy, Protocol::Intermediate).await;
    let link = link_of(&mut neighbour).await;
    let mut client = settled(&proxy, Protocol::Intermediate).await;
    assert_eq!(link_of(&mut client).await, link);
    let mut wire = 61_u32.to_le_bytes().to_vec();
    wire.extend([1; 61]);
    soon(client.sender.send_raw(&wire)).await.expect("sent");
    assert!(matches!(soon(client.recv()).await, Ok(None) | Err(_)));
    soon(neighbour.echo(vec![2; 64])).await.expect("the neighbour does not notice");
    assert_eq!(link_of(&mut neighbour).await, link);
    proxy.closed(&[("client:frame_length", 1)]).await;
    stage.assert_no_violations();
}

#[tokio::test]
async fn f_16_quick_acks_both_ways() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    for protocol in Protocol::ALL {
        let mut client = proxy.client(protocol).await;
        soon(client.echo_with_quick_ack(vec![1; 100])).await.expect("ack, then echo");
    }
    let seen = stage.middle().counters().read();
    assert_eq!((seen.acks_asked, seen.acks_sent), (4, 4));
    stage.assert_no_violations();
}

/// F-20: with a tag every message carries it, without one none does.
#[tokio::test]
async fn f_20_ad_tags_are_optional() {
    let stage = Stage::new();
    for (tag, expected) in [(None, ExpectedTag::Absent), (Some([7; 16]), ExpectedTag::Exactly([7; 16]))] {
        stage.middle().configure(|settings| settings.ad_tag = expected).await;
        let mut snapshot = stage.settings();
        snapshot.listeners[0].ad_tag = tag;
        let proxy = Proxy::start(snapshot);
        for protocol in Protocol::ALL {
            let mut client = settled(&proxy, protocol).await;
            let report = soon(client.report()).await.expect("a report");
            assert_eq!(report.middle.expect("over a middle proxy").ad_tag, tag);
        }
    }
    stage.assert_no_violations();
}

/// Middle proxies are told where the client is, and where it found us: by the address that is known outside.
#[tokio::test]
async fn middle_proxies_are_told_both_addresses() {
    let stage = Stage::new();
    let outside = Ipv4Addr::new(203, 0, 113, 7);
    stage.middle().configure(|settings| settings.seen_from = Some(outside.into())).await;
    let mut snapshot = stage.settings();
    snapshot.telegram.external_ip = ExternalIp { v4: Some(outside), v6: None };
    let proxy = Proxy::start(snapshot);
    let mut client = settled(&proxy, Protocol::FakeTls).await;
    let told = soon(client.report()).await.expect("a report").middle.expect("over a middle proxy");
    assert_eq!(told.client.ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
    assert_eq!(told.proxy, (outside, proxy.address.port()).into());
    stage.assert_no_violations();
}

#[tokio::test]
async fn the_largest_packets_pass_both_ways() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    for protocol in Protocol::ALL {
        let (mut sender, mut receiver) = proxy.client(protocol).await.split();
        let packet = Command::Echo(vec![5; 1_000_000]).encode();
        let (sent, came) =
            tokio::join!(soon(sender.send(&packet, false)), soon(receiver.expect_packet(&packet)));
        sent.expect("sent");
        came.expect("the same packet");
    }
    stage.assert_no_violations();
}

#[tokio::test]
async fn downloads_arrive_whole_beside_each_other() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let download = |protocol, seed| {
        let proxy = &proxy;
        async move {
            let mut client = proxy.client(protocol).await;
            soon(client.download(Send { count: 40, size: 200_000, seed })).await.expect("every byte");
        }
    };
    let [a, b, c, d] = Protocol::ALL;
    tokio::join!(download(a, 1), download(b, 2), download(c, 3), download(d, 4));
    assert_eq!(proxy.counts().answers, 160);
}

/// F-30: a message of 16 MiB harms nobody but, at most, the client that it is for.
#[tokio::test]
async fn f_30_the_largest_frames_harm_no_neighbour() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let mut neighbour = settled(&proxy, Protocol::FakeTls).await;
    let link = link_of(&mut neighbour).await;
    for size in [5 << 20, (16 << 20) - 28] {
        let mut client = settled(&proxy, Protocol::FakeTls).await;
        let told = soon(client.report()).await.expect("a report").middle.expect("over a middle proxy");
        assert_eq!(told.link, link);
        let message = vec![3; size];
        let answer = Packet::Answer { flags: 0, conn: ConnId::new(told.conn), message: &message };
        assert!(stage.middle().tell(link, Order::packet(&answer)).await);
        // Longer than clients take; it is passed on, or its client is closed.
        assert!(!matches!(soon(client.recv()).await, Ok(Some(_))));
        soon(neighbour.echo(vec![2; 64])).await.expect("the neighbour does not notice");
    }
    assert_eq!(link_of(&mut neighbour).await, link);
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_client_that_telegram_closes_is_closed() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let mut neighbour = settled(&proxy, Protocol::Padded).await;
    for protocol in Protocol::ALL {
        let mut client = settled(&proxy, protocol).await;
        let told = soon(client.report()).await.expect("a report").middle.expect("over a middle proxy");
        let close = Packet::CloseExt(ConnId::new(told.conn));
        assert!(stage.middle().tell(told.link, Order::packet(&close)).await);
        assert!(matches!(soon(client.recv()).await, Ok(None)), "{protocol:?}");
    }
    soon(neighbour.echo(vec![2; 64])).await.expect("the neighbour does not notice");
    proxy.closed(&[("telegram:closed", 4)]).await;
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_11_errors_are_kept_from_clients_as_configured() {
    let stage = Stage::new();
    for (filter, passed, filtered) in
        [(ErrorFilter::Off, 2, 0), (ErrorFilter::First, 1, 1), (ErrorFilter::On, 0, 2)]
    {
        let mut snapshot = stage.settings();
        snapshot.relay.filter_server_errors = filter;
        let proxy = Proxy::start(snapshot);
        let mut client = proxy.client(Protocol::FakeTls).await;
        let not_found = Command::error(-404);
        let mut came = 0;
        for step in [&not_found, &Command::Echo(vec![1; 64]), &not_found, &Command::Echo(vec![2; 64])] {
            soon(client.command(step)).await.expect("sent");
            while let Command::Echo(content) = step {
                let frame = soon(client.recv()).await.expect("legal").expect("a frame");
                match frame {
                    ServerFrame::Message(bytes) if bytes.len() < 16 => came += 1,
                    ServerFrame::Message(bytes) => {
                        assert!(bytes.starts_with(&Command::Echo(content.clone()).encode()));
                        break;
                    }
                    ServerFrame::QuickAck(_) => panic!("nobody asked for an ack"),
                }
            }
        }
        assert_eq!((came, proxy.counts().errors_filtered), (passed, filtered), "{filter:?}");
    }
}

/// Memory is not held for ever for a message that does not come; who sends nothing, or whole messages, is not concerned.
#[tokio::test]
async fn half_a_message_has_a_deadline_of_its_own() {
    let stage = Stage::new();
    let mut snapshot = stage.settings();
    snapshot.relay.frame_timeout = Duration::from_millis(200);
    let proxy = Proxy::start(snapshot);
    let mut quiet = settled(&proxy, Protocol::FakeTls).await;
    let mut stuck = settled(&proxy, Protocol::FakeTls).await;
    let wire = stuck.sender.encode(&Command::Echo(vec![9; 1000]).encode(), false);
    soon(stuck.sender.send_raw(&wire[..900])).await.expect("sent");
    let mut busy = settled(&proxy, Protocol::Padded).await;
    let busy_meanwhile = async {
        loop {
            soon(busy.echo(vec![1; 64])).await.expect("echo");
        }
    };
    tokio::select! {
        _ = busy_meanwhile => {}
        _ = proxy.closed(&[("client:frame_timeout", 1)]) => {}
    }
    soon(quiet.echo(vec![1; 64])).await.expect("echo");
    stage.assert_no_violations();
}

/// The message comes in many pieces, over TLS records; the link sees it whole or not at all.
#[tokio::test]
async fn half_a_message_is_never_begun_on_a_link() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let mut client = settled(&proxy, Protocol::FakeTls).await;
    let before = stage.middle().counters().read().messages_in;
    let wire = client.sender.encode(&Command::Echo(vec![9; 100_000]).encode(), false);
    soon(client.sender.send_raw(&wire[..90_000])).await.expect("sent");
    // Something else that is behind it on the same shard has come through: so the first part was read.
    settled(&proxy, Protocol::Padded).await;
    assert_eq!(stage.middle().counters().read().messages_in, before + 1);
    soon(client.sender.send_raw(&wire[90_000..])).await.expect("sent");
    soon(client.receiver.expect_packet(&Command::Echo(vec![9; 100_000]).encode())).await.expect("echo");
}

#[tokio::test]
async fn answers_for_nobody_are_answered_with_a_close() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let mut client = settled(&proxy, Protocol::FakeTls).await;
    let link = link_of(&mut client).await;
    let nobody = Packet::Answer { flags: 0, conn: ConnId::new(12_345), message: &[1; 64] };
    assert!(stage.middle().tell(link, Order::packet(&nobody)).await);
    soon(stage.middle().counters().wait_until(|seen| seen.strangers_closed == 1)).await;
    assert!(stage.middle().tell(link, Order::packet(&Packet::Ping([7; 8]))).await);
    soon(stage.middle().counters().wait_until(|seen| seen.pongs == 1)).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
}

/// Towards fake TLS no record is shorter than a real one, and none longer: a lone quick ack gets a no-op frame behind it, once
/// there was an answer.
#[tokio::test]
async fn no_record_is_shorter_than_a_real_one() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let tap = Tap::start(proxy.address).await;
    let options = Options::new(Protocol::FakeTls, Some(key()));
    let mut client = soon(Client::connect(tap.address, &options)).await.expect("let in");
    soon(client.echo_with_quick_ack(vec![1; 64])).await.expect("ack, then echo");
    let before = tap.lens().len();
    for _ in 0..3 {
        let packet = Command::Discard(vec![1; 40]).encode();
        soon(client.sender.send(&packet, true)).await.expect("sent");
        assert!(matches!(soon(client.recv()).await.expect("a frame"), Some(ServerFrame::QuickAck(_))));
        let noop = soon(client.receiver.message()).await.expect("a no-op behind it");
        assert!(noop.len() < 16 && noop.starts_with(&[0; 4]), "{noop:?}");
    }
    assert_eq!(tap.lens()[before..], [19; 3]);
    // Of every length modulo a record's, and around what is sent at once.
    for size in (16_380..16_440).step_by(4).chain((65_580..65_620).step_by(4)).chain([1_000_000]) {
        soon(client.download(Send { count: 3, size, seed: 7 })).await.expect("what was asked for");
    }
    let lens = tap.lens();
    assert!(lens[before..].iter().all(|len| (18..=16_401).contains(len)), "{lens:?}");
    // Who never asked for an ack may be anybody: an error goes as it is.
    let tap = Tap::start(proxy.address).await;
    let mut other = soon(Client::connect(tap.address, &options)).await.expect("let in");
    soon(other.echo(vec![1; 64])).await.expect("echo");
    soon(other.command(&Command::Frame(vec![0x6c, 0xfe, 0xff, 0xfe]))).await.expect("sent");
    assert_eq!(soon(other.receiver.message()).await.expect("an error").len(), 4);
    stage.assert_no_violations();
}
