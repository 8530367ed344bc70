//! The report for people.

use std::fmt::Write as _;

use super::finding::{Finding, Group, Level, Report};

impl Report {
    /// The report for people, in groups, the verdict last.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut group = None;
        for finding in &self.findings {
            if group != Some(finding.group) {
                let gap = if group.is_some() { "\n" } else { "" };
                // Writing to a string cannot fail, here and below.
                let _ = writeln!(text, "{gap}{}", title(finding.group));
                group = Some(finding.group);
            }
            write(finding, &mut text);
        }
        let _ = writeln!(text, "\n{}", self.verdict);
        text
    }
}

fn write(Finding { about, level, found, meaning, advice, .. }: &Finding, text: &mut String) {
    let _ = writeln!(text, "  {} {about}: {found}", mark(*level));
    for (what, said) in [("what it means", meaning), ("what to do", advice)] {
        if !said.is_empty() {
            let _ = writeln!(text, "         {what}: {said}");
        }
    }
}

const fn title(group: Group) -> &'static str {
    match group {
        Group::Settings => "Settings",
        Group::Process => "Process and ports",
        Group::Machine => "This machine",
        Group::Network => "Names and addresses",
        Group::Halves => "Front and back",
        Group::Telegram => "Telegram",
        Group::Cover => "Cover site",
    }
}

/// All of one width.
const fn mark(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok    ",
        Level::Advice => "advice",
        Level::Unknown => "?     ",
        Level::Mend => "MEND  ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_under_their_group_and_the_verdict_last() {
        let findings = vec![
            Finding::wrong("clock", "it is late", "they are refused", "set it").in_group(Group::Telegram),
            Finding::fine("memory", "it is enough").in_group(Group::Machine),
        ];
        let expected = "This machine\n  ok     memory: it is enough\n\nTelegram\n  MEND   clock: it is late\n         what it means: they are refused\n         what to do: set it\n\nOne thing to mend.\n";
        assert_eq!(Report::of(findings, true).text(), expected);
    }
}
