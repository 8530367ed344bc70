//! `suite`: every probe against the proxy and against the site alone.

mod attempt;
mod judge;
mod table;

use std::path::{Path, PathBuf};

pub(crate) use attempt::{Proxied, Target};
use clap::Args;
pub(crate) use judge::{Stage, Verdict, judge};
use teleferry_proto::secret::SecretKey;

use crate::catalogue::{self, Kit, Probe, When};
use crate::failure::{Failure, Result};
use crate::stage::{NO_NGINX, Nginx, Proxy, Settings, Timers, find};
use crate::{clock, random, tell};

/// What `suite` is told.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The built proxy
    #[arg(long, value_name = "PATH", default_value = "target/release/teleferry")]
    proxy: PathBuf,
    /// nginx, when it is not where Debian puts it
    #[arg(long, value_name = "PATH")]
    nginx: Option<PathBuf>,
    /// nginx's default timers, and what needs minutes
    #[arg(long)]
    long: bool,
    /// Only probes whose name contains this
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    /// How often each probe is played
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: usize,
}

/// Plays every probe and says where the proxy can be told from the site.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(nginx) = find(arguments.nginx.as_deref())? else {
        tell(NO_NGINX);
        return Ok(());
    };
    let probes = wanted(&arguments.only, arguments.long);
    if probes.is_empty() {
        return Err(Failure::new(format!("no probe's name contains {:?}", arguments.only)));
    }
    let timers = if arguments.long { Timers::LONG } else { Timers::SHORT };
    let started = clock::now();
    let kit = Kit { key: SecretKey::new(random::array()), timers };
    let site = Nginx::start(&nginx, timers)?;
    let proxy = start_proxy(&arguments.proxy, &kit, &site)?;
    if !proxy.knows_rules {
        tell("this proxy knows no rules: probes 50 come to a listener that has none");
    }
    let proxy = Proxied::new(proxy);
    let stage = Stage { kit: &kit, site: &site, target: Target::Proxy(proxy.clone()) };
    let runtime = crate::runtime()?;
    let verdicts = runtime.block_on(judge(&stage, &probes, arguments.repeat));
    table::print(&verdicts, started.elapsed());
    for warning in runtime.block_on(proxy.warnings())? {
        tell(&format!("the proxy's log: {warning}"));
    }
    match verdicts.iter().filter(|verdict| !verdict.differences.is_empty()).count() {
        0 => Ok(()),
        count => {
            Err(Failure::new(format!("{count} of {} probes tell the proxy from the site", verdicts.len())))
        }
    }
}

/// Data centres are not asked: clients of probes never come so far.
fn start_proxy(program: &Path, kit: &Kit, site: &Nginx) -> Result<Proxy> {
    let nowhere = ([192, 0, 2, 1], 443).into();
    let (key, patience) = (kit.key.clone(), kit.timers.header);
    Proxy::start(program, &Settings { key, cover: site.address, patience, data_centre: nowhere })
}

fn wanted(only: &str, long: bool) -> Vec<Probe> {
    let mut probes = catalogue::all();
    probes.retain(|probe| probe.name.contains(only) && (long || probe.when != When::LongRunsOnly));
    probes
}
