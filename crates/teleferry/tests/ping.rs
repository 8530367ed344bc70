//! `teleferry ping` against everything that may stand at the other end.

mod ping_peer;

use std::net::SocketAddr;

use clap::Parser;
use ping_peer::{Proxy, Reply, peer, server, silent};
use serde_json::Value;
use teleferry::ping::{self, Outcome, PingError};
use teleferry_proto::accept::Protocols;
use tokio::io::AsyncWriteExt as _;

const KEY: [u8; 16] = *b"sixteen bytes ok";
const KEY_HEX: &str = "7369787465656e206279746573206f6b";
const WRONG: [u8; 16] = [1; 16];

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: ping::Args,
}

fn link(address: SocketAddr, kind: &str) -> String {
    let secret = match kind {
        "classic" => KEY_HEX.to_owned(),
        "secure" => format!("dd{KEY_HEX}"),
        _ => format!("ee{KEY_HEX}{}", "7777772e6578616d706c652e636f6d"),
    };
    format!("tg://proxy?server={}&port={}&secret={secret}", address.ip(), address.port())
}

/// Runs the command; gives what it printed.
async fn text(link: &str, flags: &[&str]) -> (Result<Outcome, PingError>, String) {
    let cli = Cli::try_parse_from([&["ping", link], flags].concat()).expect("legal flags");
    let mut out = Vec::new();
    let result = ping::run(&cli.args, &mut out).await;
    let out = String::from_utf8(out).expect("text");
    assert!(!out.contains(KEY_HEX), "the secret is printed");
    (result, out)
}

async fn json(link: &str, flags: &[&str]) -> (Outcome, Value) {
    let (result, out) = text(link, &[flags, &["--json"]].concat()).await;
    (result.expect("a run"), serde_json::from_str(&out).expect("JSON"))
}

/// The one failure of a run with one exchange: its code, and what it is said to mean.
async fn failure(link: &str, flags: &[&str]) -> (String, String) {
    let (outcome, report) = json(link, &[&["--dc", "2"], flags].concat()).await;
    assert_eq!(outcome, Outcome::SomeFailed);
    assert_eq!(report["ok"], false);
    let reason = &report["by_protocol"][0]["reasons"][0];
    assert_eq!(report["exchanges"][0]["failure"]["code"], reason["code"]);
    (
        reason["code"].as_str().expect("code").to_owned(),
        reason["meaning"].as_str().expect("meaning").to_owned(),
    )
}

/// Enough for a silence that is the subject itself.
const SOON: [&str; 2] = ["--timeout", "1s"];

#[tokio::test]
async fn a_healthy_proxy_answers_in_every_protocol_and_data_centre() {
    let address = Proxy::healthy(KEY).start().await;
    let flags = ["--protocol", "classic,secure,tls", "--repeat", "2", "--timeout", "60s"];
    let (outcome, report) = json(&link(address, "tls"), &flags).await;
    assert_eq!(outcome, Outcome::AllAnswered);
    let exchanges = report["exchanges"].as_array().expect("list");
    assert_eq!(exchanges.len(), 3 * 10 * 2);
    for exchange in exchanges {
        assert_eq!(exchange["ok"], true, "{exchange}");
        assert_eq!(exchange["address"], address.to_string());
        for stage in ["tcp_ms", "ping_ms", "total_ms"] {
            assert!(exchange[stage].as_f64().expect(stage) >= 0.0);
        }
        assert_eq!(exchange["handshake_ms"].is_number(), exchange["protocol"] == "tls", "{exchange}");
    }
    assert_eq!(report["by_dc"].as_array().expect("list").len(), 10);
    assert_eq!(report["by_dc"][0]["dc"], -5);
    assert_eq!(report["by_dc"][0]["answered"], 6);
    let spread = &report["by_dc"][0]["total"];
    assert!(spread["min_ms"].as_f64() <= spread["median_ms"].as_f64());
    assert!(spread["median_ms"].as_f64() <= spread["max_ms"].as_f64());
    assert_eq!(report["domain"], "www.example.com");
}

#[tokio::test]
async fn every_kind_of_link_is_pinged_its_own_way() {
    let address = Proxy::healthy(KEY).start().await;
    for kind in ["classic", "secure", "tls"] {
        let (outcome, report) = json(&link(address, kind), &["--dc", "4"]).await;
        assert_eq!(outcome, Outcome::AllAnswered, "{kind}");
        assert_eq!(report["exchanges"][0]["protocol"], kind);
        assert_eq!(report["link_protocol"], kind);
    }
}

#[tokio::test]
async fn the_table_has_a_line_an_exchange_and_a_verdict() {
    let proxy = Proxy { dc: |dc| if dc == 3 { Reply::Close } else { Reply::ResPq }, ..Proxy::healthy(KEY) };
    let link = link(proxy.start().await, "tls");
    let (result, out) = text(&link, &["--dc", "1..3", "--repeat", "2"]).await;
    assert_eq!(result.expect("a run"), Outcome::SomeFailed);
    assert_eq!(out.lines().filter(|line| line.ends_with("  OK")).count(), 4, "{out}");
    assert_eq!(
        out.lines().filter(|line| line.contains("ERROR the proxy accepted the secret")).count(),
        2,
        "{out}"
    );
    assert!(out.contains("tls: OK IN PART, 4 of 6 answered"), "{out}");
    assert!(out.contains("2 times, DC 3: "), "{out}");
    assert!(out.contains("median"), "{out}");
}

#[tokio::test]
async fn no_ops_and_quick_acks_before_the_answer_are_skipped() {
    for kind in ["classic", "secure", "tls"] {
        let address = Proxy { dc: |_| Reply::LateResPq, ..Proxy::healthy(KEY) }.start().await;
        assert_eq!(json(&link(address, kind), &["--dc", "2"]).await.0, Outcome::AllAnswered, "{kind}");
    }
}

#[tokio::test]
async fn a_dead_data_centre_is_told_from_a_wrong_secret_behind_fake_tls() {
    let address = Proxy { dc: |_| Reply::Silence, ..Proxy::healthy(KEY) }.start().await;
    let (code, meaning) = failure(&link(address, "tls"), &SOON).await;
    assert_eq!(code, "dc_silent");
    assert!(meaning.starts_with("The secret is right"), "{meaning}");
    let address = Proxy { dc: |_| Reply::Close, ..Proxy::healthy(KEY) }.start().await;
    assert_eq!(failure(&link(address, "tls"), &[]).await.0, "dc_closed");
    let address = Proxy::healthy(WRONG).start().await;
    assert_eq!(failure(&link(address, "tls"), &SOON).await.0, "silent_after_hello");
}

#[tokio::test]
async fn silence_in_the_open_is_ambiguous_until_another_data_centre_answers() {
    for kind in ["classic", "secure"] {
        let wrong = Proxy::healthy(WRONG).start().await;
        let (code, meaning) = failure(&link(wrong, kind), &SOON).await;
        assert_eq!(code, "silent");
        assert!(meaning.contains("secret is wrong") && meaning.contains("data centre is dead"), "{meaning}");

        let dead =
            Proxy { dc: |dc| if dc == 2 { Reply::Silence } else { Reply::ResPq }, ..Proxy::healthy(KEY) };
        let flags = [&["--dc", "1,2"], SOON.as_slice()].concat();
        let (_, report) = json(&link(dead.start().await, kind), &flags).await;
        let reason = &report["by_protocol"][0]["reasons"][0];
        assert_eq!(reason["dcs"], serde_json::json!([2]));
        assert!(reason["meaning"].as_str().expect("text").starts_with("The secret is right"), "{reason}");
    }
}

#[tokio::test]
async fn a_protocol_that_is_not_allowed_shows_when_another_one_works() {
    let only_tls = Protocols { tls: true, secure: false, classic: false };
    let address = Proxy { protocols: only_tls, ..Proxy::healthy(KEY) }.start().await;
    let flags = [&["--dc", "2", "--protocol", "tls,secure"], SOON.as_slice()].concat();
    let (outcome, report) = json(&link(address, "tls"), &flags).await;
    assert_eq!(outcome, Outcome::SomeFailed);
    assert_eq!(report["by_protocol"][0]["answered"], 1);
    let meaning = report["by_protocol"][1]["reasons"][0]["meaning"].as_str().expect("text");
    assert!(meaning.contains("not allowed"), "{meaning}");
}

#[tokio::test]
async fn answers_that_are_none_have_names() {
    type Case = (fn(i16) -> Reply, &'static str, &'static str);
    let replies: [Case; 5] = [
        (|_| Reply::OtherNonce, "nonce_mismatch", "another nonce"),
        (|_| Reply::OtherMessage, "unexpected_message", "no resPQ"),
        (|_| Reply::Error(-404), "transport_error", "-404"),
        (|_| Reply::Error(-429), "transport_error", "-429"),
        (|_| Reply::Error(-444), "transport_error", "-444"),
    ];
    for (dc, code, words) in replies {
        let address = Proxy { dc, ..Proxy::healthy(KEY) }.start().await;
        for kind in ["classic", "secure", "tls"] {
            let link = link(address, kind);
            assert_eq!(failure(&link, &[]).await.0, code, "{kind}");
            assert!(text(&link, &["--dc", "2"]).await.1.contains(words), "{kind} {words}");
        }
    }
    let address = Proxy { dc: |_| Reply::Alert, ..Proxy::healthy(KEY) }.start().await;
    assert_eq!(failure(&link(address, "tls"), &[]).await.0, "illegal_record");
}

#[tokio::test]
async fn bytes_behind_the_answer_to_a_hello_are_a_fault() {
    let address = Proxy { trailing: &[23, 3, 3, 0, 1, 0], ..Proxy::healthy(KEY) }.start().await;
    assert_eq!(failure(&link(address, "tls"), &[]).await.0, "trailing_bytes");
}

#[tokio::test]
async fn an_http_server_is_recognised_by_every_protocol() {
    let address = server(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    for kind in ["classic", "secure", "tls"] {
        assert_eq!(failure(&link(address, kind), &[]).await.0, "http", "{kind}");
    }
}

#[tokio::test]
async fn tls_servers_are_recognised() {
    let alert = server(&[21, 3, 3, 0, 2, 2, 112]).await;
    for kind in ["classic", "secure", "tls"] {
        let link = link(alert, kind);
        assert_eq!(failure(&link, &[]).await.0, "tls_alert", "{kind}");
        assert!(text(&link, &["--dc", "2"]).await.1.contains("TLS alert 112 (unrecognized_name)"), "{kind}");
    }
    // A ServerHello of TLS 1.3 whose digest nobody made, and one of TLS 1.2, which a certificate follows.
    let tls13: &[u8] = const {
        let mut flight = [0; 127 + 6 + 6];
        [flight[0], flight[1], flight[2], flight[4]] = [22, 3, 3, 122];
        [flight[127], flight[128], flight[129], flight[131], flight[132]] = [20, 3, 3, 1, 1];
        [flight[133], flight[134], flight[135], flight[137]] = [23, 3, 3, 1];
        &{ flight }
    };
    for flight in [tls13, &[22, 3, 3, 0, 2, 2, 0, 22, 3, 3, 0, 1, 11]] {
        let (code, meaning) = failure(&link(server(flight).await, "tls"), &[]).await;
        assert_eq!(code, "web_server");
        assert!(meaning.contains("clock"), "{meaning}");
    }
}

#[tokio::test]
async fn servers_of_neither_kind_are_told_apart() {
    let ssh = server(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    assert_eq!(failure(&link(ssh, "tls"), &[]).await.0, "not_tls");
    // Whatever these bytes decrypt to, no answer comes of it.
    for kind in ["classic", "secure"] {
        let (code, _) = failure(&link(ssh, kind), &[]).await;
        assert!(["illegal_frame", "unreadable"].contains(&code.as_str()), "{code}");
    }
}

#[tokio::test]
async fn silence_and_closing_have_names_at_every_point() {
    let nobody = silent().await;
    assert_eq!(failure(&link(nobody, "tls"), &SOON).await.0, "silent_after_hello");
    assert_eq!(failure(&link(nobody, "classic"), &SOON).await.0, "silent");
    let closing = server(b"").await;
    assert_eq!(failure(&link(closing, "tls"), &[]).await.0, "closed_in_handshake");
    assert_eq!(failure(&link(closing, "secure"), &[]).await.0, "closed");
    let stalling = peer(|mut stream| async move {
        stream.write_all(&[22, 3, 3, 0]).await.ok()?;
        std::future::pending().await
    })
    .await;
    assert_eq!(failure(&link(stalling, "tls"), &SOON).await.0, "stalled_handshake");
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name() {
    // Bound and never listening: connections are refused, and nobody else gets the port.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    let closed = socket.local_addr().expect("address").as_socket().expect("ip");
    let (code, meaning) = failure(&link(closed, "tls"), &[]).await;
    assert_eq!(code, "refused");
    assert!(meaning.contains("port"), "{meaning}");
    let nowhere = format!("tg://proxy?server=no.such.name.invalid&port=443&secret={KEY_HEX}");
    assert_eq!(failure(&nowhere, &[]).await.0, "name_not_found");
}

#[tokio::test]
async fn a_bad_link_is_refused_without_repeating_it() {
    for bad in ["hello", "tg://proxy?server=a&port=0&secret=7369787465656e206279746573206f6b"] {
        let (result, out) = text(bad, &[]).await;
        assert_eq!(out, "");
        let error = result.expect_err("no link");
        assert!(matches!(error, PingError::Link(_)));
        assert!(!error.to_string().contains(KEY_HEX));
        assert!(matches!(error, PingError::Link(_)), "{error:?}");
    }
}
