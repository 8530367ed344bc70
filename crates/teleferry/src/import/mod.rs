//! Moving here from another proxy: its configuration is read as data, and ours is written.
//!
//! Every format becomes plain `Value`s first, with their places; a module for each proxy says what they mean, and fills a
//! `Draft`. Nothing is guessed: what is not known is refused, and what cannot be carried over is listed. The links
//! that the old proxy would give are worked out by its own rules and compared with what the new settings take.

mod draft;
mod erlang;
mod links;
mod mtg;
mod mtprotoproxy;
mod mtproxy;
mod proof;
mod python;
mod scan;
mod seriyps;
mod telemt;
mod toml_file;
mod users;
mod value;
mod words;
mod write;

use std::ops::Range;

use teleferry_proto::secret::HostName;

use self::draft::Draft;
use crate::config::{Problem, Problems, place};

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The Erlang proxy's `sys.config`
    Seriyps,
    /// The command line of Telegram's own proxy, or a systemd unit that has it
    Mtproxy,
    /// The Python proxy's `config.py`
    Mtprotoproxy,
    /// mtg's `config.toml`
    Mtg,
    /// telemt's `config.toml`
    Telemt,
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Self::Seriyps => "the Erlang proxy (seriyps/mtproto_proxy)",
            Self::Mtproxy => "Telegram's own proxy (MTProxy)",
            Self::Mtprotoproxy => "the Python proxy (alexbers/mtprotoproxy)",
            Self::Mtg => "mtg",
            Self::Telemt => "telemt",
        }
    }
}

/// What came of it. Printing the file shows secrets: that is what it is made for.
pub struct Imported {
    /// The configuration file.
    pub toml: String,
    /// What to tell whoever imports: what was left behind and how the links compare. Secrets are shortened.
    pub report: String,
}

/// Reads the configuration of another proxy. `names` are further host names of its links, to be compared too.
///
/// # Errors
/// Something in it is not understood, cannot be served here, or would make an old link stop working.
pub fn import(format: Format, file: &str, text: &str, names: &[HostName]) -> Result<Imported, Problems> {
    let mut texts = Vec::new();
    let understood = if text.len() > MAX_FILE {
        Err(Problem::new(
            None,
            format!("a configuration has at most {MAX_FILE} bytes, and this file has {}", text.len()),
        ))
    } else {
        understand(format, text, names, &mut texts)
    };
    let refused = |problems: Vec<Problem>, hidden: &[Range<usize>]| {
        Problems::new(Some(file.to_owned()), text, hidden, problems)
    };
    let draft = understood.map_err(|problem| refused(vec![problem], &quotations(text)))?;
    if !draft.problems.is_empty() {
        return Err(refused(draft.problems, &texts));
    }
    let place_of = |span: &Range<usize>| {
        let (line, column) = place(text, span.start);
        format!("{file}:{line}:{column}")
    };
    let settings = write::settings(&draft);
    let compared = proof::compare(&draft.links, &settings)?;
    let differing: Vec<_> =
        compared.iter().filter(|link| !link.equal).map(proof::Compared::refusal).collect();
    if !differing.is_empty() {
        return Err(refused(differing, &texts));
    }
    let left = write::Left::new(&draft.left, place_of);
    let head = write::head(format.name(), file, &left, &compared);
    Ok(Imported { toml: format!("{head}{settings}"), report: write::report(&left, &compared) })
}

/// `texts` gets the places of what may be secret.
fn understand(
    format: Format,
    text: &str,
    names: &[HostName],
    texts: &mut Vec<Range<usize>>,
) -> Result<Draft, Problem> {
    match format {
        Format::Seriyps => {
            let terms = erlang::parse(text)?;
            terms.iter().for_each(|term| term.texts(texts));
            Ok(seriyps::understand(&terms, names))
        }
        Format::Mtprotoproxy => {
            let module = python::parse(text)?;
            module.assignments.iter().for_each(|(_, value)| value.texts(texts));
            Ok(mtprotoproxy::understand(&module, names))
        }
        Format::Mtproxy => Ok(mtproxy::understand(&words::command_line(text)?)),
        Format::Mtg | Format::Telemt => {
            let root = toml_file::parse(text)?;
            root.texts(texts);
            Ok(if format == Format::Mtg { mtg::understand(&root) } else { telemt::understand(&root, names) })
        }
    }
}

/// What may be secret in a text that could not be read: from the first quotation mark of each line on.
fn quotations(text: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let start = at;
        at += line.len();
        start + line.find(['"', '\'']).unwrap_or(line.len())..start + line.len()
    });
    lines.collect()
}

/// Networks whose PROXY protocol headers count: the old proxies that have this believe everybody.
fn proxy_headers(value: Option<&value::Value>, path: &str, draft: &mut Draft) -> Option<Vec<String>> {
    let value = value?;
    if draft.flag(path, value) != Some(true) {
        return None;
    }
    draft.miss(
        &value.span,
        path,
        "the old proxy believes everybody's header: name your load balancers in proxy_protocol_from",
    );
    Some(vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()])
}

/// A cover site of this host and port.
fn site(host: &str, port: u16) -> String {
    match host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}

/// Takes clients whatever their clock says, as far as it can be told here.
fn any_clock(draft: &mut Draft) {
    draft.set_text("handshake", "clock_skew_past", "30d");
    draft.because("The old proxy does not look at clients' clocks. Shorter is better: recordings stay good for as long.");
    draft.set_text("handshake", "clock_skew_future", "30d");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config;

    /// A good file of each format.
    const FILES: [(Format, &str); 5] = [
        (Format::Seriyps, include_str!("../../tests/import/good/seriyps.config")),
        (Format::Mtproxy, include_str!("../../tests/import/good/mtproxy.service")),
        (Format::Mtprotoproxy, include_str!("../../tests/import/good/mtprotoproxy.py")),
        (Format::Mtg, include_str!("../../tests/import/good/mtg.toml")),
        (Format::Telemt, include_str!("../../tests/import/good/telemt.toml")),
    ];

    proptest! {
        #[test]
        fn a_broken_file_is_refused_or_read_but_never_a_fault(which in 0..5_usize, from in any::<prop::sample::Index>(), len in 0..30_usize, put in "[ -~\n]{0,8}") {
            let (format, text) = FILES[which];
            let from = from.index(text.len());
            let to = (from + len).min(text.len());
            let broken = format!("{}{put}{}", &text[..from], &text[to..]);
            match import(format, "file", &broken, &[]) {
                Ok(imported) => prop_assert!(config::understand("new", &imported.toml, std::path::Path::new("/")).is_ok()),
                Err(problems) => prop_assert!(problems.count() > 0),
            }
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let text = "[".repeat(MAX_FILE + 1);
        for (format, _) in FILES {
            assert_eq!(import(format, "file", &text, &[]).err().map(|problems| problems.count()), Some(1));
        }
    }
}
