//! What can be read of the ways to Telegram, and who looks.

use teleferry::config::Mode;
use teleferry::observe::{Direct, Reach};
use teleferry_sim::client::Protocol;
use teleferry_sim::dc::Behaviour;

use super::choice::auto;
use super::stage::{Stage, settled};
use crate::common::{Proxy, refusing, soon};

/// Both ways are looked at before a client comes, and what they are like can be read.
#[tokio::test]
async fn both_ways_are_known_before_a_client_comes() {
    let stage = Stage::new();
    stage.middle().set_behaviour(4, Behaviour::Refuse).await;
    let mut snapshot = auto(&stage);
    let (_held, dead) = refusing();
    // The others share an address, so that there is less to look at.
    let (of_2, of_4) = (stage.telegram.address(2), stage.telegram.address(4));
    for (&dc, addresses) in &mut snapshot.telegram.dc {
        *addresses = vec![if dc == 1 {
            dead
        } else if dc == 4 {
            of_4
        } else {
            of_2
        }];
    }
    let proxy = Proxy::start(snapshot);
    let known = |reach: &[Reach]| {
        reach.iter().filter(|of| of.dc > 0).all(|of| of.direct != Direct::Unknown)
            && [1, 2, 4, -4].into_iter().all(|dc| {
                reach.iter().any(|of| of.dc == dc && (of.middle_links == 1 || of.middle_error.is_some()))
            })
    };
    let reach = soon(async {
        loop {
            let reach = proxy.server.reach();
            if known(&reach) {
                return reach;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let of = |dc| reach.iter().find(|of| of.dc == dc).expect("it is there");
    assert_eq!((of(2).middle_links, of(2).direct), (1, Direct::Reachable));
    assert_eq!((of(1).middle_links, of(1).direct), (1, Direct::Unreachable));
    assert!(of(1).direct_error.as_deref().is_some_and(|error| error.contains("refused")), "{reach:?}");
    assert_eq!((of(4).middle_links, of(4).direct), (0, Direct::Reachable));
    assert!(of(4).middle_error.is_some() && of(-4).middle_error.is_none(), "{reach:?}");
    // Each is looked at once, and by one of the shards.
    assert_eq!(stage.telegram.counters(2).read().accepted, 1);
}

/// With one way only nobody looks at the other.
#[tokio::test]
async fn only_with_two_ways_somebody_looks() {
    for mode in [Mode::Middle, Mode::Direct] {
        let stage = Stage::new();
        let mut snapshot = stage.settings();
        snapshot.telegram.mode = mode;
        let proxy = Proxy::start(snapshot);
        let mut client = settled(&proxy, Protocol::FakeTls).await;
        soon(client.echo(vec![1; 64])).await.expect("echo");
        let ours = u64::from(mode == Mode::Direct);
        assert_eq!(stage.telegram.counters(2).read().accepted, ours);
        let reach = proxy.server.reach();
        let of_2 = reach.iter().find(|of| of.dc == 2).expect("it is there");
        let expected = if mode == Mode::Direct { Direct::Reachable } else { Direct::Unknown };
        assert_eq!(of_2.direct, expected, "only its client found out");
        assert!(reach.iter().filter(|of| of.dc != 2).all(|of| of.direct == Direct::Unknown));
    }
}
