//! Relays to compare with: one thread, edge-triggered epoll, bytes moved as they are until a socket has no more of them.

mod copy;
mod splice;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use clap::ValueEnum;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use self::copy::Copier;
use self::splice::Splicer;

/// How bytes are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Read into one buffer of 64 KiB, then write.
    Copy,
    /// Through a pipe, within the kernel.
    Splice,
}

/// Relays from a port of 127.0.0.1, chosen by the kernel and told on standard output, until standard input ends.
pub(crate) fn run(mode: Mode, target: SocketAddr) -> io::Result<()> {
    match mode {
        Mode::Copy => Relay::new(target, Copier::new())?.run(),
        Mode::Splice => Relay::new(target, Splicer::default())?.run(),
    }
}

/// Moves bytes from one socket to another.
trait Mover {
    /// What one direction of a connection keeps between calls.
    type Held: Default;

    /// Moves what is there, what is held first, until one of the sockets has or takes no more.
    fn advance(&mut self, from: &TcpStream, to: &TcpStream, held: &mut Self::Held) -> io::Result<Progress>;

    /// Takes back what a direction held.
    fn finish(&mut self, held: Self::Held);
}

/// Why moving has paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// There is nothing more to read.
    Drained,
    /// The destination takes no more.
    Blocked,
    /// The source has ended, and everything is delivered.
    Over,
}

struct Relay<M: Mover> {
    epoll: OwnedFd,
    listener: TcpListener,
    target: SocketAddr,
    pairs: Vec<Option<Pair<M::Held>>>,
    free: Vec<usize>,
    mover: M,
}

/// A client and its connection to the target.
struct Pair<H> {
    /// The client, the target.
    sockets: [TcpStream; 2],
    /// From the client, from the target.
    ways: [Way<H>; 2],
}

struct Way<H> {
    held: H,
    progress: Progress,
}

/// What is not a pair: numbers that no pair reaches.
const LISTENER: u64 = u64::MAX;
const INPUT: u64 = u64::MAX - 1;
const EVENTS_AT_ONCE: usize = 256;
const BACKLOG: i32 = 4096;

impl<M: Mover> Relay<M> {
    fn new(target: SocketAddr, mover: M) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        // Listening again changes nothing but how many may wait.
        rustix::net::listen(&listener, BACKLOG)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        // Files cannot be waited for, and do not end: an error is nothing.
        let _ = epoll::add(&epoll, rustix::stdio::stdin(), EventData::new_u64(INPUT), EventFlags::IN);
        Ok(Self { epoll, listener, target, pairs: Vec::new(), free: Vec::new(), mover })
    }

    fn run(mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", self.listener.local_addr()?)?;
        out.flush()?;
        let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
        loop {
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    INPUT => return Ok(()),
                    number => self.turn(number, event.flags),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let client = match rustix::net::accept_with(&self.listener, SocketFlags::NONBLOCK) {
                Ok(socket) => TcpStream::from(socket),
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let sockets = [client, connect(self.target)?];
            let place = self.free.pop().unwrap_or_else(|| {
                self.pairs.push(None);
                self.pairs.len() - 1
            });
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            for (side, socket) in sockets.iter().enumerate() {
                socket.set_nodelay(true)?;
                let number = (place * 2 + side) as u64;
                epoll::add(&self.epoll, socket.as_fd(), EventData::new_u64(number), flags)?;
            }
            let way = || Way { held: M::Held::default(), progress: Progress::Drained };
            self.pairs[place] = Some(Pair { sockets, ways: [way(), way()] });
        }
    }

    /// Something has happened to one socket. An event of a pair that is gone, or whose place has a new one, does no harm:
    /// there is nothing to move then.
    fn turn(&mut self, number: u64, flags: EventFlags) {
        let (place, side) = ((number / 2) as usize, (number % 2) as usize);
        let Some(pair) = self.pairs.get_mut(place).and_then(Option::as_mut) else { return };
        let mut alive = true;
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR)
            && pair.ways[side].progress == Progress::Drained
        {
            alive &= pair.advance(side, &mut self.mover);
        }
        if flags.contains(EventFlags::OUT) && pair.ways[1 - side].progress == Progress::Blocked {
            alive &= pair.advance(1 - side, &mut self.mover);
        }
        if !alive || pair.ways.iter().all(|way| way.progress == Progress::Over) {
            for way in self.pairs[place].take().into_iter().flat_map(|pair| pair.ways) {
                self.mover.finish(way.held);
            }
            self.free.push(place);
        }
    }
}

impl<H: Default> Pair<H> {
    /// Moves bytes from one side; says whether the connection is sound.
    fn advance<M: Mover<Held = H>>(&mut self, side: usize, mover: &mut M) -> bool {
        let (from, to) = (&self.sockets[side], &self.sockets[1 - side]);
        let way = &mut self.ways[side];
        match mover.advance(from, to, &mut way.held) {
            Ok(progress) => way.progress = progress,
            Err(_) => return false,
        }
        way.progress != Progress::Over || to.shutdown(std::net::Shutdown::Write).is_ok()
    }
}

/// Begins to connect.
fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}
