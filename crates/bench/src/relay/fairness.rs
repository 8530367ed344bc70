//! What one client at full speed does to its neighbours: the time of their echoes alone, and beside it on the same shard.
//!
//! The neighbours keep a pace, as people do, instead of waiting for each other: so a relay that lets them wait cannot
//! hide it behind a queue that is long anyway. The bulk has a client and a data centre of its own, which run after those of
//! the neighbours: what is measured is the relay, not who shares the load's processors.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::gettid;
use tokio::runtime::Runtime;

use super::measure::{Effort, connect, everybody};
use super::results::{Beside, FairnessRound, Results};
use super::subjects::{self, data_centre, route};
use super::tell;
use crate::children::Proxy;
use crate::clock;
use crate::cpus::Division;
use crate::failure::{Failure, Result};
use crate::load::BLOCK;
use crate::load::client::{Client, DC, Protocol, Route};
use crate::priority::{First, second};
use crate::procfs::Process;
use crate::stats::percentile;

/// Clients that echo.
pub(crate) const NEIGHBOURS: usize = 500;
/// Time from one echo of a neighbour to its next.
pub(crate) const PACE: Duration = Duration::from_millis(50);
/// The data centre that serves the bulk.
const BULK_DC: i16 = 4;
/// Blocks that the bulk client orders at a time.
const ORDERED: u64 = 256;

/// Which way the bulk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Down,
    Up,
}

/// Measures every round with the same processes and the same neighbours.
pub(super) fn measure(
    program: &Path,
    division: &Division,
    effort: &Effort,
    runtime: &Runtime,
    results: &mut Results,
) -> Result<()> {
    let first = First::ask()?;
    results.fairness.real_time = first.granted();
    let (dc, bulk_dc) = (data_centre()?, data_centre()?);
    second(bulk_dc.process().id())?;
    let configuration = subjects::configuration(&[(DC, dc.address), (BULK_DC, bulk_dc.address)], true);
    let proxy = division.on_relay_side(|| Proxy::start(program, &configuration))?;
    let near = route(proxy.address("ee")?, Protocol::FakeTls);
    let bulk = Route { dc: BULK_DC, ..near.clone() };
    runtime.block_on(async {
        let mut neighbours = connect(&near, NEIGHBOURS).await?;
        // Whoever comes first pays for what the process then keeps.
        (neighbours, _) = echoes(neighbours, effort.fairness_time / 4).await?;
        for round in 1..=effort.rounds {
            tell(&format!("fairness: round {round}"));
            let (back, alone_us) = echoes(neighbours, effort.fairness_time).await?;
            let (back, down) = beside(back, &bulk, Direction::Down, &proxy.process(), effort).await?;
            let (back, up) = beside(back, &bulk, Direction::Up, &proxy.process(), effort).await?;
            neighbours = back;
            results.fairness.rounds.push(FairnessRound { alone_us, down, up });
        }
        Ok(())
    })
}

/// The neighbours' echoes while bulk goes in one direction.
async fn beside(
    neighbours: Vec<Client>,
    route: &Route,
    direction: Direction,
    process: &Process,
    effort: &Effort,
) -> Result<(Vec<Client>, Beside)> {
    let bulk = Bulk::start(route.clone(), direction)?;
    let (bytes, cpu, start) = (bulk.moved(), process.cpu()?, clock::now());
    let (neighbours, p99_us) = echoes(neighbours, effort.fairness_time).await?;
    let seconds = start.elapsed().as_secs_f64();
    let (bytes, cpu) = (bulk.moved() - bytes, process.cpu()?.saturating_sub(cpu));
    bulk.stop()?;
    let beside = Beside {
        p99_us,
        mib_per_second: bytes as f64 / f64::from(1 << 20) / seconds,
        busy: cpu.as_secs_f64() / seconds,
    };
    Ok((neighbours, beside))
}

/// Every neighbour has one message echoed each [`PACE`], for a time; the p99 of them all in microseconds.
async fn echoes(neighbours: Vec<Client>, time: Duration) -> Result<(Vec<Client>, f64)> {
    let start = tokio::time::Instant::now();
    let crowd = neighbours.len().max(1) as u32;
    let each = (time.as_nanos() / PACE.as_nanos()).max(1) as usize;
    let numbered: Vec<_> = (0..crowd).zip(neighbours).collect();
    let done = everybody(numbered, move |(number, mut client)| async move {
        let mut times = Vec::with_capacity(each);
        // Spread over the pace, so that they do not come all at once.
        let mut turn = tokio::time::interval_at(start + PACE * number / crowd, PACE);
        for _ in 0..each {
            turn.tick().await;
            let sent = clock::now();
            client.echo().await?;
            times.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        Ok((client, times))
    })
    .await?;
    let (neighbours, times): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    let p99 = percentile(&mut times.concat(), 99.0).unwrap_or(f64::NAN);
    Ok((neighbours, p99))
}

/// A client that moves bulk, in a thread of its own.
struct Bulk {
    moved: Arc<AtomicU64>,
    enough: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
}

impl Bulk {
    /// Starts it, and waits until its first bytes have arrived.
    fn start(route: Route, direction: Direction) -> Result<Self> {
        let (moved, enough) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (running, began) = mpsc::channel();
        let (count, stop) = (Arc::clone(&moved), Arc::clone(&enough));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                second(gettid()).map_err(io::Error::other)?;
                let mut client = Client::connect(&route).await?;
                while !stop.load(Ordering::Relaxed) {
                    match direction {
                        Direction::Down => client.download(ORDERED).await?,
                        Direction::Up => client.upload(ORDERED).await?,
                    }
                    count.fetch_add(ORDERED * BLOCK as u64, Ordering::Relaxed);
                    // Only the first is waited for.
                    let _ = running.send(());
                }
                Ok(())
            })
        });
        let bulk = Self { moved, enough, thread };
        match began.recv() {
            Ok(()) => Ok(bulk),
            // The thread says why.
            Err(_) => bulk.stop().and(Err(Failure::new("the bulk ended before it began"))),
        }
    }

    /// Bytes that have arrived.
    fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn stop(self) -> Result<()> {
        self.enough.store(true, Ordering::Relaxed);
        let ended = self.thread.join().map_err(|_| Failure::new("the bulk panicked"))?;
        ended.map_err(|error| Failure::from(error).during("the bulk"))
    }
}
