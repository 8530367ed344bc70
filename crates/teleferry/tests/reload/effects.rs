//! That what changed is really in force.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use teleferry::config::{CoverHost, CoverTarget, Mode, Snapshot};
use teleferry_sim::client::Protocol;
use teleferry_sim::cover::{Act, CoverSite};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::crowd::Crowd;
use crate::common::{Proxy, settings, soon, telegram};
use crate::stage::Stage;

async fn reload(proxy: &Proxy, snapshot: &Snapshot) {
    soon(proxy.server.reload(snapshot.clone())).await.expect("it is taken up");
}

/// Direct, over middle proxies, and direct again; who is there goes on in the way it came.
#[tokio::test]
async fn the_mode_changes_for_those_who_come() {
    let stage = Stage::new();
    let mut snapshot = stage.settings();
    for workers in [1, 2] {
        snapshot.server.workers = workers;
        snapshot.telegram.mode = Mode::Direct;
        let proxy = Proxy::start(snapshot.clone());
        let mut crowd = Crowd::at(proxy.address).await;
        let mut each = Vec::new();
        for mode in [Mode::Middle, Mode::Direct, Mode::Auto] {
            snapshot.telegram.mode = mode;
            reload(&proxy, &snapshot).await;
            assert_eq!(proxy.server.known().is_some(), mode != Mode::Direct);
            let mut client = proxy.client(Protocol::FakeTls).await;
            let middle = soon(client.report()).await.expect("a report").middle.is_some();
            assert_eq!(middle, mode != Mode::Direct, "{mode:?}");
            each.push(client);
            crowd.goes_on().await;
        }
        for client in &mut each {
            soon(client.echo(vec![1; 64])).await.expect("who is there goes on");
        }
        crowd.rest().await;
    }
    stage.assert_no_violations();
}

/// What Telegram publishes is fetched from another place at once, and new links lead where that says.
#[tokio::test]
async fn what_is_published_elsewhere_counts_for_those_who_come() {
    let (first, second) = (Stage::new(), Stage::new());
    let mut snapshot = first.settings();
    let proxy = Proxy::start(snapshot.clone());
    let mut crowd = Crowd::at(proxy.address).await;
    let published = second.settings().telegram;
    snapshot.telegram.proxy_secret_url = published.proxy_secret_url;
    snapshot.telegram.proxy_config_url = published.proxy_config_url;
    snapshot.telegram.proxy_config_v6_url = published.proxy_config_v6_url;
    snapshot.telegram.external_ip.v4 = Some(Ipv4Addr::LOCALHOST);
    reload(&proxy, &snapshot).await;
    soon(second.middle().wait_for_links(|links| links.iter().any(|link| link.dc == 2))).await;
    let served = second.middle().counters().read().messages_in;
    let mut client = proxy.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    assert_eq!(second.middle().counters().read().messages_in, served + 1);
    let known = Arc::clone(&proxy.server.known().expect("it is used").borrow());
    assert_eq!(known.external_ip(), snapshot.telegram.external_ip);
    crowd.goes_on().await;
    crowd.rest().await;
    first.assert_no_violations();
    second.assert_no_violations();
}

/// Pools grow and shrink.
#[tokio::test]
async fn warm_links_follow_the_settings() {
    let stage = Stage::new();
    let mut snapshot = stage.settings();
    let proxy = Proxy::start(snapshot.clone());
    let links = |count| {
        stage.middle().wait_for_links(move |links| links.iter().filter(|link| link.dc == 2).count() == count)
    };
    soon(links(1)).await;
    snapshot.telegram.links_per_dc = 3;
    reload(&proxy, &snapshot).await;
    soon(links(3)).await;
    let mut client = proxy.client(Protocol::FakeTls).await;
    snapshot.telegram.links_per_dc = 1;
    reload(&proxy, &snapshot).await;
    soon(links(1)).await;
    soon(client.echo(vec![1; 64])).await.expect("its link is the one that stays");
    stage.assert_no_violations();
}

/// The address book is new, and other data centres than before are unknown.
#[tokio::test]
async fn data_centres_move() {
    let (first, second) = (telegram(), telegram());
    let mut snapshot = settings(&first);
    snapshot.telegram.default_dc = None;
    let proxy = Proxy::start(snapshot.clone());
    let mut crowd = Crowd::at(proxy.address).await;
    snapshot.telegram.dc = second.addresses();
    reload(&proxy, &snapshot).await;
    let before = second.counters(2).read().accepted;
    let mut client = proxy.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    assert_eq!(second.counters(2).read().accepted, before + 1);
    crowd.goes_on().await;
    crowd.rest().await;
}

#[tokio::test]
async fn strangers_are_taken_to_the_site_of_the_moment() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    let proxy = Proxy::start(snapshot.clone());
    let mut crowd = Crowd::at(proxy.address).await;
    for says in ["one", "two"] {
        let script = vec![Act::AwaitEnd, Act::Send(says.into()), Act::HalfClose];
        let site = CoverSite::start(script).await.expect("site");
        snapshot.cover.target = Some(CoverTarget::HostPort(CoverHost {
            host: "localhost".to_owned(),
            port: site.address().port(),
        }));
        reload(&proxy, &snapshot).await;
        let mut stream = TcpStream::connect(proxy.address).await.expect("connect");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
        stream.shutdown().await.expect("FIN");
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
        assert_eq!(answer, says.as_bytes());
    }
    crowd.goes_on().await;
    crowd.rest().await;
}

/// Deadlines count for open connections too, from their next byte on.
#[tokio::test]
async fn deadlines_change() {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    let proxy = Proxy::start(snapshot.clone());
    let mut client = proxy.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    snapshot.relay.idle_timeout = Duration::from_millis(300);
    snapshot.handshake.timeout = Duration::from_millis(300);
    reload(&proxy, &snapshot).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    assert!(!matches!(soon(client.recv()).await, Ok(Some(_))));
    proxy.counted(|counts| counts.closed.get("client:idle") == Some(&1)).await;
    let silent = TcpStream::connect(proxy.address).await.expect("connect");
    proxy.counted(|counts| counts.strangers.get("handshake_timeout") == Some(&1)).await;
    drop(silent);
}

/// A hello from five minutes ago is fine until the window is narrowed.
#[tokio::test]
async fn the_clock_window_changes() {
    use teleferry_sim::client::{Client, Options};

    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    let proxy = Proxy::start(snapshot.clone());
    let late = Options { clock_skew_s: -300, ..Options::new(Protocol::FakeTls, Some(crate::common::key())) };
    soon(Client::connect(proxy.address, &late)).await.expect("let in");
    snapshot.handshake.clock_skew_past = Duration::from_secs(100);
    reload(&proxy, &snapshot).await;
    let options = late.clone();
    let address = proxy.address;
    let refused = tokio::spawn(async move { Client::connect(address, &options).await });
    proxy.counted(|counts| counts.strangers.get("tls_time") == Some(&1)).await;
    refused.abort();
}
