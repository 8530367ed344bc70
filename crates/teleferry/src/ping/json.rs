//! The run as one JSON object.

use std::io::{self, Write};

use serde::Serialize;

use super::Run;
use super::probe::Probe;
use super::report::{Report, ms};

/// Prints the whole run. The secret is not in it.
pub(super) fn print(run: &Run, probes: &[Probe], report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let exchanges = probes.iter().map(Exchange::of).collect();
    let whole = Whole {
        host: &run.host,
        port: run.port,
        link_protocol: run.link_protocol.name(),
        domain: run.uses_tls().then(|| run.domain()),
        timeout_ms: ms(run.target.timeout),
        repeat: run.repeat,
        report,
        exchanges,
    };
    serde_json::to_writer_pretty(&mut *out, &whole)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Whole<'a> {
    host: &'a str,
    port: u16,
    link_protocol: &'static str,
    /// The server name of fake TLS.
    domain: Option<String>,
    timeout_ms: f64,
    repeat: u16,
    #[serde(flatten)]
    report: &'a Report,
    exchanges: Vec<Exchange>,
}

#[derive(Serialize)]
struct Exchange {
    protocol: &'static str,
    dc: i16,
    /// Counts from 1.
    attempt: u16,
    ok: bool,
    address: Option<String>,
    tcp_ms: Option<f64>,
    handshake_ms: Option<f64>,
    ping_ms: Option<f64>,
    total_ms: Option<f64>,
    failure: Option<Failure>,
}

#[derive(Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

impl Exchange {
    fn of(probe: &Probe) -> Self {
        let times = &probe.times;
        Self {
            protocol: probe.pair.protocol.name(),
            dc: probe.pair.dc.get(),
            attempt: probe.pair.attempt,
            ok: probe.result.is_ok(),
            address: probe.address.map(|address| address.to_string()),
            tcp_ms: times.tcp.map(ms),
            handshake_ms: times.handshake.map(ms),
            ping_ms: times.ping.map(ms),
            total_ms: times.total.map(ms),
            failure: probe
                .result
                .err()
                .map(|failure| Failure { code: failure.code(), message: failure.to_string() }),
        }
    }
}
