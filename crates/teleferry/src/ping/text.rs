//! The run as lines and tables for people. No colour: it reads the same in a file.

use std::io::{self, Write};

use super::Run;
use super::probe::Probe;
use super::report::{DcRow, ProtocolRow, Report, ms};

/// What is about to be done.
pub(super) fn header(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "Proxy {} port {}, a {} link", run.host.escape_debug(), run.port, run.link_protocol.name())?;
    if run.uses_tls() {
        write!(out, ", server name {}", run.domain().escape_debug())?;
    }
    let count = run.pairs().len();
    writeln!(out, "; {count} exchange{}\n", if count == 1 { "" } else { "s" })?;
    writeln!(
        out,
        "{:<9}{:>6}{:>10}{:>12}{:>10}{:>10}  result (times in ms)",
        "protocol", "DC", "tcp", "handshake", "ping", "total"
    )
}

/// One line an exchange, as soon as it is over.
pub(super) fn line(probe: &Probe, out: &mut dyn Write) -> io::Result<()> {
    let times = &probe.times;
    write!(out, "{:<9}{:>6}", probe.pair.protocol.name(), probe.pair.dc.get())?;
    columns([times.tcp, times.handshake, times.ping, times.total].map(|time| time.map(ms)), out)?;
    match probe.result {
        Ok(()) => writeln!(out, "  OK")?,
        Err(failure) => writeln!(out, "  ERROR {failure}")?,
    }
    out.flush()
}

/// The tables at the end.
pub(super) fn summary(report: &Report, run: &Run, out: &mut dyn Write) -> io::Result<()> {
    if report.by_dc.iter().any(|row| row.answered > 0) {
        by_dc(&report.by_dc, run.repeat > 1, out)?;
    }
    writeln!(out)?;
    report.by_protocol.iter().try_for_each(|row| by_protocol(row, out))
}

fn by_dc(rows: &[DcRow], distribution: bool, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "\n{:<9}{:>6}{:>10}{:>12}{:>10}{:>10}",
        "average", "DC", "tcp", "handshake", "ping", "total"
    )?;
    if distribution {
        write!(out, "{:>10}{:>10}{:>10}{:>10}", "min", "median", "p90", "max")?;
    }
    writeln!(out, "  answered")?;
    for row in rows {
        write!(out, "{:<9}{:>6}", "", row.dc)?;
        columns([row.tcp_ms, row.handshake_ms, row.ping_ms, row.total_ms], out)?;
        if distribution {
            for time in row.total.map_or([None; 4], |spread| {
                [spread.min_ms, spread.median_ms, spread.p90_ms, spread.max_ms].map(Some)
            }) {
                write!(out, "{:>10}", cell(time))?;
            }
        }
        writeln!(out, "  {} of {}", row.answered, row.asked)?;
    }
    Ok(())
}

fn by_protocol(row: &ProtocolRow, out: &mut dyn Write) -> io::Result<()> {
    let verdict = match row.answered {
        0 => "DOES NOT WORK",
        answered if answered == row.asked => "OK",
        _ => "OK IN PART",
    };
    writeln!(out, "{}: {verdict}, {} of {} answered", row.protocol, row.answered, row.asked)?;
    for reason in &row.reasons {
        let dcs: Vec<_> = reason.dcs.iter().map(ToString::to_string).collect();
        writeln!(out, "  {} times, DC {}: {}", reason.count, dcs.join(", "), reason.message)?;
        writeln!(out, "    {}", reason.meaning)?;
    }
    Ok(())
}

fn columns([tcp, handshake, ping, total]: [Option<f64>; 4], out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{:>10}{:>12}{:>10}{:>10}", cell(tcp), cell(handshake), cell(ping), cell(total))
}

fn cell(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"))
}
