//! `timing`: whether the time from hello to first byte tells clients from strangers.

mod ks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use teleferry_proto::fake_tls::answer;
use teleferry_proto::secret::SecretKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::failure::{Failure, Result};
use crate::stage::{DOMAIN, NO_NGINX, Nginx, Proxy, Settings, Timers, find};
use crate::{clock, hello, random, tell};

/// What `timing` is told.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The built proxy
    #[arg(long, value_name = "PATH", default_value = "target/release/teleferry")]
    proxy: PathBuf,
    /// nginx, when it is not where Debian puts it
    #[arg(long, value_name = "PATH")]
    nginx: Option<PathBuf>,
    /// Hellos of each kind
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pairs: usize,
    /// Waits until the site is learned, a minute or two, and measures clients before the first stranger comes, too
    #[arg(long)]
    learned: bool,
}

/// Who sends the hello, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A client, to the proxy.
    Accepted,
    /// Somebody with another secret, to the proxy.
    Rejected,
    /// The same, to the site alone.
    Site,
}

const KINDS: [Kind; 3] = [Kind::Accepted, Kind::Rejected, Kind::Site];
/// Hellos of each kind before those that count: the first ones find cold caches.
const WARM_UP: usize = 20;
/// The proxy knows the site by then.
const LEARNING: Duration = Duration::from_mins(4);
/// An answer takes less.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures and prints; judges nothing, as a loopback front says little of others.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(nginx) = find(arguments.nginx.as_deref())? else {
        tell(NO_NGINX);
        return Ok(());
    };
    if arguments.pairs == 0 {
        return Err(Failure::new("--pairs must be at least 1"));
    }
    let key = SecretKey::new(random::array());
    let site = Nginx::start(&nginx, Timers::LONG)?;
    let nowhere = ([192, 0, 2, 1], 443).into();
    let patience = Timers::LONG.header;
    let settings = Settings { key: key.clone(), cover: site.address, patience, data_centre: nowhere };
    let proxy = Proxy::start(&arguments.proxy, &settings)?;
    let addresses = [proxy.open, proxy.open, site.address];
    let runtime = crate::runtime()?;
    let alone = match arguments.learned {
        true => {
            wait_until_learned(&proxy)?;
            runtime.block_on(measure(&key, addresses, arguments.pairs, &[Kind::Accepted]))?[0].clone()
        }
        false => Vec::new(),
    };
    let times = runtime.block_on(measure(&key, addresses, arguments.pairs, &KINDS))?;
    report(times, alone, arguments.pairs);
    Ok(())
}

/// Waits until the proxy has told what it thinks of the site, which it does after a minute or two.
fn wait_until_learned(proxy: &Proxy) -> Result<()> {
    let started = clock::now();
    while started.elapsed() < LEARNING {
        if proxy.warnings()?.iter().any(|line| line.contains("the cover site sends")) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Failure::new("the proxy does not say what it learned of the site"))
}

/// Microseconds from hello to first byte, for every kind.
async fn measure(
    key: &SecretKey,
    addresses: [SocketAddr; 3],
    pairs: usize,
    kinds: &[Kind],
) -> Result<[Vec<f64>; 3]> {
    let mut times = [vec![], vec![], vec![]];
    for round in 0..WARM_UP + pairs {
        let mut order: Vec<usize> = (0..kinds.len()).collect();
        random::shuffle(&mut order);
        for index in order {
            let took = tokio::time::timeout(PATIENCE, once(kinds[index], addresses[index], key));
            let took = took.await.map_err(|_| Failure::new("a hello is not answered"))??;
            if round >= WARM_UP {
                times[index].push(took.as_secs_f64() * 1e6);
            }
        }
    }
    Ok(times)
}

/// One hello on one connection.
async fn once(kind: Kind, address: SocketAddr, key: &SecretKey) -> Result<Duration> {
    let own = SecretKey::new(random::array());
    let greeting = hello::greet(if kind == Kind::Accepted { key } else { &own }, DOMAIN, 0);
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let sent = clock::now();
    stream.write_all(&greeting.wire).await?;
    let mut bytes = vec![0; 16 << 10];
    let mut len = stream.read(&mut bytes).await?;
    let took = sent.elapsed();
    // What is measured must be what it is called.
    let mut proven = kind != Kind::Accepted;
    while !proven {
        let answer = answer::check(&bytes[..len], key, &greeting.random);
        proven = answer.map_err(|error| Failure::new(format!("a client is not taken: {error}")))?.is_some();
        if !proven {
            len += stream.read(&mut bytes[len..]).await?;
        }
    }
    stream.set_zero_linger()?;
    Ok(took)
}

fn report(mut times: [Vec<f64>; 3], mut alone: Vec<f64>, pairs: usize) {
    let critical = ks::critical_1_percent(pairs);
    tell(&format!("Microseconds from hello to first byte, {pairs} of each, interleaved\n"));
    tell("| | p5 | p25 | median | p75 | p95 | p99 |\n|---|---|---|---|---|---|---|");
    let row = |name: &str, times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
        let cells = [5, 25, 50, 75, 95, 99].map(|percent| format!("{:.0}", at(percent))).join(" | ");
        tell(&format!("| {name} | {cells} |"));
    };
    for (name, times) in ["accepted", "rejected", "the site alone"].into_iter().zip(&mut times) {
        row(name, times);
    }
    if !alone.is_empty() {
        row("accepted, before any stranger came", &mut alone);
    }
    let [accepted, rejected, site] = &times;
    tell(&format!("\nKolmogorov–Smirnov distances (1 % critical value {critical:.3}):"));
    let mut pairs =
        vec![("accepted, rejected", accepted, rejected), ("rejected, site alone", rejected, site)];
    if !alone.is_empty() {
        pairs.push(("accepted before any stranger came, rejected", &alone, rejected));
    }
    for (name, one, other) in pairs {
        let distance = ks::distance(one, other);
        let word = if distance < critical { "below it" } else { "above it: they can be told apart" };
        tell(&format!("{name}: {distance:.3}, {word}"));
    }
}
