//! `teleferry demo`: Telegram in miniature on loopback, this proxy in front of it, and a client through every protocol to
//! every data centre. Needs no network, no file and no root. With `--split` the proxy is in two halves.

mod stage;
mod table;
mod trial;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::runtime::Builder;

use stage::Stage;
use table::Table;
use teleferry_proto::secret::SecretKey;
use trial::{DCS, Outcome, Trial, WITH_MIDDLE_PROXIES};

/// How long one client may take for everything it does.
const PATIENCE: Duration = Duration::from_secs(20);
/// Clients at the same time.
const AT_ONCE: usize = 8;

/// Runs the demonstration and shows it on `out`, live when that is a terminal. Says whether everything passed.
///
/// # Errors
/// Loopback has no port to give, or `out` takes nothing more.
pub fn run(split: bool, out: &mut (impl Write + IsTerminal)) -> io::Result<bool> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(show(split, out))
}

async fn show(split: bool, out: &mut (impl Write + IsTerminal)) -> io::Result<bool> {
    let stage = Stage::build(split).await?;
    writeln!(out, "Telegram in miniature: {} data centres on loopback.", stage.data_centres())?;
    if split {
        writeln!(
            out,
            "Teleferry before it, in two halves: clients come to a front, and a back goes to Telegram. Between"
        )?;
        writeln!(
            out,
            "them is HTTP/2 over TLS 1.3, with certificates that were made for this demonstration."
        )?;
        writeln!(out, "Every protocol, both ways to Telegram.")?;
    } else {
        writeln!(out, "Teleferry in front of it: every protocol, both ways to Telegram.")?;
    }
    writeln!(out, "Each client makes its handshake, asks for a key exchange, gets a quick ack and an echo,")?;
    writeln!(out, "and downloads 1 MiB of which it checks every byte. Times are in milliseconds.")?;

    let direct = ("a connection to the data centre for each client", &stage.direct, &DCS[..]);
    let middle = ("few links to middle proxies for all clients", &stage.middle, &WITH_MIDDLE_PROXIES[..]);
    let mut verdict = Verdict::default();
    for (way, proxy, dcs) in [direct, middle] {
        match proxy.back() {
            None => writeln!(out, "\n{}: {way}.\n", proxy.address)?,
            Some(back) => writeln!(out, "\nfront {} and back {back}: {way}.\n", proxy.address)?,
        }
        verdict.add(&show_way(out, &stage.key, proxy.address, &Trial::all(dcs)).await?);
        if let Some(between) = proxy.between() {
            writeln!(out, "{between}")?;
        }
    }
    verdict.stranger = stage.send_a_stranger().await;
    verdict.tell(out)?;
    Ok(verdict.is_pass())
}

/// Plays the trials through one proxy, and shows them.
async fn show_way(
    out: &mut (impl Write + IsTerminal),
    key: &SecretKey,
    proxy: SocketAddr,
    trials: &[Trial],
) -> io::Result<Table> {
    let mut table = Table::new(trials, out.is_terminal());
    table.draw(out)?;
    let mut running = futures_util::stream::iter(
        trials.iter().map(|trial| async move { (trial, play(trial, proxy, key).await) }),
    )
    .buffer_unordered(AT_ONCE);
    while let Some((trial, outcome)) = running.next().await {
        table.set(trial, outcome);
        table.draw(out)?;
    }
    drop(running);
    table.finish(out)?;
    Ok(table)
}

async fn play(trial: &Trial, proxy: SocketAddr, key: &SecretKey) -> Outcome {
    match tokio::time::timeout(PATIENCE, trial.play(proxy, key)).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Failed("took longer than 20 seconds".to_owned()),
    }
}

/// What it came to.
struct Verdict {
    passed: usize,
    trials: usize,
    failures: Vec<String>,
    /// How the stranger fared: an error says what it saw instead of the site.
    stranger: Result<(), String>,
}

impl Default for Verdict {
    fn default() -> Self {
        Self { passed: 0, trials: 0, failures: Vec::new(), stranger: Ok(()) }
    }
}

impl Verdict {
    fn add(&mut self, table: &Table) {
        self.passed += table.passed();
        self.trials += table.trials();
        self.failures.extend(table.failures().map(|(trial, reason)| format!("{trial}: {reason}")));
    }

    const fn is_pass(&self) -> bool {
        self.passed == self.trials && self.stranger.is_ok()
    }

    fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        for failure in &self.failures {
            writeln!(out, "failed: {failure}")?;
        }
        match &self.stranger {
            Ok(()) => writeln!(out, "A stranger without a secret saw the cover site, byte for byte.")?,
            Err(reason) => writeln!(out, "failed: a stranger at the cover site: {reason}")?,
        }
        let Self { passed, trials, .. } = self;
        if self.is_pass() {
            writeln!(out, "PASSED: {passed} of {trials} clients reached Telegram through the proxy.")
        } else {
            writeln!(out, "FAILED: {passed} of {trials} clients reached Telegram through the proxy.")
        }
    }
}
