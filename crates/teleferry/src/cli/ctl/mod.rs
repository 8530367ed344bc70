//! `teleferry ctl`: asks the running process, over its control socket.

mod client;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::admin::{Answer, LogLevels, Reloaded, Status, TableAnswer, TableEntries, Upgraded};
use crate::config::{self, DEFAULT_SOCKET, Levels, Overrides};
use crate::state;
use client::{ask, ask_with};

#[derive(Args)]
pub(super) struct Arguments {
    /// The control socket; without it, the one of the configuration file or of the default state directory
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,

    /// The configuration file of the running process
    #[arg(long, value_name = "FILE", env = "TELEFERRY_CONFIG", hide_env_values = true, global = true)]
    config: Option<PathBuf>,

    /// Prints what the process answers, as JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    order: Order,
}

#[derive(Subcommand)]
enum Order {
    /// Shows how it is
    Status {
        /// Shows it again every two seconds until it is interrupted
        #[arg(long)]
        watch: bool,
    },
    /// Has it read its settings again
    Reload,
    /// Has it accept nothing more, let its connections end for the configured time, and leave
    Drain,
    /// Has the program that stands in its place now started, and everything handed over to it: nobody is refused, and
    /// connections may end by themselves for the configured time
    Upgrade,
    /// Shows which log lines are told, or tells others until the next reload
    Log {
        /// The least severe level, and those of parts of the program: info,backend=debug
        #[arg(value_name = "LEVEL")]
        level: Option<Levels>,
    },
    /// Shows the data centres with their links
    Dc,
    /// Looks into the tables of the rules, and changes them
    #[command(subcommand)]
    Table(Table),
}

#[derive(Subcommand)]
enum Table {
    /// Shows every table and its size, or what is in one
    List {
        /// Its name
        table: Option<String>,
    },
    /// Adds a host name, an address or a network, for later starts too
    Add(Entry),
    /// Takes one out, for later starts too
    Remove(Entry),
    /// Says whether a host name is in a table, or an address lies in one of its networks
    Contains(Entry),
}

#[derive(Args)]
struct Entry {
    /// The table's name
    table: String,
    /// The host name, address or network
    entry: String,
}

/// Between two looks.
const WATCH: Duration = Duration::from_secs(2);

/// Clears a terminal and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let socket = arguments.socket()?;
    let show = Show { json: arguments.json };
    match &arguments.order {
        Order::Status { watch: false } => {
            show.answer::<Status>(&ask(&socket, "GET", "/api/v1/status")?, text::status, out)
        }
        Order::Status { watch: true } => loop {
            let answer = ask(&socket, "GET", "/api/v1/status")?;
            if !arguments.json {
                out.write_all(CLEAR.as_bytes())?;
            }
            show.answer::<Status>(&answer, text::status, out)?;
            out.flush()?;
            std::thread::sleep(WATCH);
        },
        Order::Reload => {
            show.answer::<Reloaded>(&ask(&socket, "POST", "/api/v1/reload")?, text::reloaded, out)
        }
        Order::Drain => {
            ask(&socket, "POST", "/api/v1/drain")?;
            if !arguments.json {
                writeln!(out, "it accepts nothing more, and leaves when its connections have ended")?;
            }
            Ok(())
        }
        Order::Upgrade => {
            show.answer::<Upgraded>(&ask(&socket, "POST", "/api/v1/upgrade")?, text::upgraded, out)
        }
        Order::Log { level: None } => {
            show.answer::<LogLevels>(&ask(&socket, "GET", "/api/v1/log")?, text::log_levels, out)
        }
        Order::Log { level: Some(level) } => {
            let wanted = LogLevels { level: level.to_string() };
            let body = serde_json::to_vec(&wanted).map_err(|error| Failure::Run(error.into()))?;
            let answer = ask_with(&socket, "PUT", "/api/v1/log", body.into())?;
            show.answer::<LogLevels>(&answer, text::log_levels, out)
        }
        Order::Table(order) => table(order, &socket, &show, out),
        Order::Dc => show.answer::<text::Dcs>(&ask(&socket, "GET", "/api/v1/dcs")?, text::dcs, out),
    }
}

fn table(order: &Table, socket: &Path, show: &Show, out: &mut dyn Write) -> Result<(), Failure> {
    let (method, entry, text): (_, _, fn(&TableAnswer, &mut dyn Write) -> _) = match order {
        Table::List { table: None } => {
            let answer = ask(socket, "GET", "/api/v1/tables")?;
            return show.answer::<text::Tables>(&answer, text::tables, out);
        }
        Table::List { table: Some(table) } => {
            let path = format!("/api/v1/tables/{}/entries", plain(table)?);
            return show.answer::<TableEntries>(&ask(socket, "GET", &path)?, text::entries, out);
        }
        Table::Add(entry) => ("PUT", entry, text::added),
        Table::Remove(entry) => ("DELETE", entry, text::removed),
        Table::Contains(entry) => ("GET", entry, text::contained),
    };
    let path = format!("/api/v1/tables/{}/entries/{}", plain(&entry.table)?, plain(&entry.entry)?);
    show.answer(&ask(socket, method, &path)?, text, out)
}

/// What can stand in a path as it is, as all names and entries of tables can.
fn plain(text: &str) -> Result<&str, Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(text);
    }
    Err(Failure::Usage(format!("{text:?} is neither a table nor an entry of one")))
}

/// How answers are shown.
struct Show {
    json: bool,
}

impl Show {
    fn answer<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        as_text: fn(&T, &mut dyn Write) -> std::io::Result<()>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let strange = |error: serde_json::Error| {
            Failure::Run(
                format!("the process gives an answer that this version does not know: {error}").into(),
            )
        };
        if self.json {
            let value: serde_json::Value = serde_json::from_slice(&answer.body).map_err(strange)?;
            writeln!(out, "{value:#}")?;
            return Ok(());
        }
        let value: T = serde_json::from_slice(&answer.body).map_err(strange)?;
        Ok(as_text(&value, out)?)
    }
}

impl Arguments {
    /// Where the process listens for us.
    fn socket(&self) -> Result<PathBuf, Failure> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let default = state::default_directory(rustix::process::geteuid().is_root(), |name| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
        });
        match &self.config {
            None => Ok(default.join(DEFAULT_SOCKET)),
            Some(file) => {
                let admin = config::load(file, &Overrides::default(), &default)?.admin;
                admin.socket.ok_or_else(|| {
                    Failure::Usage(
                        "the configuration turns the control socket off (`admin.socket`)".to_owned(),
                    )
                })
            }
        }
    }
}
