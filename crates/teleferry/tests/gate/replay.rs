//! Recordings of first flights.

use teleferry::config::Replay;
use teleferry_proto::accept::Stranger;
use teleferry_sim::client::{Opening, Options, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::stage::{SITE, Stage, padded, tls};
use crate::common::{key, soon};

/// a header that comes again is a stranger's; also with everything changed that can be changed without the secret.
#[tokio::test]
async fn a_10_a_header_works_once() {
    let stage = Stage::new(|_| {}).await;
    for protocol in [Protocol::Abridged, Protocol::Intermediate, Protocol::Padded] {
        let opening = Opening::new(&Options::new(protocol, Some(key())));
        let mut header = opening.first_bytes().to_vec();
        let mut stream = stage.connect_from(1).await;
        stream.write_all(&header).await.expect("sent");
        let mut client = soon(opening.finish(stream)).await.expect("let in");
        soon(client.echo(vec![1; 64])).await.expect("served");
        assert_eq!(stage.ask(&header).await, SITE, "{protocol:?}");
        // The first word is protected by nothing, and neither is the data centre.
        header[0] ^= 0x40;
        header[60] ^= 1;
        assert_eq!(stage.ask(&header).await, SITE, "{protocol:?}");
        soon(client.echo(vec![1; 64])).await.expect("the first one notices nothing");
    }
    stage.strangers(&[(Stranger::HeaderReplay, 6)]).await;
}

/// a hello that was answered once goes to the site when it comes again, in two segments and with another time.
#[tokio::test]
async fn a_18_a_hello_works_once() {
    let stage = Stage::new(|_| {}).await;
    let opening = Opening::new(&tls());
    let hello = opening.first_bytes().to_vec();
    let mut stream = stage.connect_from(1).await;
    stream.write_all(&hello).await.expect("sent");
    let mut client = soon(opening.finish(stream)).await.expect("let in");
    soon(client.echo(vec![1; 64])).await.expect("served");

    let mut later = hello.clone();
    // The last bit of the time that the digest carries: 11 bytes before the field, 28 in it.
    later[11 + 28] ^= 1;
    for recording in [&hello, &later] {
        let mut stream = stage.connect_from(1).await;
        let visits = stage.site.visits().len();
        stream.write_all(&recording[..10]).await.expect("sent");
        assert_eq!(super::stage::ask(stream, &recording[10..]).await, SITE);
        assert_eq!(soon(stage.site.ended(visits)).await.received, *recording);
    }
    stage.strangers(&[(Stranger::TlsReplay, 2)]).await;
    soon(client.echo(vec![1; 64])).await.expect("the first one notices nothing");
}

/// Of many copies at the same moment, on all shards, one comes in.
#[tokio::test]
async fn of_copies_at_once_one_comes_in() {
    let stage = Stage::new(|_| {}).await;
    let hello = Opening::new(&tls()).first_bytes().to_vec();
    let copies = (0..20).map(|_| stage.ask(&hello));
    let answers = futures_util::future::join_all(copies).await;
    assert_eq!(answers.iter().filter(|answer| *answer != SITE).count(), 1);
    stage.strangers(&[(Stranger::TlsReplay, 19)]).await;
}

/// Behind a new hello, a header that came before ends the connection: whoever does that knows the secret.
#[tokio::test]
async fn a_header_inside_tls_works_once() {
    let stage = Stage::new(|_| {}).await;
    let header = Opening::new(&padded()).first_bytes().to_vec();
    let record = [&[23, 3, 3, 0, 64], header.as_slice()].concat();
    for nth in 0..2 {
        let opening = Opening::new(&tls());
        let mut stream = stage.connect_from(1).await;
        stream.write_all(opening.first_bytes()).await.expect("sent");
        let mut client = soon(opening.finish(stream)).await.expect("the hello is new");
        soon(client.sender.send_raw(&record)).await.expect("sent");
        if nth == 0 {
            stage.proxy.counted(|counts| counts.clients.get("tls") == Some(&1)).await;
        } else {
            let mut rest = Vec::new();
            let mut stream = client.into_stream().expect("both halves");
            soon(stream.read_to_end(&mut rest)).await.expect("an orderly end");
            assert_eq!((rest.len(), &rest[..5]), (24, [23, 3, 3, 0, 19].as_slice()), "an alert");
        }
    }
    stage.proxy.counted(|counts| counts.closed.get("client:replay") == Some(&1)).await;
}

/// F-05: a hello of ten days ago.
#[tokio::test]
async fn f_05_an_old_hello_is_a_visitor() {
    let stage = Stage::new(|_| {}).await;
    stage.is_visitor(&Options { clock_skew_s: -864_000, ..tls() }, 1).await;
    stage.strangers(&[(Stranger::TlsTime, 1)]).await;
}

#[tokio::test]
async fn recordings_are_known_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let state_dir = directory.path().to_owned();
    let hello = Opening::new(&tls()).first_bytes().to_vec();
    let first = Stage::new(|snapshot| snapshot.server.state_dir.clone_from(&state_dir)).await;
    assert_ne!(first.ask(&hello).await, SITE, "new");
    assert_eq!(first.proxy.server.gate().replay.entries, 1);
    let Stage { proxy, .. } = first;
    tokio::task::spawn_blocking(|| proxy.server.stop()).await.expect("stopped");
    let second = Stage::new(|snapshot| snapshot.server.state_dir.clone_from(&state_dir)).await;
    assert_eq!(second.ask(&hello).await, SITE);
    second.strangers(&[(Stranger::TlsReplay, 1)]).await;
}

/// Without a memory of the time before the start, hellos from then are refused.
#[tokio::test]
async fn a_hello_from_before_the_start_is_refused_when_nothing_is_kept() {
    let stage = Stage::new(|snapshot| snapshot.replay.persist = false).await;
    stage.is_visitor(&Options { clock_skew_s: -60, ..tls() }, 1).await;
    stage.strangers(&[(Stranger::TlsTime, 1)]).await;
    stage.enter(&tls(), 1).await;
}

#[tokio::test]
async fn without_the_memory_everything_works_twice() {
    let stage = Stage::new(|snapshot| {
        snapshot.replay = Replay { enabled: false, ..Replay::default() };
    })
    .await;
    let header = Opening::new(&padded()).first_bytes().to_vec();
    for _ in 0..2 {
        assert!(stage.ask(&header).await.is_empty(), "a client that says nothing more");
    }
    stage.proxy.counted(|counts| counts.clients.get("secure") == Some(&2)).await;
}
