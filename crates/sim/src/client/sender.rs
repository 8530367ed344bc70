//! The sending half of a client.

use teleferry_proto::cipher::CtrStream;
use teleferry_proto::fake_tls::record::{self, CHANGE_CIPHER_SPEC_RECORD};
use teleferry_proto::obfuscated::HEADER_LEN;
use teleferry_proto::transport::{self, Framing, MAX_CLIENT_MESSAGE};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::{ClientError, Receiver};
use crate::entropy;

/// The longest record that the apps send, in bytes of content.
const MAX_RECORD: usize = 2878;

/// Sends messages, and any other bytes that a test wants.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedWriteHalf,
    framing: Framing,
    cipher: CtrStream,
    /// The header, until it is sent.
    header: Option<[u8; HEADER_LEN]>,
    /// The stream goes in TLS records.
    records: bool,
    greeted: bool,
}

impl Sender {
    pub(super) const fn new(
        socket: OwnedWriteHalf,
        framing: Framing,
        cipher: CtrStream,
        header: Option<[u8; HEADER_LEN]>,
        records: bool,
    ) -> Self {
        Self { socket, framing, cipher, header, records, greeted: false }
    }

    /// Sends one message, padded as the apps pad it; `quick_ack` asks for one.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn send(&mut self, message: &[u8], quick_ack: bool) -> Result<(), ClientError> {
        let wire = self.encode(message, quick_ack);
        self.send_raw(&wire).await
    }

    /// Sends the header alone, if it has not been sent.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        if self.header.is_some() {
            let wire = self.encode_stream(&[]);
            self.send_raw(&wire).await?;
        }
        Ok(())
    }

    /// One message as it goes on the wire, with whatever has to go before it. The caller sends it, in this order and
    /// whole, or the stream cannot be read any more.
    pub fn encode(&mut self, message: &[u8], quick_ack: bool) -> Vec<u8> {
        let [random, padding @ ..] = entropy::bytes::<16>();
        // Whole words of padding count as message for the receiver, and must not make it too long.
        let room = (MAX_CLIENT_MESSAGE + 3).saturating_sub(message.len());
        let len = if self.framing == Framing::Padded { usize::from(random & 15).min(room) } else { 0 };
        let padding = &padding[..len];
        let mut frame = Vec::with_capacity(message.len() + 32);
        transport::encode(self.framing, message, quick_ack, padding, &mut frame);
        self.encode_stream(&frame)
    }

    /// Bytes of the obfuscated stream, without any framing, as they go on the wire: for frames that are illegal.
    pub fn encode_stream(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut stream = self.header.take().map_or_else(Vec::new, |header| header.to_vec());
        let from = stream.len();
        stream.extend_from_slice(plain);
        self.cipher.apply(&mut stream[from..]);
        if !self.records {
            return stream;
        }
        let mut wire = Vec::with_capacity(stream.len() + 64);
        if !std::mem::replace(&mut self.greeted, true) {
            wire.extend(CHANGE_CIPHER_SPEC_RECORD);
        }
        for content in stream.chunks(MAX_RECORD) {
            record::wrap(content, &mut wire);
        }
        wire
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn send_raw(&mut self, wire: &[u8]) -> Result<(), ClientError> {
        Ok(self.socket.write_all(wire).await?)
    }

    /// Sends FIN. The other direction stays.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn half_close(&mut self) -> Result<(), ClientError> {
        Ok(self.socket.shutdown().await?)
    }

    pub(super) fn reunite(self, receiver: Receiver) -> Option<TcpStream> {
        receiver.reunite(self.socket)
    }

    /// The connection itself, for its options.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        self.socket.as_ref()
    }
}
