//! `teleferry ctl`: asks the running process, over its control socket.

mod client;
mod text;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::admin::{Reloaded, Status};
use crate::config::{self, DEFAULT_SOCKET, Overrides};
use crate::state;
use client::{Answer, ask};

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
    /// Shows the data centres with their links
    Dc,
}

/// Between two looks.
const WATCH: Duration = Duration::from_secs(2);

/// Clears a terminal and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let socket = arguments.socket()?;
    let show = Show { json: arguments.json };
    match arguments.order {
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
        Order::Dc => show.answer::<text::Dcs>(&ask(&socket, "GET", "/api/v1/dcs")?, text::dcs, out),
    }
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
