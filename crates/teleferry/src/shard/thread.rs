//! The life of a worker thread.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::sweep::TICK;
use super::{Layout, Phase, Shard, Word};
use crate::backend::look_out;
use crate::clock;
use crate::entropy;
use crate::observe::ShardCounters;
use crate::server::Shared;

/// What a shard is given when it begins.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// What it is like at first.
    pub(crate) layout: Layout,
    /// What it is to be like later.
    pub(crate) words: mpsc::UnboundedReceiver<Word>,
    /// What it counts as a whole.
    pub(crate) counters: Arc<ShardCounters>,
    /// Dropped once it takes no more connections.
    pub(crate) accepting: mpsc::Sender<()>,
}

/// Starts a shard's thread. It ends once the server stops and its connections are gone.
///
/// # Errors
/// The system has no thread or no event queue to give.
pub(crate) fn start(
    seat: Seat,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("shard-{}", seat.number)).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(run(seat, shared, phase)),
            Err(error) => tracing::error!(%error, "a worker thread cannot begin"),
        }
    })
}

async fn run(seat: Seat, shared: Arc<Shared>, mut phase: watch::Receiver<Phase>) {
    entropy::warm_up();
    let Seat { number, layout, mut words, counters, accepting } = seat;
    let settings = Arc::clone(&layout.settings);
    let shard = Rc::new(Shard::new(shared, settings, phase.clone(), number, counters));
    shard.take_up(layout).await;
    let ticking = tokio::task::spawn_local(tick(Rc::clone(&shard)));
    let waking = Rc::clone(&shard);
    let waking = tokio::task::spawn_local(async move { waking.punctual.run().await });
    // One for the whole process.
    let looking = (number == 0).then(|| tokio::task::spawn_local(look_out(Rc::clone(&shard))));
    let mut stopping = shard.stopping();
    loop {
        tokio::select! {
            biased;
            () = stopping.wait() => break,
            Some(word) = words.recv() => match word {
                Word::TakeUp(layout) => shard.take_up(layout).await,
                Word::Lend(to) => shard.listeners.lend(&to),
            },
        }
    }
    // What still comes is not taken up: whoever waits for it is told by that.
    drop(words);
    shard.listeners.close().await;
    drop(accepting);
    tokio::select! {
        () = none_left(&shard) => {}
        _ = phase.wait_for(|phase| *phase == Phase::Closing) => {
            shard.sweep.drain();
            none_left(&shard).await;
        }
    }
    ticking.abort();
    waking.abort();
    looking.inspect(|looking| looking.abort());
}

/// Walks the deadlines, tick by tick.
async fn tick(shard: Rc<Shard>) {
    let start = clock::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let now = clock::now();
        shard.sweep.tick(now.duration_since(start));
        let given_back = shard.pools.tick(&shard, now);
        shard.tidy(given_back);
        shard.counters().beat(now);
    }
}

async fn none_left(shard: &Shard) {
    while shard.live.count.get() > 0 {
        shard.live.none_left.notified().await;
    }
}
