//! The machine, the network, and Telegram.

use std::net::{IpAddr, SocketAddr};

use futures_util::future::join_all;
use teleferry_proto::dc::DcId;
use tokio::net::lookup_host;

use super::Finding;
use crate::backend::Book;
use crate::config::{Mode, Snapshot};
use crate::net::{dial, is_local};
use crate::process::{carried_connections, descriptors_for};
use crate::telegram::{Feed, Http, Source as _};

/// The data centres that accounts live on.
const DCS: [i16; 5] = [1, 2, 3, 4, 5];
/// Seconds that the clock may be wrong: middle proxies refuse more.
const CLOCK: u64 = 30;
/// The longest answer that is read for the server's time.
const MAX_ANSWER: usize = 1 << 20;

/// Whether the descriptor limit carries what is configured.
pub(super) fn descriptors(snapshot: &Snapshot) -> Finding {
    let wanted = snapshot.server.max_connections;
    match carried_connections(snapshot) {
        Some(carried) if carried < wanted => Finding::wrong(
            "descriptors",
            format!("the descriptor limit carries {carried} connections, server.max_connections is {wanted}"),
            "further clients wait until others leave",
            &format!("raise LimitNOFILE or ulimit -n to {}", descriptors_for(snapshot)),
        ),
        _ => Finding::fine("descriptors", format!("the limit carries {wanted} connections")),
    }
}

/// Whether the names in links lead here.
pub(super) async fn names(snapshot: &Snapshot) -> Vec<Finding> {
    let tls = snapshot.listeners.iter().filter(|listener| listener.protocols.tls);
    let mut names: Vec<String> = tls.filter_map(|l| l.domain.as_ref().map(ToString::to_string)).collect();
    names.sort();
    names.dedup();
    let external: Vec<IpAddr> = snapshot.telegram.external_ip.iter().collect();
    join_all(names.iter().map(|name| leads_here(name, &external))).await
}

async fn leads_here(name: &str, external: &[IpAddr]) -> Finding {
    const MEANING: &str =
        "who compares the name that clients ask for with this address sees that they do not belong together";
    match lookup_host((name, 443)).await {
        Err(error) => Finding::wrong(
            "dns",
            format!("{name} cannot be looked up: {error}"),
            MEANING,
            "use a domain of your own that leads to this machine",
        ),
        Ok(found) => {
            let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            if found.iter().any(|ip| is_local(*ip) || external.contains(ip)) {
                return Finding::fine("dns", format!("{name} leads to this machine"));
            }
            Finding::wrong(
                "dns",
                format!("{name} does not lead to this machine but to {}", list(&found)),
                MEANING,
                "use a domain of your own that leads here; behind NAT, set telegram.external_ip",
            )
        }
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// Whether the clock is right.
pub(super) async fn clock(snapshot: &Snapshot) -> Finding {
    let http = Http::new(&snapshot.telegram);
    match http.get(&snapshot.telegram.proxy_config_url, MAX_ANSWER, None).await {
        Err(error) => Finding::wrong(
            "clock",
            format!("{} cannot be fetched: {error}", snapshot.telegram.proxy_config_url),
            "the list of middle proxies may grow old, and the clock could not be compared",
            "let this machine reach it, or set telegram.proxy_config_url to a mirror",
        ),
        Ok(fetched) => match fetched.clock_offset {
            Some(offset) if offset.unsigned_abs() > CLOCK => Finding::wrong(
                "clock",
                format!(
                    "this machine's clock is {} s {}",
                    offset.unsigned_abs(),
                    if offset > 0 { "ahead" } else { "behind" }
                ),
                "middle proxies refuse this server, and clients with a right clock may be taken for strangers",
                "let a time service (chrony, systemd-timesyncd) set the clock",
            ),
            Some(_) => Finding::fine("clock", "the clock is right"),
            None => {
                Finding::fine("clock", "Telegram's configuration was fetched (without the server's time)")
            }
        },
    }
}

/// Whether Telegram can be reached on the ways that are configured.
pub(super) async fn telegram(snapshot: &Snapshot) -> Vec<Finding> {
    let mode = snapshot.telegram.mode;
    let mut findings = Vec::new();
    if mode != Mode::Middle {
        let book = Book::new(&snapshot.telegram);
        let addresses = |dc| book.find(DcId::new(dc)).map(|found| found.addresses).unwrap_or_default();
        findings.push(reach(snapshot, "telegram", "data centre", addresses).await);
    }
    if mode != Mode::Direct {
        let known = Feed::new(snapshot).known();
        let known = std::sync::Arc::clone(&known.borrow());
        let addresses =
            |dc| known.middle_proxies().find(DcId::new(dc)).map(|(_, all)| all.to_vec()).unwrap_or_default();
        findings.push(reach(snapshot, "middle", "middle proxy of data centre", addresses).await);
    }
    findings
}

async fn reach(
    snapshot: &Snapshot,
    about: &'static str,
    what: &str,
    addresses: impl Fn(i16) -> Vec<SocketAddr>,
) -> Finding {
    let timeout = snapshot.telegram.connect_timeout;
    let dialling = DCS.map(|dc| {
        let addresses = addresses(dc);
        async move { dial(&addresses, timeout).await.is_err().then(|| dc.to_string()) }
    });
    let lost: Vec<String> = join_all(dialling).await.into_iter().flatten().collect();
    if lost.is_empty() {
        return Finding::fine(about, format!("each {what} 1 to 5 can be connected to"));
    }
    Finding::wrong(
        about,
        format!("no {what} {} can be connected to", lost.join(", ")),
        "clients with accounts there are not served on this way",
        "see that nothing on the way blocks outgoing connections to Telegram, or set telegram.mode, telegram.prefer or telegram.dc",
    )
}
