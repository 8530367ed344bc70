//! The fake-TLS client, against a small proxy made of the protocols' own server side.

use std::borrow::Cow;
use std::net::SocketAddr;

use teleferry_proto::dc::DcId;
use teleferry_proto::fake_tls::answer::AnswerError;
use teleferry_proto::fake_tls::client_hello::{self, ClientHello, Scan};
use teleferry_proto::fake_tls::record;
use teleferry_proto::fake_tls::server_hello::{self, KeyShare, Look};
use teleferry_proto::obfuscated::{self, Accepted};
use teleferry_proto::secret::SecretKey;
use teleferry_proto::transport::{self, ClientDecoder, Framing};
use teleferry_sim::client::{Client, ClientError, HelloShape, Opening, Options, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const KEY: [u8; 16] = [0x42; 16];

fn options(shape: HelloShape) -> Options {
    Options { shape, ..Options::new(Protocol::FakeTls, Some(SecretKey::new(KEY))).with_dc(-3) }
}

/// Answers one connection: hands its answer to `change`, and echoes messages.
async fn proxy(change: impl Fn(&mut Vec<u8>) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut answer = answer_to_hello(&mut stream).await;
        change(&mut answer);
        // A client that is not content closes.
        if stream.write_all(&answer).await.is_ok() {
            echo(stream).await;
        }
    });
    address
}

async fn answer_to_hello(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "a whole hello");
        if let Scan::Whole { record, wire_len } = client_hello::scan(&bytes) {
            assert_eq!(wire_len, bytes.len());
            let key = SecretKey::new(KEY);
            assert!(client_hello::prove(&record, [&key]).is_some());
            let hello = ClientHello::parse(Cow::Borrowed(&record)).unwrap();
            assert_eq!(hello.server_name(), Some(b"www.example.com".as_slice()));
            return server_hello::answer(&hello, &key, Look::COMMON, &KeyShare::X25519([9; 32]), &[7; 3000]);
        }
    }
}

async fn echo(mut stream: TcpStream) {
    let mut records = record::Reader::of_client();
    let (mut header, mut link) = (Vec::new(), None);
    let mut buffer = vec![0; 16 << 10];
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        let len = records.read(&mut buffer[..len]).unwrap();
        let mut bytes = &mut buffer[..len];
        if link.is_none() {
            let (first, rest) = bytes.split_at_mut((64 - header.len()).min(len));
            header.extend_from_slice(first);
            bytes = rest;
            let Ok(whole) = <[u8; 64]>::try_from(header.as_slice()) else { continue };
            let accepted = obfuscated::accept(&whole, Some(&SecretKey::new(KEY))).unwrap();
            assert_eq!((accepted.header.framing, accepted.header.dc), (Framing::Padded, DcId::new(-3)));
            link = Some((accepted, ClientDecoder::new(Framing::Padded)));
        }
        let Some((Accepted { from_client, to_client, .. }, decoder)) = &mut link else { continue };
        from_client.apply(bytes);
        decoder.push(bytes);
        while let Some(frame) = decoder.next_frame().unwrap() {
            let mut frame_out = Vec::new();
            transport::encode(Framing::Padded, &frame.message, false, &[0; 3], &mut frame_out);
            to_client.apply(&mut frame_out);
            let mut wire = Vec::new();
            record::wrap(&frame_out, &mut wire);
            stream.write_all(&wire).await.unwrap();
        }
    }
}

#[tokio::test]
async fn both_shapes_complete_the_handshake() {
    for shape in [HelloShape::Modern, HelloShape::Padded517] {
        let address = proxy(|_| {}).await;
        let mut client = Client::dial(address, &options(shape)).await.unwrap();
        for len in [0, 100, 20_000, 300_000] {
            client.echo(vec![1; len]).await.unwrap();
        }

        let address = proxy(|_| {}).await;
        let mut client = Client::connect(address, &options(shape)).await.unwrap();
        client.echo(b"the header went alone".to_vec()).await.unwrap();
    }
}

#[tokio::test]
async fn a_test_may_send_the_hello_itself() {
    let address = proxy(|_| {}).await;
    let opening = Opening::new(&options(HelloShape::Modern));
    let mut stream = TcpStream::connect(address).await.unwrap();
    for piece in opening.first_bytes().chunks(100) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut client = opening.finish(stream).await.unwrap();
    client.echo(b"in pieces".to_vec()).await.unwrap();
}

#[tokio::test]
async fn a_test_may_send_the_header_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let opening = Opening::new(&Options::new(Protocol::Abridged, Some(SecretKey::new(KEY))));
    let header: [u8; 64] = opening.first_bytes().try_into().unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut client = opening.finish(stream).await.unwrap();
    let frame = client.sender.encode(&[5; 40], true);
    client.sender.send_raw(&[header.as_slice(), &frame].concat()).await.unwrap();

    let (mut server, _) = listener.accept().await.unwrap();
    let mut received = vec![0; 64 + 41];
    server.read_exact(&mut received).await.unwrap();
    let mut accepted = obfuscated::accept(&header, Some(&SecretKey::new(KEY))).unwrap();
    accepted.from_client.apply(&mut received[64..]);
    assert_eq!(received[64..], [&[0x8a], [5; 40].as_slice()].concat());
}

#[tokio::test]
async fn answers_that_apps_refuse_are_refused() {
    async fn refused(change: impl Fn(&mut Vec<u8>) + Send + 'static) -> ClientError {
        let address = proxy(change).await;
        Client::connect(address, &options(HelloShape::Modern)).await.unwrap_err()
    }
    let error = refused(|answer| *answer.last_mut().unwrap() ^= 1).await;
    assert!(matches!(error, ClientError::Answer(AnswerError::Digest)), "{error:?}");
    let error = refused(|answer| answer.extend([0x17, 3, 3, 0, 1, 0])).await;
    assert!(matches!(error, ClientError::TooMuch), "{error:?}");
    let error = refused(|answer| answer.splice(.., *b"HTTP/1.1 400").for_each(drop)).await;
    assert!(matches!(error, ClientError::Answer(AnswerError::NotTls)), "{error:?}");
    let error = refused(|answer| answer.splice(.., [0x15, 3, 3, 0, 2, 2, 40]).for_each(drop)).await;
    assert!(matches!(error, ClientError::Answer(AnswerError::Alert(40))), "{error:?}");
}
