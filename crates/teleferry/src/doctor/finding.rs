//! What was found, and what it comes to.

use serde::Serialize;

/// What findings are about, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Group {
    /// The configuration file, secrets and tags.
    Settings,
    /// The process that runs, its ports, and its service unit.
    Process,
    /// The machine: limits, memory, kernel, files.
    Machine,
    /// Names and addresses.
    Network,
    /// The other half of a split proxy, and what both know each other by.
    Halves,
    /// The way to Telegram.
    Telegram,
    /// The cover site.
    Cover,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// All is well.
    Ok,
    /// It works, and could be better.
    Advice,
    /// It could not be looked at.
    Unknown,
    /// It has to be mended.
    Mend,
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it belongs to.
    pub group: Group,
    /// What it is about, in a word that never changes: clock, cover, descriptors, dns, middle, telegram and so on.
    pub about: &'static str,
    /// How bad it is.
    pub level: Level,
    /// Whether nothing has to be mended.
    pub fine: bool,
    /// What was found, in a sentence.
    pub found: String,
    /// What it means for those who use the proxy; empty when all is well.
    pub meaning: String,
    /// What to do; empty when all is well.
    pub advice: String,
    /// What it tells of the way out of this machine.
    #[serde(skip)]
    pub(super) outside: Outside,
}

/// What a finding tells of the way out of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Outside {
    /// Nothing.
    #[default]
    Nothing,
    /// Something outside answered.
    Answered,
    /// A connection outside was tried, and nobody answered.
    Silent,
    /// A name was looked up in vain. It may be the name's fault.
    NoName,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing has to be mended.
    pub ok: bool,
    /// The same in a sentence.
    pub verdict: String,
    /// One entry for each thing, in the order of their groups.
    pub findings: Vec<Finding>,
}

impl Finding {
    pub(super) fn fine(about: &'static str, found: impl Into<String>) -> Self {
        Self::new(about, Level::Ok, found.into(), "", "")
    }

    pub(super) fn advice(about: &'static str, found: impl Into<String>, meaning: &str, advice: &str) -> Self {
        Self::new(about, Level::Advice, found.into(), meaning, advice)
    }

    pub(super) fn unknown(
        about: &'static str,
        found: impl Into<String>,
        meaning: &str,
        advice: &str,
    ) -> Self {
        Self::new(about, Level::Unknown, found.into(), meaning, advice)
    }

    pub(super) fn wrong(about: &'static str, found: impl Into<String>, meaning: &str, advice: &str) -> Self {
        Self::new(about, Level::Mend, found.into(), meaning, advice)
    }

    fn new(about: &'static str, level: Level, found: String, meaning: &str, advice: &str) -> Self {
        Self {
            // Whoever asked knows better.
            group: Group::Settings,
            about,
            level,
            fine: level != Level::Mend,
            found,
            meaning: meaning.to_owned(),
            advice: advice.to_owned(),
            outside: Outside::Nothing,
        }
    }

    /// The same, which tells something of the way out.
    pub(super) const fn with_outside(mut self, outside: Outside) -> Self {
        self.outside = outside;
        self
    }

    pub(super) const fn in_group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }
}

impl Report {
    /// Of these findings. Where nothing outside answers at all, that is said once in place of everything that follows from
    /// it; `has_route` is whether the system knows any way out.
    pub(super) fn of(mut findings: Vec<Finding>, has_route: bool) -> Self {
        let any = |outside| findings.iter().any(|finding| finding.outside == outside);
        if any(Outside::Silent) && !any(Outside::Answered) {
            let (kept, lost): (Vec<_>, Vec<_>) = findings
                .into_iter()
                .partition(|finding| !matches!(finding.outside, Outside::Silent | Outside::NoName));
            findings = kept;
            findings.push(no_network(&lost, has_route));
        }
        findings.sort_by_key(|finding| finding.group);
        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        let (mend, advice, unknown) = (count(Level::Mend), count(Level::Advice), count(Level::Unknown));
        Self { ok: mend == 0, verdict: verdict(mend, advice, unknown), findings }
    }

    /// Whether nothing has to be mended.
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        self.ok
    }
}

fn no_network(lost: &[Finding], has_route: bool) -> Finding {
    let mut about: Vec<&str> = lost.iter().map(|finding| finding.about).collect();
    about.sort_unstable();
    about.dedup();
    let not_looked_at = format!("not looked at for this reason: {}", about.join(", "));
    let (found, advice) = if has_route {
        (
            "nothing outside this machine answers",
            "see that a firewall or the provider lets this machine connect to others (outgoing TCP, and DNS), then run doctor again",
        )
    } else {
        (
            "this machine has no network: the system knows no way out",
            "give it a network (`ip route` shows none that leads out), then run doctor again",
        )
    };
    let meaning = "Telegram cannot be reached, so that nobody is served";
    Finding::wrong("network", format!("{found} ({not_looked_at})"), meaning, advice).in_group(Group::Network)
}

fn verdict(mend: usize, advice: usize, unknown: usize) -> String {
    let mut verdict = match mend {
        0 => "All is well".to_owned(),
        1 => "One thing to mend".to_owned(),
        n => format!("{n} things to mend"),
    };
    match advice {
        0 => {}
        1 => verdict.push_str(", one piece of advice"),
        n => verdict.push_str(&format!(", {n} pieces of advice")),
    }
    match unknown {
        0 => {}
        1 => verdict.push_str(", one thing could not be looked at"),
        n => verdict.push_str(&format!(", {n} things could not be looked at")),
    }
    verdict.push('.');
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(about: &'static str) -> Finding {
        Finding::wrong(about, "x", "y", "z").with_outside(Outside::Silent)
    }

    #[test]
    fn no_network_is_said_once() {
        let inside = || Finding::wrong("memory", "x", "y", "z").in_group(Group::Machine);
        let name = || Finding::wrong("dns", "x", "y", "z").with_outside(Outside::NoName);
        let about = |report: &Report| report.findings.iter().map(|f| f.about).collect::<Vec<_>>();

        let report = Report::of(vec![silent("telegram"), silent("clock"), name(), inside()], false);
        assert_eq!(about(&report), ["memory", "network"]);
        assert!(report.findings[1].found.contains("no network"), "{report:?}");
        assert!(report.findings[1].found.contains("clock, dns, telegram"), "{report:?}");
        assert_eq!((report.ok, report.verdict.as_str()), (false, "2 things to mend."));
        let report = Report::of(vec![silent("telegram")], true);
        assert!(report.findings[0].found.contains("nothing outside"), "{report:?}");

        // One answer shows that there is a network; a name alone shows nothing.
        let answered = Finding::fine("clock", "x").with_outside(Outside::Answered);
        assert_eq!(Report::of(vec![silent("telegram"), answered, name()], true).findings.len(), 3);
        assert_eq!(about(&Report::of(vec![name(), inside()], true)), ["dns", "memory"]);
    }

    #[test]
    fn the_verdict_counts() {
        let advice = || Finding::advice("kernel", "x", "y", "z");
        let unknown = || Finding::unknown("ports", "x", "y", "z");
        let verdict = |findings| Report::of(findings, true).verdict;
        assert_eq!(verdict(vec![]), "All is well.");
        assert_eq!(verdict(vec![advice()]), "All is well, one piece of advice.");
        assert_eq!(
            verdict(vec![advice(), advice(), unknown(), silent("x")]),
            "One thing to mend, 2 pieces of advice, one thing could not be looked at."
        );
        assert!(Report::of(vec![advice(), unknown()], true).is_fine());
    }
}
