//! What several tests need.

use teleferry_sim::client::Client;

/// Sends zeros until nobody takes them any more, and says how many. On a single-threaded runtime: everybody else gets
/// turns, and enough of them to see everything that the sockets have.
pub(crate) async fn fill_until_stuck(client: &Client) -> u64 {
    const TURNS: usize = 1_000;
    let stream = client.sender.stream();
    let mut sent = 0;
    let mut idle_turns = 0;
    while idle_turns < TURNS {
        match stream.try_write(&[0; 64 << 10]) {
            Ok(len) => {
                sent += len as u64;
                idle_turns = 0;
            }
            Err(_) => {
                idle_turns += 1;
                tokio::task::yield_now().await;
            }
        }
        assert!(sent < 64 << 20, "somebody reads");
    }
    sent
}
