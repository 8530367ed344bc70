//! Clients that do not read, and their neighbours.

use std::time::Duration;

use teleferry_sim::client::{Client, Protocol};
use teleferry_sim::command::{Command, Send};
use tokio::time::Instant;

use super::stage::{Stage, link_of, settled};
use crate::common::{Proxy, soon};

/// More than all socket buffers between a data centre and a client hold.
const MUCH: Send = Send { count: 400, size: 100_000, seed: 3 };

/// A client that asks for much and reads nothing of it.
async fn greedy(proxy: &Proxy) -> Client {
    let mut client = settled(proxy, Protocol::FakeTls).await;
    soon(client.command(&Command::Send(MUCH))).await.expect("sent");
    client
}

/// A-07, F-12: a client that does not read has a queue of its own, and is closed alone when that is full.
#[tokio::test]
async fn a_07_f_12_a_slow_reader_is_closed_alone_and_delays_nobody() {
    let stage = Stage::new();
    let mut snapshot = stage.settings();
    snapshot.limits.client_queue = 1 << 20;
    let proxy = Proxy::start(snapshot);
    let mut neighbour = settled(&proxy, Protocol::FakeTls).await;
    let slow = greedy(&proxy).await;
    let mut times = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        soon(neighbour.echo(vec![2; 64])).await.expect("echo");
        times.push(start.elapsed());
    }
    let counts = proxy.closed(&[("client:queue", 1)]).await;
    assert!(counts.from_telegram > counts.to_client, "not all of it was taken");
    assert_eq!(proxy.server.links().pauses, 0);
    // Most of a busy test machine's delays are its own.
    times.sort_unstable();
    assert!(times[25] < Duration::from_millis(50), "{:?}", times[25]);
    assert!(times[99] < Duration::from_secs(5), "{:?}", times[99]);
    drop(slow);
    proxy.linked(|counts| counts.queued == 0).await;
    stage.assert_no_violations();
}

/// A slow reader that takes what waits for it in time gets every byte.
#[tokio::test]
async fn a_slow_reader_within_its_bound_gets_every_byte() {
    let stage = Stage::new();
    let mut snapshot = stage.settings();
    snapshot.limits.client_queue = 64 << 20;
    let proxy = Proxy::start(snapshot);
    let mut slow = greedy(&proxy).await;
    proxy.linked(|counts| counts.queued > 8 << 20).await;
    soon(slow.receiver.expect_download(&MUCH)).await.expect("every byte");
    proxy.linked(|counts| counts.queued == 0).await;
    assert_eq!(proxy.counts().closed, [].into());
}

/// at the memory limit reading pauses, is counted, and goes on when they read; clients on other links do not notice.
#[tokio::test]
async fn a_08_reading_pauses_at_the_memory_limit_and_goes_on() {
    let stage = Stage::new();
    let mut snapshot = stage.settings();
    snapshot.limits.client_queue = 64 << 20;
    snapshot.limits.memory = 4 << 20;
    let proxy = Proxy::start(snapshot);
    let mut elsewhere = proxy.client_of(Protocol::FakeTls, 4).await;
    soon(elsewhere.echo(vec![1; 64])).await.expect("echo");
    // Both are there before the first one fills the memory.
    let mut slow = [settled(&proxy, Protocol::FakeTls).await, settled(&proxy, Protocol::Padded).await];
    for client in &mut slow {
        soon(client.command(&Command::Send(MUCH))).await.expect("sent");
    }
    proxy.linked(|counts| counts.pauses > 0).await;
    for _ in 0..20 {
        soon(elsewhere.echo(vec![2; 64])).await.expect("another link goes on");
    }
    let [a, b] = &mut slow;
    let (a, b) =
        tokio::join!(soon(a.receiver.expect_download(&MUCH)), soon(b.receiver.expect_download(&MUCH)));
    a.expect("every byte");
    b.expect("every byte");
    assert_eq!(proxy.counts().closed, [].into());
    // It is taken up again without waiting for anything.
    let mut client = settled(&proxy, Protocol::FakeTls).await;
    link_of(&mut client).await;
    stage.assert_no_violations();
}

/// Those that never read do not make the others wait for ever.
#[tokio::test]
async fn at_the_memory_limit_the_worst_hoarders_go() {
    let stage = Stage::new();
    let mut snapshot = stage.settings();
    snapshot.limits.client_queue = 64 << 20;
    snapshot.limits.memory = 4 << 20;
    let proxy = Proxy::start(snapshot);
    let mut neighbour = settled(&proxy, Protocol::FakeTls).await;
    let _slow = greedy(&proxy).await;
    proxy.linked(|counts| counts.pauses > 0).await;
    soon(neighbour.echo(vec![2; 64])).await.expect("echo, once the other is gone");
    proxy.closed(&[("client:memory", 1)]).await;
}
