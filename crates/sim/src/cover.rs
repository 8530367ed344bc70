//! A cover site: it keeps every byte of each visitor and how the visitor ended, and plays a script.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, tcp, unix};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::pattern;

/// Bytes of one visitor that are kept; those that follow are only counted.
pub const KEPT: usize = 4 << 20;

/// Bytes read or written at once.
const CHUNK: usize = 16 << 10;

/// One thing that the site does with a visitor. After the last it listens on until the visitor ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Waits until this many bytes have come in all, or the visitor has ended.
    Await(u64),
    /// Waits until the visitor has ended: FIN or reset.
    AwaitEnd,
    /// Waits until nothing has come for this long, or the visitor has ended: an idle timer.
    AwaitIdle(Duration),
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends the [`pattern`] of a seed.
    SendPattern {
        /// Which pattern.
        seed: u64,
        /// How many bytes.
        len: u64,
    },
    /// Sends FIN, and listens on.
    HalfClose,
    /// Closes. (The kernel makes it a reset when bytes have come that were not read yet.)
    Close,
    /// Closes with RST. A Unix socket is just closed.
    Reset,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The visitor sent FIN.
    Fin,
    /// The visitor's RST came.
    Reset,
    /// The script closed it before the visitor had ended.
    Ours,
}

/// One visitor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visit {
    /// What it sent, up to [`KEPT`] bytes.
    pub received: Vec<u8>,
    /// How many bytes it sent.
    pub total: u64,
    /// How it ended; `None` while it is here.
    pub end: Option<End>,
    /// The script was played to its end, or as far as the visitor let it.
    pub played: bool,
}

/// A running cover site. Dropping it closes everything.
#[derive(Debug)]
pub struct CoverSite {
    place: Place,
    script: Arc<Mutex<Vec<Act>>>,
    visits: watch::Receiver<Vec<Visit>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl CoverSite {
    /// Starts a site on 127.0.0.1, on a port that the kernel chooses.
    ///
    /// # Errors
    /// The port cannot be had.
    pub async fn start(script: Vec<Act>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let place = Place::Tcp(listener.local_addr()?);
        Ok(Self::run(place, Door::Tcp(listener), script))
    }

    /// Starts a site on a Unix socket, which must not be there yet.
    ///
    /// # Errors
    /// The socket cannot be made there.
    pub fn start_unix(path: &Path, script: Vec<Act>) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        Ok(Self::run(Place::Unix(path.to_owned()), Door::Unix(listener), script))
    }

    /// Where it is, as the setting of a proxy: `IP:PORT` or `unix:PATH`.
    #[must_use]
    pub fn target(&self) -> String {
        match &self.place {
            Place::Tcp(address) => address.to_string(),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Its address.
    ///
    /// # Panics
    /// On a Unix socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match &self.place {
            Place::Tcp(address) => *address,
            Place::Unix(path) => panic!("{} is no IP address", path.display()),
        }
    }

    /// Changes the script for visitors to come.
    pub fn set_script(&self, script: Vec<Act>) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// All visitors so far, in the order in which they came.
    #[must_use]
    pub fn visits(&self) -> Vec<Visit> {
        self.visits.borrow().clone()
    }

    /// Waits until the visits fulfil a condition, and gives them.
    pub async fn wait_until(&self, condition: impl Fn(&[Visit]) -> bool) -> Vec<Visit> {
        let mut visits = self.visits.clone();
        // The channel closes when the site has stopped; what was seen stays.
        let _ = visits.wait_for(|visits| condition(visits)).await;
        visits.borrow().clone()
    }

    /// Waits until a visitor (counted from 0) has ended and the script is played.
    pub async fn ended(&self, index: usize) -> Visit {
        let over = |visit: &Visit| visit.end.is_some() && visit.played;
        let mut visits = self.wait_until(|visits| visits.get(index).is_some_and(over)).await;
        visits.swap_remove(index)
    }

    fn run(place: Place, door: Door, script: Vec<Act>) -> Self {
        let script = Arc::new(Mutex::new(script));
        let (record, visits) = watch::channel(Vec::new());
        let task = tokio::spawn(receive_all(door, Arc::clone(&script), record));
        Self { place, script, visits, task }
    }
}

impl Drop for CoverSite {
    fn drop(&mut self) {
        self.task.abort();
        if let Place::Unix(path) = &self.place {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}

enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

async fn receive_all(door: Door, script: Arc<Mutex<Vec<Act>>>, record: watch::Sender<Vec<Visit>>) {
    let mut visitors = JoinSet::new();
    for index in 0.. {
        let accepted = loop {
            tokio::select! {
                accepted = door.accept() => break accepted,
                Some(_) = visitors.join_next() => {}
            }
        };
        let Ok((reader, writer)) = accepted else { return };
        record.send_modify(|visits| visits.push(Visit::default()));
        let script = script.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let book = Book { record: record.clone(), index };
        visitors.spawn(receive(reader, writer, script, book));
    }
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;

impl Door {
    async fn accept(&self) -> io::Result<(Reader, Writer)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (reader, writer) = TcpStream::into_split(listener.accept().await?.0);
                (Box::new(reader), Writer::Tcp(writer))
            }
            Self::Unix(listener) => {
                let (reader, writer) = UnixStream::into_split(listener.accept().await?.0);
                (Box::new(reader), Writer::Unix(writer))
            }
        })
    }
}

enum Writer {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

impl Writer {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(writer) => writer.write_all(bytes).await,
            Self::Unix(writer) => writer.write_all(bytes).await,
        }
    }

    async fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(writer) => writer.shutdown().await,
            Self::Unix(writer) => writer.shutdown().await,
        }
    }

    /// Makes the end a reset when the reader is dropped too.
    fn reset(self) {
        if let Self::Tcp(writer) = self {
            // It fails only when the connection is gone already.
            let _ = writer.as_ref().set_zero_linger();
            // Dropped, it would send FIN first.
            writer.forget();
        }
    }
}

/// Where one visit is written down.
struct Book {
    record: watch::Sender<Vec<Visit>>,
    index: usize,
}

impl Book {
    fn note(&self, change: impl FnOnce(&mut Visit)) {
        self.record.send_modify(|visits| {
            if let Some(visit) = visits.get_mut(self.index) {
                change(visit);
            }
        });
    }

    async fn wait_for(&self, condition: impl Fn(&Visit) -> bool) {
        let fulfilled = |visits: &Vec<Visit>| visits.get(self.index).is_some_and(&condition);
        // We hold the sender, so the channel is open.
        let _ = self.record.subscribe().wait_for(fulfilled).await;
    }

    /// Waits until nothing new has come for as long.
    async fn wait_idle(&self, idle: Duration) {
        let seen = |book: &Self| book.record.borrow().get(book.index).map_or(0, |visit| visit.total);
        let mut before = seen(self);
        while let Ok(()) =
            tokio::time::timeout(idle, self.wait_for(|visit| visit.total > before || visit.end.is_some()))
                .await
        {
            let now = seen(self);
            if now == before {
                return;
            }
            before = now;
        }
    }
}

/// How the script leaves a visitor.
#[derive(Debug, PartialEq, Eq)]
enum Leave {
    Listening,
    Closing,
    Resetting,
}

async fn receive(mut reader: Reader, mut writer: Writer, script: Vec<Act>, book: Book) {
    let leave = {
        let mut listening = std::pin::pin!(listen(&mut reader, &book));
        let mut playing = std::pin::pin!(play(&mut writer, script, &book));
        let leave = tokio::select! {
            leave = &mut playing => leave,
            () = &mut listening => playing.await,
        };
        book.note(|visit| visit.played = true);
        let here = book.record.borrow().get(book.index).is_some_and(|visit| visit.end.is_none());
        if leave == Leave::Listening && here {
            listening.await;
        }
        leave
    };
    if leave == Leave::Resetting {
        writer.reset();
    }
    book.note(|visit| {
        visit.end.get_or_insert(End::Ours);
    });
}

async fn listen(reader: &mut Reader, book: &Book) {
    let mut chunk = vec![0; CHUNK];
    let end = loop {
        match reader.read(&mut chunk).await {
            Ok(0) => break End::Fin,
            Ok(len) => book.note(|visit| {
                visit.total += len as u64;
                let room = KEPT - visit.received.len();
                visit.received.extend_from_slice(&chunk[..len.min(room)]);
            }),
            Err(_) => break End::Reset,
        }
    };
    book.note(|visit| visit.end = Some(end));
}

async fn play(writer: &mut Writer, script: Vec<Act>, book: &Book) -> Leave {
    for act in script {
        let done = match act {
            Act::Await(total) => {
                book.wait_for(|visit| visit.total >= total || visit.end.is_some()).await;
                Ok(())
            }
            Act::AwaitEnd => {
                book.wait_for(|visit| visit.end.is_some()).await;
                Ok(())
            }
            Act::AwaitIdle(idle) => {
                book.wait_idle(idle).await;
                Ok(())
            }
            Act::Send(bytes) => writer.send(&bytes).await,
            Act::SendPattern { seed, len } => send_pattern(writer, seed, len).await,
            Act::HalfClose => writer.finish().await,
            Act::Close => return Leave::Closing,
            Act::Reset => return Leave::Resetting,
        };
        // A visitor that has gone cannot be played to; how it went is what the reader says.
        if done.is_err() {
            break;
        }
    }
    Leave::Listening
}

async fn send_pattern(writer: &mut Writer, seed: u64, len: u64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut sent = 0;
    while sent < len {
        let part = &mut chunk[..(len - sent).min(CHUNK as u64) as usize];
        pattern::fill(seed, sent, part);
        writer.send(part).await?;
        sent += part.len() as u64;
    }
    Ok(())
}
