//! The sections other than `[[listen]]`: their defaults and bounds.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hyper::Uri;
use teleferry_proto::dc::DcId;
use teleferry_proto::haproxy::Version;
use teleferry_proto::per_sni;
use toml::Spanned;
use toml::de::DeValue;
use tracing::level_filters::LevelFilter;

use super::levels::Levels;
use super::problem::Problem;
use super::snapshot::{
    AddressPreference, Admin, Cover, CoverTarget, ErrorFilter, ExternalIp, Handshake, Limits, ListenAddress,
    Listener, Log, LogFormat, Mode, Relay, Replay, Server, SniSecrets, Telegram,
};
use super::table::{self, Given, Table, expected, integer};
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
    let url = |key, default, problems: &mut _| {
        table.text(key, problems, value::url).value().unwrap_or_else(|| Uri::from_static(default))
    };
    Telegram {
        mode: table.text("mode", problems, value::mode).or(Mode::Auto),
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
        proxy_secret_url: url("proxy_secret_url", "https://core.telegram.org/getProxySecret", problems),
        proxy_config_url: url("proxy_config_url", "https://core.telegram.org/getProxyConfig", problems),
        proxy_config_v6_url: url(
            "proxy_config_v6_url",
            "https://core.telegram.org/getProxyConfigV6",
            problems,
        ),
        refresh: table.duration("refresh", problems, &(SECOND..=30 * DAY)).or(HOUR),
        http_timeout: table.duration("http_timeout", problems, &(SHORTEST..=5 * MINUTE)).or(10 * SECOND),
        external_ip: external_ip(table, problems),
        ip_lookup: ip_lookup(table, problems),
        links_per_dc: table.number("links_per_dc", problems, 1..=MAX_LINKS).or(2),
        clients_per_link: table.number("clients_per_link", problems, 1..=MAX_CONNECTIONS).or(300),
        crc32c: table.flag("crc32c", problems).or(true),
    }
}

fn addresses_by_dc(table: &Table<'_>, problems: &mut Vec<Problem>) -> BTreeMap<i16, Vec<SocketAddr>> {
    let mut by_dc = BTreeMap::new();
    for (id, value) in table.entries("dc", problems) {
        let path = format!("telegram.dc.{}", id.get_ref());
        let addresses = table::texts(&path, value, problems, value::dc_address);
        match id.get_ref().parse::<i16>() {
            Ok(number) if number != 0 => {
                by_dc.insert(number, addresses.into_iter().map(Spanned::into_inner).collect());
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

/// One address of each family at most.
fn external_ip(table: &Table<'_>, problems: &mut Vec<Problem>) -> ExternalIp {
    let mut external = ExternalIp::default();
    for ip in table.texts("external_ip", problems, value::external_ip).value().unwrap_or_default() {
        let (family, double) = match *ip.get_ref() {
            IpAddr::V4(v4) => ("IPv4", external.v4.replace(v4).is_some()),
            IpAddr::V6(v6) => ("IPv6", external.v6.replace(v6).is_some()),
        };
        if double {
            let wrong = Wrong::new(format!("has two {family} addresses"))
                .help("name the one from which connections to Telegram come");
            problems.push(table::told("telegram.external_ip", ip.span(), wrong));
        }
    }
    external
}

fn ip_lookup(table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<Uri> {
    match table.texts_or_none("ip_lookup", problems, value::url) {
        Given::Yes(services) => services.into_inner().into_iter().map(Spanned::into_inner).collect(),
        Given::No | Given::Wrong => IP_LOOKUP.map(Uri::from_static).into(),
    }
}

pub(super) fn cover(table: &Table<'_>, listeners: &[Listener], problems: &mut Vec<Problem>) -> Cover {
    let target = table.text("target", problems, |text| {
        let target = value::cover_target(text)?;
        // The plain case of a loop; others show once the addresses are known, or when a visitor goes round.
        if target.as_ref().is_some_and(|target| leads_to(target, listeners)) {
            return Err(Wrong::new(
                "is an address of a listener, so that visitors would go round in circles",
            ));
        }
        Ok(target)
    });
    let listed = table.texts("only_domains", problems, value::cover_domain);
    let mut target = target.or(None);
    match (&mut target, listed) {
        (Some(CoverTarget::Sni(hosts)), Given::Yes(listed)) => {
            hosts.extend(listed.into_inner().into_iter().map(Spanned::into_inner));
        }
        (Some(CoverTarget::Sni(_)), Given::No) => problems.push(
            Problem::new(table.span_of("target"), "`cover.target` = \"sni\" needs `cover.only_domains`")
                .help("name the hosts that visitors may be taken to, the usual one first; without a list this server would connect to whatever a stranger names"),
        ),
        (Some(CoverTarget::Sni(_)), Given::Wrong) | (_, Given::No | Given::Wrong) => {}
        (_, Given::Yes(listed)) => problems.push(
            Problem::new(Some(listed.span()), "`cover.only_domains` is used by `cover.target` = \"sni\" alone")
                .help("set the target to \"sni\", or remove the list"),
        ),
    }
    Cover {
        target,
        connect_timeout: table
            .duration("connect_timeout", problems, &(SHORTEST..=5 * MINUTE))
            .or(10 * SECOND),
        proxy_protocol: table
            .text("proxy_protocol", problems, |text| {
                value::one_of(text, &[("off", None), ("v1", Some(Version::V1)), ("v2", Some(Version::V2))])
            })
            .or(None),
        learn: table
            .text("profile", problems, |text| value::one_of(text, &[("auto", true), ("off", false)]))
            .or(true),
        latency: table
            .text("latency", problems, |text| value::one_of(text, &[("auto", true), ("off", false)]))
            .or(true),
    }
}

fn leads_to(target: &CoverTarget, listeners: &[Listener]) -> bool {
    listeners.iter().flat_map(|listener| &listener.addresses).any(|address| match (target, address) {
        (CoverTarget::HostPort(host), ListenAddress::Inet(inet)) => {
            host.host.parse() == Ok(inet.ip()) && host.port == inet.port()
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
    let filters = ErrorFilter::ALL.map(|filter| (filter.name(), filter));
    Relay {
        idle_timeout: table.duration("idle_timeout", problems, &(SECOND..=7 * DAY)).or(20 * MINUTE),
        frame_timeout: table.duration("frame_timeout", problems, &(SECOND..=HOUR)).or(MINUTE),
        filter_server_errors: table
            .text("filter_server_errors", problems, |text| value::one_of(text, &filters))
            .or(ErrorFilter::First),
    }
}

pub(super) fn limits(table: &Table<'_>, problems: &mut Vec<Problem>) -> Limits {
    Limits {
        client_queue: table.size("client_queue", problems, SMALLEST_QUEUE..=MAX_MEMORY).or(8 * MIB),
        memory: table.size("memory", problems, MIB..=MAX_MEMORY).or(512 * MIB),
        handshakes: table.number("handshakes", problems, 1..=MAX_CONNECTIONS).or(4096),
        new_per_second: table.number("new_per_second", problems, 0..=MAX_CONNECTIONS).or(0),
    }
}

pub(super) fn sni_secrets(table: &Table<'_>, problems: &mut Vec<Problem>) -> SniSecrets {
    let enabled = table.flag("enabled", problems).or(false);
    let salt = table.text("salt", problems, |text| match text {
        "" => Err(Wrong::new("is empty").help(SALT_HELP)),
        per_sni::PUBLIC_SALT => Err(Wrong::new("stands in a manual, and everybody knows it").help(SALT_HELP)),
        text => Ok(text.to_owned()),
    });
    if enabled && salt.is_no() {
        problems.push(Problem::new(table.span(), "`sni_secrets` is enabled and has no salt").help(SALT_HELP));
    }
    SniSecrets { salt: salt.value().filter(|_| enabled) }
}

const SALT_HELP: &str = "take a long random text, such as what `teleferry secret` prints; who moves from a proxy with a salt of its own keeps that";

pub(super) fn replay(table: &Table<'_>, handshake: &Handshake, problems: &mut Vec<Problem>) -> Replay {
    // A hello is as good as new from the farthest future until the farthest past.
    let window = handshake.clock_skew_past + handshake.clock_skew_future;
    let max_age = table.duration("max_age", problems, &(MINUTE..=YEAR));
    if let (Given::Yes(age), true) = (&max_age, window <= YEAR)
        && *age.get_ref() < window
    {
        let wrong = Wrong::new(format!(
            "is shorter than the time for which a recorded hello stays good, {}",
            value::show_duration(window)
        ))
        .help("make it longer, or handshake.clock_skew_past and handshake.clock_skew_future shorter");
        problems.push(table::told("replay.max_age", age.span(), wrong));
    }
    Replay {
        enabled: table.flag("enabled", problems).or(true),
        capacity: table.number("capacity", problems, SMALLEST_REPLAY..=MAX_ENTRIES).or(1_000_000),
        max_age: max_age.or(WEEK.max(window)),
        persist: table.flag("persist", problems).or(true),
    }
}

pub(super) fn log(table: &Table<'_>, directory: &Path, problems: &mut Vec<Problem>) -> Log {
    let formats = [LogFormat::Text, LogFormat::Json].map(|format| (format.name(), format));
    Log {
        levels: table.text("level", problems, value::levels).or(Levels::all(LevelFilter::INFO)),
        format: table.text("format", problems, |text| value::one_of(text, &formats)).or(LogFormat::Text),
        file: table.text("file", problems, value::path).value().map(|path| directory.join(path)),
        mask_addresses: table.flag("mask_addresses", problems).or(true),
    }
}

/// `state_dir` is where a relative socket begins, `directory` where a relative token file does.
pub(super) fn admin(
    table: &Table<'_>,
    directory: &Path,
    state_dir: &Path,
    problems: &mut Vec<Problem>,
) -> Admin {
    let path = |directory: &Path, path: &str| match path {
        "" => Err(Wrong::new("is an empty path")),
        path => Ok(directory.join(path)),
    };
    let socket = table.text("socket", problems, |text| match text {
        "off" => Ok(None),
        text => path(state_dir, text).map(Some),
    });
    let http = table.text("http", problems, value::admin_address);
    let token_file = table.text("token_file", problems, |text| path(directory, text));
    if let Given::Yes(address) = &http
        && !address.get_ref().ip().to_canonical().is_loopback()
        && token_file.is_no()
    {
        let wrong = Wrong::new("can be reached from other machines, so that a token is needed")
            .help("set `token_file`, or listen on 127.0.0.1 and come through SSH");
        problems.push(table::told("admin.http", address.span(), wrong));
    }
    Admin {
        socket: socket.or(Some(state_dir.join(DEFAULT_SOCKET))),
        http: http.value(),
        token_file: token_file.value(),
        seed_metric_names: table.flag("seed_metric_names", problems).or(false),
    }
}

/// What holds when the section is left out.
impl Default for Telegram {
    fn default() -> Self {
        telegram(&Table::absent("telegram"), &mut Vec::new())
    }
}

/// What holds when the section is left out.
impl Default for Relay {
    fn default() -> Self {
        relay(&Table::absent("relay"), &mut Vec::new())
    }
}

/// What holds when the section is left out.
impl Default for Replay {
    fn default() -> Self {
        let handshake = handshake(&Table::absent("handshake"), &mut Vec::new());
        replay(&Table::absent("replay"), &handshake, &mut Vec::new())
    }
}

/// What holds when the section is left out.
impl Default for Limits {
    fn default() -> Self {
        limits(&Table::absent("limits"), &mut Vec::new())
    }
}

/// The control socket, in the state directory.
pub(crate) const DEFAULT_SOCKET: &str = "ctl.sock";

const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// Shorter than this no timeout makes sense on a network.
const SHORTEST: Duration = Duration::from_millis(10);

/// More threads than any machine has cores for.
const MAX_WORKERS: usize = 1024;

/// More connections than one machine has ports and memory for.
pub(super) const MAX_CONNECTIONS: usize = 16_000_000;

/// For a listener and for all of them.
pub(super) const DEFAULT_MAX_CONNECTIONS: usize = 65_536;

/// More links than the middle proxies of a data centre have use for.
const MAX_LINKS: usize = 1000;

/// Fewer first flights than this are no memory.
const SMALLEST_REPLAY: usize = 1000;

/// More entries than fit into the memory of any machine.
const MAX_ENTRIES: usize = 1_000_000_000;

const MIB: usize = 1 << 20;

/// Less than this holds no packet of a file transfer.
const SMALLEST_QUEUE: usize = 64 << 10;

/// More memory than any machine has.
const MAX_MEMORY: usize = 1 << 44;

/// Services that have told callers their address for years, each by its own people.
const IP_LOOKUP: [&str; 2] = ["https://api.ipify.org", "https://ipv4.icanhazip.com"];

/// The data centre that most accounts live on.
const DEFAULT_DC: i16 = 2;
