//! Backs that stop in order: their clients go on elsewhere and do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use teleferry_sim::client::Protocol;

use super::stage::{Half, Mode, Stage, closed, sum};
use crate::common::soon;
use crate::support::Place;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_back_that_stops_go_to_another() {
    for mode in [Mode::Direct, Mode::Middle] {
        let stage = Stage::new(mode);
        let (first, second) = (stage.back(), stage.back());
        let front = stage.front(&[&first, &second]);
        front.connected(4).await;
        let mut clients = front.clients(8).await;
        first.terminate();
        for client in &mut clients {
            soon(client.echo(vec![2; 5000])).await.expect("it is there still");
        }
        first.stopped();
        for client in &mut clients {
            soon(client.echo(vec![3; 64])).await.expect("it is there still");
        }
        assert_eq!(sum(&second.status(), "sessions"), 8);
        assert_eq!(closed(&front.status()), []);
    }
}

/// Two backs are stopped and started anew, one after the other, while a thousand clients are at work: nobody is closed, and
/// everybody gets every answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_closes_nobody() {
    teleferry_sim::limits::raise_open_files();
    let stage = Stage::new(Mode::Middle);
    let mut backs = vec![stage.back(), stage.back()];
    let front = stage.front(&[&backs[0], &backs[1]]);
    front.connected(4).await;
    let (over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut load = Vec::new();
    for number in 0..SESSIONS {
        let mut client = front.client(Protocol::ALL[number % Protocol::ALL.len()]).await;
        let (over, rounds) = (Arc::clone(&over), Arc::clone(&rounds));
        load.push(tokio::spawn(async move {
            for round in (0..=u8::MAX).cycle() {
                if over.load(Relaxed) {
                    return;
                }
                client.echo(vec![round; 600]).await.expect("nobody is closed");
                rounds.fetch_add(1, Relaxed);
                tokio::time::sleep(PACE).await;
            }
        }));
    }
    front.until(|status| sum(status, "sessions") == SESSIONS as u64).await;
    for index in [0, 1] {
        let address = backs[index].address.to_string();
        backs[index].terminate();
        let old = backs.remove(index);
        backs.insert(index, stage.back_at(old.stopped(), &address, ""));
        front.connected(4).await;
        let before = rounds.load(Relaxed);
        soon(async {
            while rounds.load(Relaxed) < before + 2 * SESSIONS as u64 {
                tokio::time::sleep(PACE).await;
            }
        })
        .await;
    }
    over.store(true, Relaxed);
    for client in load {
        soon(client).await.expect("nobody is closed");
    }
    assert!(sum(&front.status(), "moved") >= SESSIONS as u64);
    assert_eq!(stage.telegram.middle().counters().violations(), [].into());
}

/// Clients at work, and how often each says something.
const SESSIONS: usize = 1000;
const PACE: Duration = Duration::from_millis(200);

/// A session for which its only back has no room asks now and then whether there is some, and then no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_room_does_not_go_round_and_round() {
    let stage = Stage::new(Mode::Direct);
    let place = Place::new();
    let settings = stage.back_settings(&place, "127.0.0.1:0", "");
    // Two connections of the front, and one session.
    let settings = settings.replace("[server]\n", "[server]\nmax_connections = 3\n");
    let back = Half::start(place, &settings);
    let front = stage.front(&[&back]);
    front.connected(2).await;
    let mut first = front.client(Protocol::Padded).await;
    soon(first.echo(vec![1; 64])).await.expect("echo");
    let mut late = front.client(Protocol::Padded).await;
    soon(late.echo(vec![1; 64])).await.expect_err("there is no room");
    let status = front.until(|status| !closed(status).is_empty()).await;
    assert_eq!(closed(&status), [("telegram:link_lost".to_owned(), 1)]);
    assert!((2..=8).contains(&sum(&status, "refused")), "{status:#}");
    // With room again there is some for whoever comes.
    drop(first);
    back.until(|status| sum(status, "sessions") == 0).await;
    front.clients(1).await;
}
