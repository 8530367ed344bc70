//! What a crowd may cost.

mod common;

use std::net::SocketAddr;

use common::{Proxy, key, settings, soon, telegram};
use socket2::SockRef;
use teleferry_sim::client::{Client, Opening, Options, Protocol};
use teleferry_sim::command::{Command, Send};
use teleferry_sim::limits;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

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
            assert!(held <= CROWD * HELD + if fast_path { PIPED } else { 0 }, "{held} bytes are held");
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

/// More than the kernel keeps for one connection to a client of short segments, and all that a data centre sends.
const SEND: Send = Send { count: 4, size: 100_000, seed: 5 };

/// Clients that have asked for more than they ever read. Without records, so that what goes in comes out unchanged in
/// length.
async fn crowd(proxy: &Proxy) -> Vec<Client> {
    let options = Options::new(Protocol::Padded, Some(key()));
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut client = soon(connect(proxy.address, &options)).await;
        soon(client.command(&Command::Send(SEND))).await.expect("sent");
        crowd.push(client);
    }
    crowd
}

/// Connects over a way of short segments and with little room at its end: so the kernel keeps little, and a thousand of
/// them stay below what it has for the TCP of the whole machine. Above that it resets connections, of others too.
async fn connect(address: SocketAddr, options: &Options) -> Client {
    /// Bytes of a segment, as on the narrowest of ways.
    const SEGMENT: u32 = 536;
    /// Bytes that wait at the client.
    const ROOM: u32 = 8 << 10;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(ROOM).expect("option");
    SockRef::from(&socket).set_tcp_mss(SEGMENT).expect("option");
    let mut stream = socket.connect(address).await.expect("a connection");
    let opening = Opening::new(options);
    stream.write_all(opening.first_bytes()).await.expect("sent");
    opening.finish(stream).await.expect("let in")
}

/// Bytes that came from data centres and have not gone to clients.
fn held(proxy: &Proxy) -> u64 {
    let counts = proxy.counts();
    // What goes out is counted first.
    counts.from_telegram.saturating_sub(counts.to_client)
}
