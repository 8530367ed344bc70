//! Rules and tables.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use teleferry::config::{Policy, PolicyKey, Rule, Snapshot, TableKind, TableSettings};
use teleferry_proto::accept::Stranger;
use teleferry_sim::client::Client;

use super::stage::{SITE, Stage, ask, connect_from, open, padded, tls, tls_for};
use crate::common::{at, listener, soon};

fn table(kind: TableKind, entries: &[&str]) -> TableSettings {
    let entries = entries.iter().map(|entry| kind.entry(entry).expect("an entry")).collect();
    TableSettings { kind, entries, source: None, refresh: Duration::from_secs(3600) }
}

fn lookup(key: PolicyKey, table: &str, listed: bool) -> Policy {
    Policy { rule: Rule::Table { key, table: table.to_owned(), listed }, listeners: None }
}

fn max(keys: &[PolicyKey], limit: usize) -> Policy {
    Policy { rule: Rule::MaxConnections { keys: keys.to_vec(), limit }, listeners: None }
}

fn customers(snapshot: &mut Snapshot, names: &[&str]) {
    snapshot.tables.insert("customers".to_owned(), table(TableKind::Domain, names));
}

/// two at once from an address; the third is a visitor; a place that is left is taken by the next.
#[tokio::test]
async fn a_12_so_many_connections_and_no_more() {
    let per_address = [PolicyKey::Listener, PolicyKey::ClientIpv4(32)];
    let stage = Stage::new(|snapshot| snapshot.policies = vec![max(&per_address, 2)]).await;
    let (first, mut second) = (stage.enter(&tls(), 2).await, stage.enter(&padded(), 2).await);
    stage.claims(2).await;
    stage.is_visitor(&tls(), 2).await;
    stage.is_visitor(&padded(), 2).await;
    stage.strangers(&[(Stranger::Policy, 2)]).await;
    let _elsewhere = stage.enter(&tls(), 3).await;
    stage.claims(3).await;
    drop(first);
    stage.claims(2).await;
    let _third = stage.enter(&tls(), 2).await;
    stage.claims(3).await;
    soon(second.echo(vec![1; 64])).await.expect("the others notice nothing");
}

/// only customers come in with fake TLS. A rule about host names says nothing of others.
#[tokio::test]
async fn a_13_who_is_listed_comes_in() {
    let stage = Stage::new(|snapshot| {
        customers(snapshot, &["alice.example.com"]);
        snapshot.policies = vec![lookup(PolicyKey::TlsDomain, "customers", true)];
    })
    .await;
    stage.enter(&tls_for("alice.example.com"), 1).await;
    stage.enter(&tls_for("ALICE.example.com"), 1).await;
    stage.enter(&padded(), 1).await;
    stage.is_visitor(&tls_for("bob.example.com"), 1).await;
    stage.strangers(&[(Stranger::Policy, 1)]).await;
}

/// who is on the other kind of list does not; with a fixed site it sees that, and never our answer.
#[tokio::test]
async fn a_16_who_is_blocked_does_not_come_in() {
    let stage = Stage::new(|snapshot| {
        customers(snapshot, &["bad.example.com"]);
        snapshot.policies = vec![lookup(PolicyKey::TlsDomain, "customers", false)];
    })
    .await;
    stage.is_visitor(&tls_for("bad.example.com"), 1).await;
    stage.strangers(&[(Stranger::Policy, 1)]).await;
    stage.enter(&tls_for("good.example.com"), 1).await;
}

/// F-02: the personal proxy of the seed's manual, the limit first: who is not listed yet leaves nothing behind, and comes
/// in once it is listed.
#[tokio::test]
async fn f_02_who_was_refused_comes_in_once_it_is_listed() {
    let stage = Stage::new(|snapshot| {
        customers(snapshot, &[]);
        snapshot.policies =
            vec![max(&[PolicyKey::TlsDomain], 3), lookup(PolicyKey::TlsDomain, "customers", true)];
    })
    .await;
    for _ in 0..5 {
        stage.is_visitor(&tls_for("alice.example.com"), 1).await;
    }
    stage.claims(0).await;
    // The state directory of tests cannot be written.
    stage.proxy.server.tables().add("customers", "alice.example.com").expect_err("done, but not kept");
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(stage.enter(&tls_for("alice.example.com"), 1).await);
    }
    stage.is_visitor(&tls_for("alice.example.com"), 1).await;
    stage.claims(3).await;
    drop(clients);
    stage.claims(0).await;
}

/// F-03: a listener that goes takes nothing with it, nor does one that comes back find anything.
#[tokio::test]
async fn f_03_a_listener_that_goes_and_comes_leaves_no_counts() {
    let stage = Stage::new(|snapshot| {
        snapshot.listeners.push(listener("other"));
        snapshot.policies = vec![max(&[PolicyKey::Listener], 1)];
        snapshot.server.drain = Duration::ZERO;
    })
    .await;
    let both = Snapshot::clone(&stage.proxy.server.snapshot());
    let address = |name: &str| address_of(&stage, name);
    let mut client = open(&tls(), connect_from([127, 0, 0, 1].into(), address("other")).await).await;
    soon(client.echo(vec![1; 64])).await.expect("served");
    stage.claims(1).await;
    let mut one = both.clone();
    one.listeners.truncate(1);
    soon(stage.proxy.server.reload(one)).await.expect("taken up");
    soon(client.receiver.expect_end()).await.expect("its listener is gone");
    stage.claims(0).await;
    soon(stage.proxy.server.reload(both)).await.expect("taken up");
    let mut client = open(&tls(), connect_from([127, 0, 0, 1].into(), address("other")).await).await;
    soon(client.echo(vec![1; 64])).await.expect("served");
}

fn address_of(stage: &Stage, listener: &str) -> SocketAddr {
    let addresses = stage.proxy.server.addresses();
    let (_, address) = addresses.iter().find(|(name, _)| name == listener).expect("open");
    let teleferry::config::ListenAddress::Inet(address) = address else { panic!("not TCP") };
    *address
}

/// F-09: an IPv4 address that is blocked is blocked on a listener for both families.
#[tokio::test]
async fn f_09_a_blocked_address_is_blocked_on_a_dual_stack_listener() {
    let stage = Stage::new(|snapshot| {
        snapshot.listeners[0].addresses = vec![at(Ipv6Addr::UNSPECIFIED.into())];
        snapshot.tables.insert("blocked".to_owned(), table(TableKind::Network, &["127.0.0.2"]));
        snapshot.policies = vec![lookup(PolicyKey::ClientIp, "blocked", false)];
    })
    .await;
    let address = SocketAddr::new([127, 0, 0, 1].into(), stage.proxy.address.port());
    let blocked = teleferry_sim::client::Opening::new(&padded());
    let stream = connect_from([127, 0, 0, 2].into(), address).await;
    assert_eq!(ask(stream, blocked.first_bytes()).await, SITE);
    stage.strangers(&[(Stranger::Policy, 1)]).await;
    let mut client = open(&padded(), connect_from([127, 0, 0, 3].into(), address).await).await;
    soon(client.echo(vec![1; 64])).await.expect("served");
}

/// F-19: what was added while the server ran is there after a restart.
#[tokio::test]
async fn f_19_tables_outlive_the_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = |snapshot: &mut Snapshot| {
        snapshot.server.state_dir = directory.path().to_owned();
        customers(snapshot, &["bob.example.com"]);
        snapshot.policies = vec![lookup(PolicyKey::TlsDomain, "customers", true)];
    };
    let stage = Stage::new(settings).await;
    let tables = stage.proxy.server.tables();
    assert!(tables.add("customers", "alice.example.com").expect("kept"));
    assert!(tables.remove("customers", "bob.example.com").expect("kept"));
    drop(stage);
    let stage = Stage::new(settings).await;
    stage.enter(&tls_for("alice.example.com"), 1).await;
    stage.is_visitor(&tls_for("bob.example.com"), 1).await;
}

/// F-26: rules change while clients are there; what was counted is given back exactly.
#[tokio::test]
async fn f_26_counts_stay_right_when_rules_change() {
    let stage = Stage::new(|snapshot| snapshot.policies = vec![max(&[PolicyKey::ClientIp], 2)]).await;
    let clients: [Client; 2] = [stage.enter(&tls(), 2).await, stage.enter(&tls(), 2).await];
    stage.claims(2).await;
    let reload = async |policies: Vec<Policy>| {
        let mut snapshot = Snapshot::clone(&stage.proxy.server.snapshot());
        snapshot.policies = policies;
        soon(stage.proxy.server.reload(snapshot)).await.expect("taken up");
    };
    reload(Vec::new()).await;
    let free = stage.enter(&tls(), 2).await;
    stage.claims(2).await;
    // The rule comes back: those who came with it count still, the other never did.
    reload(vec![max(&[PolicyKey::ClientIp], 3)]).await;
    let third = stage.enter(&tls(), 2).await;
    stage.claims(3).await;
    stage.is_visitor(&tls(), 2).await;
    drop((clients, free));
    stage.claims(1).await;
    drop(third);
    stage.claims(0).await;
}

/// A rule can be for one listener alone, and count by secret.
#[tokio::test]
async fn rules_are_for_their_listeners_and_count_by_secret() {
    let stage = Stage::new(|snapshot| {
        snapshot.listeners.push(listener("other"));
        let rule = max(&[PolicyKey::Secret], 1);
        snapshot.policies = vec![Policy { listeners: Some(vec!["main".to_owned()]), ..rule }];
    })
    .await;
    let _first = stage.enter(&tls(), 1).await;
    stage.is_visitor(&tls(), 2).await;
    let address = address_of(&stage, "other");
    for _ in 0..2 {
        let mut client = open(&tls(), connect_from([127, 0, 0, 1].into(), address).await).await;
        soon(client.echo(vec![1; 64])).await.expect("served");
    }
}
