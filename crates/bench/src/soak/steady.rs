//! Clients that stay: they have things echoed and fetch files all the time, whatever becomes of the links under them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use teleferry_proto::transport::ServerFrame;
use teleferry_sim::client::{Client, Options, Protocol, Receiver};
use teleferry_sim::command::{Command, Send};
use tokio::time::{sleep, timeout};

use super::dice::Dice;
use super::ledger::Ledger;
use super::rotation::Rotations;
use super::stage::{Door, SOUND};
use crate::clock;

/// How long an answer may take. One that went with a link does not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often in a row nothing at all may come.
const SILENCES: u32 = 3;
/// The longest pause between bursts, in milliseconds.
const PAUSE: u64 = 4000;

/// What all of them share.
#[derive(Debug, Clone)]
pub(super) struct Company {
    pub(super) rotations: Arc<Rotations>,
    /// They are to leave.
    pub(super) over: Arc<AtomicBool>,
}

/// What one of them has had.
#[derive(Debug, Default)]
pub(super) struct Stay {
    /// Packets that came, each of them right and in its place.
    pub(super) packets: u64,
    /// When the requests were sent that went with a link.
    pub(super) lost: Vec<Instant>,
    /// What was wrong.
    pub(super) fault: Option<String>,
}

/// Stays until all is over.
pub(super) async fn stay(door: Door, company: Company, dice: Dice) -> Stay {
    let mut ledger = Ledger::default();
    let fault = keep_busy(&door, &company, dice, &mut ledger).await.err();
    Stay { packets: ledger.packets, lost: ledger.lost, fault }
}

async fn keep_busy(
    door: &Door,
    company: &Company,
    mut dice: Dice,
    ledger: &mut Ledger,
) -> Result<(), String> {
    // They do not all come at once.
    sleep(Duration::from_millis(dice.below(PAUSE))).await;
    let options = Options::new(dice.pick(&Protocol::ALL), Some(door.key.clone())).with_dc(dice.pick(&SOUND));
    let mut client = Client::dial(door.address, &options).await.map_err(|error| error.to_string())?;
    let may_be_lost = |sent| company.rotations.may_have_taken(sent);
    let mut silences = 0;
    while !company.over.load(Ordering::Relaxed) {
        for _ in 0..=dice.below(4) {
            let command = wish(&mut dice);
            ledger.ask(command.clone(), clock::now());
            client.command(&command).await.map_err(|error| format!("while sending: {error}"))?;
        }
        if dice.percent(5) {
            // What comes meanwhile waits in the proxy.
            sleep(Duration::from_millis(dice.below(1000))).await;
        }
        if listen(&mut client.receiver, ledger, &may_be_lost).await? {
            silences = 0;
        } else {
            silences += 1;
            if silences == SILENCES || !ledger.oldest().is_none_or(may_be_lost) {
                return Err("an answer did not come".to_owned());
            }
        }
        sleep(Duration::from_millis(dice.below(PAUSE))).await;
    }
    ledger.close(may_be_lost)
}

/// Takes answers until all are there; false when they cease to come.
async fn listen(
    receiver: &mut Receiver,
    ledger: &mut Ledger,
    may_be_lost: impl Fn(Instant) -> bool,
) -> Result<bool, String> {
    while !ledger.is_empty() {
        match timeout(PATIENCE, receiver.recv()).await {
            Ok(Ok(Some(ServerFrame::Message(message)))) => ledger.take(&message, &may_be_lost)?,
            Ok(Ok(Some(ServerFrame::QuickAck(_)))) => {
                return Err("a quick ack that nobody asked for".to_owned());
            }
            Ok(Ok(None)) => return Err("it was closed".to_owned()),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

/// Mostly small things, now and then a file of up to 256 KiB.
fn wish(dice: &mut Dice) -> Command {
    if dice.percent(8) {
        let size = 1000 + dice.below(32 << 10) as u32;
        return Command::Send(Send { count: 1 + dice.below(8) as u32, size, seed: dice.next() });
    }
    let most = if dice.percent(10) { 20_000 } else { 800 };
    // Long enough that no two are alike.
    Command::Echo(dice.bytes(40, most))
}
