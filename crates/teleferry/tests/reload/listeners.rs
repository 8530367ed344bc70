//! Listeners that come, go and change.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use teleferry::config::{ListenAddress, NamedSecret, Protocols, Snapshot};
use teleferry::control::ReloadReport;
use teleferry_proto::secret::SecretKey;
use teleferry_sim::client::{Client, Options, Protocol};
use tokio::net::TcpStream;

use super::crowd::{Crowd, addresses_of, connect};
use crate::common::{Proxy, at, key, listener, settings, soon, telegram, wrong_key};

async fn reload(proxy: &Proxy, snapshot: &Snapshot) -> ReloadReport {
    soon(proxy.server.reload(snapshot.clone())).await.expect("it is taken up")
}

/// Nobody is let in like this: without a cover site strangers are never answered, but they are counted.
async fn is_refused(proxy: &Proxy, protocol: Protocol, key: SecretKey) {
    let before: u64 = proxy.counts().strangers.values().sum();
    let trying = tokio::spawn(connect(proxy.address, protocol, key));
    proxy.counted(|counts| counts.strangers.values().sum::<u64>() == before + 1).await;
    trying.abort();
}

/// A client that has been answered by a padded connection.
async fn padded(address: SocketAddr) -> Client {
    connect(address, Protocol::Padded, key()).await.expect("served")
}

/// A listener that a client waits for in vain at its ceiling.
async fn waits(address: SocketAddr) -> tokio::task::JoinHandle<Client> {
    let options = Options::new(Protocol::Padded, Some(key()));
    let client = soon(Client::connect(address, &options)).await.expect("the kernel takes it in");
    tokio::spawn(async move {
        let mut client = client;
        soon(client.echo(vec![1; 64])).await.expect("served in the end");
        client
    })
}

#[tokio::test]
async fn f_25_a_changed_secret_or_tag_drops_nobody_and_counts_for_those_who_come() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    let proxy = Proxy::start(snapshot.clone());
    let mut crowd = Crowd::at(proxy.address).await;
    snapshot.listeners[0].secrets = vec![NamedSecret { name: None, key: wrong_key() }];
    assert_eq!(reload(&proxy, &snapshot).await.changes, ["listener `main`: secret changed"]);
    crowd.goes_on().await;
    is_refused(&proxy, Protocol::FakeTls, key()).await;
    assert!(connect(proxy.address, Protocol::FakeTls, wrong_key()).await.is_some(), "the new one does");
    snapshot.listeners[0].ad_tag = Some([7; 16]);
    assert_eq!(reload(&proxy, &snapshot).await.changes, ["listener `main`: ad_tag added"]);
    crowd.goes_on().await;
    crowd.rest().await;
}

/// ceilings of all listeners change live, no listener at all closes every port, and the old list brings them back.
#[tokio::test]
async fn a_09_ceilings_change_and_listeners_go_and_come_back() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.listeners.push(listener("second"));
    let before = snapshot.clone();
    let proxy = Proxy::start(snapshot.clone());
    let second = addresses_of(&proxy.server, "second")[0];
    for listener in &mut snapshot.listeners {
        listener.max_connections = 1;
    }
    let report = reload(&proxy, &snapshot).await;
    assert_eq!(report.changes.len(), 2, "{report:?}");
    for address in [proxy.address, second] {
        let first = padded(address).await;
        let waiting = waits(address).await;
        assert!(!waiting.is_finished());
        drop(first);
        drop(soon(waiting).await.expect("its turn comes"));
    }
    snapshot.listeners.remove(1);
    let report = reload(&proxy, &snapshot).await;
    assert_eq!(report.changes.len(), 1, "{report:?}");
    assert!(TcpStream::connect(second).await.is_err(), "its port is closed");
    reload(&proxy, &before).await;
    assert_eq!(proxy.server.snapshot().listeners, before.listeners);
    padded(addresses_of(&proxy.server, "second")[0]).await;
}

/// F-03 and A-58: whatever the limit does, nobody is let in above it, and no place is lost.
#[tokio::test]
async fn f_03_a_58_a_lowered_ceiling_lets_nobody_in_until_enough_have_left() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    let proxy = Proxy::start(snapshot.clone());
    let mut there = Vec::new();
    for _ in 0..4 {
        there.push(padded(proxy.address).await);
    }
    for (max, global) in [(2, 10_000), (10_000, 2)] {
        snapshot.listeners[0].max_connections = max;
        snapshot.server.max_connections = global;
        reload(&proxy, &snapshot).await;
        let accepted = proxy.counts().accepted;
        let waiting = waits(proxy.address).await;
        for left in [3, 2] {
            drop(there.pop());
            proxy.counted(|counts| counts.open == left).await;
            // Everybody who is there is served a few times: time enough to let in one too many.
            for client in &mut there {
                soon(client.echo(vec![1; 64])).await.expect("echo");
            }
            assert_eq!(proxy.counts().accepted, accepted, "{left} are there of {max} and {global}");
        }
        drop(there.pop());
        there.push(soon(waiting).await.expect("there is room now"));
        snapshot.listeners[0].max_connections = 10_000;
        snapshot.server.max_connections = 10_000;
        reload(&proxy, &snapshot).await;
        while there.len() < 4 {
            there.push(padded(proxy.address).await);
        }
    }
    drop(there);
    proxy.counted(|counts| counts.open == 0).await;
}

/// F-03: a listener that goes and comes back leaks no count, and its old clients have their time.
#[tokio::test]
async fn f_03_a_listener_that_goes_and_comes_back_keeps_its_counts() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.listeners.push(listener("second"));
    let proxy = Proxy::start(snapshot.clone());
    let address = addresses_of(&proxy.server, "second")[0];
    let mut stays = padded(address).await;
    let second = snapshot.listeners.remove(1);
    for _ in 0..5 {
        reload(&proxy, &snapshot).await;
        soon(stays.echo(vec![1; 64])).await.expect("it may end by itself");
        let counts = proxy.server.counts("second").expect("a client of it is there");
        assert_eq!((counts.accepted, counts.open), (1, 1));
        let mut both = snapshot.clone();
        both.listeners.push(second.clone());
        reload(&proxy, &both).await;
        assert_eq!(proxy.server.counts("second").expect("it is back").open, 1);
    }
    reload(&proxy, &snapshot).await;
    drop(stays);
    let gone = async {
        while proxy.server.counts("second").is_some() {
            tokio::task::yield_now().await;
        }
    };
    soon(gone).await;
    assert_eq!(proxy.server.listeners(), ["main"]);
}

#[tokio::test]
async fn clients_of_a_listener_that_is_no_more_have_the_drain_time() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.listeners.push(listener("second"));
    let proxy = Proxy::start(snapshot.clone());
    let mut main = Crowd::at(proxy.address).await;
    let mut second = padded(addresses_of(&proxy.server, "second")[0]).await;
    snapshot.listeners.remove(1);
    snapshot.server.drain = Duration::from_millis(300);
    reload(&proxy, &snapshot).await;
    assert!(!matches!(soon(second.recv()).await, Ok(Some(_))), "its time is over");
    main.goes_on().await;
    main.rest().await;
}

#[tokio::test]
async fn addresses_come_and_go_and_their_clients_stay() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    let proxy = Proxy::start(snapshot.clone());
    let mut crowd = Crowd::at(proxy.address).await;
    snapshot.listeners[0].addresses.push(at(Ipv4Addr::LOCALHOST.into()));
    reload(&proxy, &snapshot).await;
    let open = addresses_of(&proxy.server, "main");
    assert_eq!((open.len(), open[0]), (2, proxy.address));
    let mut late = padded(open[1]).await;
    crowd.goes_on().await;
    // Called by the port that the system chose it is the same address.
    snapshot.listeners[0].addresses = vec![ListenAddress::Inet(open[1])];
    reload(&proxy, &snapshot).await;
    assert_eq!(addresses_of(&proxy.server, "main"), [open[1]]);
    assert!(TcpStream::connect(open[0]).await.is_err(), "its port is closed");
    crowd.goes_on().await;
    soon(late.echo(vec![1; 64])).await.expect("echo");
    padded(open[1]).await;
    crowd.rest().await;
}

/// All of this machine's addresses in place of one, on the same port.
#[tokio::test]
async fn an_address_can_be_replaced_by_one_that_contains_it() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    let proxy = Proxy::start(snapshot.clone());
    let mut crowd = Crowd::at(proxy.address).await;
    let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), proxy.address.port());
    snapshot.listeners[0].addresses = vec![ListenAddress::Inet(everywhere)];
    reload(&proxy, &snapshot).await;
    assert_eq!(addresses_of(&proxy.server, "main"), [everywhere]);
    padded(proxy.address).await;
    crowd.goes_on().await;
    crowd.rest().await;
}

#[tokio::test]
async fn an_address_that_another_listener_takes_over_never_closes() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    let proxy = Proxy::start(snapshot.clone());
    let mut crowd = Crowd::at(proxy.address).await;
    snapshot.listeners[0].name = "renamed".into();
    snapshot.listeners[0].secrets = vec![NamedSecret { name: None, key: wrong_key() }];
    // Clients come all the time while the address changes hands.
    let coming = tokio::spawn({
        let address = proxy.address;
        async move {
            for _ in 0..200 {
                TcpStream::connect(address).await.expect("it is open");
            }
        }
    });
    reload(&proxy, &snapshot).await;
    soon(coming).await.expect("none was refused");
    assert_eq!(addresses_of(&proxy.server, "renamed"), [proxy.address]);
    assert!(connect(proxy.address, Protocol::Padded, wrong_key()).await.is_some());
    crowd.goes_on().await;
    crowd.rest().await;
}

#[tokio::test]
async fn when_one_address_cannot_be_opened_nothing_changes() {
    let telegram = telegram();
    let before = settings(&telegram);
    let proxy = Proxy::start(before.clone());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut snapshot = before.clone();
    snapshot.listeners[0].secrets = vec![NamedSecret { name: None, key: wrong_key() }];
    snapshot.listeners.push(listener("free"));
    snapshot.listeners.push(listener("taken"));
    snapshot.listeners[2].addresses = vec![ListenAddress::Inet(taken.local_addr().expect("an address"))];
    let error = soon(proxy.server.reload(snapshot)).await.expect_err("it is taken").to_string();
    assert!(error.contains("listener \"taken\" cannot open"), "{error}");
    assert!(error.contains("another program listens there"), "{error}");
    assert_eq!(*proxy.server.snapshot(), before);
    assert_eq!(proxy.server.addresses().len(), 1);
    padded(proxy.address).await;
}

/// What waits in the kernel when a listener goes is served, not reset.
#[tokio::test]
async fn who_waits_when_a_listener_goes_is_served() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.server.workers = 1;
    snapshot.server.max_connections = 1;
    snapshot.listeners.push(listener("second"));
    let proxy = Proxy::start(snapshot.clone());
    let second = addresses_of(&proxy.server, "second")[0];
    let first = padded(proxy.address).await;
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(waits(second).await);
    }
    // Places become free and the listener goes in one and the same reload.
    snapshot.server.max_connections = 1000;
    snapshot.listeners.remove(1);
    reload(&proxy, &snapshot).await;
    for waiting in waiting {
        soon(waiting).await.expect("served");
    }
    drop(first);
}

#[tokio::test]
async fn other_kinds_of_client_and_named_secrets() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    let proxy = Proxy::start(snapshot.clone());
    let mut crowd = Crowd::at(proxy.address).await;
    snapshot.listeners[0].protocols = Protocols::TLS;
    snapshot.listeners[0].secrets.push(NamedSecret { name: Some("alice".into()), key: wrong_key() });
    let report = reload(&proxy, &snapshot).await;
    assert_eq!(report.changes.len(), 2, "{report:?}");
    is_refused(&proxy, Protocol::Padded, key()).await;
    assert!(connect(proxy.address, Protocol::FakeTls, wrong_key()).await.is_some(), "alice is let in");
    crowd.goes_on().await;
    crowd.rest().await;
}
