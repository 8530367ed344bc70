//! Manual pages and completions.

use std::io;
use std::path::Path;

use clap_complete::Shell;
use clap_mangen::Man;

use super::Generated;

/// A page for the program and one for each of its commands, and of theirs.
pub(super) fn manual_pages() -> io::Result<Vec<Generated>> {
    let mut program = teleferry::cli::command().disable_help_subcommand(true);
    // Gives every command its full name.
    program.build();
    let commands = descendants(&program);
    std::iter::once(program).chain(commands).map(page).collect()
}

/// Every command below this one, each before its own; without those that only print help.
pub(super) fn descendants(command: &clap::Command) -> Vec<clap::Command> {
    let own = command.get_subcommands().filter(|command| command.get_name() != "help");
    own.flat_map(|command| std::iter::once(command.clone()).chain(descendants(command))).collect()
}

fn page(command: clap::Command) -> io::Result<Generated> {
    let page = Man::new(command);
    let mut bytes = Vec::new();
    page.render(&mut bytes)?;
    Ok(Generated { path: Path::new("packaging/man").join(page.get_filename()), bytes })
}

/// A script for each of the common shells, under the name that the shell looks for.
pub(super) fn completions() -> impl Iterator<Item = Generated> {
    [(Shell::Bash, "teleferry.bash"), (Shell::Fish, "teleferry.fish"), (Shell::Zsh, "_teleferry")]
        .into_iter()
        .map(|(shell, name)| Generated {
            path: Path::new("packaging/completions").join(name),
            bytes: teleferry::cli::completions(shell),
        })
}
