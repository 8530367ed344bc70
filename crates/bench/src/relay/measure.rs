//! One measurement: put load on a relay, and look what it took.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};

use super::Part;
use super::results::{Metric, Results};
use super::subjects::Subject;
use crate::clock;
use crate::failure::{Failure, Result};
use crate::load::BLOCK;
use crate::load::client::{Client, Route};
use crate::procfs::{cpu, settled};
use crate::stats::percentile;

/// How much load.
#[derive(Debug, Clone)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Blocks that each bulk client moves at a time.
    pub(crate) blocks: u64,
    /// Bulk goes on until it has moved this many bytes or …
    pub(crate) bulk_bytes: u64,
    /// … has taken this much processor time.
    pub(crate) bulk_cpu: Duration,
    /// Echoes of all clients together.
    pub(crate) echoes: usize,
    pub(crate) new_clients: usize,
    /// Numbers of clients at which the time of an echo is taken.
    pub(crate) crowds: Vec<usize>,
    /// Numbers of idle clients at which memory is looked at.
    pub(crate) idle_clients: Vec<usize>,
    /// How long neighbours echo, alone and beside each bulk.
    pub(crate) fairness_time: Duration,
    /// Idle sessions through a front and a back.
    pub(crate) split_sessions: usize,
    /// How often the proxy is started.
    pub(crate) starts: usize,
}

/// Clients that move bulk.
pub(crate) const BULK_CLIENTS: usize = 16;
/// Clients that echo while processor time is taken.
pub(crate) const ECHO_CLIENTS: usize = 50;
/// New clients at a time.
const NEW_AT_ONCE: usize = 8;
/// Echoes a client before anything is measured.
const WARM_UP: usize = 20;

impl Effort {
    pub(crate) fn full(rounds: usize) -> Self {
        Self {
            rounds: rounds.max(1),
            blocks: 256,
            bulk_bytes: 4 << 30,
            bulk_cpu: Duration::from_secs(2),
            echoes: 100_000,
            new_clients: 3000,
            crowds: vec![1, 50, 500],
            idle_clients: vec![2000, 9000],
            split_sessions: 5000,
            fairness_time: Duration::from_secs(4),
            starts: 10,
        }
    }

    pub(crate) fn quick() -> Self {
        Self {
            rounds: 1,
            blocks: 32,
            bulk_bytes: 64 << 20,
            bulk_cpu: Duration::from_millis(200),
            echoes: 5000,
            new_clients: 300,
            crowds: vec![1, 50],
            idle_clients: vec![200],
            split_sessions: 500,
            fairness_time: Duration::from_secs(1),
            starts: 3,
        }
    }
}

/// Measures one thing of one subject.
pub(super) async fn part(
    part: Part,
    subject: &Subject,
    effort: &Effort,
    results: &mut Results,
) -> Result<()> {
    match part {
        Part::Down | Part::Up => {
            let metric = if part == Part::Down { Metric::Down } else { Metric::Up };
            results.add(metric, subject.name, bulk(part, subject, effort).await?);
        }
        Part::Echo => {
            let (cpu, _) = echo(subject, ECHO_CLIENTS, effort.echoes).await?;
            results.add(Metric::Echo, subject.name, cpu);
        }
        Part::New => results.add(Metric::New, subject.name, new_clients(subject, effort).await?),
        Part::Latency => {
            for clients in &effort.crowds {
                // One alone waits for each echo, so it gets fewer of them.
                let echoes = effort.echoes / 2 / if *clients == 1 { 10 } else { 1 };
                let (_, mut times) = echo(subject, *clients, echoes).await?;
                for percent in [50, 99] {
                    let time = percentile(&mut times, f64::from(percent)).unwrap_or(f64::NAN);
                    results.add(Metric::Latency { percent, clients: *clients }, subject.name, time);
                }
            }
        }
        // Not a matter of subjects.
        Part::Memory | Part::Fairness => {}
    }
    Ok(())
}

/// CPU seconds per GiB.
async fn bulk(part: Part, subject: &Subject, effort: &Effort) -> Result<f64> {
    let mut clients = connect(&subject.route, BULK_CLIENTS).await?;
    let before = settled(&subject.processes).await?;
    let mut bytes = 0;
    while bytes < effort.bulk_bytes && cpu(&subject.processes)?.saturating_sub(before) < effort.bulk_cpu {
        let blocks = effort.blocks;
        clients = everybody(clients, move |mut client| async move {
            match part {
                Part::Down => client.download(blocks).await?,
                _ => client.upload(blocks).await?,
            }
            Ok(client)
        })
        .await?;
        bytes += blocks * (BULK_CLIENTS * BLOCK) as u64;
    }
    let spent = settled(&subject.processes).await?.saturating_sub(before);
    Ok(spent.as_secs_f64() / (bytes as f64 / f64::from(1 << 30)))
}

/// CPU microseconds per echo, and the microseconds that each took.
async fn echo(subject: &Subject, clients: usize, echoes: usize) -> Result<(f64, Vec<f64>)> {
    let each = (echoes / clients).max(1);
    let clients = connect(&subject.route, clients).await?;
    let clients = everybody(clients, |mut client| async move {
        for _ in 0..WARM_UP {
            client.echo().await?;
        }
        Ok(client)
    })
    .await?;
    let before = settled(&subject.processes).await?;
    let done = everybody(clients, move |mut client| async move {
        let mut times = Vec::with_capacity(each);
        for _ in 0..each {
            let start = clock::now();
            client.echo().await?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        // It stays connected until its processor time is taken.
        Ok((client, times))
    })
    .await?;
    let spent = settled(&subject.processes).await?.saturating_sub(before);
    let times: Vec<f64> = done.into_iter().flat_map(|(_, times)| times).collect();
    Ok((spent.as_secs_f64() * 1e6 / times.len() as f64, times))
}

/// CPU microseconds per client that connects, has one message echoed, and closes.
async fn new_clients(subject: &Subject, effort: &Effort) -> Result<f64> {
    let before = settled(&subject.processes).await?;
    let each = effort.new_clients.div_ceil(NEW_AT_ONCE);
    everybody(vec![subject.route.clone(); NEW_AT_ONCE], move |route| async move {
        for _ in 0..each {
            Client::connect(&route).await?.echo().await?;
        }
        Ok(())
    })
    .await?;
    let spent = settled(&subject.processes).await?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e6 / (each * NEW_AT_ONCE) as f64)
}

/// Connects clients and lets each have a message echoed, so that its way is open to the end.
pub(super) async fn connect(route: &Route, clients: usize) -> Result<Vec<Client>> {
    /// Handshakes at a time.
    const AT_ONCE: usize = 32;
    let mut connected = Vec::with_capacity(clients);
    while connected.len() < clients {
        let some = (clients - connected.len()).min(AT_ONCE);
        connected.extend(
            everybody(vec![route.clone(); some], |route| async move {
                let mut client = Client::connect(&route).await?;
                client.echo().await?;
                Ok(client)
            })
            .await?,
        );
    }
    Ok(connected)
}

/// Does the same with everybody at once, on this thread. One who fails, fails all.
pub(super) async fn everybody<A: 'static, B: 'static, F>(all: Vec<A>, act: impl Fn(A) -> F) -> Result<Vec<B>>
where
    F: Future<Output = io::Result<B>> + 'static,
{
    let local = LocalSet::new();
    let mut acting = JoinSet::new();
    for one in all {
        acting.spawn_local_on(act(one), &local);
    }
    local
        .run_until(async {
            let mut done = Vec::with_capacity(acting.len());
            while let Some(one) = acting.join_next().await {
                done.push(one.map_err(io::Error::other)??);
            }
            Ok(done)
        })
        .await
        .map_err(|error: io::Error| Failure::from(error).during("a client"))
}
