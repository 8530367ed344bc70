//! Lists that are fetched.

use std::path::Path;
use std::time::Duration;

use teleferry::config::{ListSource, Policy, PolicyKey, Rule, Snapshot, TableKind, TableSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::stage::{Stage, tls};
use crate::common::soon;

/// Gives every caller the same body, with this status.
async fn serve(listener: TcpListener, status: &'static str, body: &'static str) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a caller");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.expect("a request"));
        }
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(body.as_bytes()).await.expect("sent");
    }
}

/// Nobody may come in who is on the list at a URL.
fn blocking(snapshot: &mut Snapshot, state_dir: &Path, url: &str) {
    snapshot.server.state_dir = state_dir.to_owned();
    let source = Some(ListSource::Url(url.parse().expect("a URL")));
    let refresh = Duration::from_secs(3600);
    let table = TableSettings { kind: TableKind::Network, entries: Vec::new(), source, refresh };
    snapshot.tables.insert("blocked".to_owned(), table);
    let rule = Rule::Table { key: PolicyKey::ClientIp, table: "blocked".to_owned(), listed: false };
    snapshot.policies = vec![Policy { rule, listeners: None }];
}

async fn until_listed(stage: &Stage, entries: usize) {
    let tables = stage.proxy.server.tables();
    soon(async {
        while tables.size("blocked").expect("there") != entries {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn lists_are_fetched_and_the_last_good_copy_counts() {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/blocked.netset", listener.local_addr().expect("bound"));
    let server = tokio::spawn(serve(listener, "200 OK", "# a list\n127.0.0.2\n10.0.0.0/8\n"));
    let stage = Stage::new(|snapshot| blocking(snapshot, directory.path(), &url)).await;
    until_listed(&stage, 2).await;
    stage.is_visitor(&tls(), 2).await;
    stage.enter(&tls(), 3).await;
    // A reload leaves it as it is.
    let same = Snapshot::clone(&stage.proxy.server.snapshot());
    soon(stage.proxy.server.reload(same)).await.expect("taken up");
    stage.is_visitor(&tls(), 2).await;
    drop(stage);
    server.abort();

    // Nobody serves it any more: the copy counts, from the first moment on.
    let stage = Stage::new(|snapshot| blocking(snapshot, directory.path(), &url)).await;
    stage.is_visitor(&tls(), 2).await;
    drop(stage);
    // The copy of another URL is no copy of this one.
    let other = format!("{url}2");
    let stage = Stage::new(|snapshot| blocking(snapshot, directory.path(), &other)).await;
    stage.enter(&tls(), 2).await;
}

/// What is answered is no list, or a refusal: the table stays as it is.
#[tokio::test]
async fn what_is_no_list_changes_nothing() {
    for (status, body) in [("200 OK", "<html>127.0.0.2</html>"), ("404 Not Found", "127.0.0.2\n")] {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/list", listener.local_addr().expect("bound"));
        let good = format!("# {url}\n127.0.0.2\n127.0.0.9\n127.0.0.10\n");
        let copy = directory.path().join("table-blocked.list");
        std::fs::write(&copy, &good).expect("written");
        let (asked, was_asked) = tokio::sync::oneshot::channel();
        let server = async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.expect("sent");
            // Until the caller has read it all and is gone.
            let _ = stream.read_to_end(&mut Vec::new()).await;
            asked.send(()).expect("the test waits");
        };
        tokio::spawn(server);
        let stage = Stage::new(|snapshot| blocking(snapshot, directory.path(), &url)).await;
        soon(was_asked).await.expect("it was asked");
        until_listed(&stage, 3).await;
        stage.is_visitor(&tls(), 2).await;
        drop(stage);
        assert_eq!(std::fs::read_to_string(&copy).expect("there"), good);
    }
}
