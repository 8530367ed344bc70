//! The reference of metrics.

use std::fmt::Write as _;

use teleferry::admin::metrics::{MAX_ENDPOINTS, METRICS, Metric, NOT_FILLED, SEED_METRICS};

/// Every metric, and what the Erlang proxy calls it.
pub(super) fn page() -> String {
    let mut page = INTRODUCTION.replace("MAX_ENDPOINTS", &MAX_ENDPOINTS.to_string());
    page.push_str("| Name | Type | Labels | Meaning | The seed's name |\n|---|---|---|---|---|\n");
    for metric in METRICS {
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            metric.sample_name(),
            metric.kind.name(),
            labels(metric),
            metric.meaning,
            names(&seeds_of(metric))
        );
    }
    page.push_str(SEED_INTRODUCTION);
    page.push_str("| Name | Type | Labels | What it is |\n|---|---|---|---|\n");
    for metric in SEED_METRICS {
        let kind = metric.kind.name();
        let _ = writeln!(
            page,
            "| `{}` | {kind} | {} | {} |",
            metric.sample_name(),
            labels(metric),
            metric.meaning
        );
    }
    page.push_str("\nThese of its names are not exported:\n\n");
    for (name, why) in NOT_FILLED {
        let _ = writeln!(page, "- `mtproto_proxy_{name}`: {why}");
    }
    page
}

/// The names that the seed has for this metric.
fn seeds_of(metric: &Metric) -> Vec<String> {
    let own = metric.sample_name();
    let is_it = |seed: &&Metric| {
        let (first, _) = seed.meaning.split_once([',', ' ']).unwrap_or((seed.meaning, ""));
        first == own
    };
    SEED_METRICS.iter().filter(is_it).map(Metric::sample_name).collect()
}

fn labels(metric: &Metric) -> String {
    names(metric.labels)
}

fn names<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    quoted.join(", ")
}

const INTRODUCTION: &str = "\
<!-- Written by `cargo xtask generate`; do not edit. -->

# Metrics

With `admin.http` set, `GET /metrics` gives these in the text format of Prometheus. Times are in seconds and sizes in
bytes. A sample that has never happened may be missing: use `or vector(0)` where that matters.

How many series there can be is bounded: listeners are configured, reasons and protocols are closed lists, at most 65
data centres are counted apart (`dc=\"0\"` is all others), and at most MAX_ENDPOINTS middle proxies are told.

";

const SEED_INTRODUCTION: &str = "
## The seed's names

With `admin.seed_metric_names = true` the numbers are also there under the names of the Erlang proxy, for dashboards
that were made for it. *Upstream* means clients there, and *downstream* Telegram.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_seed_is_one_of_ours() {
        let found: usize = METRICS.iter().map(|metric| seeds_of(metric).len()).sum();
        assert_eq!(found, SEED_METRICS.len(), "each leads to one of our metrics");
    }
}
