//! The plain relay carries everything, ends included.

use teleferry_sim::client::{Client, Options, Protocol};
use teleferry_sim::command::{Command, Send};
use teleferry_sim::relay::Relay;
use teleferry_sim::telegram::{self, Telegram};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_relay_changes_nothing() {
    let telegram = Telegram::start(&telegram::Options::default()).unwrap();
    let relay = Relay::start(telegram.address(2)).unwrap();
    let mut client = Client::connect(relay.address(), &Options::new(Protocol::Abridged, None)).await.unwrap();
    client.echo(vec![1; 500_000]).await.unwrap();
    client.download(Send { count: 20, size: 70_000, seed: 1 }).await.unwrap();

    client.command(&Command::HalfClose).await.unwrap();
    client.receiver.expect_end().await.unwrap();
    client.command(&Command::Discard(vec![])).await.unwrap();
    telegram.counters(2).wait_until(|counts| counts.frames_in == 4).await;
    drop(client);
    telegram.counters(2).wait_until(|counts| counts.open() == 0).await;

    let address = relay.address();
    drop(relay);
    assert!(TcpStream::connect(address).await.is_err());
}
