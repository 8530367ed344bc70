//! Which way a client takes, and what happens where there is none.

use std::time::Duration;

use teleferry::config::{Mode, Snapshot};
use teleferry_sim::client::{Client, Protocol};
use teleferry_sim::dc::Behaviour;
use teleferry_sim::middle::Conduct;

use super::stage::{Stage, settled};
use crate::common::{Proxy, soon};

pub(super) fn auto(stage: &Stage) -> Snapshot {
    let mut snapshot = stage.settings();
    snapshot.telegram.mode = Mode::Auto;
    snapshot
}

/// Whether a client is on a link.
async fn is_on_a_link(client: &mut Client) -> bool {
    soon(client.report()).await.expect("a report").middle.is_some()
}

#[tokio::test]
async fn middle_proxies_come_first() {
    let stage = Stage::new();
    let proxy = Proxy::start(auto(&stage));
    for dc in [1, 2, 3, 4, 5, 203, -1, -4, -203] {
        let mut client = proxy.client_of(Protocol::FakeTls, dc).await;
        let report = soon(client.report()).await.expect("a report");
        assert_eq!((report.asked_dc, report.middle.is_some()), (dc, true));
    }
    assert_eq!((proxy.counts().dc_connected, proxy.counts().dc_unknown), (0, 0));
    stage.assert_no_violations();
}

/// The test environment has no middle proxies: its clients go direct, and nowhere else.
#[tokio::test]
async fn what_only_direct_connections_reach_goes_direct() {
    let stage = Stage::new();
    let proxy = Proxy::start(auto(&stage));
    let mut client = proxy.client_of(Protocol::FakeTls, 10_002).await;
    let report = soon(client.report()).await.expect("a report");
    assert_eq!((report.asked_dc, report.middle), (10_002, None));
    assert_eq!(proxy.counts().dc_unknown, 0);
}

#[tokio::test]
async fn unknown_ids_go_to_the_default_or_nowhere() {
    let stage = Stage::new();
    let proxy = Proxy::start(auto(&stage));
    let mut client = proxy.client_of(Protocol::FakeTls, 99).await;
    let report = soon(client.report()).await.expect("a report");
    assert_eq!((report.dc, report.middle.is_some()), (2, true));
    assert_eq!(proxy.counts().dc_unknown, 1);

    let mut snapshot = auto(&stage);
    snapshot.telegram.default_dc = None;
    let proxy = Proxy::start(snapshot);
    let mut client = proxy.client_of(Protocol::FakeTls, 99).await;
    assert!(matches!(soon(client.recv()).await, Ok(None)));
    drop(client);
    proxy.closed(&[("proxy:dc_unknown", 1)]).await;
}

/// F-08: one data centre without middle proxies holds up neither the start nor the others; its clients go direct, until
/// there are some again. Nobody is cut by that.
#[tokio::test]
async fn f_08_a_dc_without_middle_proxies_goes_direct_and_comes_back() {
    let stage = Stage::new();
    stage.middle().set_behaviour(4, Behaviour::Refuse).await;
    let proxy = Proxy::start(auto(&stage));
    let mut direct = proxy.client_of(Protocol::FakeTls, 4).await;
    assert!(!is_on_a_link(&mut direct).await);
    assert!(is_on_a_link(&mut proxy.client_of(Protocol::FakeTls, 5).await).await);
    assert!(is_on_a_link(&mut proxy.client_of(Protocol::FakeTls, -4).await).await);

    stage.middle().set_behaviour(4, Behaviour::Serve).await;
    soon(stage.middle().wait_for_links(|links| links.iter().any(|link| link.dc == 4))).await;
    let back = async { while !is_on_a_link(&mut proxy.client_of(Protocol::FakeTls, 4).await).await {} };
    soon(back).await;
    soon(direct.echo(vec![1; 64])).await.expect("it was left alone");
    stage.assert_no_violations();
}

/// The same where no link is kept warm, as on most shards of a large machine: nobody asks for one while all go direct.
#[tokio::test]
async fn f_08_links_come_back_where_none_is_kept_warm() {
    let stage = Stage::new();
    stage.middle().set_behaviour(4, Behaviour::Refuse).await;
    let mut snapshot = auto(&stage);
    snapshot.telegram.links_per_dc = 0;
    let proxy = Proxy::start(snapshot);
    assert!(!is_on_a_link(&mut proxy.client_of(Protocol::FakeTls, 4).await).await);

    stage.middle().set_behaviour(4, Behaviour::Serve).await;
    // Without any client.
    proxy.linked(|counts| counts.opened == 1).await;
    assert!(is_on_a_link(&mut proxy.client_of(Protocol::FakeTls, 4).await).await);
}

/// A refusal right after our handshake is one more reason to go direct.
#[tokio::test]
async fn refused_handshakes_lead_direct() {
    let stage = Stage::new();
    stage.middle().configure_dc(2, |settings| settings.handshake = Conduct::Refuse(-4)).await;
    let proxy = Proxy::start(auto(&stage));
    let mut client = settled(&proxy, Protocol::FakeTls).await;
    assert!(!is_on_a_link(&mut client).await);
}

/// With an ad tag there is no other way: the client is closed within the bound, and not taken somewhere without its tag.
#[tokio::test]
async fn with_an_ad_tag_nobody_goes_direct() {
    let stage = Stage::new();
    stage.middle().set_behaviour(2, Behaviour::Refuse).await;
    let mut snapshot = auto(&stage);
    snapshot.listeners[0].ad_tag = Some([7; 16]);
    snapshot.telegram.connect_timeout = Duration::from_millis(300);
    let proxy = Proxy::start(snapshot);
    let mut client = proxy.client(Protocol::FakeTls).await;
    assert!(matches!(soon(client.recv()).await, Ok(None)));
    drop(client);
    proxy.closed(&[("telegram:unreachable", 1)]).await;
    assert_eq!(proxy.counts().dc_connected, 0);
}

/// A client that comes before any link is ready waits for one.
#[tokio::test]
async fn a_session_that_waits_gets_its_link() {
    let stage = Stage::new();
    stage.middle().set_behaviour(2, Behaviour::Refuse).await;
    let proxy = stage.proxy();
    proxy.linked(|counts| counts.failed > 0).await;
    let mut client = proxy.client(Protocol::FakeTls).await;
    let asking = client.echo(vec![1; 64]);
    let (answer, ()) = tokio::join!(soon(asking), stage.middle().set_behaviour(2, Behaviour::Serve));
    answer.expect("echo");
    stage.assert_no_violations();
}
