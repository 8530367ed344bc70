//! Under which names and addresses this machine is known.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::finding::Outside;
use super::{Finding, Subject};
use crate::config::{AddressPreference, Mode, ProxyProtocol, Snapshot};
use crate::links::hosts;
use crate::net::is_local;
use crate::telegram::{Family, Known, Way, is_private, way};

/// How long a name may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is known of the ways out.
#[derive(Debug)]
pub(super) struct Addresses {
    v4: Option<Way>,
    v6: Option<Way>,
}

impl Addresses {
    /// Looks for them, and asks services where it is necessary.
    pub(super) async fn find(snapshot: &Snapshot, known: &Known) -> Self {
        let settings = &snapshot.telegram;
        let (v4, v6) = tokio::join!(way(settings, known, Family::V4), way(settings, known, Family::V6));
        Self { v4, v6 }
    }

    /// Whether the system knows a way out.
    pub(super) const fn has_route(&self) -> bool {
        self.v4.is_some() || self.v6.is_some()
    }

    /// All addresses under which others see this machine, as far as known.
    fn outer(&self, snapshot: &Snapshot) -> Vec<IpAddr> {
        let seen = [&self.v4, &self.v6].into_iter().flatten().filter_map(|way| match &way.seen_as {
            Some(Ok(ip)) => Some(*ip),
            Some(Err(_)) | None => (!way.behind_nat).then_some(way.own),
        });
        snapshot.telegram.external_ip.iter().chain(seen).collect()
    }
}

/// External addresses, the host in links, and the names that clients ask for.
pub(super) async fn examine(subject: &Subject<'_>, addresses: &Addresses) -> Vec<Finding> {
    let snapshot = subject.snapshot;
    let outer = addresses.outer(snapshot);
    let mut findings: Vec<Finding> = [(Family::V4, &addresses.v4), (Family::V6, &addresses.v6)]
        .into_iter()
        .filter(|(family, _)| is_used(snapshot, *family))
        .filter_map(|(family, way)| Some(external(snapshot, family, way.as_ref()?)))
        .collect();
    let (hosts, names) = tokio::join!(link_hosts(snapshot, &outer), names(snapshot, &outer));
    findings.extend(hosts);
    findings.extend(names);
    findings
}

fn is_used(snapshot: &Snapshot, family: Family) -> bool {
    match snapshot.telegram.prefer {
        AddressPreference::OnlyIpv4 => family == Family::V4,
        AddressPreference::OnlyIpv6 => family == Family::V6,
        AddressPreference::Ipv4 | AddressPreference::Ipv6 => true,
    }
}

/// Whether Telegram sees this machine under the address that we believe.
fn external(snapshot: &Snapshot, family: Family, way: &Way) -> Finding {
    const ABOUT: &str = "address";
    const MEANING: &str = "middle proxies refuse a server that is mistaken about its own address";
    let configured = snapshot.telegram.external_ip.iter().find(|ip| family.has(*ip));
    let (name, own) = (family.name(), way.own);
    let preferred = match snapshot.telegram.prefer {
        AddressPreference::Ipv4 | AddressPreference::OnlyIpv4 => Family::V4,
        AddressPreference::Ipv6 | AddressPreference::OnlyIpv6 => Family::V6,
    };
    let needed = snapshot.telegram.mode != Mode::Direct && family == preferred;
    let wrong = |found: String, advice: &str| {
        let level = if needed { Finding::wrong } else { Finding::advice };
        level(ABOUT, found, MEANING, advice)
    };
    match (&way.seen_as, configured) {
        (Some(Ok(seen)), Some(configured)) if *seen != configured => wrong(
            format!("telegram.external_ip says {configured}, and services see this machine as {seen}"),
            "set telegram.external_ip to the address that is seen, or leave it out to have it looked up",
        )
        .with_outside(Outside::Answered),
        (Some(Ok(seen)), _) => Finding::fine(ABOUT, format!("{name}: behind NAT ({own}), seen as {seen}"))
            .with_outside(Outside::Answered),
        // No way out over the other family most probably: nothing is lost.
        (Some(Err(_)), None) if family != preferred => {
            Finding::fine(ABOUT, format!("{name}: {own}, which means nothing outside this network"))
                .with_outside(Outside::Silent)
        }
        (Some(Err(why)), None) => wrong(
            format!("{name}: behind NAT ({own}), and nobody tells the address outside: {why}"),
            "set telegram.external_ip to the public address of this machine",
        )
        .with_outside(Outside::Silent),
        (Some(Err(_)) | None, Some(configured)) if way.behind_nat => {
            Finding::fine(ABOUT, format!("{name}: behind NAT ({own}), {configured} outside as configured"))
        }
        (None, None) if way.behind_nat && family != preferred => {
            Finding::fine(ABOUT, format!("{name}: {own}, which means nothing outside this network"))
        }
        (None, None) if way.behind_nat => wrong(
            format!("{name}: behind NAT ({own}), and telegram.ip_lookup names nobody to ask"),
            "set telegram.external_ip to the public address of this machine",
        ),
        (_, Some(configured)) if configured != own => wrong(
            format!("telegram.external_ip says {configured}, and this machine's own public address is {own}"),
            "leave telegram.external_ip out: there is no NAT here",
        ),
        _ => Finding::fine(ABOUT, format!("{name}: {own}, without NAT")),
    }
}

/// Whether the hosts in links lead here.
async fn link_hosts(snapshot: &Snapshot, outer: &[IpAddr]) -> Vec<Finding> {
    const ABOUT: &str = "host";
    const MEANING: &str = "clients that open a link do not come to this machine";
    match hosts(snapshot) {
        Err(why) => {
            let advice = "set server.public_host to the name or address that clients connect to";
            vec![Finding::wrong(ABOUT, why, "there is no link that works for others", advice)]
        }
        Ok(hosts) => {
            let balanced = snapshot.listeners.iter().any(|l| l.proxy_protocol != ProxyProtocol::Off);
            join_all(hosts.iter().map(|host| async move {
                let (found, outside) = match look_up(host).await {
                    Ok(found) => found,
                    Err(why) => {
                        let found = format!("the host in links, {host}, cannot be looked up: {why}");
                        let advice =
                            "give the name an A or AAAA record, or set server.public_host to an address";
                        return Finding::wrong(ABOUT, found, MEANING, advice).with_outside(Outside::NoName);
                    }
                };
                host_of_links(host, &found, outer, balanced).with_outside(outside)
            }))
            .await
        }
    }
}

fn host_of_links(host: &str, found: &[IpAddr], outer: &[IpAddr], balanced: bool) -> Finding {
    const ABOUT: &str = "host";
    const MEANING: &str = "clients that open a link do not come to this machine";
    let public = found.iter().any(|ip| !is_private(*ip));
    let shown = if host.parse::<IpAddr>().is_ok() { String::new() } else { format!(" ({})", list(found)) };
    if leads_here(found, outer) {
        // Loopback alone is somebody's trial.
        if public || found.iter().all(IpAddr::is_loopback) {
            return Finding::fine(ABOUT, format!("links hold {host}{shown}, which is this machine"));
        }
        return Finding::wrong(
            ABOUT,
            format!("links hold {host}{shown}, an address that means nothing outside this network"),
            MEANING,
            "set server.public_host to the name or address that clients connect to",
        );
    }
    if balanced {
        return Finding::fine(ABOUT, format!("links hold {host}{shown}: the load balancer, most probably"));
    }
    if outer.is_empty() {
        return Finding::unknown(
            ABOUT,
            format!("links hold {host}{shown}, and the address of this machine outside is not known"),
            "whether links lead here is not known",
            "try a link from another place: `teleferry ping 'tg://proxy?…'`",
        );
    }
    Finding::wrong(
        ABOUT,
        format!("links hold {host}{shown}, which is not this machine ({})", list(outer)),
        MEANING,
        "let the name lead here, or set server.public_host; behind a port forwarding, set telegram.external_ip",
    )
}

/// Whether the names that clients ask for lead here.
async fn names(snapshot: &Snapshot, outer: &[IpAddr]) -> Vec<Finding> {
    let tls = snapshot.listeners.iter().filter(|listener| listener.protocols.tls);
    let mut names: Vec<String> = tls.filter_map(|l| l.domain.as_ref().map(ToString::to_string)).collect();
    names.sort();
    names.dedup();
    join_all(names.iter().map(|name| belongs(name, outer))).await
}

async fn belongs(name: &str, outer: &[IpAddr]) -> Finding {
    const MEANING: &str =
        "who compares the name that clients ask for with this address sees that they do not belong together";
    match look_up(name).await {
        Err(error) => Finding::wrong(
            "dns",
            format!("{name} cannot be looked up: {error}"),
            MEANING,
            "use a domain of your own that leads to this machine",
        )
        .with_outside(Outside::NoName),
        Ok((found, outside)) if leads_here(&found, outer) => {
            Finding::fine("dns", format!("{name} leads to this machine")).with_outside(outside)
        }
        Ok((found, outside)) => Finding::wrong(
            "dns",
            format!("{name} does not lead to this machine but to {}", list(&found)),
            MEANING,
            "use a domain of your own that leads here (docs/operate/cover-domain.md); behind NAT, set telegram.external_ip",
        )
        .with_outside(outside),
    }
}

fn leads_here(found: &[IpAddr], outer: &[IpAddr]) -> bool {
    found.iter().any(|ip| is_local(*ip) || outer.contains(ip))
}

/// The addresses of a name, each once; and what the answer tells of the way out.
async fn look_up(name: &str) -> Result<(Vec<IpAddr>, Outside), String> {
    if let Ok(ip) = name.parse() {
        return Ok((vec![ip], Outside::Nothing));
    }
    match timeout(PATIENCE, lookup_host((name, 443))).await {
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(found)) => {
            let mut found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            found.dedup();
            // Such a name stands in a file of this machine.
            let here = found.iter().all(IpAddr::is_loopback);
            Ok((found, if here { Outside::Nothing } else { Outside::Answered }))
        }
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::doctor::Level;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    fn judged(telegram: &str, own: &str, seen: Option<Result<&str, &str>>) -> Level {
        let snapshot = config::for_tests(&format!(
            "[telegram]\n{telegram}\n[[listen]]\naddress = \"127.0.0.1:443\"\nsecret = \"8f1d5b0c4e3a49719c2b7d60a5e4f312\"\ndomain = \"a.example\"\n"
        ));
        let seen_as = seen.map(|seen| seen.map(ip).map_err(str::to_owned));
        let way = Way { own: ip(own), behind_nat: is_private(ip(own)), seen_as };
        external(&snapshot, Family::V4, &way).level
    }

    #[test]
    fn nat_is_judged() {
        let configured = "external_ip = [\"203.0.113.7\"]";
        assert_eq!(judged("", "203.0.113.7", None), Level::Ok);
        assert_eq!(judged("", "10.0.0.5", Some(Ok("203.0.113.7"))), Level::Ok);
        assert_eq!(judged(configured, "10.0.0.5", Some(Ok("203.0.113.7"))), Level::Ok);
        assert_eq!(judged(configured, "10.0.0.5", Some(Err("silence"))), Level::Ok);
        assert_eq!(judged(configured, "10.0.0.5", None), Level::Ok);
        assert_eq!(judged(configured, "10.0.0.5", Some(Ok("203.0.113.8"))), Level::Mend);
        assert_eq!(judged(configured, "203.0.113.8", None), Level::Mend);
        assert_eq!(judged("", "10.0.0.5", Some(Err("silence"))), Level::Mend);
        assert_eq!(judged("", "10.0.0.5", None), Level::Mend);
        assert_eq!(judged("mode = \"direct\"", "10.0.0.5", None), Level::Advice);
    }

    #[test]
    fn the_host_in_links_is_judged() {
        let outer = [ip("203.0.113.7")];
        let level = |found: &str, outer: &[IpAddr], balanced| {
            host_of_links("proxy.example", &[ip(found)], outer, balanced).level
        };
        assert_eq!(level("203.0.113.7", &outer, false), Level::Ok);
        assert_eq!(level("127.0.0.1", &outer, false), Level::Ok);
        assert_eq!(level("203.0.113.8", &outer, false), Level::Mend);
        assert_eq!(level("203.0.113.8", &outer, true), Level::Ok);
        assert_eq!(level("203.0.113.8", &[], false), Level::Unknown);
        assert_eq!(level("10.0.0.5", &[ip("10.0.0.5")], false), Level::Mend);
    }
}
