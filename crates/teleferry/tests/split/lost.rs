//! Halves that go without a word.

use std::time::Duration;

use teleferry_sim::client::Protocol;

use super::stage::{Mode, Stage, closed, sum};
use crate::common::soon;

/// F-27: a front notices a dead back within five seconds, and idle clients are told, so that they come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_27_a_dead_back_is_noticed() {
    for freeze in [false, true] {
        let stage = Stage::new(Mode::Middle);
        let back = stage.back();
        let front = stage.front(&[&back]);
        let mut client = front.client(Protocol::FakeTls).await;
        soon(client.echo(vec![1; 64])).await.expect("echo");
        let kept = if freeze {
            back.freeze();
            Some(back)
        } else {
            back.kill();
            None
        };
        let ended = tokio::time::timeout(Duration::from_secs(5), client.recv()).await;
        assert!(matches!(ended.expect("in time"), Ok(None) | Err(_)));
        front.until(|status| closed(status) == [("telegram:link_lost".to_owned(), 1)]).await;
        drop(kept);
    }
}

/// A back is lost, and there is another: clients do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_lost_back_go_on_over_another() {
    for mode in [Mode::Direct, Mode::Middle] {
        let stage = Stage::new(mode);
        let (first, second) = (stage.back(), stage.back());
        let front = stage.front(&[&first, &second]);
        front.connected(4).await;
        let mut clients = front.clients(12).await;
        let sessions = |status: &serde_json::Value| {
            let peers = status["peers"].as_array().expect("a list").iter();
            peers.map(|peer| peer["sessions"].as_u64().expect("a number")).collect::<Vec<_>>()
        };
        let before = sessions(&front.status());
        assert!(before.iter().all(|&n| n >= 4), "spread over both: {before:?}");
        first.kill();
        front.until(|status| sum(status, "moved") >= before[0].min(before[1])).await;
        for client in &mut clients {
            soon(client.echo(vec![2; 5000])).await.expect("it is there still");
        }
        assert_eq!(closed(&front.status()), []);
        // New ones come to the other.
        let mut client = front.client(Protocol::FakeTls).await;
        soon(client.echo(vec![3; 64])).await.expect("echo");
        assert_eq!(sum(&second.status(), "sessions"), 13);
    }
}

/// A front is lost: the back lets go of everything of it within five seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_front_leaves_nothing_behind() {
    let stage = Stage::new(Mode::Middle);
    let back = stage.back();
    let front = stage.front(&[&back]);
    let mut client = front.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    assert_eq!(sum(&back.status(), "sessions"), 1);
    front.freeze();
    let gone = back.until(|status| sum(status, "sessions") == 0 && sum(status, "connections") == 0);
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("in time");
    soon(stage.telegram.middle().wait_for_links(|links| links.iter().all(|link| link.clients == 0))).await;
}
