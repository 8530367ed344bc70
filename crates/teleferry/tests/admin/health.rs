//! Does it turn, and could it serve a client?

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::common::telegram;
use crate::program::Program;

#[tokio::test]
async fn it_is_ready_when_telegram_can_be_reached() {
    let telegram = telegram();
    let program = Program::start(&telegram.addresses(), "http = \"127.0.0.1:0\"");
    for path in ["/healthz", "/readyz"] {
        let response = program.get(path);
        assert_eq!(response.status, 200, "{path}: {response:?}");
        assert_eq!(response.json()["ok"], true);
    }
}

#[test]
fn it_turns_but_is_not_ready_when_telegram_cannot_be_reached() {
    // A port that was just given back: nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address");
    let dc: BTreeMap<i16, Vec<SocketAddr>> = [(2, vec![closed])].into();
    let program = Program::start(&dc, "http = \"127.0.0.1:0\"");
    assert_eq!(program.get("/healthz").status, 200);
    let response = program.get("/readyz");
    assert_eq!(response.status, 503);
    let reasons = response.json()["reasons"].clone();
    assert!(
        reasons[0].as_str().is_some_and(|why| why.starts_with("Telegram cannot be reached")),
        "{reasons}"
    );
}
