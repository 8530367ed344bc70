//! One link: its socket, and the order in which things are done for its clients.
//!
//! Messages are taken only while there is room for their answers, so that a proxy that does not read is not read from
//! either. Clients take turns, one answer each; those of one client stay in order.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use teleferry_proto::dc::DcId;
use teleferry_proto::middle::server::{Conduct, DownReason, Event, Server};
use teleferry_proto::obfuscated::Header;
use teleferry_proto::rpc::{ConnId, Packet};
use teleferry_proto::transport::Framing;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::check::Asked;
use super::clients::{Client, Clients, ClosedBy, Step};
use super::cluster::Cluster;
use super::registry::{ClientInfo, Content, LinkState, Mail, Order, Seat};
use super::{Settings, Violation};
use crate::command::ViaMiddle;
use crate::dc::{Answerer, Origin, Turn};

/// Bytes read at once.
const SCRATCH: usize = 64 << 10;
/// While this many bytes wait to be sent, nothing more is answered; so at most this and one more answer are kept.
const FULL: usize = 256 << 10;
/// While messages of this many bytes wait to be answered, nothing more is read.
const BEHIND: usize = 256 << 10;
/// How long a proxy may take to read what is queued when the link is closed in order, and again to end after our FIN.
const LINGER: Duration = Duration::from_secs(5);
/// Pings that may be without an answer at the same time; older ones are forgotten.
const PINGS: usize = 1024;

/// A link and all it needs. (The clients go before the seat, which tells everybody that the link has gone.)
pub(super) struct Link {
    cluster: Arc<Cluster>,
    settings: Arc<Settings>,
    stream: TcpStream,
    server: Server,
    clients: Clients,
    /// Clients with something to do, in turn.
    busy: VecDeque<ConnId>,
    /// Bytes of all messages that wait to be answered.
    waiting: usize,
    /// Pings without an answer.
    pings: VecDeque<[u8; 8]>,
    /// Packets that the protocol passed over so far.
    ignored: u64,
    stalled: bool,
    /// When the handshake was done.
    ready: Option<Instant>,
    ending: Option<Ending>,
    input_ended: bool,
    seat: Seat,
}

/// How a link ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// What is queued goes out until then, and after it FIN.
    Orderly(Instant),
    /// FIN was sent; the proxy has time until then.
    Lingering(Instant),
    Reset,
}

impl Link {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        settings: Arc<Settings>,
        stream: TcpStream,
        server: Server,
        seat: Seat,
    ) -> Self {
        let clients = Clients::new(Arc::clone(cluster.counters()), Arc::clone(&seat.tally));
        Self {
            stalled: settings.stall,
            cluster,
            settings,
            stream,
            server,
            clients,
            busy: VecDeque::new(),
            waiting: 0,
            pings: VecDeque::new(),
            ignored: 0,
            ready: None,
            ending: None,
            input_ended: false,
            seat,
        }
    }

    /// Serves it until either side ends it.
    pub(super) async fn run(mut self) {
        // A proxy that goes away is nothing to report; the counters tell.
        let _ = self.serve().await;
    }

    async fn serve(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        loop {
            // Also when there is so much to do that nothing is ever waited for.
            while let Ok(mail) = self.seat.inbox.try_recv() {
                self.open(mail);
            }
            if self.deadline().is_some_and(|deadline| deadline <= Instant::now()) && !self.goes_on() {
                return Ok(());
            }
            if self.has_room() {
                self.read()?;
            }
            self.work();
            self.flush()?;
            self.cluster.counters().publish();
            let sent_all = self.stalled || self.server.queued() == 0;
            match self.ending {
                Some(Ending::Reset) => return self.stream.set_zero_linger(),
                Some(Ending::Orderly(_)) if sent_all => {
                    self.stream.shutdown().await?;
                    self.ending = Some(Ending::Lingering(Instant::now() + LINGER));
                }
                _ => {}
            }
            if self.input_ended && sent_all && (self.busy.is_empty() || !self.is_answering()) {
                return Ok(());
            }
            tokio::task::coop::consume_budget().await;
            let can_work = self.is_answering() && !self.busy.is_empty() && self.server.queued() < FULL;
            if !can_work && self.wait().await?.is_break() {
                return Ok(());
            }
        }
    }

    /// Waits until something is to be done; breaks off when the connection has broken.
    async fn wait(&mut self) -> io::Result<ControlFlow<()>> {
        let reading = !self.input_ended && self.has_room();
        let writing = !self.stalled && self.server.queued() > 0 && !self.is_lingering();
        let interest = match (reading, writing) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => Interest::ERROR,
        };
        let deadline = self.deadline();
        tokio::select! {
            ready = self.stream.ready(interest) => {
                // What reads or writes next finds an error; this is for when nothing does.
                if ready?.is_error() && interest == Interest::ERROR {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Some(mail) = self.seat.inbox.recv() => self.open(mail),
            () = until(deadline) => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether messages are taken now: those that come are answered, or nothing is answered at all.
    fn has_room(&self) -> bool {
        !self.is_answering() || (self.server.queued() < FULL && self.waiting < BEHIND)
    }

    const fn is_answering(&self) -> bool {
        !self.stalled && self.ending.is_none()
    }

    const fn is_lingering(&self) -> bool {
        matches!(self.ending, Some(Ending::Lingering(_)))
    }

    fn deadline(&self) -> Option<Instant> {
        match self.ending {
            Some(Ending::Orderly(end) | Ending::Lingering(end)) => Some(end),
            Some(Ending::Reset) => None,
            None => Some(self.ready? + self.settings.rotate?),
        }
    }

    /// The deadline has come; whether the link goes on all the same, to be closed in order.
    fn goes_on(&mut self) -> bool {
        if self.ending.is_some() {
            return false;
        }
        self.cluster.counters().rotated.bump();
        self.close();
        true
    }

    fn close(&mut self) {
        if self.ending.is_none() {
            self.end(Ending::Orderly(Instant::now() + LINGER));
        }
    }

    fn end(&mut self, ending: Ending) {
        self.seat.tally.set_state(LinkState::Closing);
        self.ending = Some(ending);
        for conn in self.busy.drain(..) {
            let unanswered = self.clients.get(conn).map_or(0, Client::drop_waiting);
            self.cluster.counters().lost.add(unanswered as u64);
        }
        self.waiting = 0;
    }

    /// Does what it is told.
    fn open(&mut self, mail: Mail) {
        match mail.content {
            Content::Order(Order::Close) => self.close(),
            Content::Order(Order::Reset) => self.end(Ending::Reset),
            Content::Order(Order::Stall(stalled)) => self.stalled = stalled,
            Content::Order(Order::Payload(payload)) => self.say(&payload),
            Content::Order(Order::Raw(bytes)) => self.server.send_raw(&bytes),
            Content::Settings(settings) => {
                self.stalled = settings.stall;
                self.settings = settings;
            }
            Content::Roll(answer) => {
                // Whoever asked may have gone.
                let _ = answer.send(self.clients.iter().map(ClientInfo::from).collect());
            }
        }
        let _ = mail.done.send(());
    }

    /// Sends any payload, and remembers what the proxy owes for it.
    fn say(&mut self, payload: &[u8]) {
        match Packet::decode(payload) {
            Ok(Packet::Ping(id)) => {
                self.cluster.counters().pings_out.bump();
                self.pings.truncate(PINGS - 1);
                self.pings.push_front(id);
            }
            Ok(Packet::Answer { conn, .. } | Packet::Ack { conn, .. }) => self.clients.sent_to(conn),
            Ok(Packet::CloseExt(conn) | Packet::CloseConn(conn)) => {
                self.closed_here(conn);
            }
            _ => {}
        }
        self.server.send_payload(&[payload]);
    }

    /// Lets clients take turns as long as there is room.
    fn work(&mut self) {
        while self.is_answering() && self.server.queued() < FULL {
            let Some(conn) = self.busy.pop_front() else { return };
            let counters = self.cluster.counters();
            let Some(client) = self.clients.get(conn) else { continue };
            let step = client.step(&mut self.server, counters);
            let Some(Step { turn, answered }) = step else {
                client.listed = false;
                continue;
            };
            self.waiting -= answered;
            match turn {
                Turn::GoOn => {}
                Turn::Stall | Turn::Freeze => {
                    client.stalled = true;
                    self.waiting -= client.waiting_bytes();
                    client.waiting.clear();
                }
                Turn::HalfClose | Turn::Close | Turn::Reset => {
                    self.closed_here(conn);
                    self.server.send(&Packet::CloseExt(conn));
                    continue;
                }
            }
            client.listed = client.is_busy();
            if client.listed {
                self.busy.push_back(conn);
            }
        }
    }

    fn closed_here(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.close(conn) {
            self.waiting -= client.waiting_bytes();
        }
    }

    /// Sends what the socket takes.
    fn flush(&mut self) -> io::Result<()> {
        if self.stalled || self.is_lingering() {
            return Ok(());
        }
        while let Some(bytes) = self.server.poll_transmit() {
            match self.stream.try_write(bytes) {
                Ok(len) => self.server.transmitted(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads once. Not async, so that the buffer is on the stack and not in every link's task.
    fn read(&mut self) -> io::Result<()> {
        let mut scratch = [0; SCRATCH];
        match self.stream.try_read(&mut scratch) {
            Ok(0) => self.input_ended = true,
            Ok(len) => self.take(&mut scratch[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn take(&mut self, bytes: &mut [u8]) {
        self.server.input(bytes);
        for _ in self.ignored..self.server.ignored() {
            self.blame(Violation::Packet);
        }
        self.ignored = self.server.ignored();
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::Request { conn, flags, client, proxy, ad_tag, message } => {
                    let message = self.server.message(bytes, message).to_vec();
                    self.request(&Asked { conn, flags, client, proxy, ad_tag }, message);
                }
                Event::Closed { conn } => match self.clients.closed(conn) {
                    Ok(client) => self.waiting -= client.map_or(0, |client| client.waiting_bytes()),
                    Err(violation) => self.blame(violation),
                },
                Event::Ping(_) => self.cluster.counters().pings_in.bump(),
                Event::Pong(id) => self.pong(id),
                Event::Ready { crc32c } => self.is_ready(crc32c),
                Event::Down(reason) => self.is_down(reason),
                _ => {}
            }
        }
    }

    fn request(&mut self, asked: &Asked, message: Vec<u8>) {
        let counters = Arc::clone(self.cluster.counters());
        counters.messages_in.bump();
        counters.bytes_in.add(message.len() as u64);
        counters.acks_asked.add(asked.quick_ack().into());
        self.seat.tally.messages.bump();
        asked.broken(&message, &self.settings).for_each(|violation| counters.count_violation(violation));
        match self.clients.closed_by(asked.conn) {
            Some(ClosedBy::Us) => return counters.late.bump(),
            Some(ClosedBy::Proxy) => return counters.count_violation(Violation::ConnReused),
            None => {}
        }
        if let Some(client) = self.clients.get(asked.conn) {
            asked.changed(&client.first).for_each(|violation| counters.count_violation(violation));
        }
        let (answering, ending) = (self.is_answering(), self.ending.is_some());
        let client = match self.clients.get(asked.conn) {
            Some(client) => client,
            None => {
                let answerer = self.answerer(asked);
                self.clients.open(*asked, answerer)
            }
        };
        client.messages_in += 1;
        client.bytes_in += message.len() as u64;
        if !answering || client.stalled {
            return counters.lost.add(ending.into());
        }
        self.waiting += message.len();
        client.waiting.push_back((message, asked.quick_ack()));
        if !client.listed {
            client.listed = true;
            self.busy.push_back(asked.conn);
        }
    }

    /// What answers a new client.
    fn answerer(&self, asked: &Asked) -> Answerer {
        let &Asked { conn, client, proxy, ad_tag, .. } = asked;
        let framing = asked.framing().unwrap_or(Framing::Intermediate);
        let middle = ViaMiddle { link: self.seat.number, conn: conn.get(), client, proxy, ad_tag };
        let origin = Origin {
            connection: self.seat.registry.clients.next(),
            local: self.cluster.address_of(&self.stream),
            header: Header { framing, dc: DcId::new(self.cluster.dc()) },
            middle: Some(Box::new(middle)),
        };
        Answerer::new(self.cluster.data_centre(), origin)
    }

    fn pong(&mut self, id: [u8; 8]) {
        match self.pings.iter().position(|&ping| ping == id) {
            Some(index) => {
                self.pings.remove(index);
                self.cluster.counters().pongs.bump();
            }
            None => self.blame(Violation::Pong),
        }
    }

    fn is_ready(&mut self, crc32c: bool) {
        let counters = self.cluster.counters();
        counters.ready.bump();
        counters.crc32c.add(crc32c.into());
        self.seat.tally.set_state(LinkState::Ready);
        self.ready = Some(Instant::now());
    }

    fn is_down(&mut self, reason: DownReason) {
        let keyed = self.ready.is_none() && self.server.is_keyed();
        // Then the keys are our own fault.
        let misled = self.settings.handshake == Conduct::AnotherNonce && keyed;
        if let Some(violation) = Violation::of(reason, keyed).filter(|_| !misled) {
            self.blame(violation);
        }
        self.close();
    }

    fn blame(&self, violation: Violation) {
        self.cluster.counters().count_violation(violation);
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl From<&Client> for ClientInfo {
    fn from(client: &Client) -> Self {
        let Asked { conn, flags, client: address, proxy, ad_tag } = client.first;
        Self { conn, flags, client: address, proxy, ad_tag, messages: client.messages_in }
    }
}
