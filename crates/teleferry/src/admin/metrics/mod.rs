//! Metrics in the text format of Prometheus (OpenMetrics), read from the running server when they are scraped.
//!
//! One [table](METRICS) holds every name. Cardinality is bounded: listeners are configured, reasons are closed lists, data
//! centres are at most 65, and middle proxies at most [`MAX_ENDPOINTS`].

mod seed;
mod table;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

pub use seed::{NOT_FILLED, SEED_METRICS};
pub use table::METRICS;

use crate::observe::Spread;
use crate::reading::{Observer, Reading};

/// Middle proxies that have numbers of their own; further ones are left out.
pub const MAX_ENDPOINTS: usize = 256;

/// The content type of what [`scrape`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A metric: how it is called, and where it comes from.
pub struct Metric {
    /// Its whole name without the `_total` of counters.
    pub name: &'static str,
    /// What can be done with it.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, a sentence without a full stop.
    pub meaning: &'static str,
    /// Every value that there is now.
    read: fn(&Reading) -> Vec<Sample>,
}

/// What can be done with a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its samples end in `_total`.
    Counter,
    /// The same without that ending, as the seed calls some of its own.
    PlainCounter,
    /// It goes up and down.
    Gauge,
    /// Values by size.
    Histogram,
}

/// A value with the values of the labels, in the order of their names.
struct Sample {
    labels: Vec<String>,
    value: Value,
}

enum Value {
    Whole(u64),
    Real(f64),
    Spread(Spread),
}

/// Every metric, as text; with the seed's names too when they are asked for.
#[must_use]
pub fn scrape(observer: &Observer) -> String {
    let seed = observer.snapshot().admin.seed_metric_names;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { reading: observer.read(), seed }));
    let mut text = String::new();
    // Writing to a string cannot fail, and nothing else of it can.
    let _ = encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Scrape {
    reading: Reading,
    seed: bool,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seed: &[Metric] = if self.seed { SEED_METRICS } else { &[] };
        METRICS.iter().chain(seed).try_for_each(|metric| metric.encode(&self.reading, &mut encoder))
    }
}

impl Metric {
    /// Its name as it stands in front of a sample, and so in queries; histograms have more than this one.
    #[must_use]
    pub fn sample_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::PlainCounter | Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }

    fn encode(&self, reading: &Reading, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let samples = (self.read)(reading);
        if samples.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(self.name, self.meaning, None, self.kind.into())?;
        for Sample { labels, value } in samples {
            let pairs: Vec<(&str, String)> = self.labels.iter().copied().zip(labels).collect();
            if pairs.is_empty() {
                self.encode_value(&value, &mut family)?;
            } else {
                self.encode_value(&value, &mut family.encode_family(&pairs)?)?;
            }
        }
        Ok(())
    }

    fn encode_value(&self, value: &Value, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match (self.kind, value) {
            (Kind::Counter, Value::Whole(n)) => encoder.encode_counter(n, NO_EXEMPLAR),
            (Kind::Counter, Value::Real(x)) => encoder.encode_counter(x, NO_REAL_EXEMPLAR),
            (_, Value::Whole(n)) => encoder.encode_gauge(n),
            (_, Value::Real(x)) => encoder.encode_gauge(x),
            (_, Value::Spread(spread)) => {
                encoder.encode_histogram::<NoLabelSet>(spread.sum, spread.count(), &spread.buckets, None)
            }
        }
    }
}

const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, u64>> = None;
const NO_REAL_EXEMPLAR: Option<&Exemplar<NoLabelSet, f64>> = None;

impl From<Kind> for MetricType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::PlainCounter => Self::Unknown,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
        }
    }
}

impl Kind {
    /// Its name in the documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter | Self::PlainCounter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metric").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A value without labels.
fn one(n: u64) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value: Value::Whole(n) }]
}

/// The same, if there is one.
fn maybe(value: Option<Value>) -> Vec<Sample> {
    value.map(|value| Sample { labels: Vec::new(), value }).into_iter().collect()
}

/// A value with labels.
fn labelled<const N: usize>(labels: [&str; N], n: u64) -> Sample {
    Sample { labels: labels.map(str::to_owned).into(), value: Value::Whole(n) }
}

/// A histogram with labels.
fn spread<const N: usize>(labels: [&str; N], spread: &Spread) -> Sample {
    Sample { labels: labels.map(str::to_owned).into(), value: Value::Spread(spread.clone()) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_there_once_and_follows_the_conventions() {
        let mut names = HashSet::new();
        for metric in METRICS.iter().chain(SEED_METRICS) {
            assert!(names.insert(metric.name), "{} is there twice", metric.name);
            assert!(!metric.name.ends_with("_total"), "{}", metric.name);
            assert!(!metric.meaning.ends_with('.'), "{}", metric.name);
        }
        for metric in METRICS {
            assert!(
                metric.name.starts_with("teleferry_") || metric.name.starts_with("process_"),
                "{}",
                metric.name
            );
        }
        assert!(SEED_METRICS.iter().all(|metric| metric.name.starts_with("mtproto_proxy_")));
    }
}
