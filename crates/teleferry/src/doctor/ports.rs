//! The addresses to listen on: whether they answer, or whether they could be opened.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;

use super::running::{Answering, Running};
use super::unit::Unit;
use super::{Finding, Subject};
use crate::config::{ListenAddress, Listener};
use crate::listen;
use crate::net::dial;

const PORTS: &str = "ports";
/// How long a port of this machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// One entry for each address.
pub(super) async fn examine(subject: &Subject<'_>, running: &Running, unit: Option<&Unit>) -> Vec<Finding> {
    let listeners = &subject.snapshot.listeners;
    match running {
        Running::Answers(answering) => {
            let looks = listeners.iter().map(|listener| answers(listener, answering));
            join_all(looks).await.into_iter().flatten().collect()
        }
        Running::No | Running::Unknown(_) => {
            let known = matches!(running, Running::No);
            let addresses =
                listeners.iter().flat_map(|l| l.addresses.iter().map(move |address| (l, address)));
            addresses.map(|(listener, address)| could_open(&listener.name, address, known, unit)).collect()
        }
    }
}

/// The TCP addresses at which a running process listens for a listener.
pub(super) fn open_addresses(listener: &Listener, answering: &Answering) -> Vec<SocketAddr> {
    let open = answering.status.listeners.iter().filter(|open| open.name == listener.name);
    open.flat_map(|open| &open.addresses).filter_map(|address| address.parse().ok()).collect()
}

/// The address by which this machine reaches what listens there.
pub(super) fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn answers(listener: &Listener, answering: &Answering) -> Vec<Finding> {
    let name = &listener.name;
    if !answering.status.listeners.iter().any(|open| open.name == *name) {
        return vec![Finding::wrong(
            PORTS,
            format!("the running process has no listener {name}: the settings were changed since"),
            "its links do not work",
            "`teleferry ctl reload` takes the new settings up, and cuts nobody off",
        )];
    }
    let looks = open_addresses(listener, answering).into_iter().map(|address| async move {
        match dial(&[from_here(address)], PATIENCE).await {
            Ok(_) => Finding::fine(PORTS, format!("{name} answers at {address}")),
            Err(error) => Finding::wrong(
                PORTS,
                format!("{name} listens at {address}, and does not answer this machine: {error}"),
                "clients most probably get no answer either",
                "look for firewall rules on this machine: nft list ruleset, iptables -L -n",
            ),
        }
    });
    join_all(looks).await
}

/// Tries to open it, and closes it at once. `known`: it is known that no process of ours runs.
fn could_open(name: &str, address: &ListenAddress, known: bool, unit: Option<&Unit>) -> Finding {
    match address {
        ListenAddress::Inet(inet) => match listen::try_open(*inet) {
            Ok(()) => Finding::fine(PORTS, format!("{name} could be opened at {address}")),
            Err(error) => judge(name, *inet, &error, known, unit),
        },
        // Trying these would take them from whoever is to have them.
        ListenAddress::Systemd(socket) => {
            Finding::fine(PORTS, format!("{name} gets its socket from systemd ({socket})"))
        }
        ListenAddress::Unix(path) => {
            Finding::fine(PORTS, format!("{name} is a socket in the file system ({})", path.display()))
        }
    }
}

fn judge(name: &str, address: SocketAddr, error: &io::Error, known: bool, unit: Option<&Unit>) -> Finding {
    let meaning = "the proxy cannot start with these settings";
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let holder = holder(address.port());
            let ours = holder.as_ref().is_some_and(|(_, program)| program == "teleferry");
            let by = holder.map_or_else(
                || "another process (sudo shows which)".to_owned(),
                |(process, program)| format!("{program} (process {process})"),
            );
            let found = format!("{address} of {name} is taken by {by}");
            if ours && !known {
                return Finding::fine(PORTS, found);
            }
            Finding::wrong(
                PORTS,
                found,
                meaning,
                "stop that process, or move one of the two to another port; on one port with a web server: docs/operate/behind-nginx-or-haproxy.md",
            )
        }
        io::ErrorKind::PermissionDenied if unit.is_some_and(Unit::opens_any_port) => {
            Finding::fine(PORTS, format!("{address} of {name}: this user may not open it, the service may"))
        }
        io::ErrorKind::PermissionDenied => Finding::wrong(
            PORTS,
            format!("{address} of {name} is a port that this user may not open"),
            meaning,
            "run it as a service (docs/operate/install.md), which has the right to, or use a port from 1024 on",
        ),
        io::ErrorKind::AddrNotAvailable => Finding::wrong(
            PORTS,
            format!("{address} of {name} is no address of this machine"),
            meaning,
            "listen on \"[::]:PORT\", which is every address; behind NAT the public one is not this machine's",
        ),
        _ => Finding::wrong(
            PORTS,
            format!("{address} of {name} cannot be opened: {error}"),
            meaning,
            "see what the system says; on a machine without IPv6 use \"0.0.0.0:PORT\"",
        ),
    }
}

/// Who listens on a TCP port, as far as this user may know.
fn holder(port: u16) -> Option<(u32, String)> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let inodes: Vec<String> = tables.iter().flat_map(|table| listening(table, port)).collect();
    if inodes.is_empty() {
        return None;
    }
    let mut owners = owners();
    let process = inodes.iter().find_map(|inode| owners.remove(inode))?;
    let program = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some((process, program.trim_end().to_owned()))
}

/// The inodes of sockets that listen on a port, in what `/proc/net/tcp` says.
fn listening(table: &str, port: u16) -> Vec<String> {
    /// `TCP_LISTEN`
    const LISTEN: &str = "0A";
    let lines = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        let (_, found) = local.rsplit_once(':')?;
        let same = u16::from_str_radix(found, 16).is_ok_and(|found| found == port);
        (same && state == LISTEN).then(|| inode.to_owned())
    });
    lines.collect()
}

/// Which process has which socket, by inode; those of other users are not told.
fn owners() -> BTreeMap<String, u32> {
    let mut owners = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        for descriptor in fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = inode {
                owners.insert(inode.to_owned(), process);
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::doctor::Level;

    fn looked(address: &str) -> Finding {
        could_open("main", &crate::config::listen_address(address).expect(address), true, None)
    }

    #[test]
    fn who_has_a_port_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let (process, _) = holder(address.port()).expect("this very process");
        assert_eq!(process, std::process::id());
        let found = looked(&address.to_string());
        assert_eq!(found.level, Level::Mend);
        assert!(found.found.contains(&format!("process {process}")), "{found:?}");
        drop(listener);
        assert_eq!(looked("127.0.0.1:0").level, Level::Ok);
    }

    #[test]
    fn an_address_of_another_machine_is_told() {
        let found = looked("192.0.2.1:8443");
        assert!(found.found.contains("no address of this machine"), "{found:?}");
    }

    #[test]
    fn a_privileged_port_is_the_services() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let address = "0.0.0.0:443".parse().expect("an address");
        assert_eq!(judge("main", address, &denied, true, None).level, Level::Mend);
    }

    #[test]
    fn the_systems_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n   1: 0100007F:01BB 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n";
        assert_eq!(listening(table, 443), ["4711"]);
        assert!(listening(table, 444).is_empty());
    }
}
