//! Everything that middle proxies can be told to do.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use teleferry_proto::middle::{DownReason, Event};
use teleferry_proto::rpc::{ConnId, Packet};
use teleferry_proto::telegram_config::MiddleSecret;
use teleferry_proto::transport::Framing;
use teleferry_proto::transport::full::{MAX_FRAME, OVERHEAD};
use teleferry_sim::command::{Command, Send};
use teleferry_sim::dc::Behaviour;
use teleferry_sim::middle::{Conduct, LinkState, Order, Settings, Violation};
use teleferry_sim::telegram::Telegram;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::link::{Link, Said, client, client_address, proxy_address};
use crate::{endpoint, telegram};

/// Longer than anything waits for. Only under a paused clock, where time passes when nothing else happens.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// A link that carries a client, and its number.
async fn link(telegram: &Telegram, dc: i16) -> (Link, ConnId, u64) {
    let mut link = Link::ready(endpoint(telegram, dc)).await;
    let conn = link.middle.open(client(Framing::Padded));
    let number = link.report(conn).await.middle.unwrap().link;
    (link, conn, number)
}

async fn configured(change: impl Fn(&mut Settings)) -> Telegram {
    let telegram = telegram();
    telegram.middle().configure(change).await;
    telegram
}

async fn tell(telegram: &Telegram, link: u64, packet: &Packet<'_>) {
    assert!(telegram.middle().tell(link, Order::packet(packet)).await, "link {link} is gone");
}

#[tokio::test(start_paused = true)]
async fn links_are_rotated() {
    const LIFE: Duration = Duration::from_secs(30);
    let telegram = configured(|settings| settings.rotate = Some(LIFE)).await;
    for number in 1..=3 {
        let begin = Instant::now();
        let (mut link, _, _) = link(&telegram, 2).await;
        assert_eq!(link.next().await, Said::Other(Event::Down(DownReason::Closed)));
        assert!(begin.elapsed() >= LIFE);
        assert_eq!(telegram.middle().counters().read().rotated, number);
    }
    // Links that are open hear of it too.
    telegram.middle().configure(|settings| settings.rotate = None).await;
    let (mut link, _, _) = link(&telegram, 2).await;
    assert!(timeout(FOR_EVER, link.next()).await.is_err());
    telegram.middle().configure_dc(2, |settings| settings.rotate = Some(LIFE)).await;
    assert_eq!(link.next().await, Said::Other(Event::Down(DownReason::Closed)));
}

#[tokio::test]
async fn one_link_is_closed_in_order() {
    let telegram = telegram();
    let (mut first, conn, number) = link(&telegram, 2).await;
    let (mut second, other, _) = link(&telegram, 2).await;
    // What is queued goes out before.
    tell(&telegram, number, &Packet::Answer { flags: 0, conn, message: &[5; 8] }).await;
    assert!(telegram.middle().tell(number, Order::Close).await);
    assert_eq!(first.answer(conn).await, [5; 8]);
    assert_eq!(first.stream.read(&mut [0; 8]).await.unwrap(), 0);
    let states: Vec<LinkState> = telegram.middle().links().iter().map(|link| link.state).collect();
    assert_eq!(states, [LinkState::Closing, LinkState::Ready]);
    // What was on the way is read, and counted as lost.
    first.command(conn, &Command::Report).await;
    let counts = telegram.middle().counters().wait_until(|counts| counts.messages_in == 3).await;
    assert_eq!((counts.lost, counts.links()), (1, 2));
    second.echo(other, b"not this one").await;
    drop(first);
    let links = telegram.middle().wait_for_links(|links| links.len() == 1).await;
    assert_ne!(links[0].number, number);
    assert!(!telegram.middle().tell(number, Order::Close).await, "it is gone");
    assert_eq!(telegram.middle().clients(number).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_end_is_ended() {
    let telegram = telegram();
    let (_open, _, number) = link(&telegram, 2).await;
    assert!(telegram.middle().tell(number, Order::Close).await);
    telegram.middle().wait_for_links(|links| links.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_read_is_ended() {
    let telegram = telegram();
    let (mut open, conn, number) = link(&telegram, 2).await;
    open.command(conn, &Command::Send(Send { count: 10_000, size: 50_000, seed: 1 })).await;
    telegram.middle().counters().wait_until(|counts| counts.messages_out > 1).await;
    assert!(telegram.middle().tell(number, Order::Close).await);
    telegram.middle().wait_for_links(|links| links.is_empty()).await;
    assert!(telegram.middle().counters().read().messages_out < 10_000);
}

#[tokio::test]
async fn one_link_is_reset() {
    let telegram = telegram();
    let (mut link, _, number) = link(&telegram, 2).await;
    assert!(telegram.middle().tell(number, Order::Reset).await);
    let error = link.stream.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    telegram.middle().wait_for_links(|links| links.is_empty()).await;
}

#[tokio::test]
async fn a_link_ends_in_the_middle_of_a_frame() {
    let telegram = telegram();
    let (mut link, _, number) = link(&telegram, 2).await;
    assert!(telegram.middle().tell(number, Order::Raw(vec![64, 0, 0, 0, 1, 0, 0, 0])).await);
    assert!(telegram.middle().tell(number, Order::Close).await);
    assert_eq!(link.next().await, Said::Other(Event::Down(DownReason::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_link_is_read_and_says_nothing() {
    let telegram = telegram();
    let (mut link, conn, number) = link(&telegram, 2).await;
    assert!(telegram.middle().tell(number, Order::Stall(true)).await);
    link.command(conn, &Command::Report).await;
    link.ping().await;
    let counters = telegram.middle().counters();
    counters.wait_until(|counts| counts.messages_in == 2 && counts.pings_in == 1).await;
    assert!(timeout(Duration::from_secs(4), link.next()).await.is_err());
    assert!(telegram.middle().tell(number, Order::Stall(false)).await);
    assert!(matches!(link.next().await, Said::Other(Event::Pong { .. })));
    link.echo(conn, b"what was asked meanwhile has no answer").await;
    // A stalled link ends with the proxy's end.
    assert_eq!(telegram.middle().tell_all(2, &Order::Stall(true)).await, 1);
    link.command(conn, &Command::Report).await;
    drop(link);
    telegram.middle().wait_for_links(|links| links.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn new_links_stall_too() {
    let telegram = telegram();
    telegram.middle().configure_dc(2, |settings| settings.stall = true).await;
    let mut link = Link::dial(endpoint(&telegram, 2), |_| {}).await.unwrap();
    assert!(timeout(FOR_EVER, link.next()).await.is_err());
    Link::ready(endpoint(&telegram, 3)).await;
    telegram.middle().configure_dc(2, |settings| settings.stall = false).await;
    assert!(matches!(link.next().await, Said::Other(Event::Ready(_))));
}

#[tokio::test(start_paused = true)]
async fn endpoints_refuse_close_and_keep_silent() {
    let telegram = telegram();
    let address = endpoint(&telegram, 4);
    let (mut before, conn, _) = link(&telegram, 4).await;
    telegram.middle().set_behaviour(4, Behaviour::Refuse).await;
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    telegram.middle().set_endpoint_behaviour(address, Behaviour::Close).await;
    let mut closed = TcpStream::connect(address).await.unwrap();
    assert_eq!(closed.read(&mut [0; 8]).await.unwrap(), 0);
    telegram.middle().set_behaviour(4, Behaviour::Silent).await;
    let mut silent = Link::dial(address, |_| {}).await.unwrap();
    assert!(timeout(FOR_EVER, silent.next()).await.is_err());
    before.echo(conn, b"those it has stay").await;
    telegram.middle().set_behaviour(4, Behaviour::Serve).await;
    Link::ready(address).await;
}

#[tokio::test(start_paused = true)]
async fn handshakes_go_wrong() {
    for (conduct, reason) in [
        (Conduct::Refuse(-6), DownReason::Refused(-6)),
        (Conduct::Refuse(7), DownReason::Refused(7)),
        (Conduct::AnotherSelector, DownReason::Selector),
        (Conduct::AnotherSchema, DownReason::Schema(!1)),
        (Conduct::AnotherNonce, DownReason::ClosedAtHandshake),
    ] {
        let telegram = configured(|settings| settings.handshake = conduct).await;
        assert_eq!(Link::refused(endpoint(&telegram, 2), |_| {}).await, reason, "{conduct:?}");
        telegram.middle().wait_for_links(|links| links.is_empty()).await;
        assert_eq!(telegram.middle().counters().violations(), [].into(), "{conduct:?}");
    }
    for conduct in [Conduct::SilentAtNonce, Conduct::SilentAtHandshake] {
        let telegram = configured(|settings| settings.handshake = conduct).await;
        let mut link = Link::dial(endpoint(&telegram, 2), |_| {}).await.unwrap();
        assert!(timeout(FOR_EVER, link.next()).await.is_err(), "{conduct:?}");
        assert_eq!(telegram.middle().links()[0].state, LinkState::Handshake);
    }
}

#[tokio::test]
async fn clocks_may_differ_by_thirty_seconds() {
    let telegram = configured(|settings| settings.clock_ahead = 40).await;
    assert_eq!(Link::refused(endpoint(&telegram, 2), |_| {}).await, DownReason::ClosedAtNonce);
    assert_eq!(telegram.middle().counters().violations(), [(Violation::Clock, 1)].into());
    telegram.middle().configure(|settings| settings.clock_ahead = -20).await;
    let (_link, ready) = Link::ready_with(endpoint(&telegram, 2), |_| {}).await;
    assert!((-21..=-18).contains(&ready.clock_ahead), "{}", ready.clock_ahead);
}

#[tokio::test]
async fn proxies_may_be_behind_nat() {
    let outside = "198.51.100.77".parse().unwrap();
    let telegram = configured(|settings| settings.seen_from = Some(outside)).await;
    assert_eq!(Link::refused(endpoint(&telegram, 2), |_| {}).await, DownReason::ClosedAtHandshake);
    assert_eq!(telegram.middle().counters().violations(), [(Violation::Keys, 1)].into());
    Link::ready_with(endpoint(&telegram, 2), |setup| setup.proxy.set_ip(outside)).await;
}

#[tokio::test]
async fn crc32c_is_granted_or_not() {
    let telegram = telegram();
    for (granted, offered) in [(true, true), (true, false), (false, true), (false, false)] {
        telegram.middle().configure(|settings| settings.crc32c = granted).await;
        let offer = |setup: &mut teleferry_proto::middle::Setup| setup.crc32c = offered;
        let (mut link, ready) = Link::ready_with(endpoint(&telegram, 2), offer).await;
        assert_eq!(ready.crc32c, granted && offered);
        let conn = link.middle.open(client(Framing::Abridged));
        link.echo(conn, b"under either checksum").await;
    }
    let counts = telegram.middle().counters().read();
    assert_eq!((counts.ready, counts.crc32c), (4, 1));
}

#[tokio::test]
async fn the_secret_may_change() {
    let telegram = telegram();
    let (mut before, conn, _) = link(&telegram, 2).await;
    let secret = MiddleSecret::new(&[9; 256]).unwrap();
    telegram.middle().configure(|settings| settings.secret = secret.clone()).await;
    assert_eq!(Link::refused(endpoint(&telegram, 2), |_| {}).await, DownReason::ClosedAtNonce);
    assert_eq!(telegram.middle().counters().violations(), [(Violation::Selector, 1)].into());
    Link::ready_with(endpoint(&telegram, 2), |setup| setup.secret = secret.clone()).await;
    before.echo(conn, b"those it has stay").await;
}

#[tokio::test]
async fn pings_go_both_ways() {
    let telegram = telegram();
    let (mut link, conn, number) = link(&telegram, 2).await;
    for id in 0..3 {
        tell(&telegram, number, &Packet::Ping([id; 8])).await;
    }
    link.ping().await;
    assert!(matches!(link.next().await, Said::Other(Event::Pong { .. })));
    link.echo(conn, b"still here").await;
    let counts = telegram.middle().counters().wait_until(|counts| counts.pongs == 3).await;
    assert_eq!((counts.pings_out, counts.pings_in, counts.violations), (3, 1, 0));
}

#[tokio::test]
async fn strangers_are_closed_by_the_proxy() {
    let telegram = telegram();
    let (mut link, conn, number) = link(&telegram, 2).await;
    let far = |offset: i64| ConnId::new(conn.get().wrapping_sub(1000 + offset));
    tell(&telegram, number, &Packet::Answer { flags: 0, conn: far(1), message: &[1; 8] }).await;
    tell(&telegram, number, &Packet::Ack { conn: far(2), token: [1; 4] }).await;
    tell(&telegram, number, &Packet::CloseExt(far(3))).await;
    link.echo(conn, b"they are nobody's").await;
    let counts = telegram.middle().counters().wait_until(|counts| counts.strangers_closed == 2).await;
    assert_eq!((counts.strangers, counts.violations, counts.clients()), (2, 0, 1));
}

#[tokio::test]
async fn nonsense_is_passed_over() {
    let telegram = telegram();
    let (mut link, conn, number) = link(&telegram, 2).await;
    for payload in [vec![7; 4], vec![7; 64], vec![0; 5 << 20]] {
        assert!(telegram.middle().tell(number, Order::Payload(payload)).await);
    }
    link.echo(conn, b"nothing happened").await;
    assert_eq!(link.middle.ignored(), 3);
}

#[tokio::test]
async fn one_client_is_closed() {
    let telegram = telegram();
    let (mut link, conn, number) = link(&telegram, 2).await;
    let other = link.middle.open(client(Framing::Abridged));
    link.echo(other, b"before").await;
    let clients = telegram.middle().clients(number).await.unwrap();
    assert_eq!(clients.iter().map(|client| client.conn).collect::<Vec<_>>(), [conn, other]);
    let found = clients[0];
    assert_eq!((found.client, found.proxy), (client_address(), proxy_address()));
    assert_eq!((found.ad_tag, found.messages), (None, 1));

    tell(&telegram, number, &Packet::CloseExt(conn)).await;
    // It does not know yet.
    link.command(conn, &Command::Report).await;
    assert_eq!(link.next().await, Said::Other(Event::Closed { conn }));
    link.echo(other, b"after").await;
    let counts = telegram.middle().counters().read();
    assert_eq!((counts.closed_here, counts.late, counts.clients(), counts.violations), (1, 1, 1, 0));
    // Both sides close at once.
    tell(&telegram, number, &Packet::CloseExt(other)).await;
    link.middle.close(other);
    link.flush().await.unwrap();
    link.ping().await;
    assert!(matches!(link.next().await, Said::Other(Event::Pong { .. })));
    assert_eq!(telegram.middle().counters().read().violations, 0);
}

#[tokio::test]
async fn frames_of_up_to_16_mib() {
    let telegram = telegram();
    let (mut link, conn, number) = link(&telegram, 2).await;
    for len in [5 << 20, (5 << 20) + 4, 9_999_996, MAX_FRAME - OVERHEAD - 16] {
        let message: Vec<u8> = (0..len).map(|index| (index / 3) as u8).collect();
        tell(&telegram, number, &Packet::Answer { flags: 0, conn, message: &message }).await;
        assert!(link.answer(conn).await == message, "{len} bytes");
    }
    link.echo(conn, b"after all of them").await;
}

#[tokio::test]
async fn endpoints_come_and_go() {
    let telegram = telegram();
    let proxies = telegram.middle();
    let first = endpoint(&telegram, 5);
    let (mut kept, conn, _) = link(&telegram, 5).await;
    let added = proxies.add_endpoint(5, first.ip()).unwrap();
    let mut gone = Link::ready(added).await;
    let of_five = |published: bool| -> Vec<SocketAddr> {
        let endpoints = proxies.endpoints().into_iter();
        endpoints.filter(|one| one.dc == 5 && one.published == published).map(|one| one.address).collect()
    };
    assert!(of_five(true).len() == 2 && of_five(true).contains(&added));
    proxies.publish(first, false);
    assert_eq!((of_five(true), of_five(false)), (vec![added], vec![first]));
    kept.echo(conn, b"it serves on").await;
    proxies.remove_endpoint(added).await;
    assert_eq!(gone.next().await, Said::Other(Event::Down(DownReason::Closed)));
    assert_eq!(TcpStream::connect(added).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(of_five(true).is_empty());
}

#[tokio::test]
async fn stopping_closes_every_link() {
    let telegram = telegram();
    let (mut link, _, _) = link(&telegram, 2).await;
    let proxies = std::sync::Arc::clone(telegram.middle());
    telegram.stop().await;
    assert_eq!(proxies.counters().read().links(), 0);
    assert_eq!(link.next().await, Said::Other(Event::Down(DownReason::Closed)));
    assert_eq!(link.next().await, Said::End);
}
