//! What is told of links and middle proxies.

use teleferry::admin::Status;
use teleferry::admin::metrics::scrape;
use teleferry::observe::Stage as Part;
use teleferry::reading::{LinkState, Observer, Reading};
use teleferry_sim::client::Protocol;
use teleferry_sim::middle::Conduct;

use super::stage::{Stage, settled};
use crate::common::soon;

/// Looks until a condition holds.
async fn seen(observer: &Observer, condition: impl Fn(&Reading) -> bool) -> Reading {
    let looking = async {
        loop {
            let reading = observer.read();
            if condition(&reading) {
                return reading;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(looking).await
}

#[tokio::test]
async fn links_are_seen_with_their_clients_and_bytes() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let observer = proxy.server.observer();
    let client = settled(&proxy, Protocol::FakeTls).await;
    let reading = seen(&observer, |reading| {
        let link = reading.links.iter().find(|link| link.dc == 2);
        link.is_some_and(|link| link.state == LinkState::Ready && link.clients == 1)
    })
    .await;
    assert_eq!(reading.sessions(), 1);
    let dc = reading.dcs[&2];
    assert!(dc.received > 64 && dc.sent > 64, "{dc:?}");
    assert_eq!((dc.connected, dc.unreachable), (0, 0), "nothing went direct");
    let (part, took) = &reading.stages[Part::Relay as usize];
    assert_eq!((*part, took.count()), (Part::Relay, 1));
    let [to, from] = &reading.messages;
    assert!(to.count() >= 1 && from.count() >= 1);

    let text = scrape(&observer);
    let link = reading.links.iter().find(|link| link.dc == 2).expect("it was there");
    let sample = format!("teleferry_links{{dc=\"2\",endpoint=\"{}\",state=\"ready\"}} 1\n", link.endpoint);
    assert!(text.contains(&sample), "{sample}: {text}");
    assert!(text.contains("teleferry_link_clients{dc=\"2\",meter=\"max\"} 1\n"), "{text}");
    let status = Status::now(&observer);
    let dc = status.dcs.iter().find(|dc| dc.dc == 2).expect("told");
    assert_eq!((dc.links_ready, dc.links[0].clients), (1, 1));

    drop(client);
    seen(&observer, |reading| reading.sessions() == 0 && reading.links.iter().all(|link| link.clients == 0))
        .await;
}

#[tokio::test]
async fn middle_proxies_that_fail_are_seen() {
    let stage = Stage::new();
    stage.middle().configure_dc(2, |settings| settings.handshake = Conduct::Refuse(-4)).await;
    let proxy = stage.proxy();
    let observer = proxy.server.observer();
    let reading = seen(&observer, |reading| reading.failing.iter().any(|(_, failures)| *failures >= 2)).await;
    let (endpoint, _) = reading.failing[0];
    assert!(scrape(&observer).contains(&format!("teleferry_endpoint_failures{{endpoint=\"{endpoint}\"}} ")));
}
