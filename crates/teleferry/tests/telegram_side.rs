//! Telegram's side: addresses that fail, data centres that are silent, ids that nobody knows.

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Proxy, key, refusing, settings, settings_for, soon, telegram};
use teleferry_proto::dc::DcId;
use teleferry_proto::obfuscated::Header;
use teleferry_proto::transport::Framing;
use teleferry_sim::client::{Client, Options, Protocol};
use teleferry_sim::dc::Behaviour;
use tokio::io::AsyncReadExt as _;

#[tokio::test]
async fn every_data_centre_gets_the_header_that_its_client_sent() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    for dc in [1, 2, 3, 4, 5, -1, -4, 203, -203, 10_001, -10_003] {
        for (protocol, framing) in
            [(Protocol::Abridged, Framing::Abridged), (Protocol::FakeTls, Framing::Padded)]
        {
            let mut client = proxy.client_of(protocol, dc).await;
            soon(client.req_pq()).await.expect("resPQ");
            let report = soon(client.report()).await.expect("a report");
            assert_eq!((report.dc, report.asked_dc, report.framing), (dc.abs(), dc, framing.tag()));
            assert_eq!(telegram.counters(dc.abs()).headers(Header { framing, dc: DcId::new(dc) }), 1);
        }
    }
    assert_eq!(proxy.counts().dc_unknown, 0);
}

#[tokio::test]
async fn unknown_ids_go_to_the_default_or_nowhere() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    for dc in [0, 6, 999, -77, i16::MIN] {
        let mut client = proxy.client_of(Protocol::FakeTls, dc).await;
        let report = soon(client.report()).await.expect("a report");
        assert_eq!((report.dc, report.asked_dc), (2, 2), "{dc}");
    }
    assert_eq!(proxy.counts().dc_unknown, 5);

    let mut snapshot = settings(&telegram);
    snapshot.telegram.default_dc = None;
    let proxy = Proxy::start(snapshot);
    let mut client = proxy.client_of(Protocol::FakeTls, 999).await;
    soon(client.receiver.expect_end()).await.expect("an orderly end");
    drop(client);
    let counts = proxy.closed(&[("proxy:dc_unknown", 1)]).await;
    assert_eq!((counts.dc_unknown, counts.dc_connected), (1, 0));
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over() {
    let telegram = telegram();
    let (_held, bad) = refusing();
    let proxy = Proxy::start(settings_for([(2, vec![bad, telegram.address(2)])].into()));
    for _ in 0..3 {
        let mut client = proxy.client(Protocol::FakeTls).await;
        soon(client.echo(vec![1; 64])).await.expect("echo");
    }
    let counts = proxy.counts();
    assert_eq!((counts.dc_connected, counts.dc_unreachable), (3, 0));
}

/// F-08: one dead data centre harms its own clients only.
#[tokio::test]
async fn f_08_a_dead_data_centre_is_counted_and_harms_no_other() {
    let telegram = telegram();
    telegram.set_behaviour(4, Behaviour::Refuse).await;
    let proxy = Proxy::start(settings(&telegram));
    for protocol in Protocol::ALL {
        let mut dead = proxy.client_of(protocol, 4).await;
        assert!(!matches!(soon(dead.recv()).await, Ok(Some(_))));
        let mut alive = proxy.client_of(protocol, 5).await;
        soon(alive.echo(vec![1; 64])).await.expect("echo");
    }
    let counts = proxy.closed(&[("client:closed", 4), ("telegram:unreachable", 4)]).await;
    assert_eq!(counts.dc_unreachable, 4);
    // And back it comes.
    telegram.set_behaviour(4, Behaviour::Serve).await;
    let mut client = proxy.client_of(Protocol::FakeTls, 4).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
}

#[tokio::test]
async fn a_silent_data_centre_is_noticed() {
    let telegram = telegram();
    telegram.set_behaviour(3, Behaviour::Silent).await;
    let mut snapshot = settings(&telegram);
    snapshot.telegram.answer_timeout = Duration::from_millis(200);
    let proxy = Proxy::start(snapshot);
    let mut client = proxy.client_of(Protocol::FakeTls, 3).await;
    assert!(soon(client.req_pq()).await.is_err());
    drop(client);
    let counts = proxy.closed(&[("telegram:silent", 1)]).await;
    assert_eq!(counts.dc_silent, 1);
    // One that has answered may be silent as long as it likes: the idle time is another.
    let mut client = proxy.client_of(Protocol::FakeTls, 1).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    soon(client.command(&teleferry_sim::command::Command::Discard(vec![1; 64]))).await.expect("sent");
    let waiting = tokio::time::timeout(Duration::from_millis(600), client.recv());
    assert!(waiting.await.is_err(), "it is still open");
}

/// After a silent address the next client is taken to another first.
#[tokio::test]
async fn a_silent_address_is_tried_last_the_next_time() {
    let telegram = telegram();
    telegram.set_behaviour(3, Behaviour::Silent).await;
    let dc: BTreeMap<i16, Vec<SocketAddr>> = [(2, vec![telegram.address(3), telegram.address(2)])].into();
    let mut snapshot = settings_for(dc);
    snapshot.telegram.answer_timeout = Duration::from_millis(200);
    snapshot.server.workers = 1;
    let proxy = Proxy::start(snapshot);
    let mut first = proxy.client(Protocol::FakeTls).await;
    assert!(soon(first.req_pq()).await.is_err());
    let mut second = proxy.client(Protocol::FakeTls).await;
    soon(second.req_pq()).await.expect("resPQ");
}

#[tokio::test]
async fn the_header_goes_out_with_the_first_message() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let dc = [(2, vec![listener.local_addr().expect("address")])].into();
    let proxy = Proxy::start(settings_for(dc));
    let options = Options::new(Protocol::Padded, Some(key()));
    let mut client = soon(Client::dial(proxy.address, &options)).await.expect("connected");
    let serving = async {
        let (mut stream, _) = listener.accept().await.expect("accept");
        stream.read(&mut [0; 4096]).await.expect("bytes")
    };
    let (sent, first_read) = tokio::join!(client.send(&[1; 200]), soon(serving));
    sent.expect("sent");
    assert!(first_read >= 64 + 4 + 200, "{first_read} bytes in the first read");
}
