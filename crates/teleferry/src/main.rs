//! The thin binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    teleferry::cli::main(std::env::args_os())
}
