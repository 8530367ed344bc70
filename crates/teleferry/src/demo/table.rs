//! What came of each client, as a table: a row a data centre, a column a protocol.

use std::io::{self, Write};

use teleferry_sim::client::Protocol;

use super::trial::{Outcome, Trial, name};

/// The live table.
pub(super) struct Table {
    cells: Vec<(Trial, Outcome)>,
    /// Drawn again in place after each change; else drawn once, at the end.
    live: bool,
    /// Lines above the cursor that are the table's.
    drawn: usize,
}

impl Table {
    pub(super) fn new(trials: &[Trial], live: bool) -> Self {
        let cells = trials.iter().map(|trial| (*trial, Outcome::Pending)).collect();
        Self { cells, live, drawn: 0 }
    }

    pub(super) fn set(&mut self, trial: &Trial, outcome: Outcome) {
        if let Some((_, cell)) = self.cells.iter_mut().find(|(found, _)| found == trial) {
            *cell = outcome;
        }
    }

    /// Draws it anew over what it was, on a terminal.
    pub(super) fn draw(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.live { self.draw_now(out) } else { Ok(()) }
    }

    /// The last state.
    pub(super) fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !self.live {
            self.draw_now(out)?;
        }
        writeln!(out)
    }

    fn draw_now(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.drawn > 0 {
            // Up to the table's first line.
            write!(out, "\x1b[{}A", self.drawn)?;
        }
        let lines = self.lines();
        for line in &lines {
            writeln!(out, "{line}")?;
        }
        self.drawn = lines.len();
        out.flush()
    }

    fn lines(&self) -> Vec<String> {
        let mut heading = format!("{:<9}", "DC");
        for protocol in Protocol::ALL {
            heading.push_str(&format!("{:>21}", name(protocol)));
        }
        let mut lines = vec![heading];
        for dc in self.rows() {
            let mut line = format!("{dc:<9}");
            for protocol in Protocol::ALL {
                line.push_str(&format!("{:>21}", self.cell(&Trial { protocol, dc })));
            }
            lines.push(line);
        }
        lines
    }

    /// The data centres, as the first protocol has them.
    fn rows(&self) -> Vec<i16> {
        let first = self.cells.first().map(|(trial, _)| trial.protocol);
        let of_first = self.cells.iter().filter(|(trial, _)| Some(trial.protocol) == first);
        of_first.map(|(trial, _)| trial.dc).collect()
    }

    fn cell(&self, trial: &Trial) -> String {
        match self.cells.iter().find(|(found, _)| found == trial) {
            Some((_, Outcome::Passed(time))) => format!("ok {:.1}", time.as_secs_f64() * 1000.0),
            Some((_, Outcome::Failed(_))) => "FAILED".to_owned(),
            Some((_, Outcome::Pending)) | None => "...".to_owned(),
        }
    }

    pub(super) const fn trials(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn passed(&self) -> usize {
        self.cells.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Passed(_))).count()
    }

    pub(super) fn failures(&self) -> impl Iterator<Item = (&Trial, &str)> {
        self.cells.iter().filter_map(|(trial, outcome)| match outcome {
            Outcome::Failed(reason) => Some((trial, reason.as_str())),
            Outcome::Passed(_) | Outcome::Pending => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_terminal_sees_every_change_in_place_and_a_file_the_end_only() {
        let trials = Trial::all(&crate::demo::trial::DCS);
        for live in [true, false] {
            let mut table = Table::new(&trials, live);
            let mut out = Vec::new();
            table.draw(&mut out).expect("drawn");
            table.set(&trials[0], Outcome::Passed(Duration::from_micros(1500)));
            table.draw(&mut out).expect("drawn");
            table.set(&trials[1], Outcome::Failed("echo: nothing came".to_owned()));
            table.draw(&mut out).expect("drawn");
            table.finish(&mut out).expect("drawn");
            let text = String::from_utf8(out).expect("text");
            assert_eq!(text.matches("DC  ").count(), if live { 3 } else { 1 });
            assert_eq!(text.matches("\x1b[15A").count(), if live { 2 } else { 0 });
            assert!(text.contains("ok 1.5") && text.contains("FAILED") && text.contains("..."));
            assert_eq!(table.passed(), 1);
            assert_eq!(table.failures().collect::<Vec<_>>(), [(&trials[1], "echo: nothing came")]);
        }
    }
}
