//! Clients whose packets are numbered, so that it is seen when one is lost, comes twice, or is torn.

use std::sync::Arc;

use teleferry_proto::transport::ServerFrame;
use teleferry_sim::client::Client;
use teleferry_sim::command::{Command, Packet};
use teleferry_sim::pattern;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::common::soon;

/// What a client does: it has so many packets echoed.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Packets.
    pub(super) count: u32,
    /// Bytes of a packet, at most; each has another length.
    pub(super) largest: usize,
    /// Packets that are under way at once; more than `count` is no limit.
    pub(super) ahead: usize,
    /// Packets that came back, of all clients together.
    pub(super) came: Arc<watch::Sender<u64>>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Came {
    /// The numbers of the packets, in the order in which they came: each is greater than the one before.
    pub(super) numbers: Vec<u32>,
    /// The bytes of all packets that did not come back before the last one that did.
    pub(super) missing: usize,
    /// The connection ended before the last one.
    pub(super) ended: bool,
}

impl Plan {
    pub(super) fn new(count: u32, largest: usize, ahead: usize) -> Self {
        Self { count, largest, ahead, came: Arc::default() }
    }

    /// Has every client carry it out.
    pub(super) fn start(&self, clients: Vec<Client>) -> JoinSet<Came> {
        let numbered = clients.into_iter().zip(1..);
        numbered.map(|(client, number)| self.clone().carry_out(client, number << 32)).collect()
    }

    /// Waits until so many packets of all clients together have come back.
    pub(super) async fn until_came(&self, packets: u64) {
        soon(self.came.subscribe().wait_for(|came| *came >= packets)).await.expect("it is there");
    }

    /// One packet of a client.
    fn packet(&self, seed: u64, number: u32) -> Vec<u8> {
        let mut drawn = [0; 8];
        pattern::fill(!seed, u64::from(number) * 8, &mut drawn);
        let len = 16 + u64::from_le_bytes(drawn) % (self.largest as u64 - 15);
        let mut content = vec![0; len.try_into().expect("it fits")];
        content[..8].copy_from_slice(&seed.to_le_bytes());
        content[8..12].copy_from_slice(&number.to_le_bytes());
        pattern::fill(seed + u64::from(number), 0, &mut content[12..]);
        Command::Echo(content).encode()
    }

    /// Sends all packets, and reads until the last one has come back or the connection ends.
    ///
    /// # Panics
    /// Something came back that was not sent, or again, or after a later one.
    async fn carry_out(self, client: Client, seed: u64) -> Came {
        let (mut sender, mut receiver) = client.split();
        let room = Semaphore::new(self.ahead);
        let sending = async {
            for number in 0..self.count {
                room.acquire().await.expect("never closed").forget();
                if sender.send(&self.packet(seed, number), false).await.is_err() {
                    break;
                }
            }
            // The end of the sender would be the client's.
            std::future::pending::<()>().await;
        };
        let receiving = async {
            let mut came = Came { numbers: Vec::new(), missing: 0, ended: false };
            let mut next = 0;
            while next < self.count {
                let Ok(Some(frame)) = receiver.recv().await else {
                    came.ended = true;
                    break;
                };
                let ServerFrame::Message(message) = frame else { panic!("nobody asked for a quick ack") };
                let packet = Packet::parse(&message).expect("a whole packet");
                let number = packet.content.get(8..12).and_then(|number| number.try_into().ok());
                let number = u32::from_le_bytes(number.expect("a number"));
                assert!(number >= next, "{number} comes twice, or after {next}");
                assert!(packet.whole == self.packet(seed, number), "not what was sent as {number}");
                came.missing += (next..number).map(|lost| self.packet(seed, lost).len()).sum::<usize>();
                came.numbers.push(number);
                next = number + 1;
                self.came.send_modify(|came| *came += 1);
                room.add_permits(1);
            }
            came
        };
        tokio::select! {
            came = receiving => came,
            () = sending => unreachable!("it waits for ever"),
        }
    }
}

/// Nothing was lost.
pub(super) fn all_came(travels: &[Came], plan: &Plan) {
    for came in travels {
        assert!(!came.ended && came.missing == 0 && came.numbers.len() == plan.count as usize, "{came:?}");
    }
}

/// A way was lost: what was on it is missing, in one piece, and no more than can be on it.
pub(super) fn assert_one_gap(came: &Came) {
    let before = came.numbers.first().is_some_and(|first| *first > 0);
    let between = came.numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(usize::from(before) + between <= 1, "{came:?}");
    assert!(came.missing <= 2 * WINDOW + LINK, "{} bytes are missing", came.missing);
}

/// A call's bytes that are under way in one direction.
const WINDOW: usize = 512 << 10;
/// What else was underway to and from Telegram for the lost back.
const LINK: usize = 512 << 10;
