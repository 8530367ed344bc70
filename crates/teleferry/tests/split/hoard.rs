//! Clients of a front that do not read.

use teleferry_sim::client::{Client, Protocol};
use teleferry_sim::command::{Command, Send};

use super::stage::{Half, Mode, Stage, closed, front_settings};
use crate::common::soon;
use crate::support::Place;

/// More than all buffers between a data centre and a client hold.
const MUCH: Send = Send { count: 400, size: 100_000, seed: 3 };

/// Asks for much, and reads nothing of it.
async fn greedy(front: &Half) -> Client {
    let mut client = front.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    soon(client.command(&Command::Send(MUCH))).await.expect("sent");
    client
}

fn ended(status: &serde_json::Value, reason: &str) -> u64 {
    closed(status).iter().filter(|(ended, _)| ended == reason).map(|(_, times)| times).sum()
}

/// Over a link, what waits has the bound that a whole proxy has, and its client alone is closed: at once, and not when it reads
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_link_a_slow_reader_is_closed_alone() {
    let stage = Stage::new(Mode::Middle);
    let back = stage.back_at(Place::new(), "127.0.0.1:0", "[limits]\nclient_queue = \"1MiB\"\n");
    let front = stage.front(&[&back]);
    let mut neighbour = front.client(Protocol::FakeTls).await;
    soon(neighbour.echo(vec![2; 64])).await.expect("echo");
    let slow = greedy(&front).await;
    for _ in 0..20 {
        soon(neighbour.echo(vec![2; 64])).await.expect("echo");
    }
    let status = front.until(|status| ended(status, "client:queue") == 1).await;
    assert_eq!(closed(&status), [("client:queue".to_owned(), 1)]);
    back.until(|status| status["clients"] == 1 && status["queued_bytes"] == 0).await;
    soon(neighbour.echo(vec![2; 64])).await.expect("echo");
    drop(slow);
}

/// What waits on the front is counted, and bounded in all: of those that hoard as many go as have to, all of them when they
/// are over the limit at the same moment. Others stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_memory_limit_hoarders_go() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();
    let place = Place::new();
    stage.authority.equip(&place, "front-1", rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    let more =
        "[limits]\nmemory = \"1MiB\"\n[role.tls]\nca = \"ca.pem\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";
    let front = Half::start(place, &front_settings(&[back.address], more));
    let mut neighbour = front.client(Protocol::Padded).await;
    soon(neighbour.echo(vec![2; 64])).await.expect("echo");
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(greedy(&front).await);
    }
    let status = front.until(|status| ended(status, "client:memory") >= 2).await;
    assert!(ended(&status, "client:memory") <= 4, "{status:#}");
    front.until(|status| status["queued_bytes"].as_u64() <= Some(1 << 20)).await;
    soon(neighbour.echo(vec![2; 64])).await.expect("echo");
}

/// Whoever does not read would not notice that its back is lost: when there is no other, it is closed, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_goes_with_its_only_back() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();
    let front = stage.front(&[&back]);
    let slow = greedy(&front).await;
    // It stands: as much has come for it as may, and it takes nothing.
    let (mut before, mut times) = (0, 0);
    front
        .until(|status| {
            let now = status["queued_bytes"].as_u64().unwrap_or(0);
            times = if now == before && now > 256 << 10 { times + 1 } else { 0 };
            before = now;
            times == 20
        })
        .await;
    back.kill();
    front.until(|status| closed(status) == [("telegram:link_lost".to_owned(), 1)]).await;
    drop(slow);
}
