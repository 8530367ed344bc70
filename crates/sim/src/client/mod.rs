//! Clients of a proxy, in every protocol: what the apps send, and hands on every byte of it for tests.
//!
//! [`Client::connect`] for most; [`Client::dial`] sends the header together with the first message, as the apps do;
//! [`Opening`] gives the first bytes without sending them, so that a test can cut, join or keep them back.

mod error;
mod handshake;
mod receiver;
mod sender;

use std::net::SocketAddr;

pub use error::ClientError;
pub use handshake::{Opening, Options, Protocol};
pub use receiver::Receiver;
pub use sender::Sender;
use teleferry_proto::fake_tls::greeting::Shape;
use teleferry_proto::message;
use teleferry_proto::transport::ServerFrame;
use tokio::net::TcpStream;

use crate::clock;
use crate::command::{Command, Packet, Report, Send, quick_ack_token};
use crate::entropy;

/// The shape of the hello with which fake TLS begins.
pub type HelloShape = Shape;

/// A connection of one client. Its halves can be used at the same time: [`Client::split`].
#[derive(Debug)]
pub struct Client {
    /// The sending half.
    pub sender: Sender,
    /// The receiving half.
    pub receiver: Receiver,
}

impl Client {
    /// Connects, and sends everything that comes before the first message: the whole fake-TLS handshake and the header.
    ///
    /// # Errors
    /// The connection failed, or the answer to the hello is not what clients insist on.
    pub async fn connect(address: SocketAddr, options: &Options) -> Result<Self, ClientError> {
        let mut client = Self::dial(address, options).await?;
        client.sender.flush().await?;
        Ok(client)
    }

    /// Connects as the apps do: the header (in fake TLS also the ChangeCipherSpec before it) is sent together with the
    /// first message.
    ///
    /// # Errors
    /// The connection failed, or the answer to the hello is not what clients insist on.
    pub async fn dial(address: SocketAddr, options: &Options) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Opening::new(options).dial(stream).await
    }

    /// Sends one message.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn send(&mut self, message: &[u8]) -> Result<(), ClientError> {
        self.sender.send(message, false).await
    }

    /// The next frame; `None` at the end of the stream.
    ///
    /// # Errors
    /// The connection failed, or what came is not legal.
    pub async fn recv(&mut self) -> Result<Option<ServerFrame>, ClientError> {
        self.receiver.recv().await
    }

    /// The halves, for two tasks. Dropping the sender sends FIN.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// The connection as it is, whatever was sent or read; `None` never happens for halves of one client.
    #[must_use]
    pub fn into_stream(self) -> Option<TcpStream> {
        self.sender.reunite(self.receiver)
    }

    /// Ends the connection with RST.
    ///
    /// # Errors
    /// The connection failed before.
    pub fn reset(self) -> Result<(), ClientError> {
        if let Some(stream) = self.into_stream() {
            stream.set_zero_linger()?;
        }
        Ok(())
    }

    /// Asks what opens every key exchange, and checks that the answer is one to this question.
    ///
    /// # Errors
    /// The connection failed, or something else was answered.
    pub async fn req_pq(&mut self) -> Result<(), ClientError> {
        let nonce = entropy::bytes();
        let message_id = clock::now().as_secs() << 32;
        self.send(&message::req_pq_multi(message_id, nonce)).await?;
        let answer = self.receiver.message().await?;
        if message::res_pq_nonce(&answer) == Some(nonce) { Ok(()) } else { Err(ClientError::Mismatch) }
    }

    /// Has some content echoed, and compares every byte.
    ///
    /// # Errors
    /// The connection failed, or something else came back.
    pub async fn echo(&mut self, content: Vec<u8>) -> Result<(), ClientError> {
        let packet = Command::Echo(content).encode();
        self.send(&packet).await?;
        self.receiver.expect_packet(&packet).await
    }

    /// The same, and asks for a quick ack, which comes first.
    ///
    /// # Errors
    /// The connection failed, or something else came back.
    pub async fn echo_with_quick_ack(&mut self, content: Vec<u8>) -> Result<(), ClientError> {
        let packet = Command::Echo(content).encode();
        let token = Packet::parse(&packet).map(|packet| quick_ack_token(&packet));
        self.sender.send(&packet, true).await?;
        match self.recv().await? {
            Some(ServerFrame::QuickAck(ack)) if Some(ack) == token => {}
            Some(_) => return Err(ClientError::Mismatch),
            None => return Err(ClientError::Ended),
        }
        self.receiver.expect_packet(&packet).await
    }

    /// Sends a command to the simulated data centre.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn command(&mut self, command: &Command) -> Result<(), ClientError> {
        self.send(&command.encode()).await
    }

    /// Has packets sent, and checks every byte of each.
    ///
    /// # Errors
    /// The connection failed, or something else came.
    pub async fn download(&mut self, send: Send) -> Result<(), ClientError> {
        self.command(&Command::Send(send)).await?;
        self.receiver.expect_download(&send).await
    }

    /// What the data centre has seen of this connection.
    ///
    /// # Errors
    /// The connection failed, or something else came.
    pub async fn report(&mut self) -> Result<Report, ClientError> {
        self.command(&Command::Report).await?;
        Report::decode(&self.receiver.message().await?).ok_or(ClientError::Mismatch)
    }
}
