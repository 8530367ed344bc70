//! Load balancers in front.

use std::time::Duration;

use teleferry::config::{
    ListenAddress, Policy, PolicyKey, ProxyProtocol, Rule, Snapshot, TableKind, TableSettings,
};
use teleferry_proto::accept::Stranger;
use teleferry_proto::haproxy::{Ends, Version, encode};
use teleferry_sim::client::{Client, Opening};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::stage::{SITE, Stage, ask, padded, tls};
use crate::common::soon;

/// Headers from 127.0.0.2 count. Whoever is told to come from 192.0.2.66 is blocked.
fn balanced(mode: ProxyProtocol) -> impl FnOnce(&mut Snapshot) {
    move |snapshot| {
        let listener = &mut snapshot.listeners[0];
        listener.proxy_protocol = mode;
        listener.proxy_protocol_from = vec!["127.0.0.2/32".parse().expect("a network")];
        let entries = vec![TableKind::Network.entry("192.0.2.66").expect("an address")];
        let table = TableSettings {
            kind: TableKind::Network,
            entries,
            source: None,
            refresh: Duration::from_secs(3600),
        };
        snapshot.tables.insert("blocked".to_owned(), table);
        let rule = Rule::Table { key: PolicyKey::ClientIp, table: "blocked".to_owned(), listed: false };
        snapshot.policies = vec![Policy { rule, listeners: None }];
    }
}

fn header(version: Version, source: &str) -> Vec<u8> {
    let ends = Ends {
        source: source.parse().expect("an address"),
        destination: "198.51.100.1:443".parse().expect("an address"),
    };
    encode(version, Some(ends))
}

async fn enter_behind(stage: &Stage, header: &[u8]) -> Client {
    let opening = Opening::new(&tls());
    let mut stream = stage.connect_from(2).await;
    // The header and the hello byte by byte, then the rest.
    let wire = [header, opening.first_bytes()].concat();
    let (head, tail) = wire.split_at(header.len() + 10);
    for byte in head {
        stream.write_all(&[*byte]).await.expect("sent");
    }
    stream.write_all(tail).await.expect("sent");
    let mut client = soon(opening.finish(stream)).await.expect("let in");
    soon(client.echo(vec![1; 64])).await.expect("served");
    client
}

#[tokio::test]
async fn the_address_that_is_told_counts() {
    for mode in [ProxyProtocol::Optional, ProxyProtocol::Required] {
        let stage = Stage::new(balanced(mode)).await;
        for version in [Version::V1, Version::V2] {
            enter_behind(&stage, &header(version, "192.0.2.7:4711")).await;
            // Health checks and the like tell nobody's address.
            enter_behind(&stage, &encode(version, None)).await;
            let hello = Opening::new(&tls()).first_bytes().to_vec();
            let visits = stage.site.visits().len();
            let blocked = [header(version, "192.0.2.66:4711"), hello.clone()].concat();
            assert_eq!(ask(stage.connect_from(2).await, &blocked).await, SITE);
            assert_eq!(soon(stage.site.ended(visits)).await.received, hello, "the site sees no header");
        }
        stage.strangers(&[(Stranger::Policy, 2)]).await;
    }
}

#[tokio::test]
async fn a_header_from_anybody_else_is_no_header() {
    let stage = Stage::new(balanced(ProxyProtocol::Required)).await;
    let lie =
        [header(Version::V1, "192.0.2.7:4711"), b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 64]].concat();
    let visits = stage.site.visits().len();
    assert_eq!(ask(stage.connect_from(3).await, &lie).await, SITE);
    assert_eq!(soon(stage.site.ended(visits)).await.received, lie, "as it came");
    stage.strangers(&[(Stranger::HeaderTag, 1)]).await;
    // And who is no load balancer needs none.
    stage.enter(&tls(), 3).await;
}

#[tokio::test]
async fn a_header_that_is_missing_or_broken_makes_a_stranger() {
    let broken = b"PROXY TCP4 nonsense\r\nand more".to_vec();
    let hello = Opening::new(&tls()).first_bytes().to_vec();
    let stage = Stage::new(balanced(ProxyProtocol::Required)).await;
    for wire in [&broken, &hello] {
        let visits = stage.site.visits().len();
        assert_eq!(ask(stage.connect_from(2).await, wire).await, SITE);
        assert_eq!(soon(stage.site.ended(visits)).await.received, *wire, "as it came");
    }
    stage.strangers(&[(Stranger::ProxyHeader, 2)]).await;

    let stage = Stage::new(balanced(ProxyProtocol::Optional)).await;
    assert_eq!(ask(stage.connect_from(2).await, &broken).await, SITE);
    stage.strangers(&[(Stranger::ProxyHeader, 1)]).await;
    stage.enter(&tls(), 2).await;
}

#[tokio::test]
async fn nobody_waits_for_a_header_for_ever() {
    let stage = Stage::new(|snapshot| {
        balanced(ProxyProtocol::Required)(snapshot);
        snapshot.handshake.timeout = Duration::from_millis(200);
    })
    .await;
    let mut stream = stage.connect_from(2).await;
    stream.write_all(b"PROXY ").await.expect("sent");
    stage.strangers(&[(Stranger::HandshakeTimeout, 1)]).await;
}

/// Whoever comes through a unix socket is on this machine, and is believed.
#[tokio::test]
async fn a_unix_socket_is_a_load_balancers() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("door");
    let stage = Stage::new(|snapshot| {
        balanced(ProxyProtocol::Required)(snapshot);
        snapshot.listeners[0].addresses = vec![ListenAddress::Unix(path.clone())];
        snapshot.listeners[0].proxy_protocol_from = Vec::new();
    })
    .await;
    for (source, reason) in [("192.0.2.66:1", Stranger::Policy), ("192.0.2.7:1", Stranger::TlsTime)] {
        let late = teleferry_sim::client::Options { clock_skew_s: -864_000, ..tls() };
        let options = if reason == Stranger::Policy { padded() } else { late };
        let wire = [header(Version::V2, source).as_slice(), Opening::new(&options).first_bytes()].concat();
        let mut stream = UnixStream::connect(&path).await.expect("connect");
        stream.write_all(&wire).await.expect("sent");
        stream.shutdown().await.expect("FIN");
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
        assert_eq!(answer, SITE);
        stage.proxy.counted(|counts| counts.strangers.get(reason.label()) == Some(&1)).await;
    }
}
