//! Nothing that is shown or logged tells a secret, the token, or who the clients are.

use std::net::SocketAddr;

use teleferry_sim::client::{Opening, Options, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::common::{key, soon, telegram, wrong_key};
use crate::program::{Program, SECRET, TOKEN, text};

/// Where clients come from; nothing else here has that address.
const CLIENT: &str = "127.77.88.99";

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(CLIENT.parse().expect("an address"), 0)).expect("bound");
    soon(socket.connect(address)).await.expect("it listens")
}

#[tokio::test]
async fn what_is_shown_tells_no_secret_and_no_client() {
    let telegram = telegram();
    let settings =
        "http = \"127.0.0.1:0\"\ntoken_file = \"token\"\nseed_metric_names = true\n[log]\nlevel = \"trace\"";
    let mut program = Program::start(&telegram.addresses(), settings);
    let mut sessions = Vec::new();
    for protocol in Protocol::ALL {
        let opening = Opening::new(&Options::new(protocol, Some(key())));
        let mut client = connect(program.address).await;
        client.write_all(opening.first_bytes()).await.expect("sent");
        sessions.push(client);
        let mut stranger = connect(program.address).await;
        let wrong = Opening::new(&Options::new(protocol, Some(wrong_key())));
        stranger.write_all(wrong.first_bytes()).await.expect("sent");
        stranger.shutdown().await.expect("FIN");
        soon(stranger.read_to_end(&mut Vec::new())).await.expect("an orderly end");
    }
    // A session is there, so that what is shown has something to hide.
    let there = async {
        while program.get("/status").json()["clients"] == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(there).await;

    let mut shown = String::new();
    for path in
        ["/", "/metrics", "/status", "/healthz", "/readyz", "/api/v1/dcs", "/api/v1/history", "/api/v1/links"]
    {
        let response = program.get(path);
        shown += &response.head;
        shown += &response.body;
    }
    shown += &program.request_with_token("POST", "/api/v1/reload", TOKEN).body;
    shown += &program.request_with_token("POST", "/api/v1/reload", "a-wrong-token-of-length").body;
    shown += &program.request_with_token("GET", "/metrics", TOKEN).body;
    shown += &text(&program.ctl(&["status", "--json"]).stdout);
    drop(sessions);
    assert!(program.ctl(&["drain"]).status.success());
    shown += &program.wait();

    let shown = shown.to_lowercase();
    assert!(shown.contains("127.77.x.x"), "clients are in the log, masked");
    for secret in [SECRET, &SECRET[4..20], TOKEN, "a-wrong-token", CLIENT, "77.88.99"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}
