//! As much of HTTP/1.1 as there must be: one GET a connection. It is written by hand so that it can go wrong in every way
//! that no library would.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Answer, Item, Shared};

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 8 << 10;

/// A web page about an error.
const HTML: &[u8] =
    b"<!DOCTYPE html>\n<html><head><title>Error</title></head><body>Try again later.</body></html>\n";

/// Answers one request.
pub(super) async fn serve(mut stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    // Whoever asked has gone, or the counters tell.
    let _ = answer(&mut stream, peer, &shared).await;
}

async fn answer(stream: &mut TcpStream, peer: SocketAddr, shared: &Shared) -> io::Result<()> {
    let request = read_request(stream).await?;
    let Some(item) = asked_for(&request) else {
        shared.counters.other.bump();
        shared.counters.publish();
        return finish(stream, 404, HTML, HTML.len(), shared).await;
    };
    let right = shared.content(item, peer);
    let (status, body) = match shared.asked(item) {
        Answer::Right => (200, right),
        Answer::Body(body) => (200, body),
        Answer::Html => (200, HTML.to_vec()),
        Answer::Status(status) => (status, HTML.to_vec()),
        Answer::Garbage => (200, b"\x00\x01garbage \xff; not what was asked for".to_vec()),
        Answer::Slow(delay) => {
            tokio::time::sleep(delay).await;
            (200, right)
        }
        Answer::Truncated => {
            return finish(stream, 200, &right[..right.len() / 2], right.len(), shared).await;
        }
        Answer::Silent => return wait_for_end(stream).await,
    };
    finish(stream, status, &body, body.len(), shared).await
}

/// Reads up to the empty line.
async fn read_request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if request.len() > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(request)
}

fn asked_for(request: &[u8]) -> Option<Item> {
    let line = request.split(|&byte| byte == b'\r').next()?;
    let path = line.strip_prefix(b"GET ")?.strip_suffix(b" HTTP/1.1")?;
    Item::ALL.into_iter().find(|item| item.path().as_bytes() == path)
}

/// Writes an answer whose body is said to have `len` bytes, and ends the connection.
async fn finish(
    stream: &mut TcpStream,
    status: u16,
    body: &[u8],
    len: usize,
    shared: &Shared,
) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await?;
    shared.counters.answered.bump();
    shared.counters.publish();
    wait_for_end(stream).await
}

/// Reads until the other side ends, so that our end is not a reset.
async fn wait_for_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut scratch = [0; 1024];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}
