//! What a link does when nothing comes.

use std::time::Duration;

use teleferry_proto::middle::{DownReason, Event, SUSPECT_AFTER};
use teleferry_proto::rpc::Packet;
use teleferry_proto::transport::Framing;

use crate::pair::{Heard, Pair, Said, client, counterpart, message, setup};

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

fn pings(pair: &mut Pair) -> usize {
    use teleferry_proto::middle::server::Event;
    pair.take_heard().iter().filter(|heard| matches!(heard, Heard::Event(Event::Ping(_)))).count()
}

fn suspicions(pair: &mut Pair) -> usize {
    pair.take_said().iter().filter(|&said| *said == Said::Event(Event::Suspect)).count()
}

#[test]
fn a_quiet_link_is_pinged_every_25_to_35_seconds() {
    let mut waits = Vec::new();
    for seed in 0..20 {
        let mut setup = setup();
        setup.entropy[31] = seed;
        let mut pair = Pair::new(setup.clone(), counterpart(&setup));
        pair.drive();
        let start = pair.now;
        let wait = pair.middle.poll_timeout().expect("a deadline").duration_since(start);
        assert!((Duration::from_secs(25)..Duration::from_secs(35)).contains(&wait), "{wait:?}");
        waits.push(wait);
        pair.take_said();
        pair.pass(Duration::from_secs(3600));
        assert!((102..=144).contains(&pings(&mut pair)), "pings an hour");
        let said = pair.take_said();
        assert!(said.iter().all(|said| *said == Said::Event(Event::Pong { after: Duration::ZERO })));
        assert!(pair.middle.is_ready());
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 10, "no jitter: {waits:?}");
}

#[test]
fn a_link_that_hears_something_is_not_pinged() {
    let mut pair = Pair::ready();
    for _ in 0..100 {
        pair.pass(Duration::from_secs(24));
        pair.server.send(&Packet::Ping([1; 8]));
        pair.drive();
    }
    assert_eq!(pings(&mut pair), 0);
}

#[test]
fn a_pong_says_how_long_it_took() {
    let mut pair = Pair::ready();
    let ping_at = pair.middle.poll_timeout().expect("a deadline");
    pair.now = ping_at;
    pair.middle.timeout(ping_at);
    pair.now += 70 * MS;
    pair.drive();
    assert_eq!(pair.take_said(), [Said::Event(Event::Pong { after: 70 * MS })]);
    // One that nobody waits for is nothing.
    pair.server.send(&Packet::Pong([9; 8]));
    pair.drive();
    assert_eq!(pair.take_said(), []);
}

#[test]
fn two_pings_without_an_answer_and_it_is_dead() {
    let mut pair = Pair::ready();
    pair.cut_off = true;
    pair.pass(Duration::from_secs(74));
    assert_eq!(pair.take_said(), []);
    pair.pass(Duration::from_secs(32));
    assert_eq!(pair.take_said(), [Said::Event(Event::Down(DownReason::NoPong))]);
    assert_eq!(pair.middle.poll_timeout(), None);
}

#[test]
fn a_question_that_is_answered_by_nothing_makes_a_link_suspect_once() {
    let mut pair = Pair::ready();
    let conn = pair.middle.open(client(Framing::Abridged));
    pair.cut_off = true;
    pair.send(conn, &message(20, 1));
    pair.pass(SUSPECT_AFTER - MS);
    assert!(!pair.middle.is_suspect());
    assert_eq!(suspicions(&mut pair), 0);
    pair.pass(MS);
    assert_eq!(suspicions(&mut pair), 1);
    pair.send(conn, &message(20, 1));
    pair.pass(Duration::from_secs(10));
    assert!(pair.middle.is_suspect());
    assert_eq!(suspicions(&mut pair), 0);
    // Late, but it answers: the next question is a new one.
    pair.cut_off = false;
    pair.server.send(&Packet::Answer { flags: 0, conn, message: &[1; 4] });
    pair.drive();
    assert!(!pair.middle.is_suspect());
    pair.cut_off = true;
    pair.send(conn, &message(20, 1));
    pair.pass(SUSPECT_AFTER);
    assert_eq!(suspicions(&mut pair), 1);
}

#[test]
fn an_answer_to_anybody_is_a_sign_of_life() {
    let mut pair = Pair::ready();
    let (a, b) = (pair.middle.open(client(Framing::Abridged)), pair.middle.open(client(Framing::Padded)));
    for _ in 0..10 {
        pair.send(a, &message(20, 1));
        pair.send(b, &message(20, 1));
        pair.pass(SUSPECT_AFTER - MS);
        pair.server.send(&Packet::Ack { conn: b, token: [0; 4] });
        pair.drive();
    }
    assert_eq!(suspicions(&mut pair), 0);
}

#[test]
fn an_answer_that_comes_too_late_for_its_client_is_one_too() {
    let mut pair = Pair::ready();
    let (a, b) = (pair.middle.open(client(Framing::Abridged)), pair.middle.open(client(Framing::Padded)));
    pair.send(a, &message(20, 1));
    pair.send(b, &message(20, 1));
    pair.middle.close(a);
    pair.pass(SUSPECT_AFTER - MS);
    pair.server.send(&Packet::Answer { flags: 0, conn: a, message: &[1; 4] });
    pair.pass(MINUTE);
    assert_eq!(suspicions(&mut pair), 0);
}

#[test]
fn a_message_that_needs_no_answer_costs_a_ping_and_no_suspicion() {
    let mut pair = Pair::ready();
    let conn = pair.middle.open(client(Framing::Abridged));
    pair.send(conn, &message(20, 1));
    pair.drive();
    pair.server.send(&Packet::Answer { flags: 0, conn, message: &[1; 4] });
    pair.drive();
    pair.take_heard();
    // As clients acknowledge what they got.
    pair.send(conn, &message(20, 1));
    pair.pass(Duration::from_secs(20));
    assert_eq!((pings(&mut pair), suspicions(&mut pair)), (1, 0));
}

#[test]
fn a_middle_proxy_that_answers_pings_only_is_suspect() {
    let mut pair = Pair::ready();
    let conn = pair.middle.open(client(Framing::Abridged));
    pair.send(conn, &message(20, 1));
    pair.pass(SUSPECT_AFTER - MS);
    assert_eq!((pings(&mut pair), suspicions(&mut pair)), (1, 0));
    pair.pass(MS);
    assert_eq!(suspicions(&mut pair), 1);
    pair.pass(MINUTE);
    assert!(pair.middle.is_suspect(), "a pong is no answer");
    assert_eq!(suspicions(&mut pair), 0);
}

#[test]
fn a_client_that_leaves_takes_its_question_along() {
    let mut pair = Pair::ready();
    let (a, b) = (pair.middle.open(client(Framing::Abridged)), pair.middle.open(client(Framing::Padded)));
    pair.send(a, &message(20, 1));
    pair.pass(1000 * MS);
    pair.middle.close(a);
    pair.pass(MINUTE);
    assert_eq!(suspicions(&mut pair), 0);
    // But not those of others.
    pair.send(b, &message(20, 1));
    let c = pair.middle.open(client(Framing::Padded));
    pair.pass(1000 * MS);
    pair.send(c, &message(20, 1));
    pair.middle.close(b);
    pair.pass(SUSPECT_AFTER - MS);
    assert_eq!(suspicions(&mut pair), 0);
    pair.pass(MS);
    assert_eq!(suspicions(&mut pair), 1);
}

#[test]
fn a_link_that_is_not_polled_for_long_does_what_is_due_and_no_more() {
    let mut pair = Pair::ready();
    let conn = pair.middle.open(client(Framing::Abridged));
    pair.send(conn, &message(20, 1));
    pair.now += 10 * MINUTE;
    pair.middle.timeout(pair.now);
    assert_eq!(suspicions(&mut pair), 1);
    assert!(pair.middle.is_ready());
    assert!(pair.middle.poll_timeout().expect("a deadline") > pair.now);
}
