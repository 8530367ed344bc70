//! What Telegram publishes, from a server on loopback to the next start.

mod common;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use common::settings_for;
use teleferry::config::{Mode, Snapshot};
use teleferry::telegram::{Feed, Known};

const SECRET: [u8; 64] = [9; 64];
const CONFIG: &[u8] = b"# force_probability 10 10\ndefault 4;\nproxy_for 4 192.0.2.4:8888;\n";
const CONFIG_V6: &[u8] = b"proxy_for 4 [2001:db8::4]:8888;\n";

fn settings(server: SocketAddr, state_dir: &Path) -> Snapshot {
    let mut snapshot = settings_for(std::collections::BTreeMap::new());
    snapshot.server.state_dir = state_dir.to_owned();
    let url = |path: &str| format!("http://{server}/{path}").parse().expect("a URL");
    snapshot.telegram.proxy_secret_url = url("secret");
    snapshot.telegram.proxy_config_url = url("config");
    snapshot.telegram.proxy_config_v6_url = url("config6");
    snapshot.telegram.ip_lookup.clear();
    snapshot.telegram.mode = Mode::Auto;
    snapshot
}

/// Answers three requests.
fn serve(listener: &TcpListener) {
    for _ in 0..3 {
        let (mut stream, _) = listener.accept().expect("a connection");
        let (mut asked, mut piece) = (Vec::new(), [0; 1024]);
        while !asked.ends_with(b"\r\n\r\n") {
            let count = stream.read(&mut piece).expect("readable");
            assert_ne!(count, 0, "the client hung up");
            asked.extend_from_slice(&piece[..count]);
        }
        let body = match String::from_utf8(asked).expect("text").split_whitespace().nth(1) {
            Some("/secret") => &SECRET[..],
            Some("/config") => CONFIG,
            Some("/config6") => CONFIG_V6,
            other => panic!("asked for {other:?}"),
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).expect("writable");
    }
}

fn is_as_served(known: &Known) -> bool {
    let targets: Vec<String> =
        known.middle_proxies().iter().flat_map(|(_, targets)| targets).map(ToString::to_string).collect();
    known.secret().as_bytes() == SECRET
        && known.default_dc().get() == 4
        && targets == ["192.0.2.4:8888", "[2001:db8::4]:8888"]
}

#[tokio::test]
async fn what_was_fetched_is_known_at_the_next_start_without_a_network() {
    let state = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has room");
    let snapshot = settings(listener.local_addr().expect("an address"), state.path());

    let mut feed = Feed::new(&snapshot);
    let mut known = feed.known();
    assert_eq!(**known.borrow(), Known::embedded());
    listener.set_nonblocking(true).expect("a socket");
    assert_eq!(
        listener.accept().expect_err("nobody is asked before the start").kind(),
        ErrorKind::WouldBlock
    );
    listener.set_nonblocking(false).expect("a socket");

    let serving = tokio::task::spawn_blocking(move || serve(&listener));
    feed.follow(&snapshot.telegram).expect("started");
    known.wait_for(|known| is_as_served(known)).await.expect("fetched");
    serving.await.expect("served");
    drop(feed);
    assert!(is_as_served(&known.borrow()), "what was known stays known");
    assert!(known.changed().await.is_err(), "and nothing more will come");

    let later = Feed::new(&snapshot);
    assert!(is_as_served(&later.known().borrow()));
}

#[test]
fn spoilt_copies_are_passed_over() {
    let state = tempfile::tempdir().expect("a directory");
    let snapshot = settings(([127, 0, 0, 1], 9).into(), state.path());
    let keep = |name: &str, bytes: &[u8]| std::fs::write(state.path().join(name), bytes).expect("written");
    keep("telegram-proxy-secret", b"<html>");
    keep("telegram-proxy-config", &[0; 100]);
    keep("telegram-proxy-config-v6", CONFIG_V6);
    let known = Arc::clone(&Feed::new(&snapshot).known().borrow());
    let embedded = Known::embedded();
    assert_eq!(known.secret(), embedded.secret());
    let count = |known: &Known, of: fn(&SocketAddr) -> bool| {
        known.middle_proxies().iter().flat_map(|(_, targets)| targets).filter(|target| of(target)).count()
    };
    assert_eq!(count(&known, SocketAddr::is_ipv4), count(&embedded, SocketAddr::is_ipv4));
    assert_eq!(count(&known, SocketAddr::is_ipv6), 1, "the good one counts");
}

#[test]
fn a_configured_address_is_known_from_the_start() {
    let state = tempfile::tempdir().expect("a directory");
    let mut snapshot = settings(([127, 0, 0, 1], 9).into(), state.path());
    snapshot.telegram.external_ip.v4 = Some([203, 0, 113, 7].into());
    assert_eq!(Feed::new(&snapshot).known().borrow().external_ip(), snapshot.telegram.external_ip);
}
