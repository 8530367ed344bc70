//! Sessions through a front and a back.

use std::time::Duration;

use teleferry_sim::client::Protocol;
use teleferry_sim::command::{Command, Send};
use teleferry_sim::middle::Order;

use super::stage::{Mode, Stage, closed, sum};
use crate::common::soon;
use crate::support::Place;

/// A-25, and the same in direct mode.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_25_echo_split() {
    for mode in [Mode::Direct, Mode::Middle] {
        let stage = Stage::new(mode);
        let back = stage.back();
        let front = stage.front(&[&back]);
        for protocol in Protocol::ALL {
            let mut client = front.client(protocol).await;
            for (len, byte) in [(64, 1), (1000, 2), (100_000, 3), (64, 4)] {
                soon(client.echo(vec![byte; len])).await.expect("echo");
            }
            soon(client.download(Send { count: 20, size: 50_000, seed: 7 })).await.expect("every byte");
        }
        let status = front.until(|status| closed(status).iter().map(|(_, n)| n).sum::<u64>() == 4).await;
        assert_eq!(closed(&status), [("client:closed".to_owned(), 4)]);
        let listener = &status["listeners"][0];
        let clients = listener["clients"].as_object().expect("a table");
        assert_eq!(clients.values().filter_map(serde_json::Value::as_u64).sum::<u64>(), 4);
        back.until(|status| sum(status, "calls") == 4 && sum(status, "sessions") == 0).await;
        if mode == Mode::Middle {
            assert_eq!(stage.telegram.middle().counters().violations(), [].into());
        }
    }
}

/// the link to Telegram is the back's; the front's client does not notice that it goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_26_migration_split() {
    let stage = Stage::new(Mode::Middle);
    let back = stage.back();
    let front = stage.front(&[&back]);
    let mut client = front.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    let link = soon(client.report()).await.expect("a report").middle.expect("over a middle proxy").link;
    assert!(stage.telegram.middle().tell(link, Order::Close).await);
    front.until(|status| sum(status, "migrated") == 1).await;
    soon(client.echo(vec![2; 64])).await.expect("the next echo works");
    assert_ne!(soon(client.report()).await.expect("a report").middle.expect("over one").link, link);
    let clients: u64 = stage.telegram.middle().links().iter().map(|link| link.clients).sum();
    assert_eq!(clients, 1);
    assert_eq!(closed(&front.status()), []);
}

/// What a client does not read stops its own stream, and nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_stops_only_itself() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();
    let front = stage.front(&[&back]);
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut client = front.client(Protocol::Padded).await;
        soon(client.echo(vec![1; 64])).await.expect("echo");
        soon(client.command(&Command::Send(Send { count: 200, size: 100_000, seed: 1 })))
            .await
            .expect("asked");
        slow.push(client);
    }
    let mut quick = front.client(Protocol::Padded).await;
    for round in 0..200_u8 {
        let echo = tokio::time::timeout(Duration::from_secs(5), quick.echo(vec![round; 2000]));
        echo.await.expect("in time").expect("echo");
    }
    // 80 MB were asked for; what has come is bounded by the windows and the sockets.
    let received = sum(&front.status(), "received_bytes");
    assert!(received < 40_000_000, "{received} bytes came for clients that read nothing");
    assert_eq!(closed(&front.status()), []);
}

/// F-12 behind a front, where Telegram cannot be told to wait for one client alone: who reads nothing is closed at its bound,
/// and its neighbours on the same link and the same trunk do not wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_over_its_bound_is_closed_alone() {
    let stage = Stage::new(Mode::Middle);
    let back = stage.back_at(Place::new(), "127.0.0.1:0", "[limits]\nclient_queue = \"1MiB\"\n");
    let front = stage.front(&[&back]);
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut client = front.client(Protocol::Padded).await;
        soon(client.echo(vec![1; 64])).await.expect("echo");
        let send = Send { count: 200, size: 100_000, seed: 1 };
        soon(client.command(&Command::Send(send))).await.expect("asked");
        slow.push(client);
    }
    let mut quick = front.client(Protocol::Padded).await;
    for round in 0..200_u8 {
        let echo = tokio::time::timeout(Duration::from_secs(5), quick.echo(vec![round; 2000]));
        echo.await.expect("in time").expect("echo");
    }
    front.until(|status| closed(status) == [("client:queue".to_owned(), 4)]).await;
    soon(quick.echo(vec![1; 64])).await.expect("it is there still");
    back.until(|status| sum(status, "sessions") == 1).await;
    soon(
        stage
            .telegram
            .middle()
            .wait_for_links(|links| links.iter().map(|link| link.clients).sum::<u64>() == 1),
    )
    .await;
    assert_eq!(stage.telegram.middle().counters().violations(), [].into());
}
