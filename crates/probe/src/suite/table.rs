//! What a run has found, for people.

use std::time::Duration;

use super::Verdict;
use crate::tell;

/// One line a probe, and the sum.
pub(super) fn print(verdicts: &[Verdict], took: Duration) {
    let width = verdicts.iter().map(|verdict| verdict.name.len()).max().unwrap_or(0);
    for verdict in verdicts {
        tell(&line(verdict, width));
    }
    let equal = verdicts.iter().filter(|verdict| verdict.differences.is_empty()).count();
    tell(&format!("\n{equal} of {} probes equal; {:.0} s", verdicts.len(), took.as_secs_f64()));
}

fn line(verdict: &Verdict, width: usize) -> String {
    let name = verdict.name;
    match verdict.differences.first() {
        None => format!("{name:width$}  equal    {}", verdict.site),
        Some(first) => {
            format!("{name:width$}  DIFFERS  ({} of {}) {first}", verdict.differences.len(), verdict.played)
        }
    }
}
