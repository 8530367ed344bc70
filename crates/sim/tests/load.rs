//! Many connections at once, and clients that do not read.

use teleferry_sim::client::{Client, Options, Protocol};
use teleferry_sim::command::{Command, Send};
use teleferry_sim::telegram::{self, Telegram};
use tokio::task::JoinSet;

const CONNECTIONS: usize = 2_000;
const ROUNDS: usize = 3;

#[tokio::test]
async fn two_thousand_connections_echo_at_once() {
    let telegram = Telegram::start(&telegram::Options::default()).unwrap();
    let address = telegram.address(2);
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        clients.spawn(async move {
            let protocol = [Protocol::Abridged, Protocol::Intermediate, Protocol::Padded][number % 3];
            let mut client = Client::connect(address, &Options::new(protocol, None)).await.unwrap();
            for round in 0..ROUNDS {
                client.echo(vec![(number + round) as u8; 1 + number % 1500]).await.unwrap();
            }
            client
        });
    }
    let open = clients.join_all().await;
    let counts = telegram.counters(2).read();
    assert_eq!((counts.accepted, counts.closed), (CONNECTIONS as u64, 0));
    assert_eq!(counts.echoed, (CONNECTIONS * ROUNDS) as u64);
    drop(open);
    telegram.counters(2).wait_until(|counts| counts.open() == 0).await;
}

/// What a data centre keeps for a client that reads nothing is what the sockets hold and a bounded queue: it makes what
/// it sends only when there is room, and stops reading.
#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from() {
    let telegram = Telegram::start(&telegram::Options::default()).unwrap();
    let options = Options::new(Protocol::Intermediate, None);
    let mut client = Client::connect(telegram.address(2), &options).await.unwrap();
    let send = Send { count: 100_000, size: 10_000, seed: 3 };
    client.command(&Command::Send(send)).await.unwrap();
    let started = telegram.counters(2).wait_until(|counts| counts.commands == 1).await;
    assert_eq!(started.frames_in, 1);

    // Uploads are not taken either, until both sockets are full.
    let packet = Command::Discard(vec![0; 100_000]).encode();
    let mut uploads = 0;
    let mut unsent = Vec::new();
    while unsent.is_empty() {
        let wire = client.sender.encode(&packet, false);
        let sent = send_what_fits(&client, &wire);
        unsent = wire[sent..].to_vec();
        uploads += 1;
        assert!(uploads < 2_000, "somebody reads");
    }
    let counts = telegram.counters(2).read();
    assert_eq!(counts.frames_in, 1);
    let made = counts.frames_out * 10_004;
    assert!(made <= counts.bytes_out + (64 << 10) + 20_000, "{counts:?}");
    assert!(made < u64::from(send.count) * 10_004 / 4, "{counts:?}");

    // And when the client reads, everything comes.
    let (mut sender, mut receiver) = client.split();
    let rest = tokio::spawn(async move {
        sender.send_raw(&unsent).await.unwrap();
        sender
    });
    for index in 0..5_000 {
        assert!(send.verify(index, &receiver.message().await.unwrap()), "{index}");
    }
    drop(receiver);
    rest.abort();
}

fn send_what_fits(client: &Client, wire: &[u8]) -> usize {
    let mut sent = 0;
    while sent < wire.len() {
        match client.sender.stream().try_write(&wire[sent..]) {
            Ok(len) => sent += len,
            Err(_) => break,
        }
    }
    sent
}
