//! The dashboard and the alert rules speak of metrics that there are.

use std::collections::BTreeSet;

use serde_json::Value;
use teleferry::admin::metrics::{Kind, METRICS, SEED_METRICS};

use crate::root;

fn file(name: &str) -> String {
    std::fs::read_to_string(root().join("packaging/monitoring").join(name)).expect("the file")
}

/// Every name that a query may use.
fn known() -> BTreeSet<String> {
    let of_metric = |metric: &teleferry::admin::metrics::Metric| match metric.kind {
        Kind::Histogram => ["bucket", "count", "sum"].map(|part| format!("{}_{part}", metric.name)).to_vec(),
        _ => vec![metric.sample_name()],
    };
    METRICS.iter().chain(SEED_METRICS).flat_map(of_metric).collect()
}

/// The names of metrics in a query: ours, the process's and the seed's.
fn names(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| {
        ["teleferry_", "process_", "mtproto_proxy_"].iter().any(|prefix| word.starts_with(prefix))
    })
}

fn assert_known(queries: &[String]) {
    let known = known();
    for query in queries {
        let mut found = names(query).peekable();
        assert!(found.peek().is_some() || query.starts_with("up{"), "{query} asks for nothing of ours");
        for name in found {
            assert!(known.contains(name), "{name} in {query}");
        }
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(&file("teleferry-dashboard.json")).expect("JSON");
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            queries.push(target["expr"].as_str().expect("a query").to_owned());
        }
    }
    assert!(queries.len() > 15, "they are found");
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        queries.extend(variable["query"]["query"].as_str().map(str::to_owned));
    }
    assert_known(&queries);
}

#[test]
fn the_alerts_ask_for_metrics_that_there_are() {
    let rules = file("teleferry-alerts.yml");
    let queries: Vec<String> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned).collect();
    assert_eq!(queries.len(), rules.matches("- alert: ").count(), "each has one, on one line");
    assert_known(&queries);
}
