//! Clients on links: the same answers as over direct connections.

use teleferry_proto::message::{req_pq_multi, res_pq_nonce};
use teleferry_proto::middle::{Client, Event};
use teleferry_proto::transport::{Framing, MAX_CLIENT_MESSAGE};
use teleferry_sim::command::{Command, Packet, Send, quick_ack_token};
use teleferry_sim::middle::{DC_IDS, LinkState};
use tokio::task::JoinSet;

use crate::link::{Link, Said, client, client_address, proxy_address};
use crate::{endpoint, telegram, telegram_on_both};

#[tokio::test]
async fn every_id_answers_in_every_framing() {
    let telegram = telegram();
    for (index, dc) in DC_IDS.into_iter().enumerate() {
        let mut link = Link::ready(endpoint(&telegram, dc)).await;
        for framing in Framing::ALL {
            for ad_tag in [None, Some([3; 16])] {
                let conn = link.middle.open(Client { ad_tag, ..client(framing) });
                link.send(conn, &req_pq_multi(4, [9; 16]), false).await;
                assert_eq!(res_pq_nonce(&link.answer(conn).await), Some([9; 16]));
                let report = link.report(conn).await;
                assert_eq!((report.dc, report.asked_dc, report.framing), (dc.abs(), dc, framing.tag()));
                assert_eq!((report.frames_in, report.frames_out, report.bytes_in), (2, 1, 40 + 56));
                let middle = report.middle.unwrap();
                assert_eq!((middle.link, middle.conn, middle.ad_tag), (index as u64 + 1, conn.get(), ad_tag));
                assert_eq!((middle.client, middle.proxy), (client_address(), proxy_address()));
            }
        }
    }
    assert_eq!(telegram.counters(2).read().res_pq, 12);
    assert_eq!(telegram.counters(2).read().accepted, 0);
    let counts = telegram.middle().counters().read();
    assert_eq!(
        (counts.ready, counts.clients_opened, counts.messages_in, counts.messages_out),
        (12, 72, 144, 144)
    );
    assert_eq!(telegram.middle().counters().violations(), [].into());
}

#[tokio::test]
async fn links_over_ipv6_have_keys_of_their_own() {
    let Some(telegram) = telegram_on_both() else { return };
    for endpoint in telegram.middle().endpoints() {
        let mut link = Link::ready(endpoint.address).await;
        let conn = link.middle.open(client(Framing::Padded));
        link.echo(conn, b"over either family").await;
    }
    assert_eq!(telegram.middle().counters().read().ready, 24);
}

#[tokio::test]
async fn echoes_of_every_length_come_back_whole() {
    let telegram = telegram();
    let mut link = Link::ready(endpoint(&telegram, 2)).await;
    let conn = link.middle.open(client(Framing::Intermediate));
    for len in [0, 1, 40, 41, 16_384, 65_500, 100_001, MAX_CLIENT_MESSAGE - 16] {
        link.echo(conn, &vec![len as u8; len]).await;
    }
    assert_eq!(telegram.counters(2).read().echoed, 8);
}

#[tokio::test]
async fn quick_acks_come_before_the_answer() {
    let telegram = telegram();
    let mut link = Link::ready(endpoint(&telegram, -4)).await;
    let conn = link.middle.open(client(Framing::Abridged));
    let packet = Command::Echo(b"acknowledge me".to_vec()).encode();
    link.send(conn, &packet, true).await;
    let token = quick_ack_token(&Packet::parse(&packet).unwrap());
    assert_eq!(link.next().await, Said::Other(Event::Ack { conn, token }));
    assert_eq!(link.answer(conn).await, packet);
    link.command(conn, &Command::QuickAck([1, 2, 3, 4])).await;
    assert_eq!(link.next().await, Said::Other(Event::Ack { conn, token: [1, 2, 3, 0x84] }));
    let counts = telegram.middle().counters().read();
    assert_eq!((counts.acks_asked, counts.acks_sent, counts.violations), (1, 2, 0));
    assert_eq!(telegram.counters(4).read().quick_acks_sent, 2);
}

#[tokio::test]
async fn downloads_are_exact_and_what_follows_waits() {
    let telegram = telegram();
    let mut link = Link::ready(endpoint(&telegram, 2)).await;
    let conn = link.middle.open(client(Framing::Padded));
    for (count, size) in [(0, 100), (1, 2 << 20), (1000, 56), (20, 65_537)] {
        let send = Send { count, size, seed: 9 };
        link.queue(conn, &Command::Send(send).encode(), false);
        let after = Command::Echo(b"behind it".to_vec()).encode();
        link.send(conn, &after, false).await;
        for index in 0..count {
            assert!(send.verify(index, &link.answer(conn).await), "{index} of {count}");
        }
        assert_eq!(link.answer(conn).await, after);
    }
}

#[tokio::test]
async fn a_download_leaves_room_for_the_neighbours() {
    let telegram = telegram();
    let mut link = Link::ready(endpoint(&telegram, 2)).await;
    let greedy = link.middle.open(client(Framing::Padded));
    let neighbour = link.middle.open(client(Framing::Padded));
    let send = Send { count: 1000, size: 50_000, seed: 1 };
    link.command(greedy, &Command::Send(send)).await;
    let packet = Command::Echo(b"in between".to_vec()).encode();
    link.send(neighbour, &packet, false).await;
    let mut index = 0;
    loop {
        match link.next().await {
            Said::Answer { conn, message } if conn == greedy => {
                assert!(send.verify(index, &message), "{index}");
                index += 1;
            }
            Said::Answer { message, .. } => {
                assert_eq!(message, packet);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(index < send.count / 2, "only after {index} packets");
}

#[tokio::test]
async fn errors_are_sent_as_asked_and_raw_bytes_not_at_all() {
    let telegram = telegram();
    let mut link = Link::ready(endpoint(&telegram, 2)).await;
    let conn = link.middle.open(client(Framing::Padded));
    link.command(conn, &Command::error(-429)).await;
    assert_eq!(link.answer(conn).await, (-429_i32).to_le_bytes());
    link.command(conn, &Command::Raw(vec![1; 8])).await;
    link.send(conn, &[0x77; 64], false).await;
    assert_eq!(link.answer(conn).await, (-404_i32).to_le_bytes());
    assert_eq!(telegram.counters(2).read().unknown_keys, 1);
}

#[tokio::test]
async fn one_client_stalls_alone() {
    let telegram = telegram();
    for command in [Command::Stall, Command::Freeze] {
        let mut link = Link::ready(endpoint(&telegram, 2)).await;
        let [stalled, other] = [(); 2].map(|()| link.middle.open(client(Framing::Padded)));
        link.command(stalled, &command).await;
        link.command(stalled, &Command::Report).await;
        link.echo(other, b"goes on").await;
    }
    assert_eq!(telegram.counters(2).read().commands, 2);
}

#[tokio::test]
async fn every_way_of_closing_closes_the_client_alone() {
    let telegram = telegram();
    let mut link = Link::ready(endpoint(&telegram, 2)).await;
    let other = link.middle.open(client(Framing::Padded));
    link.echo(other, b"before").await;
    for command in [Command::Close, Command::Reset, Command::HalfClose] {
        let conn = link.middle.open(client(Framing::Padded));
        link.command(conn, &command).await;
        assert_eq!(link.next().await, Said::Other(Event::Closed { conn }));
    }
    link.echo(other, b"after").await;
    link.middle.close(other);
    link.flush().await.unwrap();
    let counts = telegram.middle().counters().wait_until(|counts| counts.clients() == 0).await;
    assert_eq!((counts.clients_opened, counts.closed_here, counts.closed_by_proxy), (4, 3, 1));
    assert_eq!(counts.violations, 0);
}

#[tokio::test]
async fn ten_thousand_clients_share_four_links() {
    const LINKS: usize = 4;
    const CLIENTS: usize = 2_500;
    let telegram = telegram();
    let address = endpoint(&telegram, 2);
    let mut tasks = JoinSet::new();
    for number in 0..LINKS {
        tasks.spawn(async move {
            let mut link = Link::ready(address).await;
            let mut waiting = std::collections::HashMap::new();
            for index in 0..CLIENTS {
                let conn = link.middle.open(client(Framing::ALL[index % 3]));
                let packet = Command::Echo(vec![number as u8; 1 + index % 500]).encode();
                link.queue(conn, &packet, false);
                waiting.insert(conn, packet);
            }
            link.flush().await.unwrap();
            while !waiting.is_empty() {
                match link.next().await {
                    Said::Answer { conn, message } => assert_eq!(waiting.remove(&conn), Some(message)),
                    other => panic!("{other:?}"),
                }
            }
            link
        });
    }
    let links = tasks.join_all().await;
    let counts = telegram.middle().counters().read();
    assert_eq!((counts.links(), counts.clients()), (LINKS as u64, (LINKS * CLIENTS) as u64));
    assert_eq!((counts.messages_in, counts.messages_out, counts.violations), (10_000, 10_000, 0));
    for info in telegram.middle().links() {
        assert_eq!((info.dc, info.endpoint, info.state), (2, address, LinkState::Ready));
        assert_eq!((info.clients, info.clients_total, info.messages), (2_500, 2_500, 2_500));
    }
    drop(links);
    let counts = telegram.middle().counters().wait_until(|counts| counts.links() == 0).await;
    assert_eq!(counts.clients(), 0);
    assert_eq!(telegram.middle().links(), []);
}

/// What a middle proxy keeps for a link that reads nothing is what the sockets hold and a bounded queue.
#[tokio::test]
async fn a_link_that_does_not_read_is_not_read_from() {
    const PACKET: u64 = 10_000;
    const TURNS: usize = 1_000;
    let telegram = telegram();
    let mut link = Link::ready(endpoint(&telegram, 2)).await;
    let conn = link.middle.open(client(Framing::Intermediate));
    let send = Send { count: 20_000, size: PACKET as u32, seed: 3 };
    link.command(conn, &Command::Send(send)).await;
    let counters = telegram.middle().counters();
    counters.wait_until(|counts| counts.messages_out > 0).await;
    // Until nobody takes anything any more.
    let (mut unread, mut idle_turns) = (0, 0);
    let packet = Command::Discard(vec![0; 50_000]).encode();
    while idle_turns < TURNS {
        if link.middle.queued() < packet.len() {
            link.queue(conn, &packet, false);
            unread += packet.len() as u64;
        }
        let bytes = link.middle.poll_transmit().unwrap();
        match link.stream.try_write(bytes) {
            Ok(len) => {
                link.middle.transmitted(len);
                idle_turns = 0;
            }
            Err(_) => {
                idle_turns += 1;
                tokio::task::yield_now().await;
            }
        }
        assert!(unread < 64 << 20, "somebody reads");
    }
    let counts = counters.read();
    assert!(counts.messages_out < u64::from(send.count) / 4, "{counts:?}");
    assert!(counts.bytes_in < unread, "{counts:?}");
    // When the link reads, it goes on.
    for index in 0..counts.messages_out as u32 + 100 {
        assert!(send.verify(index, &link.answer(conn).await), "{index}");
    }
}
