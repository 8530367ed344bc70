//! How a connection begins: the 64-byte header, and in fake TLS the hello and its answer.

use std::io;

use teleferry_proto::dc::DcId;
use teleferry_proto::fake_tls::answer::{self, MAX_ANSWER};
use teleferry_proto::fake_tls::greeting::{self, Greeting, Shape};
use teleferry_proto::fake_tls::record;
use teleferry_proto::obfuscated::{self, Header, Initiated};
use teleferry_proto::secret::SecretKey;
use teleferry_proto::transport::Framing;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::receiver::Receiver;
use super::sender::Sender;
use super::{Client, ClientError};
use crate::{clock, entropy};

/// Which protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Abridged framing: most apps with a plain secret.
    Abridged,
    /// Intermediate framing: TDLib with a plain secret.
    Intermediate,
    /// Padded framing: all apps with a `dd` secret.
    Padded,
    /// Padded framing in fake TLS: all apps with an `ee` secret.
    FakeTls,
}

impl Protocol {
    /// All protocols, for tables and tests.
    pub const ALL: [Self; 4] = [Self::Abridged, Self::Intermediate, Self::Padded, Self::FakeTls];

    const fn framing(self) -> Framing {
        match self {
            Self::Abridged => Framing::Abridged,
            Self::Intermediate => Framing::Intermediate,
            Self::Padded | Self::FakeTls => Framing::Padded,
        }
    }
}

/// What kind of client.
#[derive(Debug, Clone)]
pub struct Options {
    /// The protocol.
    pub protocol: Protocol,
    /// The proxy's secret; none towards a data centre itself.
    pub key: Option<SecretKey>,
    /// The data centre that it wants.
    pub dc: DcId,
    /// The name in the hello, with fake TLS.
    pub domain: String,
    /// The shape of the hello, with fake TLS.
    pub shape: Shape,
    /// The clock in the hello is this many seconds ahead, with fake TLS.
    pub clock_skew_s: i32,
}

impl Options {
    /// A client of DC 2, with `www.example.com` in a hello of today's shape.
    #[must_use]
    pub fn new(protocol: Protocol, key: Option<SecretKey>) -> Self {
        Self {
            protocol,
            key,
            dc: DcId::new(2),
            domain: "www.example.com".to_owned(),
            shape: Shape::Modern,
            clock_skew_s: 0,
        }
    }

    /// The same client of another data centre.
    #[must_use]
    pub fn with_dc(self, dc: i16) -> Self {
        Self { dc: DcId::new(dc), ..self }
    }
}

/// A connection that has not begun: its first bytes are made, and in the caller's hands.
#[derive(Debug)]
pub struct Opening {
    greeting: Option<(Greeting, SecretKey)>,
    header: Initiated,
    framing: Framing,
}

impl Opening {
    /// Makes the first bytes.
    ///
    /// # Panics
    /// With fake TLS and no secret: nothing could prove the hello.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let header = Header { framing: options.protocol.framing(), dc: options.dc };
        let initiated = loop {
            if let Some(initiated) = obfuscated::initiate(&entropy::bytes(), header, options.key.as_ref()) {
                break initiated;
            }
        };
        let greeting = (options.protocol == Protocol::FakeTls).then(|| {
            let key = options.key.clone().expect("fake TLS needs a secret");
            (greet(options, &key), key)
        });
        Self { greeting, header: initiated, framing: header.framing }
    }

    /// What the client sends before it waits for anything: the hello, or without fake TLS the header.
    #[must_use]
    pub fn first_bytes(&self) -> &[u8] {
        match &self.greeting {
            Some((greeting, _)) => &greeting.wire,
            None => &self.header.wire,
        }
    }

    /// Goes on when the caller has sent the [first bytes](Self::first_bytes) itself: with fake TLS it reads and checks
    /// the answer. What is sent next is a message.
    ///
    /// # Errors
    /// The connection failed, or the answer to the hello is not what clients insist on.
    pub async fn finish(self, stream: TcpStream) -> Result<Client, ClientError> {
        self.begin(stream, true).await
    }

    /// Sends the hello, if there is one, checks the answer, and leaves the header to go with the first message.
    pub(super) async fn dial(self, mut stream: TcpStream) -> Result<Client, ClientError> {
        if let Some((greeting, _)) = &self.greeting {
            stream.write_all(&greeting.wire).await?;
        }
        self.begin(stream, false).await
    }

    async fn begin(self, stream: TcpStream, header_sent: bool) -> Result<Client, ClientError> {
        let Initiated { wire, to_server, from_server } = self.header;
        let records = self.greeting.is_some();
        if let Some((greeting, key)) = self.greeting {
            read_answer(&stream, &greeting, &key).await?;
        }
        let header = if header_sent && !records { None } else { Some(wire) };
        let reader = records.then(record::Reader::of_server);
        let (read_half, write_half) = stream.into_split();
        Ok(Client {
            sender: Sender::new(write_half, self.framing, to_server, header, records),
            receiver: Receiver::new(read_half, self.framing, from_server, reader),
        })
    }
}

fn greet(options: &Options, key: &SecretKey) -> Greeting {
    let unix_time = (clock::now().as_secs() as u32).wrapping_add_signed(options.clock_skew_s);
    // The server of a fake handshake never uses it; that its top bit is clear is all that can be seen of it.
    let mut x25519 = entropy::bytes::<32>();
    x25519[31] &= 0x7f;
    greeting::greet(options.shape, key, &options.domain, unix_time, &entropy::bytes(), &x25519)
}

/// Reads the answer to the hello: three records, their digest, and nothing behind them in what has come.
async fn read_answer(stream: &TcpStream, greeting: &Greeting, key: &SecretKey) -> Result<(), ClientError> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        stream.readable().await?;
        match stream.try_read_buf(&mut bytes) {
            Ok(0) => return Err(ClientError::Ended),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        match answer::check(&bytes, key, &greeting.random)? {
            Some(len) if len == bytes.len() => return nothing_more(stream),
            Some(_) => return Err(ClientError::TooMuch),
            None if bytes.len() >= MAX_ANSWER => return Err(ClientError::TooMuch),
            None => {}
        }
    }
}

/// Looks whether something else has come already.
fn nothing_more(stream: &TcpStream) -> Result<(), ClientError> {
    match stream.try_read(&mut [0]) {
        Ok(0) => Err(ClientError::Ended),
        Ok(_) => Err(ClientError::TooMuch),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
    }
}
