//! `teleferry-bench soak`: clients of every kind come and go, data centres die and come back, and in the end the proxy has to
//! be as it was: alive, with every byte right, no larger and with no descriptor more. With `--middle`, clients that stay all
//! the time go over middle proxies that end their links again and again.

mod dice;
mod ledger;
mod over_middle;
mod report;
mod roles;
mod rotation;
mod stage;
mod steady;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;

use self::dice::Dice;
use self::report::Report;
use self::stage::{Stage, Way};
use crate::clock;
use crate::failure::{Failure, Result};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The program to put under load.
    #[arg(long, value_name = "PATH", default_value = "target/release/teleferry")]
    proxy: PathBuf,
    /// How long, behind the warm-up.
    #[arg(long, value_name = "NUMBER", default_value_t = 60)]
    seconds: u64,
    /// How many clients and strangers at a time [default: 100; with --middle: 2000 that stay, and some beside them].
    #[arg(long, value_name = "NUMBER")]
    clients: Option<usize>,
    /// Over middle proxies, with clients that stay.
    #[arg(long)]
    middle: bool,
    /// How often the middle proxies end all links, in seconds: in order and by reset, in turn.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "middle", value_parser = clap::value_parser!(u64).range(3..))]
    rotate: u64,
    /// Begins the random numbers that choose who comes.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = match arguments.middle {
        true => runtime.block_on(over_middle::soak(arguments))?,
        false => runtime.block_on(soak(arguments))?,
    };
    io::stdout().write_all(report.to_string().as_bytes())?;
    match report.faults() {
        0 => Ok(()),
        faults => Err(Failure::new(format!("the soak found {faults} faults"))),
    }
}

async fn soak(arguments: &Arguments) -> Result<Report> {
    /// Clients and strangers at a time.
    const CLIENTS: usize = 100;
    let clients = arguments.clients.unwrap_or(CLIENTS);
    let stage = Stage::build(&arguments.proxy, Way::Direct).await?;
    let mut report = Report::new(stage.descriptors()?);
    let mut dice = Dice::new(arguments.seed);
    churn(&stage, clients, warm_up(arguments), &mut dice, &mut report).await?;
    rest(&stage, &report).await?;
    report.warm(stage.memory()?);
    churn(&stage, clients, Duration::from_secs(arguments.seconds), &mut dice, &mut report).await?;
    rest(&stage, &report).await?;
    report.over(stage.memory()?, stage.descriptors()?, &stage.log()?);
    Ok(report)
}

/// How long nothing is held against the proxy's size yet.
fn warm_up(arguments: &Arguments) -> Duration {
    /// Its part of the whole, and its bound in seconds.
    const PART: u64 = 4;
    const MOST: u64 = 60;
    Duration::from_secs((arguments.seconds / PART).clamp(1, MOST))
}

/// Keeps so many clients busy for a time, and lets those that are there finish.
async fn churn(
    stage: &Stage,
    clients: usize,
    time: Duration,
    dice: &mut Dice,
    report: &mut Report,
) -> Result<()> {
    let start = clock::now();
    let mut busy = JoinSet::new();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut trouble = std::pin::pin!(stage.trouble());
    loop {
        while busy.len() < clients && start.elapsed() < time {
            let role = dice.pick(stage.roles());
            busy.spawn(roles::play(role, stage.door(), dice.fork()));
        }
        tokio::select! {
            done = busy.join_next() => match done {
                Some(done) => {
                    let (role, outcome) = done.map_err(|error| Failure::new(format!("a client panicked: {error}")))?;
                    report.note(role, outcome);
                }
                None => break,
            },
            due = second.tick() => {
                report.late(due.elapsed());
                report.sample(stage.memory()?, stage.descriptors()?);
            }
            () = &mut trouble => {}
        }
    }
    stage.peace().await;
    Ok(())
}

/// Waits until the proxy has closed everything, or does not do so in time, which the report then tells.
async fn rest(stage: &Stage, report: &Report) -> Result<()> {
    /// Longer than any time limit in the proxy's configuration.
    const PATIENCE: Duration = Duration::from_secs(30);
    const PAUSE: Duration = Duration::from_millis(100);
    let start = clock::now();
    while stage.descriptors()? > report.descriptors_at_start() && start.elapsed() < PATIENCE {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
