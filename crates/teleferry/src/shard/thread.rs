//! The life of a worker thread.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::sweep::TICK;
use super::{Listener, Phase, Shard};
use crate::backend::look_out;
use crate::clock;
use crate::config::Mode;
use crate::entropy;
use crate::listen::{ListeningSocket, accept_loop};
use crate::observe::{LinkCounters, ListenerCounters};
use crate::server::Shared;

/// What a shard is given when it begins.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// Its listening sockets, with the index of their listener.
    pub(crate) sockets: Vec<(usize, ListeningSocket)>,
    /// Its counters, one for each listener.
    pub(crate) counters: Vec<Arc<ListenerCounters>>,
    /// The counters of its links.
    pub(crate) links: Arc<LinkCounters>,
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
    let shard = Rc::new(Shard::new(Arc::clone(&shared), phase.clone(), seat.number, seat.links));
    // The first client must find all data centres.
    shard.pools.refresh(&shard);
    let listeners: Vec<_> = seat
        .counters
        .into_iter()
        .enumerate()
        .map(|(index, counters)| Rc::new(Listener { shared: Arc::clone(&shared), index, counters }))
        .collect();
    let accepting: Vec<_> = seat
        .sockets
        .into_iter()
        .map(|(index, socket)| {
            tokio::task::spawn_local(accept_loop(Rc::clone(&shard), Rc::clone(&listeners[index]), socket))
        })
        .collect();
    let ticking = tokio::task::spawn_local(tick(Rc::clone(&shard)));
    // One for the whole process. With one way only there is nothing to choose, and nothing to be known beforehand.
    let looking = (seat.number == 0 && shard.settings().telegram.mode == Mode::Auto)
        .then(|| tokio::task::spawn_local(look_out(Rc::clone(&shard))));

    shard.stopping().wait().await;
    for accept in accepting {
        // A loop that panicked has lost its socket already.
        let _ = accept.await;
    }
    tokio::select! {
        () = none_left(&shard) => {}
        _ = phase.wait_for(|phase| *phase == Phase::Closing) => {
            shard.sweep.drain();
            none_left(&shard).await;
        }
    }
    ticking.abort();
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
        shard.pools.tick(&shard, now);
        shard.tidy();
    }
}

async fn none_left(shard: &Shard) {
    while shard.live.count.get() > 0 {
        shard.live.none_left.notified().await;
    }
}
