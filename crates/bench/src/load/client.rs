//! A client of a proxy, or of a data centre through a plain relay.

use std::io;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use teleferry_proto::dc::DcId;
use teleferry_proto::fake_tls::answer::{self, MAX_ANSWER};
use teleferry_proto::fake_tls::greeting::{self, Shape};
use teleferry_proto::obfuscated::{self, Header, Initiated};
use teleferry_proto::secret::SecretKey;
use teleferry_proto::transport::Framing;
use tokio::net::TcpStream;

use super::codec::Codec;
use super::{BLOCK, Expected, ORDER, Order, block, mismatch, receive, send};

/// The cover domain that fake-TLS clients name.
pub(crate) const DOMAIN: &str = "www.example.com";
/// The data centre that most clients ask for.
pub(crate) const DC: i16 = 2;

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// As towards a data centre, without a secret.
    Direct,
    /// A plain secret, intermediate framing.
    Plain,
    /// A `dd` secret.
    Padded,
    /// An `ee` secret.
    FakeTls,
}

/// A way to the data centre.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
    pub(crate) key: SecretKey,
    /// The data centre to ask for.
    pub(crate) dc: i16,
    /// Over a middle proxy: the relay frames the answers, and pads them.
    pub(crate) middle: bool,
}

/// A connected client. Holds no buffer between orders.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    codec: Codec,
    orders: u64,
}

impl Client {
    /// Connects, with the whole handshake of fake TLS. The header goes with the first order, as the apps do it.
    pub(crate) async fn connect(route: &Route) -> io::Result<Self> {
        let stream = TcpStream::connect(route.address).await?;
        stream.set_nodelay(true)?;
        let tls = route.protocol == Protocol::FakeTls;
        if tls {
            handshake(&stream, &route.key).await?;
        }
        let framing = if route.protocol == Protocol::Plain { Framing::Intermediate } else { Framing::Padded };
        let key = if route.protocol == Protocol::Direct { None } else { Some(&route.key) };
        let Initiated { wire, to_server, from_server } = initiate(framing, key, route.dc)?;
        let codec = Codec::of_client(to_server, from_server, wire, tls);
        Ok(Self { stream, codec: if route.middle { codec.padded() } else { codec }, orders: 0 })
    }

    /// Has one message echoed.
    pub(crate) async fn echo(&mut self) -> io::Result<()> {
        let order = self.order(Order::Echo).await?;
        self.expect(&order).await
    }

    /// Has blocks sent.
    pub(crate) async fn download(&mut self, blocks: u64) -> io::Result<()> {
        self.order(Order::Down(blocks)).await?;
        let mut expected = Expected::blocks(blocks);
        while !expected.is_over() {
            receive(&self.stream, |wire| match expected.take(self.codec.open(wire)?) {
                true => Ok(()),
                false => Err(mismatch("a download")),
            })
            .await?;
        }
        Ok(())
    }

    /// Sends blocks, and waits until all have arrived.
    pub(crate) async fn upload(&mut self, blocks: u64) -> io::Result<()> {
        let order = self.order(Order::Up(blocks)).await?;
        let mut wire = Vec::with_capacity(BLOCK);
        for _ in 0..blocks {
            self.codec.seal(block(), &mut wire);
            send(&self.stream, &wire).await?;
        }
        self.expect(&order).await
    }

    async fn order(&mut self, order: Order) -> io::Result<[u8; ORDER]> {
        self.orders += 1;
        let frame = order.encode(self.orders);
        let mut wire = Vec::new();
        self.codec.seal(&frame, &mut wire);
        send(&self.stream, &wire).await?;
        Ok(frame)
    }

    async fn expect(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            receive(&self.stream, |wire| {
                left = left.strip_prefix(self.codec.open(wire)?).ok_or_else(|| mismatch("an echo"))?;
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

fn initiate(framing: Framing, key: Option<&SecretKey>, dc: i16) -> io::Result<Initiated> {
    let header = Header { framing, dc: DcId::new(dc) };
    loop {
        if let Some(initiated) = obfuscated::initiate(&random()?, header, key) {
            return Ok(initiated);
        }
    }
}

/// Sends the hello and checks the answer.
async fn handshake(stream: &TcpStream, key: &SecretKey) -> io::Result<()> {
    let hello = greeting::greet(Shape::Modern, key, DOMAIN, unix_time(), &random()?, &random()?);
    send(stream, &hello.wire).await?;
    let mut answer = Vec::new();
    loop {
        let len = receive(stream, |wire| {
            answer.extend_from_slice(wire);
            answer::check(&answer, key, &hello.random).map_err(io::Error::other)
        })
        .await?;
        match len {
            Some(len) if len == answer.len() => return Ok(()),
            None if answer.len() < MAX_ANSWER => {}
            _ => return Err(mismatch("the answer to a hello")),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "handshakes carry the time, and nothing is measured with it")]
pub(super) fn unix_time() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32
}

pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
