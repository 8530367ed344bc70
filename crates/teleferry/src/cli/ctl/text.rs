//! Answers of the running process, for people.

use std::io::{self, Write};

use crate::admin::{Dc, Reloaded, Status};

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
