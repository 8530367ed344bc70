//! Does it turn, and could it serve a client?

use std::collections::BTreeMap;
use std::net::SocketAddr;

use teleferry_sim::client::{Client, Options, Protocol};

use crate::common::{key, soon, telegram};
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

#[tokio::test]
async fn whoever_watches_sees_it_drain() {
    let telegram = telegram();
    let program = Program::start(&telegram.addresses(), "http = \"127.0.0.1:0\"");
    let options = Options::new(Protocol::FakeTls, Some(key()));
    let mut client = soon(Client::connect(program.address, &options)).await.expect("in");
    soon(client.echo(vec![7; 64])).await.expect("echo");
    assert!(program.ctl(&["drain"]).status.success());
    let stopping = async {
        while program.get("/readyz").status == 200 {
            tokio::task::yield_now().await;
        }
    };
    soon(stopping).await;
    let response = program.get("/readyz");
    assert_eq!(response.json()["reasons"][0], "the server stops and accepts nobody");
    assert_eq!(program.get("/status").json()["state"], "stopping");
    assert_eq!(program.get("/healthz").status, 200);
    soon(client.echo(vec![7; 64])).await.expect("whoever is there goes on");
}

#[tokio::test]
async fn a_telegram_that_never_answered_is_told_in_the_verdict() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address");
    let dc: BTreeMap<i16, Vec<SocketAddr>> = [(2, vec![closed])].into();
    let program = Program::start(&dc, "http = \"127.0.0.1:0\"");
    assert_eq!(program.get("/status").json()["state"], "online", "nobody has tried");
    let options = Options::new(Protocol::FakeTls, Some(key()));
    let mut client = soon(Client::connect(program.address, &options)).await.expect("in");
    assert!(!matches!(soon(client.recv()).await, Ok(Some(_))), "nobody answers");
    let troubled = async {
        while program.get("/status").json()["state"] != "troubled" {
            tokio::task::yield_now().await;
        }
    };
    soon(troubled).await;
}
