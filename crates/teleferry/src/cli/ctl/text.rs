//! Answers of the running process, for people.

use std::io::{self, Write};

use crate::admin::{
    Certificate, Dc, LogLevels, Peer, Reloaded, Status, TableAnswer, TableEntries, TableShown, Upgraded,
};

/// How it is.
pub(super) fn status(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}.", status.verdict)?;
    writeln!(
        out,
        "version {}, mode {}, up {}\n",
        status.version,
        status.mode,
        duration(status.uptime_seconds)
    )?;
    writeln!(
        out,
        "{:<16} {:>8} {:>10} {:>12} {:>12}  ADDRESSES",
        "LISTENER", "OPEN", "ACCEPTED", "RECEIVED", "SENT"
    )?;
    for listener in &status.listeners {
        writeln!(
            out,
            "{:<16} {:>8} {:>10} {:>12} {:>12}  {}",
            listener.name,
            listener.open,
            listener.accepted,
            bytes(listener.received_bytes),
            bytes(listener.sent_bytes),
            listener.addresses.join(" ")
        )?;
    }
    if !status.peers.is_empty() {
        writeln!(out)?;
        peer_table(if status.role == "front" { "BACK" } else { "FRONT" }, &status.peers, out)?;
    }
    if !status.certificates.is_empty() {
        writeln!(out)?;
    }
    for certificate in &status.certificates {
        let Certificate { title, expires, days_left, .. } = certificate;
        match days_left {
            ..0 => writeln!(out, "{title} expired on {expires}")?,
            _ => writeln!(out, "{title} expires on {expires}, in {days_left} days")?,
        }
    }
    if !status.dcs.is_empty() {
        writeln!(out)?;
        dc_table(&status.dcs, out)?;
    }
    if !status.refused_visitors.is_empty() {
        let refused: Vec<String> =
            status.refused_visitors.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
        writeln!(out, "\nvisitors refused: {}", refused.join(", "))?;
    }
    if status.queued_bytes > 0 {
        writeln!(out, "\nwaiting for slow clients: {}", bytes(status.queued_bytes))?;
    }
    Ok(())
}

/// The other halves.
fn peer_table(what: &str, peers: &[Peer], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{what:<28} {:<10} {:>6} {:>10} {:>9} {:>9} {:>12} {:>12}  FAILED",
        "STATE", "TRUNKS", "ROUND TRIP", "SESSIONS", "MOVED", "RECEIVED", "SENT"
    )?;
    for peer in peers {
        let round_trip = match peer.round_trip_micros {
            0 => "-".to_owned(),
            micros => format!("{:.1} ms", micros as f64 / 1000.0),
        };
        let refusals = peer.refusals.iter().map(|(why, n)| format!("session:{why} {n}"));
        let failures = peer.failures.iter().map(|(why, n)| format!("{why} {n}")).chain(refusals);
        let failures: Vec<_> = failures.collect();
        writeln!(
            out,
            "{:<28} {:<10} {:>6} {:>10} {:>9} {:>9} {:>12} {:>12}  {}",
            if peer.name.is_empty() { "(without a name)" } else { &peer.name },
            peer.state,
            peer.connections,
            round_trip,
            peer.sessions,
            peer.moved,
            bytes(peer.received_bytes),
            bytes(peer.sent_bytes),
            if failures.is_empty() { "0".to_owned() } else { failures.join(", ") },
        )?;
    }
    Ok(())
}

/// Who took its place.
pub(super) fn upgraded(upgraded: &Upgraded, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "process {} accepts connections now; the one before leaves when its own have ended",
        upgraded.process
    )
}

/// Which log lines are told.
pub(super) fn log_levels(levels: &LogLevels, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", levels.level)
}

/// What the process says of all data centres.
pub(super) type Dcs = Box<[Dc]>;

/// Data centres, each with its links.
pub(super) fn dcs(dcs: &Dcs, out: &mut dyn Write) -> io::Result<()> {
    if dcs.is_empty() {
        return writeln!(out, "no client was taken to a data centre so far, and there are no links");
    }
    dc_table(dcs, out)?;
    for dc in dcs.iter().filter(|dc| !dc.links.is_empty()) {
        writeln!(out, "\nlinks of DC {}:", dc.dc)?;
        for link in &dc.links {
            write!(out, "  {:<28} {:<8} {:>6} clients", link.endpoint, link.state, link.clients)?;
            match link.endpoint_failures {
                0 => writeln!(out)?,
                n => writeln!(out, ", failed {n} times in a row")?,
            }
        }
    }
    Ok(())
}

fn dc_table(dcs: &[Dc], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<16} {:>8} {:>10} {:>12} {:>12}  FAILED",
        "DC", "SESSIONS", "LINKS", "RECEIVED", "SENT"
    )?;
    for dc in dcs {
        writeln!(
            out,
            "{:<16} {:>8} {:>10} {:>12} {:>12}  {}",
            dc.dc,
            dc.sessions,
            format!("{}/{}", dc.links_ready, dc.links.len()),
            bytes(dc.received_bytes),
            bytes(dc.sent_bytes),
            dc.unreachable + dc.silent
        )?;
    }
    Ok(())
}

/// What a reload did.
pub(super) fn reloaded(report: &Reloaded, out: &mut dyn Write) -> io::Result<()> {
    if report.changes.is_empty() && report.restart.is_empty() {
        return writeln!(out, "nothing has changed");
    }
    report.changes.iter().try_for_each(|change| writeln!(out, "{change}"))?;
    report.restart.iter().try_for_each(|change| writeln!(out, "{change}: this needs a restart"))
}

/// What the process says of all tables.
pub(super) type Tables = Box<[TableShown]>;

/// Every table.
pub(super) fn tables(tables: &Tables, out: &mut dyn Write) -> io::Result<()> {
    if tables.is_empty() {
        return writeln!(out, "there are no tables");
    }
    tables
        .iter()
        .try_for_each(|table| writeln!(out, "{} ({}): {} entries", table.name, table.kind, table.entries))
}

/// What is in a table, one entry a line as in a list that can be read again.
pub(super) fn entries(table: &TableEntries, out: &mut dyn Write) -> io::Result<()> {
    table.entries.iter().try_for_each(|entry| writeln!(out, "{entry}"))?;
    match table.total - table.entries.len().min(table.total) {
        0 => Ok(()),
        more => writeln!(out, "# and {more} more"),
    }
}

/// What came of adding an entry.
pub(super) fn added(answer: &TableAnswer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", if answer.changed { "added" } else { "it is there already" })
}

/// What came of taking an entry out.
pub(super) fn removed(answer: &TableAnswer, out: &mut dyn Write) -> io::Result<()> {
    let said = match (answer.changed, answer.contained) {
        (true, false) => "removed",
        (true, true) => "removed; it lies in a network that is still there",
        (false, false) => "it is not there",
        (false, true) => "it is not there by itself, but lies in a network that is",
    };
    writeln!(out, "{said}")
}

/// Whether an entry is there.
pub(super) fn contained(answer: &TableAnswer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", if answer.contained { "yes" } else { "no" })
}

fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{n} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let shown: Vec<_> = [0, 1023, 1024, 1_572_864, u64::MAX].map(bytes).into();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "16384.0 PiB"]);
        let shown: Vec<_> = [5, 65, 3700, 90_000].map(duration).into();
        assert_eq!(shown, ["5 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }
}
