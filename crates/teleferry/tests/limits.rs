//! Ceilings, deadlines, and the stop.

mod common;

use std::time::Duration;

use common::{Proxy, at, key, listener, settings, soon, telegram};
use teleferry_sim::client::{Client, Options, Protocol};
use tokio::net::TcpStream;

/// F-10: the limit holds exactly, over all shards and addresses; those above it wait and are served later.
#[tokio::test]
async fn f_10_a_listeners_limit_is_exact() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.server.workers = 4;
    snapshot.listeners[0].max_connections = 3;
    snapshot.listeners[0].addresses.push(at(std::net::Ipv4Addr::LOCALHOST.into()));
    snapshot.listeners.push(listener("other"));
    let proxy = Proxy::start(snapshot);
    let mut served = Vec::new();
    for _ in 0..3 {
        served.push(proxy.client(Protocol::FakeTls).await);
    }
    // More connect (the kernel takes them in), but none is accepted.
    let options = Options::new(Protocol::FakeTls, Some(key()));
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let options = options.clone();
        let address = proxy.address;
        waiting.push(tokio::spawn(async move { soon(Client::connect(address, &options)).await }));
    }
    for client in &mut served {
        soon(client.echo(vec![1; 64])).await.expect("those below the limit are served");
    }
    assert_eq!((proxy.counts().accepted, proxy.counts().open), (3, 3));
    // Each that leaves makes room for exactly one.
    for round in 1..=8 {
        drop(served.remove(0));
        proxy.counted(|counts| counts.accepted == 3 + round).await;
        let (client, _, rest) = futures_util::future::select_all(waiting).await;
        waiting = rest;
        served.push(client.expect("no panic").expect("let in"));
        assert_eq!(proxy.counts().open, 3);
    }
}

#[tokio::test]
async fn the_global_limit_is_exact_too() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.server.workers = 4;
    snapshot.server.max_connections = 2;
    snapshot.listeners.push(listener("other"));
    let proxy = Proxy::start(snapshot);
    let other =
        proxy.server.addresses().iter().find(|(name, _)| name == "other").expect("there is one").1.clone();
    let teleferry::config::ListenAddress::Inet(other) = other else { panic!("not TCP") };
    let options = Options::new(Protocol::Padded, Some(key()));
    let mut first = proxy.client(Protocol::Padded).await;
    let mut second = soon(Client::connect(other, &options)).await.expect("let in");
    soon(first.echo(vec![1; 64])).await.expect("echo");
    soon(second.echo(vec![1; 64])).await.expect("echo");
    let third = soon(Client::connect(proxy.address, &options)).await.expect("the kernel takes it in");
    soon(first.echo(vec![1; 64])).await.expect("echo");
    assert_eq!(proxy.counts().accepted, 1);
    drop(second);
    proxy.counted(|counts| counts.accepted == 2).await;
    drop(third);
    drop(first);
    proxy.closed(&[("client:closed", 2)]).await;
}

#[tokio::test]
async fn an_idle_session_is_ended_and_a_busy_one_is_not() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.relay.idle_timeout = Duration::from_millis(500);
    let proxy = Proxy::start(snapshot);
    let mut idle = proxy.client(Protocol::FakeTls).await;
    soon(idle.echo(vec![1; 64])).await.expect("echo");
    let mut busy = proxy.client(Protocol::FakeTls).await;
    let working = async {
        loop {
            busy.echo(vec![1; 64]).await.expect("echo");
        }
    };
    tokio::select! {
        ended = soon(idle.recv()) => assert!(matches!(ended, Ok(None) | Err(_)), "{ended:?}"),
        () = working => {}
    }
    proxy.counted(|counts| counts.closed.get("client:idle") == Some(&1)).await;
}

#[tokio::test]
async fn a_stop_drains_what_is_there_and_accepts_nothing_more() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let mut client = proxy.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    let address = proxy.address;
    let stopping = tokio::task::spawn_blocking(move || proxy.server.stop());
    // The listening sockets close; until then the kernel may still take connections in.
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    soon(refused).await;
    soon(client.echo(vec![1; 64])).await.expect("those that are there go on");
    assert!(!stopping.is_finished());
    drop(client);
    soon(stopping).await.expect("it ends with the last connection");
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.server.drain = Duration::from_millis(200);
    let proxy = Proxy::start(snapshot);
    let mut client = proxy.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    soon(tokio::task::spawn_blocking(move || proxy.server.stop())).await.expect("it ends");
    assert!(!matches!(soon(client.recv()).await, Ok(Some(_))));
}

#[tokio::test]
async fn a_stop_can_be_cut_short() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let mut client = proxy.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    let now = proxy.server.stopper();
    let stopping = tokio::task::spawn_blocking(move || proxy.server.stop());
    now.stop_now();
    soon(stopping).await.expect("it ends");
}

#[tokio::test]
async fn an_address_in_use_is_said_in_words() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let mut snapshot = settings(&telegram);
    snapshot.listeners[0].addresses = vec![teleferry::config::ListenAddress::Inet(proxy.address)];
    let error = teleferry::server::Server::start(snapshot.into()).expect_err("it is in use").to_string();
    assert!(error.starts_with(&format!("listener \"main\" cannot open {}", proxy.address)), "{error}");
    assert!(error.contains("another program listens there"), "{error}");
}
