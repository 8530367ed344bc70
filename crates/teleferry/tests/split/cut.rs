//! Front and backs in networks of their own, joined by cables that are cut, narrowed and slowed down.

use std::time::Duration;

use serde_json::Value;
use teleferry_sim::client::Protocol;
use teleferry_sim::command::{Command, Send};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::network::{Cable, Network, TELEGRAM, alone};
use super::stage::{Half, Mode, Stage, TLS, closed, front_settings, sessions, sum};
use super::traffic::{Came, Plan, all_came, assert_one_gap};
use crate::common::soon;
use crate::support::Place;

/// How long a test may take for what has to happen over a bad network.
const LONG: Duration = Duration::from_secs(60);
/// How soon a dead end is noticed.
const NOTICED: Duration = Duration::from_secs(5);

/// A front and its backs, each in a network of its own.
struct World {
    stage: Stage,
    front: Half,
    backs: Vec<Half>,
    /// From the front to each back.
    trunks: Vec<Cable>,
}

impl World {
    async fn new(mode: Mode, count: usize) -> Self {
        let stage = Stage::at(TELEGRAM, mode);
        let home = Network::new();
        Cable::new("home", None, Some(&home), "10.77.1");
        let (mut backs, mut trunks) = (Vec::new(), Vec::new());
        for number in 0..count {
            let abroad = Network::new();
            let telegram_side = format!("10.77.{}", 2 * number + 2);
            let front_side = format!("10.77.{}", 2 * number + 3);
            Cable::new(&format!("abroad{number}"), None, Some(&abroad), &telegram_side);
            abroad.route(&format!("{telegram_side}.1"));
            trunks.push(Cable::new(&format!("trunk{number}"), Some(&home), Some(&abroad), &front_side));
            let place = Place::new();
            let settings = stage.back_settings(&place, &format!("{front_side}.2:0"), "");
            backs.push(Half::start_by(|run| abroad.command(run), place, &settings));
        }
        let addresses: Vec<_> = backs.iter().map(|back| back.address).collect();
        let settings = front_settings(&addresses, TLS).replace("127.0.0.1:0", "10.77.1.2:0");
        let front = Half::start_by(|run| home.command(run), stage.front_place("front-1"), &settings);
        let world = Self { stage, front, backs, trunks };
        world.front.connected(2 * count as u64).await;
        world
    }

    /// Clients stayed where they were until they left by themselves, and nothing was wrong.
    fn nobody_had_to_go(&self, mode: Mode) {
        let status = self.front.status();
        assert_eq!(sum(&status, "moved"), 0);
        assert!(closed(&status).iter().all(|(reason, _)| reason == "client:closed"), "{status:#}");
        self.is_proper(mode);
    }

    /// Nothing that Telegram's side knows of was wrong.
    fn is_proper(&self, mode: Mode) {
        if mode == Mode::Middle {
            assert_eq!(self.stage.telegram.middle().counters().violations(), [].into());
        }
    }
}

async fn finish(travels: JoinSet<Came>) -> Vec<Came> {
    tokio::time::timeout(LONG, travels.join_all()).await.expect("in time")
}

/// What is not cut for long heals by itself: TCP says again what was lost, and nobody has to go elsewhere.
#[test]
fn a_short_cut_heals() {
    alone("split::cut::a_short_cut_heals", async {
        for mode in [Mode::Direct, Mode::Middle] {
            let world = World::new(mode, 1).await;
            world.trunks[0].narrow("20mbit", "1s");
            let plan = Plan::new(150, 20_000, 8);
            let travels = plan.start(world.front.clients(6).await);
            for part in [200, 500] {
                plan.until_came(part).await;
                world.trunks[0].cut();
                tokio::time::sleep(Duration::from_millis(800)).await;
                world.trunks[0].mend();
            }
            all_came(&finish(travels).await, &plan);
            world.nobody_had_to_go(mode);
        }
    });
}

/// A cut that stays is noticed on both sides within five seconds. What had not left for the lost back goes to the other one
/// in its order; no packet comes twice or in part.
#[test]
fn clients_go_on_elsewhere_when_a_cable_is_cut() {
    alone("split::cut::clients_go_on_elsewhere_when_a_cable_is_cut", async {
        for mode in [Mode::Direct, Mode::Middle] {
            let world = World::new(mode, 2).await;
            world.trunks.iter().for_each(|trunk| trunk.narrow("40mbit", "1s"));
            let clients = world.front.clients(8).await;
            let lost = sessions(&world.front.status(), world.backs[0].address);
            assert!((2..=6).contains(&lost), "spread over both: {lost}");
            let plan = Plan::new(400, 12_000, usize::MAX >> 4);
            let travels = plan.start(clients);
            plan.until_came(800).await;
            world.trunks[0].cut();
            let since = Instant::now();
            let is_noticed = |status: &Value| {
                sum(status, "moved") + closed(status).iter().map(|(_, n)| n).sum::<u64>() >= lost
            };
            world.front.until(is_noticed).await;
            world.backs[0].until(|status| sum(status, "sessions") == 0).await;
            assert!(since.elapsed() < NOTICED + Duration::from_millis(500), "{:?}", since.elapsed());
            let travels = finish(travels).await;
            let ended = travels.iter().filter(|came| came.ended).count() as u64;
            for came in &travels {
                assert_one_gap(came);
            }
            assert!(ended <= lost, "those of the other back have nothing to do with it");
            let status = world.front.status();
            assert_eq!(sum(&status, "moved") + ended, lost, "{status:#}");
            // And it is of use again.
            world.trunks[0].mend();
            world.front.connected(4).await;
            let _new = world.front.clients(8).await;
            assert!(sum(&world.backs[0].status(), "sessions") >= 2);
            world.is_proper(mode);
        }
    });
}

/// Those whose only back is cut off are told within five seconds, and so is Telegram; when it is there again, so are they.
#[test]
fn the_only_back_is_cut_off() {
    alone("split::cut::the_only_back_is_cut_off", async {
        let world = World::new(Mode::Middle, 1).await;
        let mut clients = world.front.clients(4).await;
        world.trunks[0].cut();
        for client in &mut clients {
            let ended = tokio::time::timeout(NOTICED, client.recv()).await;
            assert!(matches!(ended.expect("in time"), Ok(None) | Err(_)));
        }
        let alone =
            |links: &[_]| links.iter().all(|link: &teleferry_sim::middle::LinkInfo| link.clients == 0);
        soon(world.stage.telegram.middle().wait_for_links(|links| alone(links))).await;
        world.front.until(|status| closed(status) == [("telegram:link_lost".to_owned(), 4)]).await;
        // Nobody waits for ever for a back.
        let mut hopeless = world.front.client(Protocol::Padded).await;
        soon(hopeless.echo(vec![1; 64])).await.expect_err("there is no back");
        world.trunks[0].mend();
        world.front.connected(2).await;
        world.front.clients(4).await;
    });
}

/// A narrow cable is slow and loses much, and that is all: nobody takes a full one for a dead one.
#[test]
fn a_narrow_cable_is_not_a_dead_one() {
    alone("split::cut::a_narrow_cable_is_not_a_dead_one", async {
        for mode in [Mode::Direct, Mode::Middle] {
            let world = World::new(mode, 1).await;
            let clients = world.front.clients(6).await;
            world.trunks[0].narrow("512kbit", "200ms");
            let plan = Plan::new(10, 12_000, 10);
            all_came(&finish(plan.start(clients)).await, &plan);
            world.nobody_had_to_go(mode);
        }
    });
}

/// What is sent in one direction alone fills the cable for as long as an answer to a ping may take, and what is too much for
/// it and lost comes again as long after that.
#[test]
fn a_full_cable_is_not_a_dead_one() {
    alone("split::cut::a_full_cable_is_not_a_dead_one", async {
        let world = World::new(Mode::Direct, 1).await;
        let mut client = world.front.clients(1).await.remove(0);
        world.trunks[0].narrow("256kbit", "3s");
        let upload = async {
            for _ in 0..40 {
                client.command(&Command::Discard(vec![1; 10_000])).await.expect("sent");
            }
            client.echo(vec![2; 64]).await.expect("it is there still");
            client.download(Send { count: 40, size: 10_000, seed: 1 }).await.expect("every byte");
        };
        tokio::time::timeout(LONG, upload).await.expect("in time");
        let status = world.front.status();
        assert_eq!((sum(&status, "moved"), closed(&status)), (0, vec![]), "{status:#}");
    });
}

/// Where the kernel can: everything comes late, and some of it only when it is said again.
#[test]
fn a_cable_that_delays_and_loses() {
    alone("split::cut::a_cable_that_delays_and_loses", async {
        for mode in [Mode::Direct, Mode::Middle] {
            let world = World::new(mode, 1).await;
            if !world.trunks[0].worsen("50ms", "2%") {
                eprintln!("skipped: this kernel delays nothing (netem)");
                return;
            }
            let plan = Plan::new(100, 12_000, 32);
            let clients = world.front.clients(4).await;
            all_came(&finish(plan.start(clients)).await, &plan);
            let status = world.front.status();
            assert_eq!(sum(&status, "moved"), 0);
            world.is_proper(mode);
        }
    });
}
