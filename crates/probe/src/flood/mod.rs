//! `flood`: what a flood of strangers costs, and what clients notice of it.

mod clients;
mod strangers;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clients::Clients;
use strangers::{Flood, Kind, Tally};
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
    connections: u32,
    /// Strangers a second, at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rate: u32,
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
    /// Median and 99th percentile of the clients' echoes.
    through: (Duration, Duration),
    /// The same of clients that come to the data centre without the proxy: what the machine does to everybody.
    direct: (Duration, Duration),
}

/// What is watched meanwhile.
#[derive(Debug)]
struct Watched {
    process: Process,
    clients: Clients,
    direct: Clients,
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
        let patience = Timers::LONG.header;
        let data_centre = telegram.address(2);
        let settings = Settings { key: key.clone(), cover: site.address, patience, data_centre };
        let proxy = Proxy::start(&arguments.proxy, &settings)?;
        let watched = Watched {
            process: proxy.process(),
            clients: Clients::connect(proxy.open, Some(&key)).await?,
            direct: Clients::connect(telegram.address(2), None).await?,
        };
        let mut phases = vec![
            measure("calm", &watched, async {
                tokio::time::sleep(CALM).await;
                Ok(Tally::default())
            })
            .await?,
        ];
        for kind in [Kind::Garbage, Kind::Hello] {
            let flood =
                Flood { count: arguments.connections, rate: arguments.rate, at_once: arguments.at_once };
            let flood = strangers::flood(proxy.open, kind, flood);
            phases.push(measure(kind.name(), &watched, flood).await?);
        }
        watched.clients.leave().await?;
        watched.direct.leave().await?;
        Ok::<_, Failure>(phases)
    })?;
    report(&phases);
    Ok(())
}

/// Watches proxy and clients while something happens.
async fn measure(
    name: &'static str,
    watched: &Watched,
    happening: impl Future<Output = Result<Tally>>,
) -> Result<Phase> {
    const LOOK: Duration = Duration::from_millis(100);
    let Watched { process, clients, direct } = watched;
    let (before, started) = (process.cpu()?, clock::now());
    clients.forget();
    direct.forget();
    let mut memory = process.memory()?;
    let mut happening = std::pin::pin!(happening);
    let tally = loop {
        tokio::select! {
            tally = &mut happening => break tally?,
            () = tokio::time::sleep(LOOK) => memory = memory.max(process.memory()?),
        }
    };
    let took = started.elapsed();
    let cpu = process.cpu()?.saturating_sub(before);
    let (through, direct) = (clients.percentiles()?, direct.percentiles()?);
    Ok(Phase { name, tally, took, cpu, memory, through, direct })
}

fn report(phases: &[Phase]) {
    tell(
        "| | answered | ended | not in 10 s | a second | CPU a connection, µs | memory, MiB | echo median / p99, ms | without the proxy, ms |",
    );
    tell("|---|---|---|---|---|---|---|---|---|");
    for phase in phases {
        let Tally { answered, ended, waited } = phase.tally;
        let count = answered + ended + waited;
        let a_connection = |value: f64| if count == 0 { "–".to_owned() } else { format!("{value:.0}") };
        let echo = |(median, p99): (Duration, Duration)| {
            format!("{:.2} / {:.2}", median.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3)
        };
        tell(&format!(
            "| {} | {answered} | {ended} | {waited} | {} | {} | {:.1} | {} | {} |",
            phase.name,
            a_connection(count as f64 / phase.took.as_secs_f64()),
            a_connection(phase.cpu.as_secs_f64() * 1e6 / count as f64),
            phase.memory as f64 / f64::from(1 << 20),
            echo(phase.through),
            echo(phase.direct),
        ));
    }
    if let [calm, floods @ ..] = phases {
        let ratio = |phase: &Phase| phase.through.1.as_secs_f64() / calm.through.1.as_secs_f64();
        let ratios: Vec<String> = floods.iter().map(|phase| format!("{:.1}", ratio(phase))).collect();
        tell(&format!("\np99 of clients in a flood, to p99 in calm: {}", ratios.join(", ")));
    }
}
