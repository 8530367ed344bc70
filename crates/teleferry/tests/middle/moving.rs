//! Links that go away, and clients that do not notice.

use std::time::Duration;

use teleferry_proto::transport::ServerFrame;
use teleferry_sim::client::{Client, Protocol};
use teleferry_sim::command::{Command, Send};
use teleferry_sim::dc::Behaviour;
use teleferry_sim::middle::{Conduct, Order};

use super::stage::{Stage, link_of, settled};
use crate::common::{Proxy, soon};

/// A stage whose proxy has two links to every data centre.
fn two_links(stage: &Stage) -> Proxy {
    let mut snapshot = stage.settings();
    snapshot.telegram.links_per_dc = 2;
    Proxy::start(snapshot)
}

/// How many clients the middle proxies of DC 2 see.
fn clients(stage: &Stage) -> u64 {
    stage.links(2).iter().map(|link| link.clients).sum()
}

#[tokio::test]
async fn a_22_clients_of_a_link_that_is_closed_move_to_another() {
    let stage = Stage::new();
    let proxy = two_links(&stage);
    for order in [Order::Close, Order::Reset, Order::Raw(vec![0; 64])] {
        let mut client = settled(&proxy, Protocol::FakeTls).await;
        let link = link_of(&mut client).await;
        let moved = proxy.server.links().uprooted;
        assert!(stage.middle().tell(link, order.clone()).await);
        let counts = proxy.linked(|counts| counts.uprooted == moved + 1).await;
        assert_eq!(counts.stranded, 0);
        soon(client.echo(vec![2; 64])).await.expect("the next echo works");
        assert_ne!(link_of(&mut client).await, link, "{order:?}");
        assert_eq!(clients(&stage), 1);
        drop(client);
        soon(stage.middle().wait_for_links(|links| links.iter().all(|link| link.clients == 0))).await;
    }
    proxy.closed(&[("client:closed", 3)]).await;
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_23_exactly_the_clients_of_the_closed_link_move() {
    let stage = Stage::new();
    let proxy = two_links(&stage);
    soon(stage.middle().wait_for_links(|links| links.iter().filter(|link| link.dc == 2).count() == 2)).await;
    proxy.linked(|counts| counts.open >= 24).await;
    let mut all = Vec::new();
    for protocol in [Protocol::Abridged, Protocol::Padded, Protocol::FakeTls] {
        let mut client = settled(&proxy, protocol).await;
        let link = link_of(&mut client).await;
        all.push((client, link));
    }
    let fuller = *stage.links(2).iter().max_by_key(|link| link.clients).expect("a link");
    assert_eq!(fuller.clients, 2, "the emptiest link is taken");
    assert!(stage.middle().tell(fuller.number, Order::Close).await);
    proxy.linked(|counts| counts.uprooted == 2).await;
    for (client, before) in &mut all {
        soon(client.echo(vec![3; 64])).await.expect("echo");
        assert_eq!(link_of(client).await != *before, *before == fuller.number);
    }
    assert_eq!((clients(&stage), proxy.server.links().stranded), (3, 0));
    stage.assert_no_violations();
}

/// F-11, A-24: with nowhere to go, an idle client is closed within a second or so, and not left on a dead connection.
#[tokio::test]
async fn f_11_a_24_a_client_that_finds_no_other_link_is_closed() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let mut client = settled(&proxy, Protocol::FakeTls).await;
    let link = link_of(&mut client).await;
    stage.middle().set_behaviour(2, Behaviour::Refuse).await;
    assert!(stage.middle().tell(link, Order::Reset).await);
    let closed = tokio::time::timeout(Duration::from_secs(2), client.recv()).await;
    assert!(matches!(closed.expect("in time"), Ok(None) | Err(_)));
    proxy.closed(&[("telegram:link_lost", 1)]).await;
    assert_eq!(proxy.server.links().stranded, 1);
    // And back it comes.
    stage.middle().set_behaviour(2, Behaviour::Serve).await;
    settled(&proxy, Protocol::FakeTls).await;
}

/// F-28, with no other link at hand: a new one is made, and what was not sent is sent there once and in order.
#[tokio::test]
async fn f_28_nothing_in_our_buffers_is_lost_or_doubled() {
    let stage = Stage::new();
    let proxy = stage.proxy();
    let mut client = settled(&proxy, Protocol::FakeTls).await;
    let link = link_of(&mut client).await;
    // While no link can be had, the client sends.
    stage.middle().set_behaviour(2, Behaviour::Refuse).await;
    assert!(stage.middle().tell(link, Order::Reset).await);
    proxy.linked(|counts| counts.uprooted == 1).await;
    let before = stage.middle().counters().read().messages_in;
    let packets: Vec<_> = (0..10_u8).map(|i| Command::Echo(vec![i; 1000]).encode()).collect();
    for packet in &packets {
        soon(client.send(packet)).await.expect("sent");
    }
    stage.middle().set_behaviour(2, Behaviour::Serve).await;
    for packet in &packets {
        soon(client.receiver.expect_packet(packet)).await.expect("every one, in order");
    }
    assert_eq!(stage.middle().counters().read().messages_in, before + 10);
    assert_eq!(proxy.server.links().stranded, 0);
    stage.assert_no_violations();
}

/// Downloads under way while links come and go: nobody is closed, and no frame is torn.
#[tokio::test]
async fn rotation_closes_nobody() {
    let stage = Stage::with(2, &[std::net::Ipv4Addr::LOCALHOST.into()]);
    let proxy = two_links(&stage);
    stage.middle().configure_dc(2, |settings| settings.rotate = Some(Duration::from_millis(1200))).await;
    let mut all = Vec::new();
    for protocol in Protocol::ALL {
        all.push(settled(&proxy, protocol).await);
    }
    let before = stage.middle().counters().read().rotated;
    for round in (0..=u8::MAX).cycle() {
        if stage.middle().counters().read().rotated >= before + 6 {
            break;
        }
        for client in &mut all {
            say_until_answered(&proxy, client, round).await;
        }
    }
    assert_eq!(proxy.counts().closed, [].into());
    assert_eq!(proxy.server.links().stranded, 0);
    stage.assert_no_violations();
}

/// As an app does: what is not answered is said again. What had left for a link that then closed is not known to have
/// arrived.
async fn say_until_answered(proxy: &Proxy, client: &mut Client, round: u8) {
    let packet = Command::Echo(vec![round; 5000]).encode();
    loop {
        soon(client.send(&packet)).await.expect("sent");
        let answered = async {
            loop {
                match client.recv().await {
                    Ok(Some(ServerFrame::Message(message))) if message.starts_with(&packet) => break,
                    // The late answer to something that was said again.
                    Ok(Some(ServerFrame::Message(message))) => assert_eq!(message.len() & !3, packet.len()),
                    other => panic!("{other:?} {:?} {:?}", proxy.counts().closed, proxy.server.links()),
                }
            }
        };
        if tokio::time::timeout(Duration::from_millis(400), answered).await.is_ok() {
            return;
        }
    }
}

/// A link that answers nothing while it is asked is replaced; its clients are not closed.
#[tokio::test]
async fn a_link_that_stalls_is_replaced() {
    let stage = Stage::with(2, &[std::net::Ipv4Addr::LOCALHOST.into()]);
    let proxy = two_links(&stage);
    let mut client = settled(&proxy, Protocol::FakeTls).await;
    let link = link_of(&mut client).await;
    assert!(stage.middle().tell(link, Order::Stall(true)).await);
    soon(client.command(&Command::Echo(vec![1; 64]))).await.expect("sent");
    proxy.linked(|counts| counts.uprooted == 1).await;
    soon(client.echo(vec![2; 64])).await.expect("over another link");
    assert_ne!(link_of(&mut client).await, link);
    stage.assert_no_violations();
}

/// A first request that went with its link leaves its client the whole time to ask again, and no more.
#[tokio::test]
async fn the_time_for_the_first_answer_begins_anew_with_a_new_link() {
    const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);
    /// How exact the moment is from which it is counted.
    const TICK: Duration = Duration::from_millis(100);
    let stage = Stage::new();
    let mut snapshot = stage.settings();
    snapshot.telegram.answer_timeout = ANSWER_TIMEOUT;
    let proxy = Proxy::start(snapshot);
    proxy.linked(|counts| counts.open >= 12).await;
    let link = stage.links(2)[0].number;
    assert!(stage.middle().tell(link, Order::Stall(true)).await);
    let mut asks_again = proxy.client(Protocol::FakeTls).await;
    let mut does_not = proxy.client(Protocol::FakeTls).await;
    let asked = tokio::time::Instant::now();
    for client in [&mut asks_again, &mut does_not] {
        soon(client.command(&Command::Echo(vec![1; 64]))).await.expect("sent");
    }
    proxy.counted(|counts| counts.messages == 2).await;
    tokio::time::sleep_until(asked + ANSWER_TIMEOUT / 2).await;
    let lost = tokio::time::Instant::now();
    assert!(stage.middle().tell(link, Order::Reset).await);
    proxy.linked(|counts| counts.uprooted == 2).await;
    tokio::time::sleep_until(asked + ANSWER_TIMEOUT + ANSWER_TIMEOUT / 4).await;
    soon(asks_again.echo(vec![2; 64])).await.expect("another link answers");
    proxy.closed(&[("telegram:silent", 1)]).await;
    assert!(lost.elapsed() >= ANSWER_TIMEOUT - TICK, "{:?}", lost.elapsed());
    soon(asks_again.echo(vec![3; 64])).await.expect("it stays");
    stage.assert_no_violations();
}

/// F-13: against middle proxies that accept and close, at most ten attempts in three seconds.
#[tokio::test]
async fn f_13_middle_proxies_that_close_at_once_are_left_alone() {
    for (behaviour, conduct) in [(Behaviour::Refuse, Conduct::Serve), (Behaviour::Serve, Conduct::Refuse(-4))]
    {
        let stage = Stage::new();
        stage.middle().set_behaviour(2, behaviour).await;
        stage.middle().configure_dc(2, |settings| settings.handshake = conduct).await;
        let mut snapshot = stage.settings();
        snapshot.server.workers = 4;
        snapshot.telegram.links_per_dc = 4;
        let proxy = Proxy::start(snapshot);
        // Clients knock all the time, on every shard.
        let end = tokio::time::Instant::now() + Duration::from_secs(3);
        while tokio::time::Instant::now() < end {
            let client = proxy.client(Protocol::FakeTls).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(client);
        }
        let failed = proxy.server.links().failed;
        assert!((3..=10).contains(&failed), "{failed} attempts");
    }
}

/// F-22: middle proxies that are not published any more lose their links, once those have no clients.
#[tokio::test]
async fn f_22_links_to_what_vanished_end() {
    let stage = Stage::with(2, &[std::net::Ipv4Addr::LOCALHOST.into()]);
    let mut snapshot = stage.settings();
    snapshot.telegram.links_per_dc = 2;
    snapshot.telegram.refresh = Duration::from_millis(100);
    let proxy = Proxy::start(snapshot);
    let mut client = settled(&proxy, Protocol::FakeTls).await;
    let link = link_of(&mut client).await;
    let of_dc_2 =
        |links: &[teleferry_sim::middle::LinkInfo]| links.iter().filter(|link| link.dc == 2).count();
    soon(stage.middle().wait_for_links(|links| of_dc_2(links) == 2)).await;
    let old: Vec<_> = stage.links(2).iter().map(|link| link.endpoint).collect();
    let new = stage.middle().add_endpoint(2, std::net::Ipv4Addr::LOCALHOST.into()).expect("a port");
    old.iter().for_each(|endpoint| stage.middle().publish(*endpoint, false));
    // The client stays where it is; everything else goes to the new one.
    soon(stage.middle().wait_for_links(|links| {
        let mut of_dc = links.iter().filter(|link| link.dc == 2);
        of_dc.all(|other| other.endpoint == new || other.number == link)
    }))
    .await;
    assert_eq!(link_of(&mut client).await, link);
    drop(client);
    soon(
        stage.middle().wait_for_links(|links| {
            links.iter().filter(|link| link.dc == 2).all(|link| link.endpoint == new)
        }),
    )
    .await;
    settled(&proxy, Protocol::FakeTls).await;
    stage.assert_no_violations();
}

/// Clients that a link loses do not crowd the others: they wait for the link that comes in its place.
#[tokio::test]
async fn no_link_gets_more_clients_than_it_has_room_for_while_another_one_comes() {
    let stage = Stage::new();
    let mut snapshot = stage.settings();
    snapshot.telegram.links_per_dc = 2;
    snapshot.telegram.clients_per_link = 4;
    let proxy = Proxy::start(snapshot);
    soon(stage.middle().wait_for_links(|links| links.iter().filter(|link| link.dc == 2).count() == 2)).await;
    proxy.linked(|counts| counts.open >= 24).await;
    let mut all = Vec::new();
    for _ in 0..8 {
        let mut client = settled(&proxy, Protocol::Padded).await;
        let link = link_of(&mut client).await;
        all.push((client, link));
    }
    let lost = all[0].1;
    assert!(stage.middle().tell(lost, Order::Close).await);
    let counts = proxy.linked(|counts| counts.uprooted == 4).await;
    assert_eq!(counts.stranded, 0);
    let mut on = std::collections::BTreeMap::<_, usize>::new();
    for (client, before) in &mut all {
        soon(client.echo(vec![3; 64])).await.expect("echo");
        let link = link_of(client).await;
        assert!(link == *before || *before == lost, "only who lost its link moves");
        *on.entry(link).or_default() += 1;
    }
    // Four, and a quarter more.
    assert!(on.len() == 2 && on.values().all(|&clients| clients <= 5), "{on:?}");
    stage.assert_no_violations();
}

/// When no other link can be had, or it takes too long, those that are there take everybody.
#[tokio::test]
async fn where_no_link_comes_the_others_take_whoever_lost_theirs() {
    for behaviour in [Behaviour::Refuse, Behaviour::Silent] {
        let stage = Stage::new();
        let mut snapshot = stage.settings();
        snapshot.telegram.links_per_dc = 2;
        snapshot.telegram.clients_per_link = 2;
        let proxy = Proxy::start(snapshot);
        soon(stage.middle().wait_for_links(|links| links.iter().filter(|link| link.dc == 2).count() == 2))
            .await;
        proxy.linked(|counts| counts.open >= 24).await;
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(settled(&proxy, Protocol::Padded).await);
        }
        let lost = link_of(&mut all[0]).await;
        stage.middle().set_behaviour(2, behaviour).await;
        assert!(stage.middle().tell(lost, Order::Reset).await);
        proxy.linked(|counts| counts.uprooted == 2).await;
        for client in &mut all {
            soon(client.echo(vec![3; 64])).await.expect("echo");
            assert_ne!(link_of(client).await, lost);
        }
        assert_eq!((clients(&stage), proxy.server.links().stranded), (4, 0), "{behaviour:?}");
        stage.assert_no_violations();
    }
}

/// Links are spread over all that is published.
#[tokio::test]
async fn links_are_spread_and_grow_with_the_clients() {
    let stage = Stage::with(3, &[std::net::Ipv4Addr::LOCALHOST.into()]);
    let mut snapshot = stage.settings();
    snapshot.telegram.clients_per_link = 4;
    let proxy = Proxy::start(snapshot);
    let mut all = Vec::new();
    for _ in 0..12 {
        all.push(settled(&proxy, Protocol::Padded).await);
    }
    soon(stage.middle().wait_for_links(|links| links.iter().filter(|link| link.dc == 2).count() == 3)).await;
    let mut endpoints: Vec<_> = stage.links(2).iter().map(|link| link.endpoint).collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    assert_eq!(endpoints.len(), 3);
    for client in &mut all {
        soon(client.download(Send { count: 2, size: 1000, seed: 5 })).await.expect("every byte");
    }
    stage.assert_no_violations();
}
