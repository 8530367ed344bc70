//! `teleferry-bench codec`: what the protocol code costs in instructions, which no noise disturbs, so that CI can hold it.
//!
//! Each case runs in a copy of this program under valgrind, once with no repetition and once with many; the difference is
//! the case. Valgrind shows programs a processor with AES instructions and AVX2, so the numbers are a measure to keep, not
//! the speed of any machine.

mod cases;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;

use self::cases::CASES;
use crate::failure::{Failure, Result};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Fail when a case takes more than is written in the file, by a tenth of it.
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    check: Option<PathBuf>,
    /// Write the numbers into a file for later checks.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CaseArguments {
    /// Which case.
    name: String,
    /// How often.
    repetitions: u64,
}

/// Repetitions of each case under valgrind.
const REPETITIONS: u64 = 50;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut counted = BTreeMap::new();
    for (name, _) in CASES {
        let instructions = (count(name, REPETITIONS)?.saturating_sub(count(name, 0)?)) / REPETITIONS;
        writeln!(io::stdout(), "{name:24} {instructions:>9} instructions")?;
        counted.insert((*name).to_owned(), instructions);
    }
    if let Some(path) = &arguments.write {
        let mut text = serde_json::to_string_pretty(&counted).map_err(io::Error::other)?;
        text.push('\n');
        std::fs::write(path, text)?;
    }
    let Some(path) = &arguments.check else { return Ok(()) };
    let text = std::fs::read_to_string(path).map_err(|error| Failure::from(error).during(path.display()))?;
    let kept: BTreeMap<String, u64> = serde_json::from_str(&text).map_err(io::Error::other)?;
    let dearer = dearer(&counted, &kept);
    if dearer.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "more instructions than {} allows: {} (if it has to be so, write the file anew with --write)",
        path.display(),
        dearer.join("; ")
    )))
}

/// Runs one case in this process.
pub(crate) fn run_case(arguments: &CaseArguments) -> Result<()> {
    let case = CASES.iter().find(|(name, _)| *name == arguments.name);
    let (_, prepare) = case.ok_or_else(|| Failure::new(format!("there is no case {}", arguments.name)))?;
    let mut act = prepare();
    for _ in 0..arguments.repetitions {
        act();
    }
    Ok(())
}

/// Instructions of a whole process that runs a case so often.
fn count(case: &str, repetitions: u64) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    command.arg(std::env::current_exe()?).args(["codec-case", case, &repetitions.to_string()]);
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::from(error).during("valgrind is needed"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    instructions(&said).ok_or_else(|| Failure::new(format!("valgrind counted nothing:\n{said}")))
}

/// The number in cachegrind's line `I refs: 1,234`.
fn instructions(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("I ") && line.contains("refs:"))?;
    let (_, number) = line.split_once("refs:")?;
    number.trim().replace(',', "").parse().ok()
}

/// The cases that take more than a tenth above what was kept, and those that were not kept, in words.
fn dearer(counted: &BTreeMap<String, u64>, kept: &BTreeMap<String, u64>) -> Vec<String> {
    let judge = |(name, now): (&String, &u64)| match kept.get(name) {
        Some(before) if *now <= before + before / 10 => None,
        Some(before) => Some(format!("{name}: {now} instead of {before}")),
        None => Some(format!("{name}: {now}, not in the file")),
    };
    counted.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cachegrind_is_understood() {
        assert_eq!(instructions("==1== hello\n==1== I refs:        1,234,567\n"), Some(1_234_567));
        assert_eq!(instructions("==1== I   refs:      89\n"), Some(89));
        assert_eq!(instructions("==1== nothing"), None);
    }

    #[test]
    fn a_tenth_more_is_borne() {
        let map = |n| BTreeMap::from([("case".to_owned(), n)]);
        assert!(dearer(&map(110), &map(100)).is_empty());
        assert_eq!(dearer(&map(111), &map(100)), ["case: 111 instead of 100"]);
        assert_eq!(dearer(&map(1), &BTreeMap::new()), ["case: 1, not in the file"]);
    }

    #[test]
    fn every_case_runs() {
        for (_, prepare) in CASES {
            let mut act = prepare();
            act();
            act();
        }
    }
}
