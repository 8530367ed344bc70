//! `teleferry import`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use teleferry_proto::secret::HostName;

use super::failure::Failure;
use crate::config::{self, ConfigError};
use crate::import::{self, Format};

#[derive(Args)]
pub(super) struct Arguments {
    /// Whose configuration it is
    #[arg(value_name = "PROXY")]
    format: Format,

    /// Its configuration file. It is read as data: nothing in it is executed
    file: PathBuf,

    /// A host name that stands in old `ee` links, to have those compared too; can be given several times
    #[arg(long, value_name = "NAME", value_parser = config::domain)]
    sni: Vec<HostName>,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let Arguments { format, file, sni } = arguments;
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", file.display())))?;
    let imported =
        import::import(*format, &file.display().to_string(), &text, sni).map_err(ConfigError::Wrong)?;
    out.write_all(imported.toml.as_bytes())?;
    // The settings are there, whether or not somebody can be told of what is not in them.
    let _ = io::stderr().write_all(imported.report.as_bytes());
    Ok(())
}
