//! `teleferry-bench soak`: clients of every kind come and go, data centres die and come back, and in the end the proxy has to
//! be as it was: alive, with every byte right, no larger and with no descriptor more.

mod dice;
mod report;
mod roles;
mod stage;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;

use self::dice::Dice;
use self::report::Report;
use self::roles::Role;
use self::stage::Stage;
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
    /// How many clients and strangers at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    clients: usize,
    /// Begins the random numbers that choose who comes.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// The warm-up's part of the whole, and its bound in seconds.
const WARM_UP_PART: u64 = 4;
const WARM_UP_MOST: u64 = 60;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(soak(arguments))?;
    io::stdout().write_all(report.to_string().as_bytes())?;
    match report.faults() {
        0 => Ok(()),
        faults => Err(Failure::new(format!("the soak found {faults} faults"))),
    }
}

async fn soak(arguments: &Arguments) -> Result<Report> {
    let stage = Stage::build(&arguments.proxy).await?;
    let mut report = Report::new(stage.descriptors()?);
    let mut dice = Dice::new(arguments.seed);
    let warm_up = (arguments.seconds / WARM_UP_PART).clamp(1, WARM_UP_MOST);
    churn(&stage, arguments.clients, Duration::from_secs(warm_up), &mut dice, &mut report).await?;
    rest(&stage, &report).await?;
    report.warm(stage.memory()?);
    churn(&stage, arguments.clients, Duration::from_secs(arguments.seconds), &mut dice, &mut report).await?;
    rest(&stage, &report).await?;
    report.over(stage.memory()?, stage.descriptors()?, &stage.log()?);
    Ok(report)
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
            let role = dice.pick(&Role::ALL);
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
            _ = second.tick() => report.sample(stage.memory()?, stage.descriptors()?),
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
