//! What a crowd may cost.

mod common;

use common::{Proxy, key, settings, soon, telegram};
use teleferry_sim::client::{Client, Options, Protocol};
use teleferry_sim::command::{Command, Send};
use teleferry_sim::limits;

/// Clients that never read.
const CROWD: u64 = 1000;
/// Most of what the relay holds for one of them: one read of four full records.
const HELD: u64 = 4 * 16_384;
/// Most of what is in pipes, whose number is bounded too: the kernel's memory, but counted with the rest.
const PIPED: u64 = 32 * (256 << 10);

/// F-12 with a crowd: 1,000 clients of one shard never read what their data centre sends. What waits for them stays within
/// one read each, and their neighbour goes on.
#[tokio::test]
async fn f_12_a_crowd_that_never_reads_is_held_within_a_bound() {
    // Each needs four descriptors of this process: its own, two of the proxy, one of the data centre.
    let files = limits::raise_open_files();
    assert!(files.is_none_or(|files| files > 4 * CROWD + 200), "only {files:?} files may be open");
    for fast_path in [false, true] {
        let telegram = telegram();
        let mut snapshot = settings(&telegram);
        snapshot.telegram.fast_path = fast_path;
        snapshot.server.workers = 1;
        let proxy = Proxy::start(snapshot);
        let mut neighbour = proxy.client(Protocol::Padded).await;
        soon(neighbour.echo(vec![1; 64])).await.expect("echo");
        let crowd = crowd(&proxy).await;
        proxy.counted(|counts| counts.messages > CROWD).await;
        for _ in 0..500 {
            soon(neighbour.echo(vec![2; 64])).await.expect("the neighbour does not notice");
            let held = held(&proxy);
            assert!(held <= CROWD * HELD + PIPED, "{held} bytes are held");
        }
        // The kernel took what it has room for, and then the relay stopped reading.
        assert!(held(&proxy) > 0, "nobody was held up");
        let asked = CROWD * u64::from(SEND.count * SEND.size);
        assert!(proxy.counts().from_telegram < asked, "the kernel took everything");
        drop(crowd);
        proxy.counted(|counts| counts.open == 1).await;
        soon(neighbour.echo(vec![3; 64])).await.expect("echo");
    }
}

/// More than the kernel keeps for one connection.
const SEND: Send = Send { count: 40, size: 100_000, seed: 5 };

/// Clients that have asked for more than they ever read. Without records, so that what goes in comes out unchanged in
/// length.
async fn crowd(proxy: &Proxy) -> Vec<Client> {
    let options = Options::new(Protocol::Padded, Some(key()));
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut client = soon(Client::connect(proxy.address, &options)).await.expect("let in");
        soon(client.command(&Command::Send(SEND))).await.expect("sent");
        crowd.push(client);
    }
    crowd
}

/// Bytes that came from data centres and have not gone to clients.
fn held(proxy: &Proxy) -> u64 {
    let counts = proxy.counts();
    // What goes out is counted first.
    counts.from_telegram.saturating_sub(counts.to_client)
}
