//! What a soak has shown.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::roles::{Outcome, Role};
use super::rotation::Losses;
use crate::clock;

/// How much larger the proxy may be in the end than after the warm-up, in bytes.
const GROWTH: u64 = 10 << 20;
/// Faults that are told in full.
const TOLD: usize = 20;

/// Everything that was seen.
#[derive(Debug)]
pub(super) struct Report {
    descriptors_at_start: usize,
    descriptors_most: usize,
    descriptors: usize,
    memory_warm: u64,
    memory_most: u64,
    memory: u64,
    /// Every look since this was last begun anew.
    looks: Vec<u64>,
    /// Where those who stay are looked at: the least memory in each twentieth of the time.
    least: Vec<u64>,
    /// There too: what the process had before anybody came, and what it has when all have left.
    left: Option<(u64, u64)>,
    roles: BTreeMap<Role, Counts>,
    over_middle: Option<OverMiddle>,
    began: Instant,
    /// The longest that the soak itself had to wait for a processor. When that is seconds, time limits say nothing.
    late_most: Duration,
    /// Those whom the proxy took to the site, by its reason.
    strangers: BTreeMap<String, u64>,
    faults: usize,
    /// The first of them, with when they came.
    told: Vec<String>,
}

/// What those had who stayed while links came and went.
#[derive(Debug)]
pub(super) struct OverMiddle {
    /// Packets that came, each of them right and in its place.
    pub(super) packets: u64,
    /// Links that were open in the end, with all clients still there.
    pub(super) links: usize,
    pub(super) links_in_all: u64,
    /// How often a client's link ended under it.
    pub(super) moved: u64,
    pub(super) losses: Losses,
    /// Why sessions ended, and how often.
    pub(super) ends: BTreeMap<String, u64>,
    /// Rules of the protocol that the proxy broke.
    pub(super) violations: Vec<String>,
}

#[derive(Debug, Default)]
struct Counts {
    well: u64,
    cut_off: u64,
    faults: u64,
}

impl Report {
    pub(super) fn new(descriptors: usize) -> Self {
        Self {
            descriptors_at_start: descriptors,
            descriptors_most: descriptors,
            descriptors,
            memory_warm: 0,
            memory_most: 0,
            memory: 0,
            looks: Vec::new(),
            least: Vec::new(),
            left: None,
            roles: BTreeMap::new(),
            over_middle: None,
            began: clock::now(),
            late_most: Duration::ZERO,
            strangers: BTreeMap::new(),
            faults: 0,
            told: Vec::new(),
        }
    }

    pub(super) const fn descriptors_at_start(&self) -> usize {
        self.descriptors_at_start
    }

    /// How many things were wrong.
    pub(super) const fn faults(&self) -> usize {
        self.faults
    }

    /// Somebody is done.
    pub(super) fn note(&mut self, role: Role, outcome: Outcome) {
        let counts = self.roles.entry(role).or_default();
        match outcome {
            Outcome::Well => counts.well += 1,
            Outcome::CutOff => counts.cut_off += 1,
            Outcome::Fault(what) => {
                counts.faults += 1;
                self.fault(format!("{role:?}: {what}"));
            }
        }
    }

    /// The soak was so late with what it wanted to do now.
    pub(super) fn late(&mut self, by: Duration) {
        self.late_most = self.late_most.max(by);
    }

    /// A look in the middle.
    pub(super) fn sample(&mut self, memory: u64, descriptors: usize) {
        self.memory_most = self.memory_most.max(memory);
        self.looks.push(memory);
        self.descriptors_most = self.descriptors_most.max(descriptors);
    }

    /// What is looked at from now on counts.
    pub(super) fn begin(&mut self) {
        self.looks.clear();
    }

    /// Clients stayed while it was looked at, so the two halves are compared, each when least waited for anybody: in a short
    /// run little else is steady. Gives the least memory of the second half.
    pub(super) fn compare_halves(&mut self) -> u64 {
        const PARTS: usize = 20;
        let looks = self.looks.chunks(self.looks.len().div_ceil(PARTS).max(1));
        self.least = looks.filter_map(|part| part.iter().min().copied()).collect();
        let (first, second) = self.least.split_at(self.least.len() / 2);
        let least = |half: &[u64]| half.iter().min().copied().unwrap_or_default();
        self.memory_warm = least(first);
        least(second)
    }

    /// Everybody has left: it had so much memory before anybody came, and so much now.
    pub(super) fn left(&mut self, before: u64, after: u64) {
        self.left = Some((before, after));
        if after > before + GROWTH {
            self.fault("memory is left when all have gone".to_owned());
        }
    }

    /// The warm-up is over, and everybody has left, or stays.
    pub(super) const fn warm(&mut self, memory: u64) {
        self.memory_warm = memory;
    }

    /// Those who stayed have left.
    pub(super) fn over_middle(&mut self, over: OverMiddle) {
        for violation in &over.violations {
            self.fault(format!("the proxy broke a rule: {violation}"));
        }
        if over.losses.missed_in_order > over.losses.dropped_in_order {
            self.fault("requests were lost that no middle proxy had read".to_owned());
        }
        for reason in ["telegram:link_lost", "telegram:unreachable"] {
            if let Some(sessions) = over.ends.get(reason) {
                self.fault(format!("{sessions} sessions were closed for want of a link ({reason})"));
            }
        }
        if over.losses.rotations > 0 && over.moved == 0 {
            self.fault("no link that ended had a client".to_owned());
        }
        self.over_middle = Some(over);
    }

    /// All is over, and everybody has left.
    pub(super) fn over(&mut self, memory: u64, descriptors: usize, log: &str) {
        (self.memory, self.descriptors) = (memory, descriptors);
        if memory > self.memory_warm + GROWTH {
            self.fault("memory has grown".to_owned());
        }
        if descriptors > self.descriptors_at_start {
            self.fault("descriptors are left open".to_owned());
        }
        for line in log.lines().filter(|line| line.contains("panic") || line.contains("proxy:fault")) {
            self.fault(format!("log: {line}"));
        }
        for reason in log.lines().filter(|line| line.contains("a stranger")).filter_map(reason) {
            *self.strangers.entry(reason.to_owned()).or_default() += 1;
        }
        for line in left_open(log) {
            self.fault(format!("still open: {line}"));
        }
        if self.roles.values().all(|counts| counts.well == 0) {
            self.fault("nobody was served".to_owned());
        }
    }

    fn fault(&mut self, what: String) {
        self.faults += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("after {} s: {what}", self.began.elapsed().as_secs()));
        }
    }
}

/// The reason in a line of the log.
fn reason(line: &str) -> Option<&str> {
    let (_, reason) = line.split_once("reason=")?;
    reason.split_whitespace().next().map(|reason| reason.trim_matches('"'))
}

/// The last line of each session that the log does not see close.
fn left_open(log: &str) -> impl Iterator<Item = &str> {
    let mut open = BTreeMap::new();
    for line in log.lines() {
        let Some((_, rest)) = line.split_once("session=") else { continue };
        let session = rest.split_whitespace().next().unwrap_or_default();
        if line.contains(" closed ") {
            open.remove(session);
        } else {
            open.insert(session, line);
        }
    }
    open.into_values()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        writeln!(f, "{:12} {:>8} {:>8} {:>8}", "", "well", "cut off", "faults")?;
        for (role, Counts { well, cut_off, faults }) in &self.roles {
            writeln!(f, "{:12} {well:>8} {cut_off:>8} {faults:>8}", format!("{role:?}"))?;
        }
        writeln!(
            f,
            "memory: {:.1} MiB after the warm-up, {:.1} at most, {:.1} in the end",
            mib(self.memory_warm),
            mib(self.memory_most),
            mib(self.memory)
        )?;
        if let Some((before, after)) = self.left {
            let least: Vec<_> = self.least.iter().map(|&least| format!("{:.0}", mib(least))).collect();
            writeln!(f, "memory in each twentieth of the time, at least: {} MiB", least.join(" "))?;
            writeln!(
                f,
                "memory: {:.1} MiB before anybody came, {:.1} when all had left",
                mib(before),
                mib(after)
            )?;
        }
        writeln!(
            f,
            "descriptors: {} at the start, {} at most, {} in the end",
            self.descriptors_at_start, self.descriptors_most, self.descriptors
        )?;
        writeln!(f, "the soak itself was late by {:.1} s at most", self.late_most.as_secs_f64())?;
        let strangers: Vec<_> = self.strangers.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
        writeln!(f, "strangers: {}", strangers.join(", "))?;
        if let Some(OverMiddle { packets, links, links_in_all, moved, losses, ends, .. }) = &self.over_middle
        {
            writeln!(f, "sessions ended: {ends:?}")?;
            writeln!(f, "packets: {packets} to those who stayed, each in its place and whole")?;
            writeln!(
                f,
                "links: {links} in the end, {links_in_all} in all; {} rotations moved clients {moved} times",
                losses.rotations
            )?;
            writeln!(
                f,
                "requests that went with a link: {} on links closed in order, whose middle proxies had read and dropped {}; {} on links that were reset",
                losses.missed_in_order, losses.dropped_in_order, losses.missed_by_reset
            )?;
        }
        for fault in &self.told {
            writeln!(f, "FAULT {fault}")?;
        }
        writeln!(f, "{}", if self.faults == 0 { "nothing was wrong" } else { "NOT PASSED" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(10);
        report.note(Role::Talk, Outcome::Well);
        report.note(Role::Talk, Outcome::CutOff);
        report.sample(50 << 20, 100);
        report.warm(5 << 20);
        report
    }

    #[test]
    fn a_proxy_that_is_as_it_was_passes() {
        let mut report = report();
        report.over(15 << 20, 10, "INFO ready\n");
        assert_eq!(report.faults(), 0, "{report}");
        assert!(report.to_string().ends_with("nothing was wrong\n"));
    }

    #[test]
    fn memory_that_grows_under_those_who_stay_is_a_fault_and_a_peak_is_none() {
        for (growth, faults) in [(0, 0), (10, 0), (11, 1)] {
            let mut report = report();
            report.begin();
            for second in 0..1000 {
                let grown = if second < 500 { 0 } else { growth };
                // Now and then somebody does not read, for a while.
                let waits = if second % 150 < 130 { second % 37 } else { 60 };
                report.sample((20 + grown + waits) << 20, 100);
            }
            let memory = report.compare_halves();
            report.over(memory, 10, "");
            assert_eq!(report.faults(), faults, "{report}");
        }
    }

    #[test]
    fn memory_that_stays_when_all_have_left_is_a_fault() {
        for (after, faults) in [(14, 0), (15, 1)] {
            let mut report = report();
            report.left(4 << 20, after << 20);
            assert_eq!(report.faults(), faults, "{report}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_a_fault() {
        for (memory, descriptors, log) in [
            ((15 << 20) + 1, 10, ""),
            (0, 11, ""),
            (0, 10, "thread panicked\n"),
            (0, 10, "closed proxy:fault\n"),
        ] {
            let mut report = report();
            report.over(memory, descriptors, log);
            assert_eq!(report.faults(), 1, "{report}");
        }
        let mut report = report();
        report.note(Role::Download, Outcome::Fault("a byte".to_owned()));
        report.over(0, 0, "");
        assert!(report.to_string().contains("Download: a byte"), "{report}");
    }

    #[test]
    fn what_is_lost_that_no_middle_proxy_had_is_a_fault() {
        for (missed_in_order, moved, violations, ends, faults) in [
            (3, 9, vec![], "client:closed", 0),
            (4, 9, vec![], "client:closed", 1),
            (3, 0, vec![], "client:closed", 1),
            (3, 9, vec!["a rule".to_owned()], "client:closed", 1),
            (3, 9, vec![], "telegram:link_lost", 1),
            (3, 9, vec![], "telegram:unreachable", 1),
        ] {
            let mut report = report();
            let losses = Losses { rotations: 2, missed_in_order, dropped_in_order: 3, missed_by_reset: 1 };
            let ends = BTreeMap::from([(ends.to_owned(), 1)]);
            report.over_middle(OverMiddle {
                ends,
                packets: 1,
                links: 2,
                links_in_all: 4,
                moved,
                losses,
                violations,
            });
            assert_eq!(report.faults(), faults, "{report}");
        }
    }

    #[test]
    fn sessions_that_do_not_close_are_found_in_the_log() {
        let log = "DEBUG accepted session=1 a=b\nDEBUG accepted session=12 a=b\nDEBUG a stranger session=12\nDEBUG closed session=1 reason=x\n";
        assert_eq!(left_open(log).collect::<Vec<_>>(), ["DEBUG a stranger session=12"]);
    }

    #[test]
    fn a_soak_that_served_nobody_shows_nothing() {
        let mut report = Report::new(10);
        report.over(0, 10, "");
        assert_eq!(report.faults(), 1);
    }
}
