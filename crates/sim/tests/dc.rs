//! The data centres as a client sees them that is connected to them without a proxy.

mod support;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use teleferry_proto::dc::DcId;
use teleferry_proto::obfuscated::Header;
use teleferry_proto::transport::{MAX_CLIENT_MESSAGE, ServerFrame};
use teleferry_sim::client::{Client, ClientError, Options, Protocol};
use teleferry_sim::command::{Command, Packet, Send, quick_ack_token};
use teleferry_sim::dc::Behaviour;
use teleferry_sim::telegram::{self, DC_IDS, Telegram};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PLAIN: [Protocol; 3] = [Protocol::Abridged, Protocol::Intermediate, Protocol::Padded];

fn telegram() -> Telegram {
    Telegram::start(&telegram::Options::default()).unwrap()
}

async fn client(telegram: &Telegram, protocol: Protocol) -> Client {
    Client::connect(telegram.address(2), &Options::new(protocol, None)).await.unwrap()
}

fn message(frame: Option<ServerFrame>) -> Vec<u8> {
    match frame {
        Some(ServerFrame::Message(message)) => message,
        other => panic!("not a message: {other:?}"),
    }
}

#[tokio::test]
async fn every_data_centre_answers_in_every_framing() {
    let telegram = telegram();
    assert!(telegram.addresses().keys().copied().eq(DC_IDS));
    for id in DC_IDS {
        assert!(DcId::new(id).is_known());
        for protocol in PLAIN {
            for asked in [id, -id] {
                let options = Options::new(protocol, None).with_dc(asked);
                let mut client = Client::dial(telegram.address(id), &options).await.unwrap();
                client.req_pq().await.unwrap();
                let report = client.report().await.unwrap();
                assert_eq!((report.dc, report.asked_dc), (id, asked));
            }
        }
        let counts = telegram.counters(id).read();
        assert_eq!((counts.accepted, counts.res_pq, counts.commands, counts.wrong_dc), (6, 6, 6, 0));
    }
}

#[tokio::test]
async fn echoes_of_every_length_come_back_whole() {
    let telegram = telegram();
    for protocol in PLAIN {
        let mut client = client(&telegram, protocol).await;
        for len in [0, 1, 40, 41, 487, 488, 492, 493, 16_384, 100_001, MAX_CLIENT_MESSAGE - 16] {
            client.echo(vec![len as u8; len]).await.unwrap();
        }
    }
    assert_eq!(telegram.counters(2).read().echoed, 33);
}

/// The first answer fills the queue; the others are made when it has drained, without anything else coming in.
#[tokio::test]
async fn frames_behind_a_long_one_are_answered() {
    let telegram = telegram();
    for protocol in PLAIN {
        let mut client = client(&telegram, protocol).await;
        let packets = [100_000, 10, 70_000, 20].map(|len| Command::Echo(vec![3; len]).encode());
        let wire: Vec<u8> = packets.iter().flat_map(|packet| client.sender.encode(packet, false)).collect();
        client.sender.send_raw(&wire).await.unwrap();
        for packet in &packets {
            client.receiver.expect_packet(packet).await.unwrap();
        }
    }
}

#[tokio::test]
async fn quick_acks_come_before_the_answer() {
    let telegram = telegram();
    for protocol in PLAIN {
        let mut client = client(&telegram, protocol).await;
        client.echo_with_quick_ack(b"acknowledge me".to_vec()).await.unwrap();
        client.command(&Command::QuickAck([1, 2, 3, 4])).await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Some(ServerFrame::QuickAck([1, 2, 3, 0x84])));

        let packet = Command::Discard(b"only an ack".to_vec()).encode();
        client.sender.send(&packet, true).await.unwrap();
        let token = quick_ack_token(&Packet::parse(&packet).unwrap());
        assert_eq!(client.recv().await.unwrap(), Some(ServerFrame::QuickAck(token)));
    }
    let counts = telegram.counters(2).read();
    assert_eq!((counts.quick_acks_asked, counts.quick_acks_sent), (6, 9));
}

#[tokio::test]
async fn frames_errors_and_raw_bytes_are_sent_as_asked() {
    let telegram = telegram();
    for protocol in PLAIN {
        let mut client = client(&telegram, protocol).await;
        client.command(&Command::error(-429)).await.unwrap();
        assert_eq!(message(client.recv().await.unwrap()), (-429_i32).to_le_bytes());
        client.command(&Command::Frame(vec![0; 8])).await.unwrap();
        assert_eq!(message(client.recv().await.unwrap()), [0; 8]);
        // A quick ack in intermediate framing, which is its bytes as they are.
        client.command(&Command::Raw(vec![0x81, 2, 3, 0x84])).await.unwrap();
        assert!(matches!(client.recv().await.unwrap(), Some(ServerFrame::QuickAck(_))));
        client.echo(b"still in step".to_vec()).await.unwrap();
    }
}

#[tokio::test]
async fn downloads_are_exact() {
    let telegram = telegram();
    for protocol in PLAIN {
        let mut client = client(&telegram, protocol).await;
        for (count, size) in [(0, 100), (1, 2 << 20), (1000, 56), (20, 65_537)] {
            client.download(Send { count, size, seed: 9 }).await.unwrap();
        }
        client.echo(b"answered after the packets".to_vec()).await.unwrap();
    }
}

#[tokio::test]
async fn reports_count_what_was_sent() {
    let telegram = telegram();
    let mut client = client(&telegram, Protocol::Intermediate).await;
    client.echo(vec![1; 40]).await.unwrap();
    let report = client.report().await.unwrap();
    assert_eq!((report.connection, report.framing), (1, [0xee; 4]));
    assert_eq!((report.frames_in, report.frames_out), (2, 1));
    assert_eq!((report.bytes_in, report.bytes_out), (64 + 2 * 60, 60));
    let header = Header { framing: teleferry_proto::transport::Framing::Intermediate, dc: DcId::new(2) };
    assert_eq!(telegram.counters(2).headers(header), 1);
}

#[tokio::test]
async fn a_stalled_connection_reads_on() {
    let telegram = telegram();
    let mut client = client(&telegram, Protocol::Padded).await;
    client.command(&Command::Stall).await.unwrap();
    for _ in 0..40 {
        client.send(&Command::Echo(vec![0; 100_000]).encode()).await.unwrap();
    }
    let counts = telegram.counters(2).wait_until(|counts| counts.frames_in == 41).await;
    assert_eq!((counts.frames_out, counts.echoed, counts.open()), (0, 0, 1));
    client.sender.half_close().await.unwrap();
    client.receiver.expect_end().await.unwrap();
    telegram.counters(2).wait_until(|counts| counts.open() == 0).await;
}

#[tokio::test]
async fn a_frozen_connection_reads_nothing() {
    let telegram = telegram();
    let mut client = client(&telegram, Protocol::Abridged).await;
    client.command(&Command::Freeze).await.unwrap();
    telegram.counters(2).wait_until(|counts| counts.commands == 1).await;
    assert!(support::fill_until_stuck(&client).await > 1000);
    assert!(telegram.counters(2).read().bytes_in < 1000);
    client.reset().unwrap();
    telegram.counters(2).wait_until(|counts| counts.open() == 0).await;
}

#[tokio::test]
async fn half_close_close_and_reset() {
    let telegram = telegram();
    for protocol in PLAIN {
        let mut half = client(&telegram, protocol).await;
        half.command(&Command::HalfClose).await.unwrap();
        half.receiver.expect_end().await.unwrap();
        let before = telegram.counters(2).read().frames_in;
        half.command(&Command::Discard(vec![])).await.unwrap();
        telegram.counters(2).wait_until(|counts| counts.frames_in == before + 1).await;
        drop(half);

        let mut closed = client(&telegram, protocol).await;
        closed.command(&Command::Close).await.unwrap();
        closed.receiver.expect_end().await.unwrap();

        let mut reset = client(&telegram, protocol).await;
        reset.command(&Command::Reset).await.unwrap();
        let error = reset.recv().await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Io(error) if error.kind() == ErrorKind::ConnectionReset),
            "{error:?}"
        );
    }
    telegram.counters(2).wait_until(|counts| counts.accepted == 9 && counts.open() == 0).await;
}

#[tokio::test]
async fn illegal_frames_and_headers_end_the_connection() {
    let telegram = telegram();
    for (protocol, illegal) in [
        (Protocol::Abridged, vec![0]),
        (Protocol::Abridged, vec![0x7f, 1, 0, 0]),
        (Protocol::Intermediate, vec![57, 0, 0, 0]),
        (Protocol::Intermediate, vec![0, 0, 16, 0]),
        (Protocol::Padded, vec![3, 0, 0, 0]),
    ] {
        let mut client = client(&telegram, protocol).await;
        let wire = client.sender.encode_stream(&illegal);
        client.sender.send_raw(&wire).await.unwrap();
        client.receiver.expect_end().await.unwrap();
    }
    let mut stranger = TcpStream::connect(telegram.address(2)).await.unwrap();
    stranger.write_all(&[0x55; 64]).await.unwrap();
    assert_eq!(stranger.read(&mut [0; 8]).await.unwrap(), 0);
    let counts = telegram.counters(2).read();
    assert_eq!((counts.bad_frames, counts.bad_headers), (5, 1));
}

#[tokio::test]
async fn wrong_data_centres_and_keys_get_error_codes() {
    let telegram = telegram();
    for protocol in PLAIN {
        let wrong = Options::new(protocol, None).with_dc(-4);
        let mut client = Client::connect(telegram.address(2), &wrong).await.unwrap();
        client.command(&Command::Report).await.unwrap();
        assert_eq!(message(client.recv().await.unwrap()), (-444_i32).to_le_bytes());

        let nobody = Options::new(protocol, None).with_dc(999);
        let mut client = Client::connect(telegram.address(2), &nobody).await.unwrap();
        client.echo(b"served".to_vec()).await.unwrap();
        client.send(&[0x77; 64]).await.unwrap();
        assert_eq!(message(client.recv().await.unwrap()), (-404_i32).to_le_bytes());
    }
    let counts = telegram.counters(2).read();
    assert_eq!((counts.wrong_dc, counts.unknown_dc, counts.unknown_keys), (3, 3, 3));
}

#[tokio::test]
async fn headers_and_frames_may_come_byte_by_byte() {
    let telegram = telegram();
    for protocol in PLAIN {
        let mut client = Client::dial(telegram.address(2), &Options::new(protocol, None)).await.unwrap();
        let packet = Command::Echo(vec![5; 30]).encode();
        let wire = client.sender.encode(&packet, false);
        for byte in wire {
            client.sender.send_raw(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        client.receiver.expect_packet(&packet).await.unwrap();
    }
}

#[tokio::test]
async fn behaviour_changes_while_running() {
    let telegram = telegram();
    let address = telegram.address(3);
    let options = Options::new(Protocol::Padded, None).with_dc(3);
    let mut before = Client::connect(address, &options).await.unwrap();
    before.echo(vec![1]).await.unwrap();

    telegram.set_behaviour(3, Behaviour::Refuse).await;
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    before.echo(b"those it has stay".to_vec()).await.unwrap();

    telegram.set_behaviour(3, Behaviour::Close).await;
    let mut closed = TcpStream::connect(address).await.unwrap();
    assert_eq!(closed.read(&mut [0; 8]).await.unwrap(), 0);

    telegram.set_behaviour(3, Behaviour::Silent).await;
    let seen = telegram.counters(3).read().bytes_in;
    let mut silent = Client::dial(address, &options).await.unwrap();
    let wire = silent.sender.encode(&Command::Report.encode(), false);
    silent.sender.send_raw(&wire).await.unwrap();
    let all_in = |counts: &teleferry_sim::dc::Counts| counts.bytes_in == seen + wire.len() as u64;
    assert_eq!(telegram.counters(3).wait_until(all_in).await.frames_out, 2);

    telegram.drop_connections(3).await;
    assert_eq!(telegram.counters(3).read().open(), 0);
    silent.receiver.expect_end().await.unwrap();

    telegram.set_behaviour(3, Behaviour::Serve).await;
    Client::connect(address, &options).await.unwrap().echo(b"back again".to_vec()).await.unwrap();
}

#[tokio::test]
async fn stopping_closes_everything() {
    let telegram = telegram();
    let mut client = client(&telegram, Protocol::Abridged).await;
    client.echo(vec![1]).await.unwrap();
    let (address, counters) = (telegram.address(2), std::sync::Arc::clone(telegram.counters(2)));
    telegram.stop().await;
    assert_eq!(counters.read().open(), 0);
    client.receiver.expect_end().await.unwrap();
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn dropping_closes_everything() {
    let telegram = telegram();
    let mut client = client(&telegram, Protocol::Abridged).await;
    client.echo(vec![1]).await.unwrap();
    let counters = std::sync::Arc::clone(telegram.counters(2));
    drop(telegram);
    client.receiver.expect_end().await.unwrap();
    counters.wait_until(|counts| counts.open() == 0).await;
}

#[tokio::test]
async fn ipv6_has_ports_of_its_own() {
    let listen: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    // Not every machine has IPv6.
    let Ok(telegram) = Telegram::start(&telegram::Options { listen }) else { return };
    for address in &telegram.addresses()[&5] {
        let options = Options::new(Protocol::Intermediate, None).with_dc(5);
        Client::connect(*address, &options).await.unwrap().req_pq().await.unwrap();
    }
    assert_eq!(telegram.counters(5).read().res_pq, 2);
}
