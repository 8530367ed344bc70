//! `teleferry-bench relay`: what relaying costs, in rounds that go from subject to subject, so that what disturbs the
//! machine disturbs all of them.

mod fairness;
mod measure;
mod memory;
mod page;
mod results;
mod split;
mod subjects;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::measure::Effort;
use self::page::Machine;
use self::results::Results;
use self::subjects::Subjects;
use crate::cpus::Division;
use crate::failure::{Failure, Result};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The program to measure.
    #[arg(long, value_name = "PATH", default_value = "target/release/teleferry")]
    proxy: PathBuf,
    /// How often everything is measured.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    rounds: usize,
    /// One small round, within a minute: shows that everything works. No page unless --out is given.
    #[arg(long)]
    quick: bool,
    /// A front and a back beside a proxy in one process, and nothing else.
    #[arg(long)]
    split: bool,
    /// Where the page goes [default: docs/understand/benchmarks.md, with --split benchmarks-split.md].
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Measure these alone. No page unless --out is given.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Bytes from the data centre.
    Down,
    /// Bytes from clients.
    Up,
    /// Small messages of 50 clients.
    Echo,
    /// New clients.
    New,
    /// The time that an echo takes.
    Latency,
    /// Memory, and the time until it listens.
    Memory,
    /// Echoes beside one client at full speed.
    Fairness,
}

/// Where the page goes, and where the figures that a program can read.
const PAGE: &str = "docs/understand/benchmarks.md";
const SPLIT_PAGE: &str = "docs/understand/benchmarks-split.md";
const JSON: &str = "target/benchmarks.json";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let effort = if arguments.quick { Effort::quick() } else { Effort::full(arguments.rounds) };
    let split = if arguments.split { " --split" } else { "" };
    let command = match arguments.quick {
        true => format!("just bench-relay{split} --quick"),
        false => format!("just bench-relay{split} --rounds {}", effort.rounds),
    };
    let machine = Machine::this(&command);
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let division = Division::of_this_machine()?;
    division.enter_load_side()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut results = Results::default();
    if wanted(Part::Memory) && !arguments.split {
        memory::measure(&arguments.proxy, &division, &effort, &runtime, &mut results)?;
    }
    if wanted(Part::Fairness) && !arguments.split {
        fairness::measure(&arguments.proxy, &division, &effort, &runtime, &mut results)?;
    }
    let start = if arguments.split { Subjects::start_split } else { Subjects::start };
    let subjects = start(&arguments.proxy, &division)?;
    for round in 1..=effort.rounds {
        for subject in subjects.all() {
            tell(&format!("round {round}: {}", subject.name));
            for part in Part::value_variants() {
                if wanted(*part) {
                    runtime
                        .block_on(measure::part(*part, subject, &effort, &mut results))
                        .map_err(|failure| failure.during(format!("{part:?} through {}", subject.name)))?;
                }
            }
        }
    }
    if let Some(pair) = &subjects.pair {
        results.sessions = Some(runtime.block_on(pair.sessions(&effort))?);
    }
    finish(arguments, &effort, &machine, &results)
}

fn finish(arguments: &Arguments, effort: &Effort, machine: &Machine, results: &Results) -> Result<()> {
    let page = page::render(results, effort, machine);
    std::fs::create_dir_all("target")?;
    std::fs::write(JSON, serde_json::to_vec_pretty(results).map_err(io::Error::other)?)?;
    let partly = arguments.quick || !arguments.only.is_empty();
    match &arguments.out {
        None if partly => Ok(io::stdout().write_all(page.as_bytes())?),
        out => {
            let page_path = if arguments.split { SPLIT_PAGE } else { PAGE };
            let path = out.clone().unwrap_or_else(|| page_path.into());
            std::fs::write(&path, page).map_err(|error| Failure::from(error).during(path.display()))?;
            tell(&format!("written: {} and {JSON}", path.display()));
            Ok(())
        }
    }
}

/// Says how far it is.
fn tell(line: &str) {
    // Standard error may be gone; then nobody wants to know.
    let _ = writeln!(io::stderr(), "{line}");
}
