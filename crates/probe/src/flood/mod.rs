//! `flood`: what a flood of strangers costs, and what clients notice of it.

mod clients;
mod strangers;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clients::Clients;
use strangers::{Kind, Tally};
use teleferry_proto::secret::SecretKey;
use teleferry_sim::telegram::{self, Telegram};

use crate::failure::{Failure, Result};
use crate::stage::{NO_NGINX, Nginx, Process, Proxy, Settings, Timers, find};
use crate::{clock, random, tell};

/// What `flood` is told.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The built proxy
    #[arg(long, value_name = "PATH", default_value = "target/release/teleferry")]
    proxy: PathBuf,
    /// nginx, when it is not where Debian puts it
    #[arg(long, value_name = "PATH")]
    nginx: Option<PathBuf>,
    /// Connections of each kind of stranger
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    connections: usize,
    /// Strangers that are here at the same time, at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    at_once: usize,
}

/// How long clients are watched while there is no flood.
const CALM: Duration = Duration::from_secs(5);

/// What was measured during one phase.
#[derive(Debug)]
struct Phase {
    name: &'static str,
    /// How strangers fared.
    tally: Tally,
    took: Duration,
    /// The proxy's processor time.
    cpu: Duration,
    /// The most memory that it was seen to have, in bytes.
    memory: u64,
    /// Of the clients' echoes.
    median: Duration,
    p99: Duration,
}

/// Measures and prints; judges nothing.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(nginx) = find(arguments.nginx.as_deref())? else {
        tell(NO_NGINX);
        return Ok(());
    };
    let key = SecretKey::new(random::array());
    let site = Nginx::start(&nginx, Timers::SHORT)?;
    // The clients' side and their Telegram.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let phases = runtime.block_on(async {
        let telegram = Telegram::start(&telegram::Options::default())?;
        let settings = Settings { key: key.clone(), cover: site.address, data_centre: telegram.address(2) };
        let proxy = Proxy::start(&arguments.proxy, &settings)?;
        let clients = Clients::connect(proxy.open, &key).await?;
        let process = proxy.process();
        let mut phases = vec![
            measure("calm", &process, &clients, async {
                tokio::time::sleep(CALM).await;
                Ok(Tally::default())
            })
            .await?,
        ];
        for kind in [Kind::Garbage, Kind::Hello] {
            let flood = strangers::flood(proxy.open, kind, arguments.connections, arguments.at_once);
            phases.push(measure(kind.name(), &process, &clients, flood).await?);
        }
        clients.leave().await?;
        Ok::<_, Failure>(phases)
    })?;
    report(&phases);
    Ok(())
}

/// Watches proxy and clients while something happens.
async fn measure(
    name: &'static str,
    process: &Process,
    clients: &Clients,
    happening: impl Future<Output = Result<Tally>>,
) -> Result<Phase> {
    const LOOK: Duration = Duration::from_millis(100);
    let (before, started) = (process.cpu()?, clock::now());
    clients.forget();
    let mut memory = process.memory()?;
    let mut happening = std::pin::pin!(happening);
    let tally = loop {
        tokio::select! {
            tally = &mut happening => break tally?,
            () = tokio::time::sleep(LOOK) => memory = memory.max(process.memory()?),
        }
    };
    let (median, p99) = clients.percentiles()?;
    let cpu = process.cpu()?.saturating_sub(before);
    Ok(Phase { name, tally, took: started.elapsed(), cpu, memory, median, p99 })
}

fn report(phases: &[Phase]) {
    tell(
        "| | answered | ended | not in 10 s | a second | CPU a connection, µs | memory, MiB | echo median, ms | echo p99, ms | p99 to calm |",
    );
    tell("|---|---|---|---|---|---|---|---|---|---|");
    let calm = phases.first().map_or(0.0, |phase| phase.p99.as_secs_f64());
    for phase in phases {
        let Tally { answered, ended, waited } = phase.tally;
        let count = answered + ended + waited;
        let a_connection = |value: f64| if count == 0 { "–".to_owned() } else { format!("{value:.0}") };
        tell(&format!(
            "| {} | {answered} | {ended} | {waited} | {} | {} | {:.1} | {:.2} | {:.2} | {:.1} |",
            phase.name,
            a_connection(count as f64 / phase.took.as_secs_f64()),
            a_connection(phase.cpu.as_secs_f64() * 1e6 / count as f64),
            phase.memory as f64 / f64::from(1 << 20),
            phase.median.as_secs_f64() * 1e3,
            phase.p99.as_secs_f64() * 1e3,
            phase.p99.as_secs_f64() / calm,
        ));
    }
}
