//! What no request may cost, whoever sends it.

use std::io::{Read as _, Write as _};

use crate::common::telegram;
use crate::program::{Program, TOKEN, read_response};

#[tokio::test]
async fn a_large_body_is_refused() {
    let telegram = telegram();
    let program = Program::with_token(&telegram.addresses());
    let request = |len: usize| {
        let mut bytes = format!(
            "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len}\r\n\r\n"
        )
        .into_bytes();
        bytes.resize(bytes.len() + len, b'x');
        bytes
    };
    assert_eq!(program.send(&request(64 << 10)).status, 200);
    assert_eq!(program.send(&request((64 << 10) + 1)).status, 413);
    let mut chunked = format!(
        "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for _ in 0..65 {
        chunked += &format!("400\r\n{}\r\n", "x".repeat(1024));
    }
    assert_eq!(program.send((chunked + "0\r\n\r\n").as_bytes()).status, 413);
}

/// Ten seconds, for all three at once.
#[tokio::test]
async fn a_slow_request_is_given_up() {
    let telegram = telegram();
    let program = Program::with_token(&telegram.addresses());
    let mut slow_head = program.connect();
    slow_head.write_all(b"GET /status HTTP/1.1\r\nHost: lo").expect("sent");
    let mut silent = program.connect();
    let mut slow_body = program.connect();
    let head = format!(
        "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n\r\nx"
    );
    slow_body.write_all(head.as_bytes()).expect("sent");

    assert_eq!(program.get("/healthz").status, 200, "others do not wait");
    assert_eq!(read_response(&mut slow_body).status, 408);
    for stream in [&mut slow_head, &mut silent] {
        let mut said = Vec::new();
        // A reset ends it too.
        let _ = stream.read_to_end(&mut said);
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{said:?}");
    }
}

#[tokio::test]
async fn a_thousand_idle_connections_are_in_nobodys_way() {
    let telegram = telegram();
    let program = Program::with_token(&telegram.addresses());
    let idle: Vec<_> = (0..1000).map(|_| program.connect()).collect();
    assert_eq!(program.get("/healthz").status, 200);
    let metrics = program.get("/metrics").body;
    let open = metrics.lines().find_map(|line| line.strip_prefix("process_open_fds ")).expect("told");
    assert!(open.parse::<u64>().expect("a number") < 64 + 100, "{open} descriptors are open");
    assert!(program.ctl(&["status"]).status.success());
    drop(idle);
}

/// A web site whose name was made to lead here reads nothing, whatever it asks for.
#[tokio::test]
async fn only_names_of_this_machine_are_answered() {
    let telegram = telegram();
    let program = Program::with_token(&telegram.addresses());
    let asked = |host: &str| {
        let request = format!("GET /status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        program.send(request.as_bytes()).status
    };
    for ours in ["localhost", "LocalHost:9180", "a.localhost", "127.0.0.1", "127.0.0.1:9180", "[::1]:9180"] {
        assert_eq!(asked(ours), 200, "{ours}");
    }
    for other in
        ["example.com", "example.com:9180", "localhost.example.com", "127.0.0.1.example.com", "xlocalhost"]
    {
        assert_eq!(asked(other), 421, "{other}");
    }
    let absolute = b"GET http://example.com/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(program.send(absolute).status, 421);
    let old = b"GET /healthz HTTP/1.0\r\n\r\n";
    assert_eq!(program.send(old).status, 200, "no browser");
}
