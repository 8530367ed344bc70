//! What a ping may meet at the other end: a proxy with scripted data centres, and servers that are none.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use teleferry_proto::accept::{Inner, Protocols, Verdict, examine};
use teleferry_proto::cipher::CtrStream;
use teleferry_proto::dc::DcId;
use teleferry_proto::fake_tls::{record, server_hello};
use teleferry_proto::obfuscated::{Accepted, HEADER_LEN};
use teleferry_proto::secret::SecretKey;
use teleferry_proto::transport::{ClientDecoder, encode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Serves every connection with `serve`, until the test's runtime ends.
pub(crate) async fn peer<S, F>(serve: S) -> SocketAddr
where
    S: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = Option<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Says `words` once it has heard anything, then closes as servers do.
pub(crate) async fn server(words: &'static [u8]) -> SocketAddr {
    peer(move |mut stream| async move {
        hear(&mut stream, &mut Vec::new()).await?;
        stream.write_all(words).await.ok()?;
        stream.shutdown().await.ok()?;
        listen_on(&mut stream).await
    })
    .await
}

/// Never says anything.
pub(crate) async fn silent() -> SocketAddr {
    peer(|mut stream| async move { listen_on(&mut stream).await }).await
}

/// How a data centre answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    /// As it should.
    ResPq,
    /// Not at all.
    Silence,
    /// By closing.
    Close,
    /// With a nonce of its own.
    OtherNonce,
    /// With another message.
    OtherMessage,
    /// With an error code.
    Error(i32),
    /// A no-op and a quick ack nobody asked for, then as it should.
    LateResPq,
    /// Fake TLS only: with an alert where the stream should go on.
    Alert,
}

/// A proxy and everything behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proxy {
    pub(crate) key: [u8; 16],
    pub(crate) protocols: Protocols,
    pub(crate) dc: fn(i16) -> Reply,
    /// Sent right behind the answer to a hello.
    pub(crate) trailing: &'static [u8],
}

impl Proxy {
    /// Serves everybody, all data centres are well.
    pub(crate) const fn healthy(key: [u8; 16]) -> Self {
        Self {
            key,
            protocols: Protocols { tls: true, secure: true, classic: true },
            dc: |_| Reply::ResPq,
            trailing: &[],
        }
    }

    /// Starts it. Strangers hear nothing, as from a proxy without a cover site.
    pub(crate) async fn start(self) -> SocketAddr {
        let proxy = Arc::new(self);
        peer(move |stream| {
            let proxy = Arc::clone(&proxy);
            async move { proxy.serve(stream).await }
        })
        .await
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let key = SecretKey::new(self.key);
        let mut bytes = Vec::new();
        let (client, rest, records) = loop {
            hear(&mut stream, &mut bytes).await?;
            match examine(&bytes, std::slice::from_ref(&key), self.protocols) {
                Verdict::NeedMore => {}
                Verdict::Stranger(_) => return listen_on(&mut stream).await,
                Verdict::Header(proven) => break (proven.accepted, bytes.split_off(HEADER_LEN), None),
                Verdict::Hello(proven) => {
                    let share = server_hello::KeyShare::X25519([9; 32]);
                    let mut answer = server_hello::answer(
                        &proven.hello,
                        &key,
                        server_hello::Look::COMMON,
                        &share,
                        &[7; 2500],
                    );
                    answer.extend(self.trailing);
                    let rest = bytes.split_off(proven.wire_len);
                    stream.write_all(&answer).await.ok()?;
                    break inner(&mut stream, rest, &key).await?;
                }
            }
        };
        self.converse(stream, client, rest, records).await
    }

    /// Reads the question and answers it.
    async fn converse(
        &self,
        mut stream: TcpStream,
        client: Accepted,
        mut rest: Vec<u8>,
        mut records: Option<record::Reader>,
    ) -> Option<()> {
        let Accepted { header, mut from_client, mut to_client } = client;
        let mut frames = ClientDecoder::new(header.framing);
        let question = loop {
            from_client.apply(&mut rest);
            frames.push(&rest);
            if let Some(frame) = frames.next_frame().expect("legal") {
                break frame.message;
            }
            rest.clear();
            hear(&mut stream, &mut rest).await?;
            if let Some(records) = &mut records {
                let len = records.read(&mut rest).expect("legal");
                rest.truncate(len);
            }
        };
        let reply = (self.dc)(DcId::get(header.dc));
        if let Reply::Alert = reply {
            stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.ok()?;
            return listen_on(&mut stream).await;
        }
        let mut answer = Vec::new();
        let frame = |message: &[u8], out: &mut Vec<u8>| encode(header.framing, message, false, &[], out);
        match reply {
            Reply::Silence | Reply::Alert => return listen_on(&mut stream).await,
            Reply::Close => return Some(()),
            Reply::ResPq => frame(&res_pq(nonce(&question)), &mut answer),
            Reply::OtherNonce => frame(&res_pq([0; 16]), &mut answer),
            Reply::OtherMessage => frame(&[1; 40], &mut answer),
            Reply::Error(code) => frame(&code.to_le_bytes(), &mut answer),
            Reply::LateResPq => {
                frame(&[0; 8], &mut answer);
                answer.extend([1, 2, 3, 0x84]);
                frame(&res_pq(nonce(&question)), &mut answer);
            }
        }
        send(&mut stream, &mut to_client, answer, records.is_some()).await?;
        listen_on(&mut stream).await
    }
}

/// Collects the header out of its records.
async fn inner(
    stream: &mut TcpStream,
    mut rest: Vec<u8>,
    key: &SecretKey,
) -> Option<(Accepted, Vec<u8>, Option<record::Reader>)> {
    let mut inner = Inner::new();
    loop {
        if let Some((accepted, place)) = inner.receive(&mut rest, key).expect("a client") {
            return Some((accepted, rest[place].to_vec(), Some(inner.into_records())));
        }
        rest.clear();
        hear(stream, &mut rest).await?;
    }
}

async fn send(
    stream: &mut TcpStream,
    to_client: &mut CtrStream,
    mut answer: Vec<u8>,
    tls: bool,
) -> Option<()> {
    to_client.apply(&mut answer);
    if tls {
        let plain = std::mem::take(&mut answer);
        record::wrap(&plain, &mut answer);
    }
    stream.write_all(&answer).await.ok()
}

/// The nonce stands behind key id, message id, length and constructor.
fn nonce(question: &[u8]) -> [u8; 16] {
    question[24..40].try_into().expect("a whole req_pq_multi")
}

fn res_pq(nonce: [u8; 16]) -> Vec<u8> {
    let body = [[0x63, 0x24, 0x16, 0x05].as_slice(), &nonce, &[5; 44]].concat();
    [[0; 8].as_slice(), &[1; 8], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// Reads something; `None` when there will be nothing more.
async fn hear(stream: &mut TcpStream, into: &mut Vec<u8>) -> Option<()> {
    let len = stream.read_buf(into).await.ok()?;
    (len > 0).then_some(())
}

/// Reads until the other side has gone.
async fn listen_on(stream: &mut TcpStream) -> Option<()> {
    loop {
        hear(stream, &mut Vec::with_capacity(4096)).await?;
    }
}
