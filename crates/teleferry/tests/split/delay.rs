//! A long way between front and back, which arrives in pieces: a relay that keeps everything for a while.

use std::net::SocketAddr;
use std::time::Duration;

use teleferry_sim::pattern;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::stage::{Mode, Stage, closed, sessions, sum};
use super::traffic::{Plan, all_came, assert_one_gap};
use crate::common::soon;

/// How long everything takes in each direction.
const DELAY: Duration = Duration::from_millis(100);
/// Pieces that are under way in one direction, at most, and the bytes of the largest.
const PIECES: usize = 512;
const LARGEST: u64 = 16 << 10;

/// Relays to `target` for as long as the set lives.
async fn long_way(target: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has room");
    let address = listener.local_addr().expect("an address");
    let mut relay = JoinSet::new();
    relay.spawn(async move {
        let mut pumps = JoinSet::new();
        for seed in (0..).step_by(2) {
            let (front, _) = listener.accept().await.expect("it listens");
            let back = TcpStream::connect(target).await.expect("it listens");
            let (from_front, to_front) = front.into_split();
            let (from_back, to_back) = back.into_split();
            pumps.spawn(keep_and_pass(from_front, to_back, seed));
            pumps.spawn(keep_and_pass(from_back, to_front, seed + 1));
        }
    });
    (address, relay)
}

/// One direction: pieces of any length, each of them late.
async fn keep_and_pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, seed: u64) {
    let (pieces, mut kept) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let keep = async move {
        for number in 0.. {
            let mut drawn = [0; 8];
            pattern::fill(seed, 8 * number, &mut drawn);
            let mut piece = vec![0; (1 + u64::from_le_bytes(drawn) % LARGEST) as usize];
            match from.read(&mut piece).await {
                Ok(len) if len > 0 => piece.truncate(len),
                _ => return,
            }
            if pieces.send((Instant::now() + DELAY, piece)).await.is_err() {
                return;
            }
        }
    };
    let pass = async move {
        while let Some((due, piece)) = kept.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        // The other end may be gone.
        let _ = to.shutdown().await;
    };
    tokio::join!(keep, pass);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_way_delays_and_loses_nothing() {
    for mode in [Mode::Direct, Mode::Middle] {
        let stage = Stage::new(mode);
        let back = stage.back();
        let (address, _relay) = long_way(back.address).await;
        let front = stage.front_of("front-1", &[address]);
        front.connected(2).await;
        let plan = Plan::new(200, 20_000, 64);
        let since = Instant::now();
        let clients = front.clients(4).await;
        all_came(&soon(plan.start(clients).join_all()).await, &plan);
        // One packet after the other, each would wait for the one before.
        assert!(since.elapsed() < 2 * DELAY * plan.count / 2, "{:?}", since.elapsed());
        let status = front.status();
        let peer = &status["peers"][0];
        assert!(peer["round_trip_micros"].as_u64().expect("a number") >= 200_000, "{peer:#}");
        assert_eq!((sum(&status, "moved"), sum(&status, "refused")), (0, 0));
        assert!(closed(&status).iter().all(|(reason, _)| reason == "client:closed"), "{status:#}");
    }
}

/// Two long ways, of which one is lost: what had not left goes the other one, in its order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_change_from_one_long_way_to_another() {
    for mode in [Mode::Direct, Mode::Middle] {
        let stage = Stage::new(mode);
        let backs = [stage.back(), stage.back()];
        let (first, relay) = long_way(backs[0].address).await;
        let (second, _relay) = long_way(backs[1].address).await;
        let front = stage.front_of("front-1", &[first, second]);
        front.connected(4).await;
        let clients = front.clients(8).await;
        let lost = sessions(&front.status(), first);
        assert!((2..=6).contains(&lost), "spread over both: {lost}");
        let plan = Plan::new(400, 12_000, usize::MAX >> 4);
        let travels = plan.start(clients);
        plan.until_came(400).await;
        drop(relay);
        let travels = soon(travels.join_all()).await;
        let ended = travels.iter().filter(|came| came.ended).count() as u64;
        travels.iter().for_each(assert_one_gap);
        let status = front.status();
        assert!(ended <= lost, "those of the other back have nothing to do with it");
        assert_eq!(sum(&status, "moved") + ended, lost, "{status:#}");
    }
}
