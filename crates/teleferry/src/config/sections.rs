//! The sections other than `[[listen]]`: their defaults and bounds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use teleferry_proto::dc::DcId;
use toml::de::DeValue;

use super::problem::Problem;
use super::snapshot::{
    AddressPreference, Cover, CoverTarget, Handshake, ListenAddress, Listener, Log, LogFormat, Mode, Relay,
    Server, Telegram,
};
use super::table::{self, Table, expected, integer};
use super::value::{self, Wrong};

pub(super) fn server(
    table: &Table<'_>,
    directory: &Path,
    default_state_dir: &Path,
    problems: &mut Vec<Problem>,
) -> Server {
    let state_dir = table.text("state_dir", problems, |path| {
        if path.is_empty() { Err(Wrong::new("is an empty path")) } else { Ok(directory.join(path)) }
    });
    Server {
        workers: table.number("workers", problems, 0..=MAX_WORKERS).or(0),
        state_dir: state_dir.or(default_state_dir.to_owned()),
        public_host: table.text("public_host", problems, value::public_host).value(),
        max_connections: table
            .number("max_connections", problems, 1..=MAX_CONNECTIONS)
            .or(DEFAULT_MAX_CONNECTIONS),
        drain: table.duration("drain", problems, &(SHORTEST..=HOUR)).or(10 * SECOND),
    }
}

pub(super) fn telegram(table: &Table<'_>, problems: &mut Vec<Problem>) -> Telegram {
    let dc = addresses_by_dc(table, problems);
    let default_dc = table.read("default_dc", problems, |value| default_dc(value, &dc));
    Telegram {
        mode: table.text("mode", problems, value::mode).or(Mode::Direct),
        fast_path: table.flag("fast_path", problems).or(true),
        dc,
        default_dc: default_dc.or(Some(DEFAULT_DC)),
        prefer: table
            .text("prefer", problems, |text| {
                use AddressPreference::{Ipv4, Ipv6, OnlyIpv4, OnlyIpv6};
                value::one_of(text, &[Ipv4, Ipv6, OnlyIpv4, OnlyIpv6].map(|one| (one.name(), one)))
            })
            .or(AddressPreference::Ipv4),
        connect_timeout: table.duration("connect_timeout", problems, &(SHORTEST..=5 * MINUTE)).or(5 * SECOND),
        answer_timeout: table.duration("answer_timeout", problems, &(SHORTEST..=HOUR)).or(20 * SECOND),
    }
}

fn addresses_by_dc(table: &Table<'_>, problems: &mut Vec<Problem>) -> BTreeMap<i16, Vec<SocketAddr>> {
    let mut by_dc = BTreeMap::new();
    for (id, value) in table.entries("dc", problems) {
        let path = format!("telegram.dc.{}", id.get_ref());
        let addresses = table::texts(&path, value, problems, value::dc_address);
        match id.get_ref().parse::<i16>() {
            Ok(number) if number != 0 => {
                by_dc.insert(number, addresses.into_iter().map(toml::Spanned::into_inner).collect());
            }
            Ok(_) | Err(_) => problems.push(
                Problem::new(Some(id.span()), format!("`{path}` names no data centre"))
                    .help("ids are whole numbers from -32768 to 32767 other than 0, such as \"2\""),
            ),
        }
    }
    by_dc
}

fn default_dc(value: &DeValue<'_>, dc: &BTreeMap<i16, Vec<SocketAddr>>) -> Result<Option<i16>, Wrong> {
    match value {
        DeValue::String(text) if text == "none" => Ok(None),
        DeValue::Integer(_) => {
            let id = i16::try_from(integer(value)?).ok();
            let known = id.filter(|id| dc.contains_key(id) || DcId::new(*id).is_known());
            known.map(Some).ok_or_else(|| {
                Wrong::new("is no known data centre")
                    .help("take one of 1 to 5, or add its addresses to telegram.dc")
            })
        }
        _ => Err(expected("a whole number or \"none\"", value)),
    }
}

pub(super) fn cover(table: &Table<'_>, listeners: &[Listener], problems: &mut Vec<Problem>) -> Cover {
    let target = table.text("target", problems, |text| {
        let target = value::cover_target(text)?;
        // The plain case of a loop; others show when the target answers.
        if target.as_ref().is_some_and(|target| leads_to(target, listeners)) {
            return Err(Wrong::new(
                "is an address of a listener, so that visitors would go round in circles",
            ));
        }
        Ok(target)
    });
    Cover {
        target: target.or(None),
        connect_timeout: table
            .duration("connect_timeout", problems, &(SHORTEST..=5 * MINUTE))
            .or(10 * SECOND),
    }
}

fn leads_to(target: &CoverTarget, listeners: &[Listener]) -> bool {
    listeners.iter().flat_map(|listener| &listener.addresses).any(|address| match (target, address) {
        (CoverTarget::HostPort(host, port), ListenAddress::Inet(inet)) => {
            host.parse() == Ok(inet.ip()) && *port == inet.port()
        }
        (CoverTarget::Unix(target), ListenAddress::Unix(path)) => target == path,
        _ => false,
    })
}

pub(super) fn handshake(table: &Table<'_>, problems: &mut Vec<Problem>) -> Handshake {
    let skew = SECOND..=30 * DAY;
    Handshake {
        timeout: table.duration("timeout", problems, &(SHORTEST..=HOUR)).or(60 * SECOND),
        clock_skew_past: table.duration("clock_skew_past", problems, &skew).or(10 * MINUTE),
        clock_skew_future: table.duration("clock_skew_future", problems, &skew).or(20 * MINUTE),
    }
}

pub(super) fn relay(table: &Table<'_>, problems: &mut Vec<Problem>) -> Relay {
    Relay { idle_timeout: table.duration("idle_timeout", problems, &(SECOND..=7 * DAY)).or(20 * MINUTE) }
}

pub(super) fn log(table: &Table<'_>, problems: &mut Vec<Problem>) -> Log {
    use tracing::Level;
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let formats = [LogFormat::Text, LogFormat::Json].map(|format| (format.name(), format));
    Log {
        level: table.text("level", problems, |text| value::one_of(text, &levels)).or(Level::INFO),
        format: table.text("format", problems, |text| value::one_of(text, &formats)).or(LogFormat::Text),
        mask_addresses: table.flag("mask_addresses", problems).or(true),
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Shorter than this no timeout makes sense on a network.
const SHORTEST: Duration = Duration::from_millis(10);

/// More threads than any machine has cores for.
const MAX_WORKERS: usize = 1024;

/// More connections than one machine has ports and memory for.
pub(super) const MAX_CONNECTIONS: usize = 16_000_000;

/// For a listener and for all of them.
pub(super) const DEFAULT_MAX_CONNECTIONS: usize = 65_536;

/// The data centre that most accounts live on.
const DEFAULT_DC: i16 = 2;
