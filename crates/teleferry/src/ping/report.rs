//! What a whole run comes to: by data centre, and by protocol with the reasons of what failed.

use std::time::Duration;

use serde::Serialize;
use teleferry_proto::dc::DcId;

use super::args::Protocol;
use super::meaning::{Evidence, meaning};
use super::probe::{Probe, Times};

/// The summary of a run; printed as tables or JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Every exchange was answered.
    pub(super) ok: bool,
    /// One row a data centre, in the order of the run; over all protocols.
    pub(super) by_dc: Vec<DcRow>,
    /// One row a protocol, in the order of the run.
    pub(super) by_protocol: Vec<ProtocolRow>,
}

/// The answered exchanges with one data centre.
#[derive(Debug, Serialize)]
pub(super) struct DcRow {
    pub(super) dc: i16,
    pub(super) asked: usize,
    pub(super) answered: usize,
    /// Averages; `None` when there is nothing to average.
    pub(super) tcp_ms: Option<f64>,
    pub(super) handshake_ms: Option<f64>,
    pub(super) ping_ms: Option<f64>,
    pub(super) total_ms: Option<f64>,
    /// How the total was distributed.
    pub(super) total: Option<Spread>,
}

/// The distribution of some times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) min_ms: f64,
    pub(super) median_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) max_ms: f64,
}

/// The exchanges through one protocol.
#[derive(Debug, Serialize)]
pub(super) struct ProtocolRow {
    pub(super) protocol: &'static str,
    pub(super) asked: usize,
    pub(super) answered: usize,
    pub(super) reasons: Vec<Reason>,
}

/// One kind of failure of one protocol.
#[derive(Debug, Serialize)]
pub(super) struct Reason {
    pub(super) code: &'static str,
    /// What was seen.
    pub(super) message: String,
    /// What it means, and what to do.
    pub(super) meaning: &'static str,
    pub(super) count: usize,
    /// The data centres that it happened with.
    pub(super) dcs: Vec<i16>,
}

impl Report {
    /// Sums up a run.
    pub(super) fn of(probes: &[Probe]) -> Self {
        let secret_known = probes.iter().any(|probe| match probe.result {
            Ok(()) => true,
            Err(failure) => failure.shows_secret(),
        });
        let dcs = distinct(probes.iter().map(|probe| probe.pair.dc));
        let protocols = distinct(probes.iter().map(|probe| probe.pair.protocol));
        Self {
            ok: probes.iter().all(|probe| probe.result.is_ok()),
            by_dc: dcs.into_iter().map(|dc| dc_row(probes, dc)).collect(),
            by_protocol: protocols
                .into_iter()
                .map(|protocol| protocol_row(probes, protocol, secret_known))
                .collect(),
        }
    }
}

fn dc_row(probes: &[Probe], dc: DcId) -> DcRow {
    let asked: Vec<_> = probes.iter().filter(|probe| probe.pair.dc == dc).collect();
    let answered: Vec<Times> =
        asked.iter().filter(|probe| probe.result.is_ok()).map(|probe| probe.times).collect();
    let of = |stage: fn(&Times) -> Option<Duration>| average(answered.iter().filter_map(stage));
    DcRow {
        dc: dc.get(),
        asked: asked.len(),
        answered: answered.len(),
        tcp_ms: of(|times| times.tcp),
        handshake_ms: of(|times| times.handshake),
        ping_ms: of(|times| times.ping),
        total_ms: of(|times| times.total),
        total: spread(answered.iter().filter_map(|times| times.total).collect()),
    }
}

fn protocol_row(probes: &[Probe], protocol: Protocol, secret_known: bool) -> ProtocolRow {
    let asked: Vec<_> = probes.iter().filter(|probe| probe.pair.protocol == protocol).collect();
    let answered = asked.iter().filter(|probe| probe.result.is_ok()).count();
    let evidence = Evidence { protocol_works: answered > 0, secret_known };
    let failures = |probe: &&Probe| probe.result.err().map(|failure| (failure, probe.pair.dc));
    let reasons = distinct(asked.iter().filter_map(failures).map(|(failure, _)| failure))
        .into_iter()
        .map(|failure| {
            let same = || asked.iter().filter_map(failures).filter(|(other, _)| *other == failure);
            Reason {
                code: failure.code(),
                message: failure.to_string(),
                meaning: meaning(failure, evidence),
                count: same().count(),
                dcs: distinct(same().map(|(_, dc)| dc.get())),
            }
        })
        .collect();
    ProtocolRow { protocol: protocol.name(), asked: asked.len(), answered, reasons }
}

/// A time in milliseconds, to the microsecond.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

fn average(times: impl Iterator<Item = Duration>) -> Option<f64> {
    let (count, sum) = times.fold((0_u32, Duration::ZERO), |(count, sum), time| (count + 1, sum + time));
    sum.checked_div(count).map(ms)
}

/// The percentiles are times that occurred (nearest rank).
fn spread(mut times: Vec<Duration>) -> Option<Spread> {
    times.sort_unstable();
    let rank =
        |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied().map(ms);
    Some(Spread { min_ms: rank(0)?, median_ms: rank(50)?, p90_ms: rank(90)?, max_ms: rank(100)? })
}

/// Each value once, in the order of its first occurrence.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.fold(Vec::new(), |mut seen, value| {
        if !seen.contains(&value) {
            seen.push(value);
        }
        seen
    })
}

#[cfg(test)]
mod tests {
    use super::super::failure::Failure;
    use super::super::probe::Pair;
    use super::*;

    fn probe(protocol: Protocol, dc: i16, result: Result<u64, Failure>) -> Probe {
        let times = result.map_or_else(
            |_| Times::default(),
            |ms| Times { total: Some(Duration::from_millis(ms)), ..Times::default() },
        );
        let pair = Pair { protocol, dc: DcId::new(dc), attempt: 1 };
        Probe { pair, address: None, times, result: result.map(drop) }
    }

    #[test]
    fn percentiles_are_times_that_occurred() {
        let times = |list: &[u64]| list.iter().copied().map(Duration::from_millis).collect();
        assert_eq!(spread(times(&[])), None);
        let one = spread(times(&[7])).expect("one");
        assert_eq!((one.min_ms, one.median_ms, one.p90_ms, one.max_ms), (7.0, 7.0, 7.0, 7.0));
        let ten = spread(times(&[10, 1, 2, 3, 4, 5, 6, 7, 8, 9])).expect("ten");
        assert_eq!((ten.min_ms, ten.median_ms, ten.p90_ms, ten.max_ms), (1.0, 5.0, 9.0, 10.0));
    }

    #[test]
    fn rows_count_and_average_what_was_answered() {
        let report = Report::of(&[
            probe(Protocol::Tls, 2, Ok(10)),
            probe(Protocol::Tls, 4, Err(Failure::SilentDc)),
            probe(Protocol::Tls, 2, Ok(20)),
            probe(Protocol::Tls, 4, Err(Failure::ClosedDc)),
            probe(Protocol::Tls, 4, Err(Failure::SilentDc)),
        ]);
        assert!(!report.ok);
        let [two, four] = report.by_dc.as_slice() else { panic!("{report:?}") };
        assert_eq!((two.asked, two.answered, two.total_ms), (2, 2, Some(15.0)));
        assert_eq!((four.asked, four.answered, four.total_ms, four.total), (3, 0, None, None));
        let [tls] = report.by_protocol.as_slice() else { panic!("{report:?}") };
        assert_eq!((tls.asked, tls.answered), (5, 2));
        let reasons: Vec<_> =
            tls.reasons.iter().map(|reason| (reason.code, reason.count, &reason.dcs[..])).collect();
        assert_eq!(reasons, [("dc_silent", 2, [4].as_slice()), ("dc_closed", 1, &[4])]);
    }

    #[test]
    fn what_one_protocol_shows_helps_to_read_another() {
        let meaning = |probes: &[Probe]| {
            let report = Report::of(probes);
            report.by_protocol.last().expect("a protocol").reasons[0].meaning
        };
        let silent = || probe(Protocol::Classic, 1, Err(Failure::SilentOpen));
        assert!(meaning(&[silent()]).contains("secret is wrong"));
        // A dead data centre behind a proven handshake still shows the secret.
        assert!(
            meaning(&[probe(Protocol::Tls, 2, Err(Failure::SilentDc)), silent()]).contains("secret is right")
        );
        assert!(
            meaning(&[probe(Protocol::Classic, 2, Ok(1)), silent()])
                .contains("does not reach this data centre")
        );
    }
}
