//! What the proxy needs before, with and after many idle clients, and how long it takes to start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::measure::{Effort, connect, everybody};
use super::results::{Idle, Memory, Results};
use super::subjects::{OverMiddle, configuration, data_centre, route};
use super::tell;
use crate::children::Proxy;
use crate::cpus::Division;
use crate::failure::Result;
use crate::load::BLOCK;
use crate::load::client::{Client, DC, Protocol, Route};
use crate::procfs::Process;

/// What each client moves in each direction before it is idle, in blocks: 1 MiB.
const BLOCKS: u64 = (1 << 20) / BLOCK as u64;
/// Clients that move it at a time.
const AT_ONCE: usize = 32;

/// Measures with processes of their own, as memory tells what a process has been through.
pub(super) fn measure(
    program: &Path,
    division: &Division,
    effort: &Effort,
    runtime: &Runtime,
    results: &mut Results,
) -> Result<()> {
    // Nothing of the network is there but an address that answers to nobody (TEST-NET-1).
    let nowhere = configuration(&[(DC, SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 443)))], true);
    for _ in 0..effort.starts {
        let proxy = division.on_relay_side(|| Proxy::start(program, &nowhere))?;
        results.start_ms.push(proxy.start_time.as_secs_f64() * 1e3);
    }
    let dc = data_centre()?;
    let proxy =
        division.on_relay_side(|| Proxy::start(program, &configuration(&[(DC, dc.address)], true)))?;
    let route = route(proxy.address("ee")?, Protocol::FakeTls);
    results.memory = Some(runtime.block_on(idle(&proxy.process(), &route, effort, || Ok(None)))?);
    drop((proxy, dc));
    let middle = OverMiddle::start(program, division)?;
    let route = middle.route("ee", Protocol::FakeTls)?;
    let links = || middle.links().map(Some);
    results.memory_over_middle =
        Some(runtime.block_on(idle(&middle.proxy.process(), &route, effort, links))?);
    Ok(())
}

/// Waits until clients are idle, and not only between two messages: links keep room for bulk for a second or two, and freed
/// memory goes back to the system every few seconds.
async fn at_rest(process: &Process) -> Result<()> {
    process.settled().await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    Ok(())
}

async fn idle(
    process: &Process,
    route: &Route,
    effort: &Effort,
    links: impl Fn() -> Result<Option<usize>>,
) -> Result<Memory> {
    process.settled().await?;
    let (bare, own) = (process.memory()?, process.own_memory()?);
    let mut clients: Vec<Client> = Vec::new();
    let mut idle = Vec::new();
    for wanted in &effort.idle_clients {
        tell(&format!("memory: {wanted} clients"));
        while clients.len() < *wanted {
            let some = connect(route, AT_ONCE.min(wanted - clients.len())).await?;
            clients.extend(
                everybody(some, |mut client| async move {
                    client.download(BLOCKS).await?;
                    client.upload(BLOCKS).await?;
                    Ok(client)
                })
                .await?,
            );
        }
        at_rest(process).await?;
        let bytes = process.own_memory()?.saturating_sub(own);
        let bytes_per_client = bytes as f64 / *wanted as f64;
        idle.push(Idle { clients: *wanted, bytes_per_client, links: links()? });
    }
    drop(clients);
    at_rest(process).await?;
    Ok(Memory { bare, idle, left_behind: process.memory()?.saturating_sub(bare) })
}
