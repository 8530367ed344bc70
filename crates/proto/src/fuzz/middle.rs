//! Links to middle proxies, both ends: whatever the other side says after a valid handshake.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Steering;
use super::full::payloads;
use crate::cipher::CbcStream;
use crate::middle::{Client, DownReason, Event, Middle, Setup, server};
use crate::rpc::{AdTag, CRC32C, ConnId, Handshake, KeyMaterial, Nonce, ProcessId, SCHEMA_AES};
use crate::telegram_config::MiddleSecret;
use crate::transport::full::{Checksum, Encoder, pad};

const NONCE_OF_PROXY: [u8; 16] = [0; 16];
const NONCE_OF_MIDDLE: [u8; 16] = [7; 16];
const UNIX_TIME: u32 = 1_700_000_000;
/// Clients on the link; their ids count up from 0.
const CLIENTS: i64 = 3;
/// What a peer can make a link hold to be written: the handshake, and replies.
const MAX_QUEUED: usize = 64 << 10;

/// What a middle proxy says: the same events in any cut, about clients that are there, and bounded replies.
pub fn middle(data: &[u8]) {
    let Some((steering, bytes)) = Steering::split(data) else { return };
    let wire = Wire::of_middle(steering, bytes);
    let whole = hear(&wire, usize::MAX, steering);
    assert_eq!(hear(&wire, steering.step(), steering), whole);
}

/// What a proxy says: the same events in any cut, and bounded replies.
pub fn middle_server(data: &[u8]) {
    let Some((steering, bytes)) = Steering::split(data) else { return };
    let wire = Wire::of_proxy(steering, bytes);
    let whole = serve(&wire, usize::MAX, steering);
    assert_eq!(serve(&wire, steering.step(), steering), whole);
}

/// What one side says.
struct Wire {
    /// Its nonce and its handshake.
    handshake: Vec<u8>,
    /// What the fuzzer wants.
    rest: Vec<u8>,
}

impl Wire {
    fn of_middle(steering: Steering, bytes: &[u8]) -> Self {
        Self::new(NONCE_OF_MIDDLE, material().keys().to_proxy, steering, bytes)
    }

    fn of_proxy(steering: Steering, bytes: &[u8]) -> Self {
        Self::new(NONCE_OF_PROXY, material().keys().to_middle, steering, bytes)
    }

    fn new(nonce: [u8; 16], mut cipher: CbcStream, steering: Steering, bytes: &[u8]) -> Self {
        let secret = MiddleSecret::embedded();
        let nonce = Nonce { selector: secret.selector(), schema: SCHEMA_AES, time: UNIX_TIME, nonce };
        let (mut encoder, mut handshake) = (Encoder::new(), Vec::new());
        encoder.encode(&[nonce.encode().as_ref()], &mut handshake);
        let open = handshake.len();
        let id = ProcessId::ANONYMOUS;
        let flags = if wants_crc32c(steering) { CRC32C } else { 0 };
        encoder.encode(&[Handshake { flags, sender: id, peer: id }.encode().as_ref()], &mut handshake);
        pad(&mut handshake, open);
        cipher.encrypt(&mut handshake[open..]);

        let mut rest = Vec::new();
        match steering.mode >> 1 & 3 {
            // Noise to a reader that decrypts it.
            0 => rest.extend(bytes),
            // Any frames, legal or not.
            1 => {
                rest.extend(bytes);
                cipher.encrypt(&mut rest);
            }
            // Legal frames of any packets.
            _ => {
                let kind = if wants_crc32c(steering) { Checksum::Crc32c } else { Checksum::Crc32 };
                encoder.set_checksum(kind);
                payloads(bytes).iter().for_each(|payload| encoder.encode(&[payload], &mut rest));
                pad(&mut rest, 0);
                cipher.encrypt(&mut rest);
            }
        }
        Self { handshake, rest }
    }
}

const fn wants_crc32c(steering: Steering) -> bool {
    steering.mode & 1 == 1
}

fn material() -> KeyMaterial<'static> {
    static SECRET: std::sync::LazyLock<MiddleSecret> = std::sync::LazyLock::new(MiddleSecret::embedded);
    KeyMaterial {
        secret: &SECRET,
        middle_nonce: NONCE_OF_MIDDLE,
        proxy_nonce: NONCE_OF_PROXY,
        proxy_time: UNIX_TIME,
        proxy: address("192.0.2.10:51515"),
        middle: address("198.51.100.7:8888"),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// What a machine came to.
#[derive(Debug, PartialEq)]
struct Outcome<E> {
    /// Each with its message, which stands somewhere else in every cut.
    events: Vec<(E, Vec<u8>)>,
    ignored: u64,
    /// What it wants to send.
    transmitted: Vec<u8>,
}

/// Feeds the client's end.
fn hear(wire: &Wire, step: usize, steering: Steering) -> Outcome<Told> {
    let now = some_time();
    let mut machine = Middle::new(now, setup(steering));
    let client = Client {
        address: address("192.0.2.200:55001"),
        proxy: address("203.0.113.7:443"),
        framing: steering.framing(),
        ad_tag: None,
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| machine.open(client)).collect();
    let mut outcome = Outcome { events: Vec::new(), ignored: 0, transmitted: Vec::new() };
    let mut input = |machine: &mut Middle, bytes: &[u8]| {
        for piece in bytes.chunks(step) {
            let mut piece = piece.to_vec();
            machine.input(now, &mut piece);
            while let Some(event) = machine.poll_event() {
                outcome.events.push(told(machine, &piece, event));
            }
            assert!(machine.queued() <= MAX_QUEUED, "unbounded replies");
        }
    };
    input(&mut machine, &wire.handshake);
    assert!(machine.is_ready(), "a valid handshake is taken");
    for &conn in &clients[1..] {
        machine.send(now, conn, &[1; 16], true).expect("ready");
    }
    input(&mut machine, &wire.rest);
    assert!(machine.clients() <= clients.len(), "clients out of nothing");
    outcome.ignored = machine.ignored();
    outcome.transmitted = machine.poll_transmit().unwrap_or_default().to_vec();
    is_orderly(&outcome);
    // Ping numbers depend on how often something was heard, so this is not compared.
    machine.timeout(now + Duration::from_secs(10));
    assert!(machine.poll_timeout().is_none_or(|at| at > now), "a deadline that never passes");
    outcome
}

/// An event as it can be compared.
#[derive(Debug, PartialEq)]
enum Told {
    Ack(i64, [u8; 4]),
    Answer(i64, u32),
    Closed(i64),
    Down(DownReason),
    Other,
}

fn told(machine: &Middle, input: &[u8], event: Event) -> (Told, Vec<u8>) {
    match event {
        Event::Answer { conn, flags, message } => {
            (Told::Answer(conn.get(), flags), machine.message(input, message).to_vec())
        }
        Event::Ack { conn, token } => (Told::Ack(conn.get(), token), Vec::new()),
        Event::Closed { conn } => (Told::Closed(conn.get()), Vec::new()),
        Event::Down(reason) => (Told::Down(reason), Vec::new()),
        _ => (Told::Other, Vec::new()),
    }
}

/// Only clients that are there hear something, answers are never empty, and nothing follows the end.
fn is_orderly(outcome: &Outcome<Told>) {
    let (mut closed, mut down) = (Vec::new(), false);
    for (event, message) in &outcome.events {
        assert!(!down, "something follows the end");
        match event {
            Told::Answer(conn, _) | Told::Ack(conn, _) | Told::Closed(conn) => {
                assert!((0..CLIENTS).contains(conn) && !closed.contains(conn), "nobody of ours");
                assert_eq!(matches!(event, Told::Answer(..)), !message.is_empty());
                if matches!(event, Told::Closed(_)) {
                    closed.push(*conn);
                }
            }
            Told::Down(_) => down = true,
            Told::Other => {}
        }
    }
}

fn setup(steering: Steering) -> Setup {
    let KeyMaterial { secret, proxy, middle, .. } = material();
    Setup {
        secret: secret.clone(),
        proxy,
        middle,
        unix_time: UNIX_TIME,
        process: ProcessId::ANONYMOUS,
        peer: ProcessId::ANONYMOUS,
        crc32c: wants_crc32c(steering),
        // Its nonce, and ids that count up from 0.
        entropy: [0; 32],
    }
}

/// Feeds the server's end.
fn serve(wire: &Wire, step: usize, steering: Steering) -> Outcome<Asked> {
    let KeyMaterial { secret, proxy, middle, .. } = material();
    let mut machine = server::Server::new(server::Setup {
        secret: secret.clone(),
        middle,
        proxy,
        unix_time: UNIX_TIME,
        process: ProcessId::ANONYMOUS,
        crc32c: wants_crc32c(steering),
        nonce: NONCE_OF_MIDDLE,
        conduct: server::Conduct::Serve,
    });
    let mut outcome = Outcome { events: Vec::new(), ignored: 0, transmitted: Vec::new() };
    for piece in wire.handshake.chunks(step).chain(wire.rest.chunks(step)) {
        let mut piece = piece.to_vec();
        machine.input(&mut piece);
        while let Some(event) = machine.poll_event() {
            outcome.events.push(asked(&machine, &piece, event));
        }
        assert!(machine.queued() <= MAX_QUEUED, "unbounded replies");
    }
    assert!(
        matches!(outcome.events.first(), Some((Asked::Other(server::Event::Ready { .. }), _))),
        "a valid handshake is taken"
    );
    outcome.ignored = machine.ignored();
    outcome.transmitted = machine.poll_transmit().unwrap_or_default().to_vec();
    outcome
}

/// An event of the server as it can be compared.
#[derive(Debug, PartialEq)]
enum Asked {
    Request { conn: ConnId, flags: u32, client: SocketAddr, proxy: SocketAddr, ad_tag: Option<AdTag> },
    Other(server::Event),
}

fn asked(machine: &server::Server, input: &[u8], event: server::Event) -> (Asked, Vec<u8>) {
    match event {
        server::Event::Request { conn, flags, client, proxy, ad_tag, message } => {
            let message = machine.message(input, message).to_vec();
            (Asked::Request { conn, flags, client, proxy, ad_tag }, message)
        }
        event => (Asked::Other(event), Vec::new()),
    }
}

#[expect(clippy::disallowed_methods, reason = "any time will do as the beginning of a virtual one")]
fn some_time() -> Instant {
    Instant::now()
}
