//! Many connections at once, and clients that do not read.

mod support;

use teleferry_sim::client::{Client, Opening, Options, Protocol};
use teleferry_sim::command::{Command, Send};
use teleferry_sim::limits;
use teleferry_sim::telegram::{self, Telegram};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 2_000;
const ROUNDS: usize = 3;

#[tokio::test]
async fn two_thousand_connections_echo_at_once() {
    let files = limits::raise_open_files();
    assert!(
        files.is_none_or(|files| files > 2 * CONNECTIONS as u64 + 100),
        "no more than {files:?} open files"
    );
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
    const PACKET: u64 = 10_000;
    let telegram = Telegram::start(&telegram::Options::default()).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(telegram.address(2)).await.unwrap();
    let opening = Opening::new(&Options::new(Protocol::Intermediate, None));
    stream.write_all(opening.first_bytes()).await.unwrap();
    let mut client = opening.finish(stream).await.unwrap();

    let send = Send { count: 4_000, size: PACKET as u32, seed: 3 };
    client.command(&Command::Send(send)).await.unwrap();
    telegram.counters(2).wait_until(|counts| counts.commands == 1).await;
    let unread = support::fill_until_stuck(&client).await;
    let counts = telegram.counters(2).read();
    assert_eq!(counts.frames_in, 1);
    assert!(counts.bytes_in < unread, "{counts:?}");
    let made = counts.frames_out * (PACKET + 4);
    assert!(made <= counts.bytes_out + (64 << 10) + PACKET + 4, "{counts:?}");
    assert!(made < u64::from(send.count) * PACKET / 4, "{counts:?}");

    // When the client reads, it goes on.
    let enough = counts.frames_out as u32 + 100;
    for index in 0..enough {
        assert!(send.verify(index, &client.receiver.message().await.unwrap()), "{index}");
    }
}
