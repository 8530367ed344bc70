//! How much may come at once.

use teleferry_proto::accept::Stranger;
use teleferry_sim::client::Opening;
use tokio::io::AsyncWriteExt as _;

use super::stage::{SITE, Stage, ask, padded, tls};
use crate::common::soon;

/// Who comes while too many are proving themselves is a visitor at once.
#[tokio::test]
async fn handshakes_in_flight_are_limited() {
    let stage = Stage::new(|snapshot| snapshot.limits.handshakes = 2).await;
    let mut slow = Vec::new();
    for n in 1..=2 {
        let mut stream = stage.connect_from(1).await;
        stream.write_all(&[0x16, 3]).await.expect("sent");
        stage.proxy.counted(|counts| counts.accepted == n).await;
        slow.push(stream);
    }
    // Both hold a place once the shards had their turn; whoever comes from then on does not get one.
    soon(async {
        while stage.proxy.server.gate().handshakes < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stage.is_visitor(&tls(), 1).await;
    stage.strangers(&[(Stranger::HandshakeLimit, 1)]).await;
    drop(slow);
    soon(async {
        while stage.proxy.server.gate().handshakes > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // A client that came in holds none.
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(stage.enter(&padded(), 1).await);
    }
    assert_eq!(stage.proxy.server.gate().handshakes, 0);
}

/// One new connection a second from a network: of two in a row, sooner or later both come within one second.
#[tokio::test]
async fn new_connections_from_a_network_are_limited() {
    let stage = Stage::new(|snapshot| snapshot.limits.new_per_second = 1).await;
    let mut clients = 0;
    let limited = async {
        loop {
            let wire = Opening::new(&padded()).first_bytes().to_vec();
            // 127.0.0.1 to 127.0.0.3 are of one network.
            match ask(stage.connect_from(1 + clients % 3).await, &wire).await.as_slice() {
                b"" => clients += 1,
                answer => return assert_eq!(answer, SITE),
            }
        }
    };
    soon(limited).await;
    assert!(clients > 0, "the first one comes in");
    stage.strangers(&[(Stranger::RateLimit, 1)]).await;
}
