//! Several fronts on one back, and backs that are started anew.

use rustix::process::{Pid, Signal, kill_process};
use teleferry_sim::client::Protocol;

use super::stage::{Mode, Stage, closed, sum};
use crate::common::soon;

/// Fronts have nothing to do with each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_fronts_share_a_back() {
    let stage = Stage::new(Mode::Middle);
    let back = stage.back();
    let fronts = ["front-1", "front-2", "front-3"].map(|name| stage.front_named(name, &[&back]));
    let mut clients = Vec::new();
    for front in &fronts {
        clients.push(front.clients(4).await);
    }
    let sessions = |status: &serde_json::Value| {
        let peers = status["peers"].as_array().expect("a list").iter();
        let named = peers.map(|peer| (peer["name"].clone(), peer["sessions"].clone()));
        named.filter(|(name, _)| name != "").collect::<Vec<_>>()
    };
    let all = [("front-1", 4), ("front-2", 4), ("front-3", 4)];
    let expected = |fronts: &[(&str, u64)]| {
        fronts.iter().map(|(name, count)| ((*name).into(), (*count).into())).collect::<Vec<_>>()
    };
    assert_eq!(sessions(&back.status()), expected(&all));
    let [first, second, third] = fronts;
    first.kill();
    back.until(|status| sum(status, "sessions") == 8).await;
    for client in clients.iter_mut().skip(1).flatten() {
        soon(client.echo(vec![2; 5000])).await.expect("it is there still");
    }
    assert_eq!((closed(&second.status()), closed(&third.status())), (vec![], vec![]));
    assert_eq!(stage.telegram.middle().counters().violations(), [].into());
}

/// The only back is killed and started again: sessions end at once, so that clients come again, and do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_back_is_started_again() {
    let stage = Stage::new(Mode::Middle);
    // At a port that is in the settings, as ports of backs are: one that the system chose cannot be had again at once.
    let first = stage.back();
    let address = first.address.to_string();
    let back = stage.back_at(first.kill(), &address, "");
    let front = stage.front(&[&back]);
    let mut clients = front.clients(8).await;
    let place = back.kill();
    for client in &mut clients {
        let ended = tokio::time::timeout(std::time::Duration::from_secs(5), client.recv()).await;
        assert!(matches!(ended.expect("in time"), Ok(None) | Err(_)));
    }
    front.until(|status| closed(status) == [("telegram:link_lost".to_owned(), 8)]).await;
    let back = stage.back_at(place, &address, "");
    front.connected(2).await;
    front.clients(8).await;
    assert_eq!(sum(&back.status(), "calls"), 8);
}

/// A back is replaced by a new process of it: its sessions go over to that, though it is the only one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_is_upgraded_under_its_sessions() {
    for mode in [Mode::Direct, Mode::Middle] {
        let stage = Stage::new(mode);
        let back = stage.back();
        let front = stage.front(&[&back]);
        front.connected(2).await;
        let mut clients = front.clients(8).await;
        let answer: serde_json::Value = serde_json::from_str(&back.order("upgrade").stdout).expect("JSON");
        let new = Successor(answer["process"].as_i64().and_then(|id| id.try_into().ok()).expect("a process"));
        for client in &mut clients {
            soon(client.echo(vec![2; 5000])).await.expect("it is there still");
        }
        let _place = back.stopped();
        for client in &mut clients {
            soon(client.echo(vec![3; 64])).await.expect("it is there still");
        }
        assert_eq!(closed(&front.status()), []);
        let mut client = front.client(Protocol::FakeTls).await;
        soon(client.echo(vec![4; 64])).await.expect("the new one serves");
        drop(new);
    }
}

/// A process that is no child of this one; killed with the test.
struct Successor(i32);

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.0) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
