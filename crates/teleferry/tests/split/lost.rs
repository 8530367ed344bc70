//! Halves that go without a word.

use std::time::Duration;

use teleferry_sim::client::Protocol;
use teleferry_sim::command::Command;

use super::stage::{Mode, Stage, closed, sessions, sum};
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

/// The same when clients go on sending: the system of a program that stands still takes what comes, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_back_is_noticed_while_clients_send() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();
    let front = stage.front(&[&back]);
    let mut client = front.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    back.freeze();
    let (mut sender, mut receiver) = client.split();
    let packet = Command::Discard(vec![2; 100]).encode();
    let sending = async {
        while sender.send(&packet, false).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // That it cannot send may be seen before the end is.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = tokio::time::timeout(Duration::from_secs(5), receiver.recv()) => {
            assert!(matches!(ended.expect("in time"), Ok(None) | Err(_)));
        }
        () = sending => {}
    }
    front.until(|status| closed(status) == [("telegram:link_lost".to_owned(), 1)]).await;
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
        let lost = sessions(&front.status(), first.address);
        assert!((4..=8).contains(&lost), "spread over both: {lost}");
        first.kill();
        front.until(|status| sum(status, "moved") >= lost).await;
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
