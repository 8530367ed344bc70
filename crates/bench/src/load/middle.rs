//! The middle proxy of the relay bench, with the data centre behind it.
//!
//! What one read of a link brings is answered in one write. Blocks for several clients take turns, and are encrypted some
//! at a time, so that a link carries a few clients' messages mixed, as a real one does.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write as _};
use std::net::SocketAddr;

use teleferry_proto::middle::server::{Conduct, Event, Server, Setup};
use teleferry_proto::rpc::{ConnId, Packet, ProcessId};
use teleferry_proto::telegram_config::MiddleSecret;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

use super::client::{random, unix_time};
use super::{ECHO, ORDER, Order, SCRATCH, block, mismatch, part, published};

/// Blocks are added while fewer bytes than this wait to be sent.
const FULL: usize = 256 << 10;

/// Serves links on one port of 127.0.0.1, and on another one says over HTTP where they are; tells both on standard output.
pub(crate) fn run() -> io::Result<()> {
    part::run(async {
        let (links, web) = (part::listen()?, part::listen()?);
        let address = links.local_addr()?;
        part::tell(&[address, web.local_addr()?])?;
        tokio::select! {
            done = accept_all(links, address) => done,
            done = published::serve(web, address) => done,
        }
    })
}

async fn accept_all(listener: TcpListener, address: SocketAddr) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        let link = Link::new(stream, address, peer)?;
        tokio::spawn(link.run());
    }
}

/// One connection of a proxy.
struct Link {
    stream: TcpStream,
    server: Server,
    guests: HashMap<ConnId, Guest>,
    /// Those that are sent blocks, in turn.
    downloading: VecDeque<ConnId>,
}

impl Link {
    fn new(stream: TcpStream, address: SocketAddr, peer: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let now = unix_time();
        let server = Server::new(Setup {
            secret: MiddleSecret::embedded(),
            middle: address,
            proxy: peer,
            unix_time: now,
            process: ProcessId::of(address.ip(), address.port(), std::process::id() as u16, now),
            crc32c: true,
            nonce: random()?,
            conduct: Conduct::Serve,
        });
        Ok(Self { stream, server, guests: HashMap::new(), downloading: VecDeque::new() })
    }

    async fn run(mut self) {
        // That a proxy ends a link is ordinary; its clients see that no answer comes. What was wrong is for people.
        if let Err(error) = self.serve().await
            && error.kind() == io::ErrorKind::InvalidData
        {
            let _ = writeln!(io::stderr(), "middle proxy: {error}");
            let _ = self.stream.set_zero_linger();
        }
    }

    /// Serves it until it ends, which is always an error.
    async fn serve(&mut self) -> io::Result<()> {
        loop {
            let blocked = self.server.queued() > 0;
            if blocked || self.downloading.is_empty() {
                let interest =
                    if blocked { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
                self.stream.ready(interest).await?;
            } else {
                tokio::task::yield_now().await;
            }
            self.read()?;
            self.add_blocks();
            self.flush()?;
        }
    }

    fn read(&mut self) -> io::Result<()> {
        SCRATCH.with_borrow_mut(|scratch| match self.stream.try_read(scratch) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => self.take(&mut scratch[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        })
    }

    fn take(&mut self, wire: &mut [u8]) -> io::Result<()> {
        self.server.input(wire);
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::Request { conn, message, .. } => {
                    let guest = self.guests.entry(conn).or_default();
                    let was_downloading = guest.down > 0;
                    let back = guest.take(self.server.message(wire, message))?;
                    if guest.down > 0 && !was_downloading {
                        self.downloading.push_back(conn);
                    }
                    if let Some(message) = back {
                        self.server.send(&Packet::Answer { flags: 0, conn, message: &message });
                    }
                }
                Event::Closed { conn } => {
                    self.guests.remove(&conn);
                }
                Event::Down(reason) => return Err(mismatch(&format!("a link's protocol ({reason:?})"))),
                _ => {}
            }
        }
        Ok(())
    }

    fn add_blocks(&mut self) {
        while self.server.queued() < FULL {
            let Some(conn) = self.downloading.pop_front() else { return };
            let Some(guest) = self.guests.get_mut(&conn) else { continue };
            self.server.send(&Packet::Answer { flags: 0, conn, message: &block()[4..] });
            guest.down -= 1;
            if guest.down > 0 {
                self.downloading.push_back(conn);
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.server.poll_transmit() {
            match self.stream.try_write(bytes) {
                Ok(len) => self.server.transmitted(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A client on a link.
#[derive(Debug, Default)]
struct Guest {
    /// Blocks of its upload that are to come, and the order to send back behind them.
    up: Option<(u64, [u8; ECHO])>,
    /// Blocks that it is to be sent.
    down: u64,
}

impl Guest {
    /// Takes a message, which is an order or a block; gives what is to be sent back.
    fn take(&mut self, message: &[u8]) -> io::Result<Option<[u8; ECHO]>> {
        if let Some((blocks, order)) = &mut self.up {
            if message != &block()[4..] {
                return Err(mismatch("an upload"));
            }
            *blocks -= 1;
            let back = (*blocks == 0).then_some(*order);
            if back.is_some() {
                self.up = None;
            }
            return Ok(back);
        }
        let order: [u8; ECHO] = message.try_into().map_err(|_| mismatch("an order's length"))?;
        let mut frame = [0; ORDER];
        frame[..4].copy_from_slice(&(ECHO as u32).to_le_bytes());
        frame[4..].copy_from_slice(&order);
        match Order::decode(&frame) {
            Some(Order::Echo) => return Ok(Some(order)),
            Some(Order::Down(blocks)) if self.down == 0 => self.down = blocks,
            Some(Order::Up(blocks)) if blocks > 0 => self.up = Some((blocks, order)),
            _ => return Err(mismatch("an order")),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(order: Order) -> [u8; ECHO] {
        order.encode(1)[4..].try_into().unwrap()
    }

    #[test]
    fn orders_are_obeyed_and_no_byte_of_an_upload_may_differ() {
        let mut guest = Guest::default();
        assert_eq!(guest.take(&message(Order::Echo)).unwrap(), Some(message(Order::Echo)));
        let up = message(Order::Up(2));
        assert_eq!(guest.take(&up).unwrap(), None);
        assert_eq!(guest.take(&block()[4..]).unwrap(), None);
        let mut spoilt = block()[4..].to_vec();
        spoilt[100] ^= 1;
        assert!(guest.take(&spoilt).is_err());
        assert_eq!(guest.take(&block()[4..]).unwrap(), Some(up));
        assert_eq!(guest.take(&message(Order::Down(3))).unwrap(), None);
        assert_eq!(guest.down, 3);
        assert!(guest.take(&[0; ECHO]).is_err() && guest.take(&[0; 8]).is_err());
    }
}
