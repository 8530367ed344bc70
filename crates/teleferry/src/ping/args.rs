//! What is asked for on the command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use teleferry_proto::dc::DcId;
use teleferry_proto::secret::Secret;
use teleferry_proto::transport::Framing;

/// The most data centres in one run.
const MAX_DCS: usize = 256;

/// `teleferry ping`: asks every data centre a question through a proxy.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The proxy's link: tg://proxy?… or https://t.me/proxy?…
    #[arg(value_name = "LINK")]
    pub(super) link: LinkText,
    /// Data centres: ids and ranges, separated by commas; below zero for media
    #[arg(long, value_name = "LIST", default_value = "-5..-1,1..5", allow_hyphen_values = true)]
    pub(super) dc: DcList,
    /// Protocols, separated by commas [default: the link's own]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) protocol: Vec<Protocol>,
    /// Exchanges with each data centre through each protocol
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) repeat: u16,
    /// How long each exchange may take, from connecting to the answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = timeout)]
    pub(super) timeout: Duration,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(super) json: bool,
}

/// A link as it was typed. It holds a secret, so it is not for printing.
#[derive(Clone)]
pub(super) struct LinkText(pub(super) String);

impl From<String> for LinkText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for LinkText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkText(…)")
    }
}

/// How a client speaks to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// Plain secret, intermediate framing
    Classic,
    /// dd secret, padded framing
    Secure,
    /// ee secret, padded framing inside fake TLS
    Tls,
}

impl Protocol {
    /// The one that a link is for.
    pub(super) const fn of(secret: &Secret) -> Self {
        match secret {
            Secret::Plain(_) => Self::Classic,
            Secret::Secure(_) => Self::Secure,
            Secret::Tls(..) => Self::Tls,
        }
    }

    /// Its name on the command line, in tables and in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Secure => "secure",
            Self::Tls => "tls",
        }
    }

    /// The framing of its messages.
    pub(super) const fn framing(self) -> Framing {
        match self {
            Self::Classic => Framing::Intermediate,
            Self::Secure | Self::Tls => Framing::Padded,
        }
    }
}

/// Data centres in the order in which they were given, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DcList(pub(super) Vec<DcId>);

impl FromStr for DcList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut list = Vec::new();
        for part in text.split(',') {
            let id = |text: &str| {
                text.trim()
                    .parse::<i16>()
                    .map_err(|_| format!("{part:?} is neither a DC id nor a range like 1..5"))
            };
            let (first, last) = match part.split_once("..") {
                Some((first, last)) => (id(first)?, id(last)?),
                None => (id(part)?, id(part)?),
            };
            if first > last {
                return Err(format!("{part:?} runs backwards: write {last}..{first}"));
            }
            for dc in (first..=last).map(DcId::new) {
                if !list.contains(&dc) {
                    list.push(dc);
                }
                if list.len() > MAX_DCS {
                    return Err(format!("more than {MAX_DCS} data centres"));
                }
            }
        }
        Ok(Self(list))
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration =
        text.parse().map_err(|_| "write a duration like \"500ms\", \"5s\" or \"1m\"".to_owned())?;
    match Duration::try_from(duration) {
        Ok(duration) if (Duration::from_millis(10)..=Duration::from_mins(10)).contains(&duration) => {
            Ok(duration)
        }
        _ => Err("a timeout is between 10ms and 10m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn ids(text: &str) -> Result<Vec<i16>, String> {
        text.parse().map(|DcList(list)| list.into_iter().map(DcId::get).collect())
    }

    #[test]
    fn lists_of_data_centres() {
        assert_eq!(ids("-5..-1,1..5"), Ok(vec![-5, -4, -3, -2, -1, 1, 2, 3, 4, 5]));
        assert_eq!(ids("2, -203,1..3"), Ok(vec![2, -203, 1, 3]));
        for wrong in ["", "a", "1,", "1..", "5..1", "1...3", "40000", "-300..300"] {
            assert!(ids(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn timeouts_have_units_and_bounds() {
        assert_eq!(timeout("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(timeout("1m"), Ok(Duration::from_mins(1)));
        for wrong in ["", "5", "0s", "-1s", "1h", "soon"] {
            assert!(timeout(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_are_read_and_the_link_is_never_printed() {
        let secret = "0123456789abcdef0123456789abcdef";
        let link = format!("tg://proxy?server=a&port=1&secret={secret}");
        let cli =
            Cli::try_parse_from(["ping", &link, "--dc", "-2", "--protocol", "tls,classic"]).expect("fine");
        assert_eq!(cli.args.dc, DcList(vec![DcId::new(-2)]));
        assert_eq!(cli.args.protocol, [Protocol::Tls, Protocol::Classic]);
        assert_eq!((cli.args.repeat, cli.args.timeout), (1, Duration::from_secs(5)));
        assert!(!format!("{cli:?}").contains(secret));
        for wrong in [["--dc", "x"], ["--repeat", "0"], ["--timeout", "5"], ["--protocol", "http"]] {
            let error =
                Cli::try_parse_from([["ping", &link].as_slice(), &wrong].concat()).expect_err("wrong");
            assert!(!error.to_string().contains(secret));
        }
    }
}
