//! The page of figures.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::fairness::{NEIGHBOURS, PACE};
use super::measure::{BULK_CLIENTS, Effort};
use super::results::{Beside, Fairness, FairnessRound, Idle, Memory, Metric, Results, Row};
use super::split;
use super::subjects::{MIDDLE_DD, MIDDLE_EE, REFERENCE};
use crate::load::ECHO;
use crate::procfs::cpu_model;
use crate::stats::Summary;

/// Where it was measured, and how.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) command: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// The kernel's congestion control: whether it paces weighs in what bulk over loopback costs.
    pub(crate) congestion: String,
    pub(crate) rustc: String,
    pub(crate) commit: String,
    /// Processes that wanted to run before anything was started, averaged over a minute.
    pub(crate) load: String,
}

impl Machine {
    /// This one; what cannot be found out is said to be unknown.
    pub(crate) fn this(command: &str) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            command: command.to_owned(),
            cpu: cpu_model(&cpuinfo).unwrap_or("unknown processor").to_owned(),
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: kernel.trim().to_owned(),
            congestion: congestion.trim().to_owned(),
            rustc: said("rustc", &["--version"]),
            commit: said("git", &["describe", "--always", "--dirty", "--exclude=*"]),
            load: load.split_whitespace().next().unwrap_or("unknown").to_owned(),
        }
    }
}

/// A target: the most that a subject's ratio may be, what would be better, and what the best other proxy reaches.
struct Target {
    metric: Metric,
    subject: &'static str,
    most: f64,
    goal: Option<f64>,
    rival: f64,
}

const TARGETS: [Target; 14] = [
    Target { metric: Metric::Down, subject: "dd", most: 1.0, goal: Some(0.65), rival: 1.13 },
    Target { metric: Metric::Down, subject: "ee", most: 1.0, goal: Some(0.65), rival: 0.6 },
    Target { metric: Metric::Up, subject: "dd", most: 2.2, goal: Some(1.8), rival: 2.5 },
    Target { metric: Metric::Up, subject: "ee", most: 2.2, goal: Some(1.8), rival: 2.9 },
    Target { metric: Metric::Echo, subject: "ee", most: 1.5, goal: Some(1.2), rival: 1.54 },
    Target { metric: Metric::New, subject: "dd", most: 1.25, goal: None, rival: 1.3 },
    Target { metric: Metric::New, subject: "ee", most: 1.4, goal: None, rival: 1.45 },
    Target { metric: Metric::Down, subject: MIDDLE_DD, most: 1.6, goal: Some(1.3), rival: 1.85 },
    Target { metric: Metric::Down, subject: MIDDLE_EE, most: 1.6, goal: Some(1.3), rival: 2.0 },
    Target { metric: Metric::Up, subject: MIDDLE_DD, most: 4.2, goal: Some(3.6), rival: 5.1 },
    Target { metric: Metric::Up, subject: MIDDLE_EE, most: 4.2, goal: Some(3.6), rival: 5.1 },
    Target { metric: Metric::Echo, subject: MIDDLE_EE, most: 1.6, goal: Some(1.2), rival: 1.9 },
    Target { metric: Metric::New, subject: MIDDLE_DD, most: 0.7, goal: None, rival: 0.72 },
    Target { metric: Metric::New, subject: MIDDLE_EE, most: 1.2, goal: None, rival: 1.9 },
];

const MIB: f64 = 1_048_576.0;

/// The page.
pub(crate) fn render(results: &Results, effort: &Effort, machine: &Machine) -> String {
    let mut page = String::from(
        "# What relaying costs\n\nMade by the command below; do not edit. Ratios are to a reference relay in the same round: one thread,\n\
         edge-triggered epoll, one buffer of 64 KiB, read until there is no more and written, no cryptography.\n\n",
    );
    machine_lines(&mut page, machine, effort);
    targets(&mut page, results);
    if let Some(memory) = &results.memory {
        memory_lines(&mut page, memory, &results.start_ms);
    }
    if let Some(memory) = &results.memory_over_middle {
        middle_lines(&mut page, memory);
    }
    if results.sessions.is_some() {
        split::lines(&mut page, results);
    }
    fairness_lines(&mut page, &results.fairness);
    page.push_str("\n## All figures\n");
    for metric in results.metrics() {
        figure(&mut page, metric, &results.rows(metric));
    }
    method(&mut page, effort, results.fairness.real_time);
    page
}

fn machine_lines(page: &mut String, machine: &Machine, effort: &Effort) {
    let Machine { command, cpu, cores, kernel, congestion, rustc, commit, load } = machine;
    page.push_str(&format!(
        "    {command}\n\n- Machine: {cpu}, {cores} processors; Linux {kernel}, congestion control {congestion};\n  {rustc}; commit {commit}.\n\
         - Load average before the run: {load}. Ratios of processor time bear other load; times of an echo do not.\n\
         - Medians of {} rounds, with the lowest and the highest in brackets.\n",
        effort.rounds
    ));
}

fn targets(page: &mut String, results: &Results) {
    page.push_str("\n## Targets\n\n| Ratio to the reference | Subject | Measured | At most | Goal | Best other proxy | |\n|---|---|---|---|---|---|---|\n");
    for Target { metric, subject, most, goal, rival } in TARGETS {
        let Some(row) = results.rows(metric).into_iter().find(|row| row.subject == subject) else { continue };
        let goal = goal.map_or_else(String::new, |goal| format!("{goal}"));
        let verdict = verdict(row.ratio.median, most);
        line(page, &[&metric, &subject, &Range(row.ratio), &most, &goal, &rival, &verdict]);
    }
}

/// What an idle client may need, in KiB; the whole process without clients, and what may stay when all have left, in MiB.
const PER_CLIENT: f64 = 2.0;
const BARE: f64 = 6.0;
const LEFT_BEHIND: f64 = 10.0;

fn memory_lines(page: &mut String, memory: &Memory, start_ms: &[f64]) {
    const START_MS: f64 = 50.0;
    page.push_str("\n| Memory and start | Measured | At most | |\n|---|---|---|---|\n");
    let mut row = |name: &str, value: f64, most: f64, unit: &str| {
        line(page, &[&name, &format!("{value:.2} {unit}"), &format!("{most} {unit}"), &verdict(value, most)]);
    };
    for idle in &memory.idle {
        let name = format!("idle ee client, one of {}, after 1 MiB each way", idle.clients);
        row(&name, idle.bytes_per_client / 1024.0, PER_CLIENT, "KiB");
    }
    row("process without clients", memory.bare as f64 / MIB, BARE, "MiB");
    row("more than at the start when all have left", memory.left_behind as f64 / MIB, LEFT_BEHIND, "MiB");
    if let Some(start) = Summary::of(start_ms) {
        row("start of the process until it listens, no network", start.median, START_MS, "ms");
    }
}

fn middle_lines(page: &mut String, memory: &Memory) {
    /// What an idle client should need, in KiB.
    const GOAL: f64 = 1.0;
    /// What the best other proxy needs in this mode, in KiB.
    const RIVAL: f64 = 10.8;
    const LINKS: usize = 40;
    page.push_str(
        "\n| Memory over a middle proxy | Measured | At most | Goal | Best other proxy | |\n|---|---|---|---|---|---|\n",
    );
    for Idle { clients, bytes_per_client, links } in &memory.idle {
        let kib = bytes_per_client / 1024.0;
        let name = format!("idle ee client, one of {clients}, after 1 MiB each way, KiB");
        let verdict_of = verdict(kib, PER_CLIENT);
        line(page, &[&name, &format!("{kib:.2}"), &PER_CLIENT, &GOAL, &RIVAL, &verdict_of]);
        if let Some(links) = links {
            let verdict_of = if *links <= LINKS { "met" } else { "**not met**" };
            line(
                page,
                &[&format!("links that carry {clients} clients"), links, &LINKS, &"", &"", &verdict_of],
            );
        }
    }
    let bare = memory.bare as f64 / MIB;
    line(
        page,
        &[&"process without clients, MiB", &format!("{bare:.2}"), &BARE, &"", &"", &verdict(bare, BARE)],
    );
    let left = memory.left_behind as f64 / MIB;
    let name = "more than at the start when all have left, MiB";
    line(page, &[&name, &format!("{left:.2}"), &LEFT_BEHIND, &"", &"", &verdict(left, LEFT_BEHIND)]);
}

fn fairness_lines(page: &mut String, fairness: &Fairness) {
    type Which = fn(&FairnessRound) -> &Beside;
    /// How much longer the neighbours' echoes may take.
    const MOST: f64 = 2.0;
    let summary =
        |of: &dyn Fn(&FairnessRound) -> f64| Summary::of(&fairness.rounds.iter().map(of).collect::<Vec<_>>());
    let Some(alone) = summary(&|round| round.alone_us) else { return };
    page.push_str(&format!(
        "\n| Time of an echo, p99 in µs; ee clients: {NEIGHBOURS} | Measured | Ratio | At most | | Bulk, MiB/s | Relay's processor, % |\n\
         |---|---|---|---|---|---|---|\n",
    ));
    line(page, &[&"alone", &Range(alone), &1, &"", &"", &"", &""]);
    let down: Which = |round| &round.down;
    let up: Which = |round| &round.up;
    for (name, beside) in [("beside one download", down), ("beside one upload", up)] {
        let (Some(p99), Some(ratio), Some(speed), Some(busy)) = (
            summary(&|round| beside(round).p99_us),
            summary(&|round| beside(round).p99_us / round.alone_us),
            summary(&|round| beside(round).mib_per_second),
            summary(&|round| beside(round).busy * 100.0),
        ) else {
            continue;
        };
        let verdict = verdict(ratio.median, MOST);
        line(page, &[&name, &Range(p99), &Range(ratio), &MOST, &verdict, &Range(speed), &Range(busy)]);
    }
}

fn figure(page: &mut String, metric: Metric, rows: &[Row]) {
    page.push_str(&format!("\n| {metric} | Absolute | Ratio |\n|---|---|---|\n"));
    for Row { subject, absolute, ratio } in rows {
        let ratio = if *subject == REFERENCE { "1".to_owned() } else { Range(*ratio).to_string() };
        line(page, &[subject, &Range(*absolute), &ratio]);
    }
}

fn method(page: &mut String, effort: &Effort, real_time: bool) {
    let priority = if real_time { "All of it ran" } else { "All of it would run, were it allowed," };
    page.push_str(&format!(
        "\n## How it is measured\n\n\
         The proxy (one worker), the reference relays and a simulated data centre are processes of their own. Relays have one\n\
         processor to themselves, the load and the data centre share the others. A round goes from subject to subject; each byte\n\
         is checked at both ends, and one that is wrong fails the run. Processor time is that of all threads of the relay, user\n\
         and kernel, in nanoseconds from `/proc/PID/task/*/schedstat`; memory is `Pss` from `smaps_rollup`, that of\n\
         clients its part outside files, less that of the process without clients; when all have been idle for eight seconds.\n\n\
         - Bulk: {BULK_CLIENTS} clients in messages of 64 KiB, until {} MiB are moved or {:.1} s of processor time are used.\n\
         - Echo: {} messages of {ECHO} bytes; every client waits for each.\n\
         - New client: {} connect, have one message echoed and close.\n\
         - Beside one client at full speed: {NEIGHBOURS} clients of the same worker have {ECHO} bytes echoed every {} ms, for {} s\n  \
           each alone, beside a download and beside an upload. {priority} with\n  \
           real-time priority, but for the bulk's own ends, which come after.\n\
         - \"no fast path\": what Telegram sends is decrypted and encrypted again (`telegram.fast_path = false`).\n\
         - \"middle\": over a middle proxy, beside the same reference, which needs no cryptography. The simulated middle proxy has\n  \
           a process of its own on the load's side. It answers all that one read of a link brought in one write, and lets\n  \
           downloads take turns message by message. So small messages come batched as far as the relay batched them, and\n  \
           never more; a middle proxy that writes each answer by itself costs the relay more reads.\n",
        effort.bulk_bytes >> 20,
        effort.bulk_cpu.as_secs_f64(),
        effort.echoes,
        effort.new_clients,
        PACE.as_millis(),
        effort.fairness_time.as_secs(),
    ));
}

pub(super) fn verdict(value: f64, most: f64) -> &'static str {
    if value <= most { "met" } else { "**not met**" }
}

pub(super) fn line(page: &mut String, cells: &[&dyn std::fmt::Display]) {
    for cell in cells {
        // Writing to a string never fails.
        let _ = write!(page, "| {cell} ");
    }
    page.push_str("|\n");
}

/// A median with its range.
pub(super) struct Range(pub(super) Summary);

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { median, min, max } = self.0;
        let digits = if median < 10.0 { 2 } else { usize::from(median < 100.0) };
        write!(f, "{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}

/// The first line that a command says.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text =
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { format!("{program} unknown") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::results::Idle;
    use super::*;

    fn page(ee: [f64; 3], per_client: f64, up_us: f64) -> String {
        let mut results = Results::default();
        for value in ee {
            results.add(Metric::Echo, REFERENCE, 10.0);
            results.add(Metric::Echo, "ee", value);
        }
        let idle = vec![Idle { clients: 9000, bytes_per_client: per_client, links: None }];
        results.memory = Some(Memory { bare: 4 << 20, idle, left_behind: 0 });
        let beside = |p99_us| Beside { p99_us, mib_per_second: 500.0, busy: 0.5 };
        let round = FairnessRound { alone_us: 100.0, down: beside(150.0), up: beside(up_us) };
        results.fairness = Fairness { real_time: true, rounds: vec![round] };
        results.start_ms = vec![3.0];
        let machine = Machine {
            command: "just bench-relay".to_owned(),
            cpu: "Some CPU".to_owned(),
            cores: 2,
            kernel: "6.1".to_owned(),
            congestion: "cubic".to_owned(),
            rustc: "rustc 1".to_owned(),
            commit: "abc".to_owned(),
            load: "0.1".to_owned(),
        };
        render(&results, &Effort::full(3), &machine)
    }

    #[test]
    fn over_a_middle_proxy_links_count_too() {
        for (bytes_per_client, links, missed) in [(2048.0, 40, 0), (2049.0, 40, 1), (2048.0, 41, 1)] {
            let mut results = Results::default();
            let idle = vec![Idle { clients: 9000, bytes_per_client, links: Some(links) }];
            results.memory_over_middle = Some(Memory { bare: 4 << 20, idle, left_behind: 1 << 20 });
            let page = render(&results, &Effort::full(3), &Machine::this("just bench-relay"));
            assert!(page.contains(&format!("| links that carry 9000 clients | {links} | 40 |")), "{page}");
            assert_eq!(page.matches("**not met**").count(), missed, "{page}");
        }
    }

    #[test]
    fn targets_stand_beside_what_was_measured() {
        let met = page([12.0, 11.0, 20.0], 1024.0, 200.0);
        let row =
            "| Echo of 152 bytes at 50 clients, CPU µs | ee | 1.20 (1.10–2.00) | 1.5 | 1.2 | 1.54 | met |\n";
        assert!(met.contains(row), "{met}");
        assert!(met.contains("after 1 MiB each way | 1.00 KiB | 2 KiB | met |"), "{met}");
        let row = "| beside one download | 150 (150–150) | 1.50 (1.50–1.50) | 2 | met | 500 (500–500) | 50.0 (50.0–50.0) |\n";
        assert!(met.contains(row), "{met}");
        assert!(!met.contains("not met") && !met.contains("Download, CPU s per GiB |"), "{met}");
        assert!(met.contains("    just bench-relay\n") && met.contains("Some CPU, 2 processors"), "{met}");
        assert!(met.contains("Linux 6.1, congestion control cubic"), "{met}");

        let missed = page([15.1, 15.1, 15.1], 2049.0, 201.0);
        assert_eq!(missed.matches("**not met**").count(), 3, "{missed}");
    }
}
