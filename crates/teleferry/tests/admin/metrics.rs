//! What is measured is what happened.

use std::collections::BTreeMap;

use teleferry::admin::metrics::{METRICS, SEED_METRICS};
use teleferry_sim::client::{Client, Options, Protocol};

use crate::common::{key, soon, telegram};
use crate::program::Program;

/// Every sample by its name with labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

/// Asks until the samples fulfil a condition, and gives them.
async fn counted(
    program: &Program,
    condition: impl Fn(&BTreeMap<String, f64>) -> bool,
) -> BTreeMap<String, f64> {
    loop {
        let samples = samples(&program.get("/metrics").body);
        if condition(&samples) {
            return samples;
        }
        tokio::task::yield_now().await;
    }
}

/// The names of all families, as they are declared.
fn families(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[tokio::test]
async fn what_clients_do_is_counted() {
    let telegram = telegram();
    let program = Program::start(&telegram.addresses(), "http = \"127.0.0.1:0\"");
    let mut client = soon(Client::connect(program.address, &Options::new(Protocol::FakeTls, Some(key()))))
        .await
        .expect("in");
    soon(client.echo(vec![7; 5000])).await.expect("echo");

    // Shards count a moment after the client sees the effect.
    let echoed = "teleferry_dc_received_bytes_total{dc=\"2\"}";
    let samples = soon(counted(&program, |samples| samples.get(echoed).is_some_and(|&n| n > 5000.0))).await;
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name} in {samples:#?}"));
    assert_eq!(value("teleferry_connections_total{listener=\"main\"}"), 1.0);
    assert_eq!(value("teleferry_clients_total{listener=\"main\",protocol=\"tls\"}"), 1.0);
    assert_eq!(value("teleferry_dc_sessions_open{dc=\"2\"}"), 1.0);
    assert_eq!(value("teleferry_dc_connections_total{dc=\"2\"}"), 1.0);
    for name in ["received_bytes_total", "sent_bytes_total"] {
        assert!(value(&format!("teleferry_dc_{name}{{dc=\"2\"}}")) > 5000.0, "{name}");
        assert!(value(&format!("teleferry_client_{name}{{listener=\"main\"}}")) > 5000.0, "{name}");
    }
    for stage in ["verdict", "answer", "relay"] {
        let count = value(&format!("teleferry_handshake_stage_seconds_count{{stage=\"{stage}\"}}"));
        assert_eq!(count, 1.0, "{stage}");
    }
    assert!(value("process_resident_memory_bytes") > 1_000_000.0);
    assert!(value("teleferry_read_bytes_count{side=\"client\"}") >= 1.0);
    let response = program.get("/metrics");
    assert_eq!(response.status, 200);
    assert!(response.head.contains("content-type: application/openmetrics-text"), "{}", response.head);
    assert!(response.body.ends_with("# EOF\n"));
    let known: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    for family in families(&response.body) {
        assert!(known.contains(&family), "{family} is in the table");
    }

    drop(client);
    let lifetime = "teleferry_session_lifetime_seconds_count{listener=\"main\"}";
    soon(counted(&program, |samples| samples[lifetime] == 1.0)).await;
}

#[tokio::test]
async fn the_seeds_names_are_there_when_they_are_asked_for() {
    let telegram = telegram();
    let admin = "http = \"127.0.0.1:0\"\nseed_metric_names = true";
    let program = Program::start(&telegram.addresses(), admin);
    let mut client = soon(Client::connect(program.address, &Options::new(Protocol::Padded, Some(key()))))
        .await
        .expect("in");
    soon(client.echo(vec![7; 64])).await.expect("echo");
    let sent = "mtproto_proxy_received_upstream_bytes{listener=\"main\"}";
    let samples = soon(counted(&program, |samples| samples.get(sent).is_some_and(|&n| n > 64.0))).await;
    let body = program.get("/metrics").body;
    assert_eq!(samples["mtproto_proxy_in_connection_total{listener=\"main\"}"], 1.0);
    assert!(samples["mtproto_proxy_sent_downstream_bytes{dc_id=\"2\"}"] > 64.0);
    assert_eq!(samples["mtproto_proxy_connections_count{listener=\"main\"}"], 1.0);
    let families = families(&body);
    let unknown: Vec<_> = families
        .iter()
        .filter(|family| !METRICS.iter().chain(SEED_METRICS).any(|metric| metric.name == **family))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
