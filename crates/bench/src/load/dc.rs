//! The data centre of the relay bench.

use std::io::{self, Write as _};

use teleferry_proto::obfuscated::{self, Accepted, HEADER_LEN};
use tokio::net::TcpStream;

use super::codec::Codec;
use super::{BLOCK, Expected, ORDER, Order, block, mismatch, part, receive, send};

/// Serves on a port of 127.0.0.1, chosen by the kernel and told on standard output, until standard input ends.
pub(crate) fn run() -> io::Result<()> {
    part::run(accept_all())
}

async fn accept_all() -> io::Result<()> {
    let listener = part::listen()?;
    part::tell(&[listener.local_addr()?])?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            match serve(&stream).await {
                // The client sees that its answer does not come; what was wrong is for people.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let _ = writeln!(io::stderr(), "data centre: {error}");
                    let _ = stream.set_zero_linger();
                }
                _ => {}
            }
        });
    }
}

/// Serves one connection until it ends, which is always an error.
async fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut guest = greet(stream).await?;
    let mut answer = Vec::new();
    loop {
        let blocks = receive(stream, |wire| guest.take(wire, &mut answer)).await?;
        send(stream, &answer).await?;
        answer = Vec::new();
        if blocks > 0 {
            guest.send_blocks(stream, blocks).await?;
        }
    }
}

async fn greet(stream: &TcpStream) -> io::Result<Guest> {
    let mut header = [0; HEADER_LEN];
    let mut len = 0;
    while len < HEADER_LEN {
        stream.readable().await?;
        match stream.try_read(&mut header[len..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let Accepted { from_client, to_client, .. } =
        obfuscated::accept(&header, None).ok_or_else(|| mismatch("a header"))?;
    Ok(Guest { codec: Codec::of_server(to_client, from_client), order: Vec::new(), up: None })
}

/// A connection behind its header.
struct Guest {
    codec: Codec,
    /// The part of an order that has come.
    order: Vec<u8>,
    /// The upload that is on its way, and the order to send back behind it.
    up: Option<(Expected, [u8; ORDER])>,
}

impl Guest {
    /// Takes what came; puts what is to be sent into `answer` and says how many blocks to send after it.
    fn take(&mut self, wire: &mut [u8], answer: &mut Vec<u8>) -> io::Result<u64> {
        let mut plain = self.codec.open(wire)?;
        if let Some((expected, order)) = &mut self.up {
            if !expected.take(plain) {
                return Err(mismatch("an upload"));
            }
            if expected.is_over() {
                self.codec.seal(order, answer);
                self.up = None;
            }
            return Ok(0);
        }
        while !plain.is_empty() {
            let (now, rest) = plain.split_at(plain.len().min(ORDER - self.order.len()));
            self.order.extend_from_slice(now);
            plain = rest;
            let Some(&frame) = self.order.first_chunk::<ORDER>() else { return Ok(0) };
            self.order = Vec::new();
            match Order::decode(&frame) {
                Some(Order::Echo) if plain.is_empty() => self.codec.seal(&frame, answer),
                Some(Order::Down(blocks)) if plain.is_empty() => return Ok(blocks),
                Some(Order::Up(blocks)) => {
                    let mut expected = Expected::blocks(blocks);
                    if !expected.take(plain) || expected.is_over() {
                        return Err(mismatch("an upload's beginning"));
                    }
                    self.up = Some((expected, frame));
                    return Ok(0);
                }
                _ => return Err(mismatch("an order")),
            }
        }
        Ok(0)
    }

    async fn send_blocks(&mut self, stream: &TcpStream, blocks: u64) -> io::Result<()> {
        let mut wire = Vec::with_capacity(BLOCK);
        for _ in 0..blocks {
            self.codec.seal(block(), &mut wire);
            send(stream, &wire).await?;
        }
        Ok(())
    }
}
