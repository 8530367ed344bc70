//! Front and back: what a proxy in two halves costs beside one that is whole.

use std::fmt::Write as _;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::measure::{Effort, connect};
use super::page::{Range, line, verdict};
use super::results::{Metric, Results, Sessions};
use super::subjects::{MIDDLE_DD, MIDDLE_EE, OverMiddle, listeners, route, wait_for_connection};
use super::tell;
use crate::children::Proxy;
use crate::cpus::Division;
use crate::failure::{Failure, Result};
use crate::load::client::{Protocol, Route};
use crate::procfs::{Process, connections_to, settled};

/// The names of those that go through both halves, and of those that they are compared with.
pub(super) const SPLIT_DD: &str = "split dd";
pub(super) const SPLIT_EE: &str = "split ee";
const COMPARED: [(&str, &str); 2] = [(SPLIT_DD, MIDDLE_DD), (SPLIT_EE, MIDDLE_EE)];

/// Times the processor time of a proxy in one process that both halves may take together.
const MOST: f64 = 2.2;
/// Microseconds by which half of the echoes may come later.
const MOST_LATER: f64 = 300.0;
/// Connections that all sessions may need.
const MOST_CONNECTIONS: usize = 8;

/// A front and a back over a middle proxy.
#[derive(Debug)]
pub(super) struct Pair {
    front: Proxy,
    back: OverMiddle,
    _certificates: TempDir,
}

impl Pair {
    /// Makes certificates, starts both halves and waits until the front has a connection to the back.
    pub(super) fn start(program: &Path, division: &Division) -> Result<Self> {
        let certificates = tempfile::tempdir()?;
        let directory = certificates.path();
        certify(program, &["init", "--name", "127.0.0.1"], directory)?;
        certify(program, &["issue", "front"], directory)?;
        let tls = |name: &str| {
            let file = |name: String| directory.join(name).display().to_string();
            format!(
                "[role.tls]\nca = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\n",
                file("ca.pem".to_owned()),
                file(format!("{name}.pem")),
                file(format!("{name}.key")),
            )
        };
        let back = format!(
            "[server]\nworkers = 1\nstate_dir = \"state\"\n[role]\nkind = \"back\"\n\
             [role.back]\nlisten = \"127.0.0.1:0\"\n{}",
            tls("127.0.0.1")
        );
        let back = OverMiddle::start_with(program, division, &back)?;
        let address = back_address(&back)?;
        let front = format!(
            "[role]\nkind = \"front\"\n[role.front]\nbacks = [\"https://{address}\"]\n{}{}",
            tls("front"),
            listeners()
        );
        let front = division.on_relay_side(|| Proxy::start(program, &front))?;
        wait_for_connection(&front, "back", address)?;
        Ok(Self { front, back, _certificates: certificates })
    }

    /// Both halves.
    pub(super) fn processes(&self) -> Vec<Process> {
        vec![self.front.process(), self.back.proxy.process()]
    }

    /// The way through both.
    pub(super) fn route(&self, listener: &str, protocol: Protocol) -> Result<Route> {
        Ok(Route { middle: true, ..route(self.front.address(listener)?, protocol) })
    }

    /// What many idle sessions need.
    pub(super) async fn sessions(&self, effort: &Effort) -> Result<Sessions> {
        let processes = self.processes();
        settled(&processes).await?;
        let memory = || -> Result<[u64; 2]> {
            Ok([self.front.process().own_memory()?, self.back.proxy.process().own_memory()?])
        };
        let before = memory()?;
        let sessions = effort.split_sessions;
        tell(&format!("{sessions} sessions through front and back"));
        let clients = connect(&self.route("ee", Protocol::FakeTls)?, sessions).await?;
        settled(&processes).await?;
        let after = memory()?;
        let connections = connections_to(back_address(&self.back)?)?;
        drop(clients);
        let each = |half: usize| after[half].saturating_sub(before[half]) as f64 / sessions as f64;
        Ok(Sessions { sessions, connections, front_bytes: each(0), back_bytes: each(1) })
    }
}

/// Where the back is.
fn back_address(back: &OverMiddle) -> Result<SocketAddrV4> {
    match back.proxy.listeners.first() {
        Some((_, SocketAddr::V4(address))) => Ok(*address),
        _ => Err(Failure::new("the back does not say where it is")),
    }
}

/// `teleferry certs`, as an operator has it.
fn certify(program: &Path, arguments: &[&str], directory: &Path) -> Result<()> {
    let output = Command::new(program).arg("certs").args(arguments).arg("--dir").arg(directory).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("certs {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))))
}

/// What both halves take, beside a proxy that is whole.
pub(super) fn lines(page: &mut String, results: &Results) {
    page.push_str(
        "\n## Two halves beside one process\n\nProcessor time is that of front and back together.\n\n\
         | To the same proxy in one process | Subject | Measured | At most | |\n|---|---|---|---|---|\n",
    );
    for metric in [Metric::Down, Metric::Up, Metric::Echo, Metric::New] {
        for (split, whole) in COMPARED {
            let Some(ratio) = results.compared(metric, split, whole, |split, whole| split / whole) else {
                continue;
            };
            // Nobody promised anything of new clients.
            let promised = metric != Metric::New;
            let (most, verdict) =
                if promised { (MOST.to_string(), verdict(ratio.median, MOST)) } else { Default::default() };
            line(page, &[&format!("{metric}, ratio"), &split, &Range(ratio), &most, &verdict]);
        }
    }
    for clients in [1, 50] {
        for (split, whole) in COMPARED {
            let metric = Metric::Latency { clients, percent: 50 };
            let Some(later) = results.compared(metric, split, whole, |split, whole| split - whole) else {
                continue;
            };
            let verdict = verdict(later.median, MOST_LATER);
            line(page, &[&format!("{metric}, later by"), &split, &Range(later), &MOST_LATER, &verdict]);
        }
    }
    let Some(Sessions { sessions, connections, front_bytes, back_bytes }) = results.sessions else { return };
    page.push_str("\n| Idle sessions | Measured | At most | |\n|---|---|---|---|\n");
    let verdict = if connections <= MOST_CONNECTIONS { "met" } else { "**not met**" };
    line(page, &[&format!("connections for {sessions}"), &connections, &MOST_CONNECTIONS, &verdict]);
    for (half, bytes) in [("front", front_bytes), ("back", back_bytes)] {
        // Writing to a string never fails.
        let _ = writeln!(page, "| memory of one at the {half}, KiB | {:.2} | | |", bytes / 1024.0);
    }
}
