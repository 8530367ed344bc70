//! The cover site, seen by a visitor.

use std::io::ErrorKind;
use std::time::Duration;

use teleferry_sim::cover::{Act, CoverSite, End};
use teleferry_sim::pattern;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

async fn visit(site: &CoverSite) -> TcpStream {
    TcpStream::connect(site.address()).await.unwrap()
}

async fn read_all(visitor: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    visitor.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn everything_sent_is_kept_and_answered_by_the_script() {
    let script = vec![
        Act::Await(8),
        Act::Send(b"first".to_vec()),
        Act::Await(10),
        Act::Send(b", then".to_vec()),
        Act::HalfClose,
    ];
    let site = CoverSite::start(script).await.unwrap();
    let mut visitor = visit(&site).await;
    visitor.write_all(b"question").await.unwrap();
    let mut answer = [0; 5];
    visitor.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"first");
    visitor.write_all(b"!!").await.unwrap();
    assert_eq!(read_all(&mut visitor).await, b", then");
    visitor.write_all(b" more").await.unwrap();
    assert_eq!(site.wait_until(|visits| visits[0].total == 15).await[0].end, None);
    drop(visitor);
    let seen = site.ended(0).await;
    assert_eq!(
        (seen.received.as_slice(), seen.total, seen.end),
        (b"question!! more".as_slice(), 15, Some(End::Fin))
    );
}

#[tokio::test]
async fn a_visitor_that_half_closes_is_still_answered() {
    let site =
        CoverSite::start(vec![Act::AwaitEnd, Act::SendPattern { seed: 4, len: 3_000_000 }]).await.unwrap();
    let mut visitor = visit(&site).await;
    visitor.write_all(b"over").await.unwrap();
    visitor.shutdown().await.unwrap();
    let mut expected = vec![0; 3_000_000];
    pattern::fill(4, 0, &mut expected);
    assert!(read_all(&mut visitor).await == expected);
    assert_eq!(site.ended(0).await.end, Some(End::Fin));
}

#[tokio::test]
async fn resets_are_told_from_ends_both_ways() {
    let site = CoverSite::start(vec![Act::Await(1), Act::Reset]).await.unwrap();
    let mut visitor = visit(&site).await;
    visitor.write_all(b"x").await.unwrap();
    let error = visitor.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(site.ended(0).await.end, Some(End::Ours));

    site.set_script(vec![Act::Await(1), Act::Close]);
    let mut visitor = visit(&site).await;
    visitor.write_all(b"x").await.unwrap();
    assert_eq!(read_all(&mut visitor).await, b"");
    assert_eq!(site.ended(1).await.end, Some(End::Ours));

    site.set_script(vec![]);
    let mut visitor = visit(&site).await;
    visitor.write_all(b"x").await.unwrap();
    site.wait_until(|visits| visits.get(2).is_some_and(|visit| visit.total == 1)).await;
    visitor.set_zero_linger().unwrap();
    drop(visitor);
    assert_eq!(site.ended(2).await.end, Some(End::Reset));
    assert_eq!(site.visits().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_idle_timer_starts_again_with_every_byte() {
    let idle = Duration::from_secs(60);
    let site = CoverSite::start(vec![Act::AwaitIdle(idle), Act::Close]).await.unwrap();
    let mut visitor = visit(&site).await;
    let begun = tokio::time::Instant::now();
    for byte in 1..=3 {
        tokio::time::sleep(Duration::from_secs(40)).await;
        visitor.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(read_all(&mut visitor).await, b"");
    assert!(begun.elapsed() >= Duration::from_secs(3 * 40 + 60), "{:?}", begun.elapsed());
    assert_eq!(site.ended(0).await.received, [1, 2, 3]);
}

#[tokio::test]
async fn unix_sockets_work_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cover");
    let site = CoverSite::start_unix(&path, vec![Act::Await(2), Act::Send(b"hello".to_vec())]).unwrap();
    assert_eq!(site.target(), format!("unix:{}", path.display()));
    let mut visitor = UnixStream::connect(&path).await.unwrap();
    visitor.write_all(b"hi").await.unwrap();
    visitor.shutdown().await.unwrap();
    let mut answer = Vec::new();
    visitor.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"hello");
    let seen = site.ended(0).await;
    assert_eq!((seen.received.as_slice(), seen.end), (b"hi".as_slice(), Some(End::Fin)));
    drop(site);
    assert!(!path.exists());
}
