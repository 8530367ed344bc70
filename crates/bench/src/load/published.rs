//! What Telegram publishes for proxies, over HTTP: the shared secret, and one middle proxy for the data centre that the
//! load asks for.

use std::io;
use std::net::SocketAddr;

use teleferry_proto::telegram_config::MiddleSecret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::client::DC;

/// Where the secret is, and the list of middle proxies.
pub(crate) const SECRET: &str = "/secret";
pub(crate) const CONFIG: &str = "/config";

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 8 << 10;

/// Answers one request a connection, one after another.
pub(super) async fn serve(listener: TcpListener, middle: SocketAddr) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // A proxy that does not get an answer asks again.
        let _ = answer(stream, middle).await;
    }
}

async fn answer(mut stream: TcpStream, middle: SocketAddr) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if request.len() > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let asks = |path: &str| request.starts_with(format!("GET {path} ").as_bytes());
    let (status, body) = if asks(SECRET) {
        ("200 OK", MiddleSecret::embedded().as_bytes().to_vec())
    } else if asks(CONFIG) {
        ("200 OK", format!("default {DC};\nproxy_for {DC} {middle};\n").into_bytes())
    } else {
        ("404 Not Found", Vec::new())
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).await?;
    stream.shutdown().await
}
