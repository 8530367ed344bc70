//! A proxy that says anything.

use std::net::SocketAddr;

use teleferry_proto::middle::Setup;
use teleferry_proto::rpc::{Handshake, KeyMaterial, Keys, Nonce, Request, SCHEMA_AES};
use teleferry_proto::transport::full::{self, Encoder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::link::setup;

pub(crate) struct Rogue {
    pub(crate) stream: TcpStream,
    pub(crate) setup: Setup,
    pub(crate) encoder: Encoder,
    keys: Option<Keys>,
}

impl Rogue {
    pub(crate) async fn connect(middle: SocketAddr) -> Self {
        let stream = TcpStream::connect(middle).await.unwrap();
        let setup = setup(&stream);
        Self { stream, setup, encoder: Encoder::new(), keys: None }
    }

    /// The nonce as it should be.
    pub(crate) fn nonce(&self) -> Nonce {
        let setup = &self.setup;
        Nonce { selector: setup.secret.selector(), schema: SCHEMA_AES, time: setup.unix_time, nonce: [7; 16] }
    }

    pub(crate) const fn handshake(&self) -> Handshake {
        Handshake { flags: 0, sender: self.setup.process, peer: self.setup.peer }
    }

    /// A connection after the nonces.
    pub(crate) async fn keyed(middle: SocketAddr) -> Self {
        let mut rogue = Self::connect(middle).await;
        let nonce = rogue.nonce();
        rogue.send(nonce.encode().as_ref()).await;
        let mut frame = [0; 44];
        rogue.stream.read_exact(&mut frame).await.unwrap();
        let answer = Nonce::decode(&frame[8..40]).unwrap();
        let setup = &rogue.setup;
        let material = KeyMaterial {
            secret: &setup.secret,
            middle_nonce: answer.nonce,
            proxy_nonce: nonce.nonce,
            proxy_time: nonce.time,
            proxy: setup.proxy,
            middle: setup.middle,
        };
        rogue.keys = Some(material.keys());
        rogue
    }

    /// A connection after the handshakes.
    pub(crate) async fn ready(middle: SocketAddr) -> Self {
        let mut rogue = Self::keyed(middle).await;
        let handshake = rogue.handshake();
        rogue.send(handshake.encode().as_ref()).await;
        rogue.stream.read_exact(&mut [0; 48]).await.unwrap();
        rogue
    }

    /// Sends one frame.
    pub(crate) async fn send(&mut self, payload: &[u8]) {
        let frame = self.frame(payload);
        self.send_raw(frame).await;
    }

    /// The next frame, not encrypted yet.
    pub(crate) fn frame(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        self.encoder.encode(&[payload], &mut frame);
        frame
    }

    /// Sends bytes, padded and encrypted when there are keys.
    pub(crate) async fn send_raw(&mut self, mut bytes: Vec<u8>) {
        if let Some(keys) = &mut self.keys {
            full::pad(&mut bytes, 0);
            keys.to_middle.encrypt(&mut bytes);
        }
        self.stream.write_all(&bytes).await.unwrap();
    }

    pub(crate) async fn request(&mut self, request: &Request<'_>) {
        use teleferry_proto::rpc::Packet;
        let packet = Packet::Request(*request);
        self.send(&[packet.head().as_ref(), packet.message()].concat()).await;
    }

    /// Reads until the other side ends.
    pub(crate) async fn expect_end(&mut self) {
        let mut scratch = [0; 1024];
        while self.stream.read(&mut scratch).await.is_ok_and(|len| len > 0) {}
    }
}
