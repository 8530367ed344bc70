//! `teleferry completions`, `teleferry man`, and the table of keys as text.

use std::fmt::Write as _;
use std::io::Write;

use clap::Args;
use clap_complete::Shell;

use super::failure::Failure;
use crate::config::keys::{self, Change, Value};

#[derive(Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

pub(super) fn run_completions(arguments: &CompletionsArguments, out: &mut dyn Write) -> Result<(), Failure> {
    out.write_all(&completions(arguments.shell))?;
    Ok(())
}

pub(super) fn run_man(out: &mut dyn Write) -> Result<(), Failure> {
    clap_mangen::Man::new(super::command()).render(out)?;
    Ok(())
}

/// The completion script for a shell.
#[must_use]
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "teleferry", &mut script);
    script
}

/// Every key of the configuration that works, with its type, its default and its meaning.
#[must_use]
pub fn explain_keys() -> String {
    let mut text = String::new();
    for section in keys::SECTIONS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}\n  {}\n", section.heading(), section.meaning);
        for key in section.keys {
            let value = match key.value {
                Value::Default(value) => format!("default: {value}"),
                Value::Example(value) => format!("unset by default, for example: {value}"),
                Value::Varies(words) => format!("default: {words}"),
            };
            let change = match key.change {
                Change::Live => "",
                Change::Restart => "; a change needs a restart",
            };
            let _ =
                writeln!(text, "  {} ({})\n    {}\n    {value}{change}\n", key.name, key.kind, key.meaning);
        }
    }
    text
}
