//! The receiving half of a client.

use std::io;

use teleferry_proto::cipher::CtrStream;
use teleferry_proto::fake_tls::record;
use teleferry_proto::transport::{Framing, ServerDecoder, ServerFrame};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::ClientError;
use crate::command::{Packet, Send};

/// Bytes read at once.
const SCRATCH: usize = 16 << 10;

/// Receives frames. Holds no buffer while it waits at a frame's border.
#[derive(Debug)]
pub struct Receiver {
    socket: OwnedReadHalf,
    cipher: CtrStream,
    records: Option<record::Reader>,
    decoder: ServerDecoder,
    bytes: u64,
}

impl Receiver {
    pub(super) const fn new(
        socket: OwnedReadHalf,
        framing: Framing,
        cipher: CtrStream,
        records: Option<record::Reader>,
    ) -> Self {
        Self { socket, cipher, records, decoder: ServerDecoder::new(framing), bytes: 0 }
    }

    /// The next frame; `None` at the end of the stream, even within a frame. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    /// The connection failed, or what came is not legal.
    pub async fn recv(&mut self) -> Result<Option<ServerFrame>, ClientError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(frame));
            }
            self.socket.readable().await?;
            if self.read()? == Some(0) {
                return Ok(None);
            }
        }
    }

    /// The next frame, which has to be a message.
    ///
    /// # Errors
    /// The connection failed or ended, or something else came.
    pub async fn message(&mut self) -> Result<Vec<u8>, ClientError> {
        match self.recv().await? {
            Some(ServerFrame::Message(message)) => Ok(message),
            Some(ServerFrame::QuickAck(_)) => Err(ClientError::Mismatch),
            None => Err(ClientError::Ended),
        }
    }

    /// The next frame, which has to be this test packet.
    ///
    /// # Errors
    /// The connection failed or ended, or something else came.
    pub async fn expect_packet(&mut self, packet: &[u8]) -> Result<(), ClientError> {
        let message = self.message().await?;
        let same = Packet::parse(&message).is_some_and(|came| came.whole == packet);
        if same { Ok(()) } else { Err(ClientError::Mismatch) }
    }

    /// The next frames, which have to be what was asked for.
    ///
    /// # Errors
    /// The connection failed or ended, or something else came.
    pub async fn expect_download(&mut self, send: &Send) -> Result<(), ClientError> {
        for index in 0..send.count {
            if !send.verify(index, &self.message().await?) {
                return Err(ClientError::Mismatch);
            }
        }
        Ok(())
    }

    /// Reads on until the stream ends.
    ///
    /// # Errors
    /// The connection failed, or a frame came.
    pub async fn expect_end(&mut self) -> Result<(), ClientError> {
        match self.recv().await? {
            None => Ok(()),
            Some(_) => Err(ClientError::Mismatch),
        }
    }

    /// Bytes received so far behind the answer to the hello, TLS records included.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn reunite(self, sender: OwnedWriteHalf) -> Option<TcpStream> {
        self.socket.reunite(sender).ok()
    }

    /// Reads once; `None` when there was nothing after all. Not async, so that the buffer is in no task.
    fn read(&mut self) -> Result<Option<usize>, ClientError> {
        let mut scratch = [0; SCRATCH];
        let len = match self.socket.try_read(&mut scratch) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        self.bytes += len as u64;
        let raw = &mut scratch[..len];
        let stream = match &mut self.records {
            Some(records) => {
                let stream_len = records.read(raw)?;
                &mut raw[..stream_len]
            }
            None => raw,
        };
        self.cipher.apply(stream);
        self.decoder.push(stream);
        Ok(Some(len))
    }
}
