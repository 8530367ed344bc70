//! The server that says where the middle proxies are.

use std::time::Duration;

use teleferry_proto::dc::DcId;
use teleferry_proto::telegram_config::{ConfigError, MiddleSecret, MiddleSecretError, parse};
use teleferry_sim::config_server::{Answer, ConfigServer, Item};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::{endpoint, telegram, telegram_on_both};

/// What came for a path: the status, the length that was announced, the body.
async fn get(server: &ConfigServer, path: &str) -> (u16, usize, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: any\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    (status, length.parse().unwrap(), answer[end + 4..].to_vec())
}

async fn body(server: &ConfigServer, item: Item) -> Vec<u8> {
    let (status, length, body) = get(server, item.path()).await;
    assert_eq!((status, length), (200, body.len()));
    body
}

#[tokio::test]
async fn everything_is_as_it_runs() {
    let telegram = telegram();
    let server = telegram.config_server().unwrap();
    assert_eq!(MiddleSecret::new(&body(server, Item::Secret).await).unwrap(), MiddleSecret::embedded());
    assert_eq!(body(server, Item::Ip).await, b"127.0.0.1\n");
    let config = parse(&body(server, Item::Config).await).unwrap().config;
    assert_eq!(config.default_dc, Some(DcId::new(2)));
    for dc in teleferry_sim::middle::DC_IDS {
        assert_eq!(config.find(DcId::new(dc)).unwrap(), (DcId::new(dc), &[endpoint(&telegram, dc)][..]));
    }
    assert_eq!(parse(&body(server, Item::ConfigV6).await), Err(ConfigError::NoTargets));

    // What changes is published at once.
    let secret = MiddleSecret::new(&[0xa5; 32]).unwrap();
    telegram.middle().configure(|settings| settings.secret = secret.clone()).await;
    assert_eq!(body(server, Item::Secret).await, secret.as_bytes());
    telegram.middle().publish(endpoint(&telegram, -3), false);
    let config = parse(&body(server, Item::Config).await).unwrap().config;
    assert_eq!(config.find(DcId::new(-3)).unwrap().0, DcId::new(3));

    let (status, ..) = get(server, "/getProxySecrets").await;
    let counts = server.counters().read();
    assert_eq!((status, counts.secret, counts.config, counts.config_v6), (404, 2, 2, 1));
    assert_eq!((counts.ip, counts.other, counts.answered), (1, 1, 7));
}

#[tokio::test]
async fn ipv6_has_a_list_of_its_own() {
    let Some(telegram) = telegram_on_both() else { return };
    let server = telegram.config_server().unwrap();
    for (item, v6) in [(Item::Config, false), (Item::ConfigV6, true)] {
        let config = parse(&body(server, item).await).unwrap().config;
        let mut published: Vec<_> = config.iter().flat_map(|(_, targets)| targets.to_vec()).collect();
        published.sort_unstable();
        let endpoints = telegram.middle().endpoints().into_iter().map(|endpoint| endpoint.address);
        assert_eq!(published, endpoints.filter(|address| address.is_ipv6() == v6).collect::<Vec<_>>());
        assert_eq!(published.len(), 12);
    }
}

#[tokio::test]
async fn every_item_fails_on_its_own() {
    let telegram = telegram();
    let server = telegram.config_server().unwrap();
    server.set(Item::Secret, Answer::Html);
    assert_eq!(MiddleSecret::new(&body(server, Item::Secret).await), Err(MiddleSecretError::Html));
    server.set(Item::Config, Answer::Html);
    assert_eq!(parse(&body(server, Item::Config).await), Err(ConfigError::Html));
    server.set(Item::Config, Answer::Garbage);
    assert!(parse(&body(server, Item::Config).await).is_err());
    server.set(Item::Config, Answer::Status(500));
    assert_eq!(get(server, Item::Config.path()).await.0, 500);
    server.set(Item::Config, Answer::Body(Vec::new()));
    assert_eq!(body(server, Item::Config).await, b"");
    server.set(Item::Ip, Answer::Body(b"203.0.113.5".to_vec()));
    assert_eq!(body(server, Item::Ip).await, b"203.0.113.5");
    server.set(Item::Config, Answer::Truncated);
    let (status, length, half) = get(server, Item::Config.path()).await;
    assert_eq!((status, half.len()), (200, length / 2));
    server.set(Item::Config, Answer::Right);
    assert!(parse(&body(server, Item::Config).await).is_ok());
    assert_eq!(server.counters().read().config, 6);
}

#[tokio::test(start_paused = true)]
async fn answers_come_late_or_never() {
    let telegram = telegram();
    let server = telegram.config_server().unwrap();
    server.set(Item::Config, Answer::Slow(Duration::from_secs(20)));
    let begin = Instant::now();
    assert!(parse(&body(server, Item::Config).await).is_ok());
    assert!(begin.elapsed() >= Duration::from_secs(20));
    server.set(Item::Secret, Answer::Silent);
    assert!(timeout(Duration::from_secs(3600), get(server, Item::Secret.path())).await.is_err());
    server.listen(false).await;
    assert!(TcpStream::connect(server.address()).await.is_err());
    server.listen(true).await;
    assert_eq!(body(server, Item::Ip).await, b"127.0.0.1\n");
}
