//! The reference pages.

use std::fmt::Write as _;

use teleferry::config::keys::{self, Change, Key, Section, Value};

use super::shell::descendants;

/// Every key of the configuration.
pub(super) fn configuration() -> String {
    let mut page = CONFIGURATION_INTRODUCTION.to_owned();
    for section in keys::SECTIONS {
        push_section(&mut page, section);
    }
    page
}

fn push_section(page: &mut String, section: &Section) {
    let _ = write!(page, "\n## `{}`\n\n{}\n\n", section.heading(), section.meaning);
    page.push_str("| Key | Type | Default | Change | Meaning |\n|---|---|---|---|---|\n");
    for key in section.keys {
        let (name, kind, change) = (key.name, key.kind, change(key));
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {change} | {} |", default(key), key.meaning);
    }
}

fn default(key: &Key) -> String {
    match key.value {
        Value::Default(value) => format!("`{value}`"),
        Value::Example(value) => format!("none; e.g. `{value}`"),
        Value::Varies(words) => words.to_owned(),
    }
}

const fn change(key: &Key) -> &'static str {
    match key.change {
        Change::Live => "live",
        Change::Restart => "restart",
    }
}

/// Every command with its options.
pub(super) fn command_line() -> String {
    let mut page = COMMAND_LINE_INTRODUCTION.to_owned();
    let mut program = teleferry::cli::command().disable_help_subcommand(true).term_width(WIDTH);
    program.build();
    for command in descendants(&program) {
        let mut command = command.term_width(WIDTH);
        let name = command.get_display_name().unwrap_or_default().replace('-', " ");
        let help = command.render_long_help().to_string();
        let level = if name.split(' ').count() > 2 { "###" } else { "##" };
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = write!(page, "\n{level} `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    }
    page
}

/// Columns of the help texts.
const WIDTH: usize = 100;

const CONFIGURATION_INTRODUCTION: &str = "\
<!-- Written by `cargo xtask generate`; do not edit. -->

# Configuration

The configuration is one TOML file, named with `--config` or by the variable `TELEFERRY_CONFIG`. Everything in it is
checked before anything is opened; a key that does not exist is an error. `teleferry check` shows what a file means, and
`teleferry check --explain` prints this reference.

- A *duration* is a string of numbers and units: `\"30s\"`, `\"5m\"`, `\"1h30m\"`.
- A *size* is a string of a number and a unit, `\"64KiB\"` or `\"10MiB\"`, or a plain number of bytes.
- A *secret* is 32 hexadecimal digits in either case, without the `dd` or `ee` of links. `teleferry secret` makes one.
- An *address* is `\"IP:PORT\"`, `\"[IPv6]:PORT\"`, `\"unix:PATH\"` or `\"systemd:NAME\"`.
- A *change* takes effect with a reload (live; see [Changing settings](../operate/changing-settings.md)) or with the next
  start (restart).
- A *host name* is written in lower case; an international one in its ASCII form (`xn--…`).

The smallest file:

```toml
[[listen]]
address = \"[::]:443\"
secret = \"…\"
domain = \"www.example.com\"

[cover]
target = \"www.example.com:443\"
```
";

const COMMAND_LINE_INTRODUCTION: &str = "\
<!-- Written by `cargo xtask generate`; do not edit. -->

# Command line

Data goes to standard output, messages go to standard error. Every command ends with 0 when it did what it was asked,
with 1 when it failed, and with 2 when the command line or the configuration is wrong.

`run`, `check` and `link` find their settings in the same way:

1. the file named with `--config` or by `TELEFERRY_CONFIG`; a file that is named must be there;
2. flags, which win over the file (those about a listener only when the file has no more than one);
3. without a file, the variables with which containers of another proxy are started: `MTP_PORT`, `MTP_SECRET`,
   `MTP_TAG`, `MTP_DD_ONLY` and `MTP_TLS_ONLY` (`t` or `f`). With `MTP_SECRET` every kind of client is served, unless one
   of the two switches is on;
4. without a file, for what is still open: port 443 when the process may open it, else 8443; and a secret and a cover
   domain that `run` makes up at its first start and keeps in the state directory.
";
