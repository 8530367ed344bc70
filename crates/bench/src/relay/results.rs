//! The figures of a run.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::subjects::REFERENCE;
use crate::stats::{Summary, ratios};

/// What is compared with the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// CPU seconds per GiB from the data centre.
    Down,
    /// CPU seconds per GiB from clients.
    Up,
    /// CPU microseconds per echo.
    Echo,
    /// CPU microseconds per new client.
    New,
    /// Microseconds until the echo is back, at this many clients.
    Latency { clients: usize, percent: u8 },
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    /// By figure and subject: one value a round.
    figures: BTreeMap<Metric, Vec<(&'static str, Vec<f64>)>>,
    pub(crate) memory: Option<Memory>,
    /// The same of a proxy that goes over a middle proxy.
    pub(crate) memory_over_middle: Option<Memory>,
    /// What sessions need in a proxy of two halves.
    pub(crate) sessions: Option<Sessions>,
    pub(crate) fairness: Fairness,
    /// From the start of the process until it listens, in milliseconds.
    pub(crate) start_ms: Vec<f64>,
}

/// Memory of the proxy, in bytes of proportional share.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    /// Without any client.
    pub(crate) bare: u64,
    pub(crate) idle: Vec<Idle>,
    /// More than at the start, when all clients have left.
    pub(crate) left_behind: u64,
}

/// What each of many idle clients needs.
#[derive(Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) clients: usize,
    pub(crate) bytes_per_client: f64,
    /// Links to the middle proxy that carry them; `None` in direct mode.
    pub(crate) links: Option<usize>,
}

/// Many idle sessions through a front and a back.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sessions {
    pub(crate) sessions: usize,
    /// Connections between the two that carry them.
    pub(crate) connections: usize,
    /// What one needs at the front.
    pub(crate) front_bytes: f64,
    /// What one needs at the back.
    pub(crate) back_bytes: f64,
}

/// What the neighbours of one client at full speed notice.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Fairness {
    /// Whether everything that was measured ran before everything else on the machine.
    pub(crate) real_time: bool,
    pub(crate) rounds: Vec<FairnessRound>,
}

/// The same in one round.
#[derive(Debug, Serialize)]
pub(crate) struct FairnessRound {
    /// The p99 of their echoes with nobody beside them, in microseconds.
    pub(crate) alone_us: f64,
    /// Beside a download.
    pub(crate) down: Beside,
    /// Beside an upload.
    pub(crate) up: Beside,
}

/// Echoes beside bulk.
#[derive(Debug, Serialize)]
pub(crate) struct Beside {
    /// Their p99 in microseconds.
    pub(crate) p99_us: f64,
    /// How fast the bulk went.
    pub(crate) mib_per_second: f64,
    /// The part of its processor that the relay used.
    pub(crate) busy: f64,
}

/// One subject's line of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    pub(crate) subject: &'static str,
    pub(crate) absolute: Summary,
    /// Of each round to the reference of the same round.
    pub(crate) ratio: Summary,
}

impl Results {
    /// Notes what a round gave.
    pub(crate) fn add(&mut self, metric: Metric, subject: &'static str, value: f64) {
        let rows = self.figures.entry(metric).or_default();
        match rows.iter_mut().find(|(name, _)| *name == subject) {
            Some((_, values)) => values.push(value),
            None => rows.push((subject, vec![value])),
        }
    }

    /// What this gives of two subjects in each round.
    pub(crate) fn compared(
        &self,
        metric: Metric,
        subject: &str,
        other: &str,
        compare: impl Fn(f64, f64) -> f64,
    ) -> Option<Summary> {
        let rows = self.figures.get(&metric)?;
        let values = |subject| rows.iter().find(|(name, _)| *name == subject).map(|(_, values)| values);
        let pairs = values(subject)?.iter().zip(values(other)?);
        Summary::of(&pairs.map(|(subject, other)| compare(*subject, *other)).collect::<Vec<_>>())
    }

    /// What was measured, in order.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = Metric> {
        self.figures.keys().copied()
    }

    /// A figure's lines, in the order of the subjects.
    pub(crate) fn rows(&self, metric: Metric) -> Vec<Row> {
        let rows = self.figures.get(&metric).map(Vec::as_slice).unwrap_or_default();
        let reference = rows.iter().find(|(name, _)| *name == REFERENCE);
        let reference = reference.map(|(_, values)| values.as_slice()).unwrap_or_default();
        rows.iter()
            .filter_map(|(subject, values)| {
                Some(Row {
                    subject,
                    absolute: Summary::of(values)?,
                    ratio: Summary::of(&ratios(values, reference))?,
                })
            })
            .collect()
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down => f.write_str("Download, CPU s per GiB"),
            Self::Up => f.write_str("Upload, CPU s per GiB"),
            Self::Echo => f.write_str("Echo of 152 bytes at 50 clients, CPU µs"),
            Self::New => f.write_str("New client, CPU µs"),
            Self::Latency { percent, clients } => {
                write!(f, "Time of an echo, p{percent} in µs; clients: {clients}")
            }
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_compares_within_each_round() {
        let mut results = Results::default();
        for (reference, dd) in [(1.0, 2.0), (2.0, 2.0), (4.0, 2.0)] {
            results.add(Metric::Down, REFERENCE, reference);
            results.add(Metric::Down, "dd", dd);
        }
        let rows = results.rows(Metric::Down);
        assert_eq!(rows[1].subject, "dd");
        assert_eq!(rows[1].absolute, Summary { median: 2.0, min: 2.0, max: 2.0 });
        assert_eq!(rows[1].ratio, Summary { median: 1.0, min: 0.5, max: 2.0 });
        assert!(results.rows(Metric::Up).is_empty());
        let later = results.compared(Metric::Down, "dd", REFERENCE, |dd, reference| dd - reference);
        assert_eq!(later, Some(Summary { median: 0.0, min: -2.0, max: 1.0 }));
        assert_eq!(results.compared(Metric::Down, "dd", "nobody", |dd, _| dd), None);
    }
}
