//! The names that the Erlang proxy gives its metrics, for dashboards that were made for it.

use super::Kind::{Counter, Gauge, Histogram, PlainCounter};
use super::table::{by_name, dcs, link_clients, listeners};
use super::{Metric, Sample, labelled, spread};
use crate::reading::{DcReading, Reading};

/// Those that can truly be filled.
pub const SEED_METRICS: &[Metric] = &[
    Metric {
        name: "mtproto_proxy_in_connection",
        kind: Counter,
        labels: &["listener"],
        meaning: "teleferry_connections_total",
        read: |reading| listeners(reading, |counts| counts.accepted),
    },
    Metric {
        name: "mtproto_proxy_in_connection_closed",
        kind: Counter,
        labels: &["listener"],
        meaning: "teleferry_connections_closed_total, summed",
        read: |reading| listeners(reading, |counts| counts.closed.values().sum()),
    },
    Metric {
        name: "mtproto_proxy_connections_count",
        kind: Gauge,
        labels: &["listener"],
        meaning: "teleferry_connections_open",
        read: |reading| listeners(reading, |counts| counts.open),
    },
    Metric {
        name: "mtproto_proxy_session_lifetime_seconds",
        kind: Histogram,
        labels: &["listener"],
        meaning: "teleferry_session_lifetime_seconds",
        read: |reading| {
            let listeners = reading.listeners.iter();
            listeners.map(|listener| spread([&listener.name], &listener.counts.lifetime)).collect()
        },
    },
    Metric {
        name: "mtproto_proxy_inactive_timeout",
        kind: Counter,
        labels: &["listener"],
        meaning: "teleferry_connections_closed_total with the reason idle",
        read: |reading| listeners(reading, |counts| counts.closed.get("client:idle").copied().unwrap_or(0)),
    },
    Metric {
        name: "mtproto_proxy_received_downstream_bytes",
        kind: PlainCounter,
        labels: &["dc_id"],
        meaning: "teleferry_dc_received_bytes_total",
        read: |reading| dcs(reading, |dc| dc.received),
    },
    Metric {
        name: "mtproto_proxy_sent_downstream_bytes",
        kind: PlainCounter,
        labels: &["dc_id"],
        meaning: "teleferry_dc_sent_bytes_total",
        read: |reading| dcs(reading, |dc| dc.sent),
    },
    Metric {
        name: "mtproto_proxy_received_upstream_bytes",
        kind: PlainCounter,
        labels: &["listener"],
        meaning: "teleferry_client_received_bytes_total",
        read: |reading| listeners(reading, |counts| counts.from_client),
    },
    Metric {
        name: "mtproto_proxy_sent_upstream_bytes",
        kind: PlainCounter,
        labels: &["listener"],
        meaning: "teleferry_client_sent_bytes_total",
        read: |reading| listeners(reading, |counts| counts.to_client),
    },
    Metric {
        name: "mtproto_proxy_tracker_packet_size_bytes",
        kind: Histogram,
        labels: &["direction"],
        meaning: "teleferry_read_bytes",
        read: |reading| {
            let [client, telegram] = &reading.reads;
            vec![spread(["upstream"], client), spread(["downstream"], telegram)]
        },
    },
    Metric {
        name: "mtproto_proxy_tg_packet_size_bytes",
        kind: Histogram,
        labels: &["direction"],
        meaning: "teleferry_link_message_bytes",
        read: |reading| {
            let [to, from] = &reading.messages;
            vec![spread(["upstream_to_downstream"], to), spread(["downstream_to_upstream"], from)]
        },
    },
    Metric {
        name: "mtproto_proxy_protocol_error",
        kind: Counter,
        labels: &["listener", "reason"],
        meaning: "teleferry_refused_visitors_total, with our reasons",
        read: |reading| by_name(reading, |counts| &counts.strangers),
    },
    Metric {
        name: "mtproto_proxy_protocol_ok",
        kind: Counter,
        labels: &["listener", "protocol"],
        meaning: "teleferry_clients_total, with our protocols",
        read: |reading| by_name(reading, |counts| &counts.clients),
    },
    Metric {
        name: "mtproto_proxy_out_connect_ok",
        kind: Counter,
        labels: &["dc_id"],
        meaning: "teleferry_dc_connections_total",
        read: |reading| dcs(reading, |dc| dc.connected),
    },
    Metric {
        name: "mtproto_proxy_out_connect_error",
        kind: Counter,
        labels: &["dc_id", "reason"],
        meaning: "teleferry_dc_connection_failures_total, those that could not be made",
        read: |reading| {
            let unreachable =
                |(id, dc): (&i16, &DcReading)| labelled([&id.to_string(), "unreachable"], dc.unreachable);
            reading.dcs.iter().map(unreachable).collect()
        },
    },
    Metric {
        name: "mtproto_proxy_dc_num_downstreams",
        kind: Gauge,
        labels: &["dc"],
        meaning: "teleferry_links, summed",
        read: links_by_dc,
    },
    Metric {
        name: "mtproto_proxy_dc_num_upstreams",
        kind: Gauge,
        labels: &["dc"],
        meaning: "teleferry_dc_sessions_open",
        read: |reading| dcs(reading, |dc| dc.open),
    },
    Metric {
        name: "mtproto_proxy_dc_upstreams_per_downstream",
        kind: Gauge,
        labels: &["dc", "meter"],
        meaning: "teleferry_link_clients",
        read: link_clients,
    },
];

/// Those that cannot be filled, and why.
pub const NOT_FILLED: &[(&str, &str)] = &[
    ("inactive_hibernate_total", "idle sessions keep no buffer: there is nothing to put to sleep"),
    ("timer_switch_total", "a session has one deadline that is set anew, and no timers to switch between"),
    ("healthcheck_total", "nothing has to be cleaned up from outside; see teleferry_queue_pauses_total"),
    ("down_backpressure_total", "links are not throttled by counts; see teleferry_queue_pauses_total"),
    ("down_backpressure_passive_duration_seconds", "the same"),
    ("upstream_send_duration_seconds", "nothing waits in a send: what a socket does not take is queued"),
    ("downstream_send_duration_seconds", "the same"),
    ("upstream_send_error_total", "see teleferry_connections_closed_total with the side client"),
    ("downstream_migration_total", "see teleferry_link_moves_total, whose results mean something else"),
];

fn links_by_dc(reading: &Reading) -> Vec<Sample> {
    let mut by_dc = std::collections::BTreeMap::<i16, u64>::new();
    for link in &reading.links {
        *by_dc.entry(link.dc).or_default() += 1;
    }
    by_dc.into_iter().map(|(dc, n)| labelled([&dc.to_string()], n)).collect()
}
