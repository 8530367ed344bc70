//! Every metric of our own.

use std::collections::BTreeMap;

use super::Kind::{Counter, Gauge, Histogram};
use super::{MAX_ENDPOINTS, Metric, Sample, Value, labelled, maybe, one, spread};
use crate::config::RoleKind;
use crate::observe::{Counts, TrunkCounts};
use crate::reading::{DcReading, LinkState, Reading};

/// Every metric, in the order of the documentation.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "teleferry_connections",
        kind: Counter,
        labels: &["listener"],
        meaning: "Connections accepted",
        read: |reading| listeners(reading, |counts| counts.accepted),
    },
    Metric {
        name: "teleferry_connections_closed",
        kind: Counter,
        labels: &["listener", "side", "reason"],
        meaning: "Connections that ended, by who ended them and why",
        read: closed,
    },
    Metric {
        name: "teleferry_connections_open",
        kind: Gauge,
        labels: &["listener"],
        meaning: "Connections that are open, visitors of the cover site included",
        read: |reading| listeners(reading, |counts| counts.open),
    },
    Metric {
        name: "teleferry_clients",
        kind: Counter,
        labels: &["listener", "protocol"],
        meaning: "Connections that proved to be clients, by protocol",
        read: |reading| by_name(reading, |counts| &counts.clients),
    },
    Metric {
        name: "teleferry_session_lifetime_seconds",
        kind: Histogram,
        labels: &["listener"],
        meaning: "How long clients' sessions lived",
        read: |reading| {
            let listeners = reading.listeners.iter();
            listeners.map(|listener| spread([&listener.name], &listener.counts.lifetime)).collect()
        },
    },
    Metric {
        name: "teleferry_handshake_stage_seconds",
        kind: Histogram,
        labels: &["stage"],
        meaning: "How long handshakes take: to the verdict on the first bytes, to the header behind our answer (fake TLS), to the first byte relayed to the client",
        read: |reading| reading.stages.iter().map(|(stage, took)| spread([stage.label()], took)).collect(),
    },
    Metric {
        name: "teleferry_refused_visitors",
        kind: Counter,
        labels: &["listener", "reason"],
        meaning: "Connections that proved nothing and were taken to the cover site, by reason",
        read: |reading| by_name(reading, |counts| &counts.strangers),
    },
    Metric {
        name: "teleferry_cover_received_bytes",
        kind: Counter,
        labels: &["listener"],
        meaning: "Bytes from visitors to the cover site, or thrown away without one",
        read: |reading| listeners(reading, |counts| counts.from_visitor),
    },
    Metric {
        name: "teleferry_cover_sent_bytes",
        kind: Counter,
        labels: &["listener"],
        meaning: "Bytes from the cover site to visitors",
        read: |reading| listeners(reading, |counts| counts.to_visitor),
    },
    Metric {
        name: "teleferry_cover_failures",
        kind: Counter,
        labels: &["listener"],
        meaning: "Visitors for whom the cover site could not be reached",
        read: |reading| {
            listeners(reading, |counts| counts.closed.get("cover:unreachable").copied().unwrap_or(0))
        },
    },
    Metric {
        name: "teleferry_client_received_bytes",
        kind: Counter,
        labels: &["listener"],
        meaning: "Bytes from clients, behind their header",
        read: |reading| listeners(reading, |counts| counts.from_client),
    },
    Metric {
        name: "teleferry_client_sent_bytes",
        kind: Counter,
        labels: &["listener"],
        meaning: "Bytes to clients",
        read: |reading| listeners(reading, |counts| counts.to_client),
    },
    Metric {
        name: "teleferry_client_messages",
        kind: Counter,
        labels: &["listener"],
        meaning: "Messages from clients that went on to Telegram",
        read: |reading| listeners(reading, |counts| counts.messages),
    },
    Metric {
        name: "teleferry_client_messages_filtered",
        kind: Counter,
        labels: &["listener"],
        meaning: "Messages from clients that were dropped at the edge",
        read: |reading| listeners(reading, |counts| counts.messages_filtered),
    },
    Metric {
        name: "teleferry_telegram_errors_filtered",
        kind: Counter,
        labels: &["listener"],
        meaning: "Errors of Telegram's transport that were kept from clients",
        read: |reading| listeners(reading, |counts| counts.errors_filtered),
    },
    Metric {
        name: "teleferry_dc_unknown",
        kind: Counter,
        labels: &["listener"],
        meaning: "Clients that asked for a data centre that nobody knows",
        read: |reading| listeners(reading, |counts| counts.dc_unknown),
    },
    Metric {
        name: "teleferry_dc_sessions",
        kind: Counter,
        labels: &["dc"],
        meaning: "Clients' sessions that were taken to a data centre",
        read: |reading| dcs(reading, |dc| dc.sessions),
    },
    Metric {
        name: "teleferry_dc_sessions_open",
        kind: Gauge,
        labels: &["dc"],
        meaning: "Clients' sessions that are open",
        read: |reading| dcs(reading, |dc| dc.open),
    },
    Metric {
        name: "teleferry_dc_received_bytes",
        kind: Counter,
        labels: &["dc"],
        meaning: "Bytes from a data centre, over links and directly",
        read: |reading| dcs(reading, |dc| dc.received),
    },
    Metric {
        name: "teleferry_dc_sent_bytes",
        kind: Counter,
        labels: &["dc"],
        meaning: "Bytes to a data centre, over links and directly",
        read: |reading| dcs(reading, |dc| dc.sent),
    },
    Metric {
        name: "teleferry_dc_connections",
        kind: Counter,
        labels: &["dc"],
        meaning: "Direct connections to a data centre that came about",
        read: |reading| dcs(reading, |dc| dc.connected),
    },
    Metric {
        name: "teleferry_dc_connection_failures",
        kind: Counter,
        labels: &["dc", "reason"],
        meaning: "Direct connections that could not be made (unreachable) or answered nothing (silent)",
        read: dc_failures,
    },
    Metric {
        name: "teleferry_links",
        kind: Gauge,
        labels: &["dc", "endpoint", "state"],
        meaning: "Links to middle proxies: pending, ready, or suspect because they answer nothing",
        read: links,
    },
    Metric {
        name: "teleferry_link_clients",
        kind: Gauge,
        labels: &["dc", "meter"],
        meaning: "Clients on the emptiest (min) and the fullest (max) link of a data centre",
        read: link_clients,
    },
    Metric {
        name: "teleferry_links_opened",
        kind: Counter,
        labels: &[],
        meaning: "Links to middle proxies whose handshake was done",
        read: |reading| one(reading.link_counts.opened),
    },
    Metric {
        name: "teleferry_links_failed",
        kind: Counter,
        labels: &[],
        meaning: "Links to middle proxies that ended before their handshake was done",
        read: |reading| one(reading.link_counts.failed),
    },
    Metric {
        name: "teleferry_trunks",
        kind: Gauge,
        labels: &["peer"],
        meaning: "Connections between front and back that are open; the peer is a back's address, or the name in a front's certificate",
        read: |reading| trunks(reading, |counts| counts.open),
    },
    Metric {
        name: "teleferry_trunks_opened",
        kind: Counter,
        labels: &["peer"],
        meaning: "Connections between front and back that came about",
        read: |reading| trunks(reading, |counts| counts.opened),
    },
    Metric {
        name: "teleferry_trunks_failed",
        kind: Counter,
        labels: &["peer", "by", "cause"],
        meaning: "Connections between front and back that did not come about, strangers' among them, by who gave up (`self` or `peer`) and why",
        read: trunk_failures,
    },
    Metric {
        name: "teleferry_trunks_ready",
        kind: Gauge,
        labels: &["peer"],
        meaning: "Connections of a front that take sessions; without any the back is not used",
        read: |reading| {
            if reading.role == RoleKind::Front { trunks(reading, |counts| counts.ready) } else { Vec::new() }
        },
    },
    Metric {
        name: "teleferry_certificate_expiry_timestamp_seconds",
        kind: Gauge,
        labels: &["certificate"],
        meaning: "When a certificate that front and back know each other by ceases to hold, in seconds since 1970",
        read: certificates,
    },
    Metric {
        name: "teleferry_trunk_sessions",
        kind: Counter,
        labels: &["peer"],
        meaning: "Sessions that were put on a connection to a back, or came over one from a front",
        read: |reading| trunks(reading, |counts| counts.calls),
    },
    Metric {
        name: "teleferry_trunk_sessions_open",
        kind: Gauge,
        labels: &["peer"],
        meaning: "Those that are there",
        read: |reading| trunks(reading, |counts| counts.sessions),
    },
    Metric {
        name: "teleferry_trunk_sessions_moved",
        kind: Counter,
        labels: &["peer"],
        meaning: "Those that went on over another connection",
        read: |reading| trunks(reading, |counts| counts.moved),
    },
    Metric {
        name: "teleferry_trunk_sessions_refused",
        kind: Counter,
        labels: &["peer", "cause"],
        meaning: "Sessions that a back would not take, by why: `stranger`, `version`, `unavailable` (full, or it stops), `garbled`, `silent`, `lost` (its connection) or `other`",
        read: call_refusals,
    },
    Metric {
        name: "teleferry_trunk_sessions_migrated",
        kind: Counter,
        labels: &["peer"],
        meaning: "Changes of the link to Telegram under a session that goes over a back",
        read: |reading| trunks(reading, |counts| counts.migrated),
    },
    Metric {
        name: "teleferry_trunk_received_bytes",
        kind: Counter,
        labels: &["peer"],
        meaning: "Bytes that came over connections between front and back, as they are on the wire",
        read: |reading| trunks(reading, |counts| counts.received),
    },
    Metric {
        name: "teleferry_trunk_sent_bytes",
        kind: Counter,
        labels: &["peer"],
        meaning: "Bytes that went over connections between front and back",
        read: |reading| trunks(reading, |counts| counts.sent),
    },
    Metric {
        name: "teleferry_trunk_round_trip_seconds",
        kind: Gauge,
        labels: &["peer"],
        meaning: "How long the other half last took to answer",
        read: |reading| {
            let known = reading.trunks.iter().filter(|(_, counts)| !counts.round_trip.is_zero());
            let value = |counts: &TrunkCounts| Value::Real(counts.round_trip.as_secs_f64());
            known.map(|(peer, counts)| Sample { labels: vec![peer.clone()], value: value(counts) }).collect()
        },
    },
    Metric {
        name: "teleferry_link_moves",
        kind: Counter,
        labels: &["result"],
        meaning: "Clients that lost their link (uprooted), got one (placed), or got none in time (stranded)",
        read: |reading| {
            let counts = &reading.link_counts;
            [("placed", counts.placed), ("stranded", counts.stranded), ("uprooted", counts.uprooted)]
                .map(|(result, n)| labelled([result], n))
                .into()
        },
    },
    Metric {
        name: "teleferry_endpoint_failures",
        kind: Gauge,
        labels: &["endpoint"],
        meaning: "Attempts in a row in which a middle proxy was of no use; it is not there when the last one was",
        read: |reading| {
            let failing = reading.failing.iter().take(MAX_ENDPOINTS);
            failing.map(|(endpoint, n)| labelled([&endpoint.to_string()], u64::from(*n))).collect()
        },
    },
    Metric {
        name: "teleferry_link_message_bytes",
        kind: Histogram,
        labels: &["direction"],
        meaning: "Sizes of messages over links to middle proxies",
        read: |reading| {
            let [to, from] = &reading.messages;
            vec![spread(["to_telegram"], to), spread(["from_telegram"], from)]
        },
    },
    Metric {
        name: "teleferry_read_bytes",
        kind: Histogram,
        labels: &["side"],
        meaning: "Sizes of what came at once from clients, and from Telegram",
        read: |reading| {
            let [client, telegram] = &reading.reads;
            vec![spread(["client"], client), spread(["telegram"], telegram)]
        },
    },
    Metric {
        name: "teleferry_queued_bytes",
        kind: Gauge,
        labels: &[],
        meaning: "Bytes that wait for slow clients and on links",
        read: |reading| one(reading.link_counts.queued),
    },
    Metric {
        name: "teleferry_queue_pauses",
        kind: Counter,
        labels: &[],
        meaning: "How often reading from Telegram paused because too much waited",
        read: |reading| one(reading.link_counts.pauses),
    },
    Metric {
        name: "teleferry_handshakes_in_flight",
        kind: Gauge,
        labels: &[],
        meaning: "Connections that are proving themselves",
        read: |reading| one(reading.gate.handshakes as u64),
    },
    Metric {
        name: "teleferry_replay_entries",
        kind: Gauge,
        labels: &[],
        meaning: "First flights that are remembered",
        read: |reading| one(reading.gate.replay.entries),
    },
    Metric {
        name: "teleferry_replay_evictions",
        kind: Counter,
        labels: &[],
        meaning: "First flights that were forgotten early because the memory was full",
        read: |reading| one(reading.gate.replay.evicted),
    },
    Metric {
        name: "teleferry_policy_claims",
        kind: Gauge,
        labels: &[],
        meaning: "Connections that rules count, once for each rule that counts otherwise",
        read: |reading| one(reading.gate.claims as u64),
    },
    Metric {
        name: "teleferry_table_entries",
        kind: Gauge,
        labels: &["table"],
        meaning: "Entries of each table of the rules",
        read: |reading| {
            let tables = reading.gate.tables.iter();
            tables.map(|table| labelled([&table.name], table.entries as u64)).collect()
        },
    },
    Metric {
        name: "teleferry_shard_heartbeat_age_seconds",
        kind: Gauge,
        labels: &["shard"],
        meaning: "How long ago each worker thread last went round",
        read: |reading| {
            let beats = reading.beats.iter().enumerate();
            beats
                .map(|(shard, age)| Sample {
                    labels: vec![shard.to_string()],
                    value: Value::Real(age.as_secs_f64()),
                })
                .collect()
        },
    },
    Metric {
        name: "teleferry_reloads",
        kind: Counter,
        labels: &["result"],
        meaning: "Reloads of the settings: applied, or refused with everything left as it was",
        read: |reading| {
            vec![
                labelled(["applied"], reading.reloads.applied),
                labelled(["refused"], reading.reloads.refused),
            ]
        },
    },
    Metric {
        name: "teleferry_last_reload_timestamp_seconds",
        kind: Gauge,
        labels: &[],
        meaning: "When changed settings were last applied, in seconds since 1970",
        read: |reading| maybe(reading.reloads.last_applied.map(Value::Whole)),
    },
    Metric {
        name: "teleferry_build_info",
        kind: Gauge,
        labels: &["version"],
        meaning: "Always 1; its label says what runs",
        read: |_| vec![labelled([env!("CARGO_PKG_VERSION")], 1)],
    },
    Metric {
        name: "process_start_time_seconds",
        kind: Gauge,
        labels: &[],
        meaning: "When the process was started, in seconds since 1970",
        read: |reading| one(reading.started),
    },
    Metric {
        name: "process_cpu_seconds",
        kind: Counter,
        labels: &[],
        meaning: "Time that processors spent on the process",
        read: |reading| maybe(reading.process.cpu_seconds.map(Value::Real)),
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Gauge,
        labels: &[],
        meaning: "Memory that is resident",
        read: |reading| maybe(reading.process.resident_bytes.map(Value::Whole)),
    },
    Metric {
        name: "process_open_fds",
        kind: Gauge,
        labels: &[],
        meaning: "Descriptors that are open",
        read: |reading| maybe(reading.process.open_descriptors.map(Value::Whole)),
    },
    Metric {
        name: "process_max_fds",
        kind: Gauge,
        labels: &[],
        meaning: "Descriptors that may be open",
        read: |reading| maybe(reading.process.max_descriptors.map(Value::Whole)),
    },
];

/// A value of every listener.
pub(super) fn listeners(reading: &Reading, value: fn(&Counts) -> u64) -> Vec<Sample> {
    let listeners = reading.listeners.iter();
    listeners.map(|listener| labelled([&listener.name], value(&listener.counts))).collect()
}

/// A list of every listener.
pub(super) fn by_name(reading: &Reading, list: fn(&Counts) -> &BTreeMap<&'static str, u64>) -> Vec<Sample> {
    let of_listener = |listener: &crate::reading::ListenerReading| {
        let name = listener.name.clone();
        let list = list(&listener.counts).iter();
        list.map(move |(label, n)| labelled([&name, label], *n)).collect::<Vec<_>>()
    };
    reading.listeners.iter().flat_map(of_listener).collect()
}

/// A value of every data centre.
pub(super) fn dcs(reading: &Reading, value: fn(&DcReading) -> u64) -> Vec<Sample> {
    reading.dcs.iter().map(|(id, dc)| labelled([&id.to_string()], value(dc))).collect()
}

fn closed(reading: &Reading) -> Vec<Sample> {
    let mut samples = Vec::new();
    for listener in &reading.listeners {
        for (reason, n) in &listener.counts.closed {
            let (side, kind) = reason.split_once(':').unwrap_or(("", reason));
            samples.push(labelled([&listener.name, side, kind], *n));
        }
    }
    samples
}

fn dc_failures(reading: &Reading) -> Vec<Sample> {
    let of_dc = |(id, dc): (&i16, &DcReading)| {
        let id = id.to_string();
        [labelled([&id, "silent"], dc.silent), labelled([&id, "unreachable"], dc.unreachable)]
    };
    reading.dcs.iter().flat_map(of_dc).collect()
}

fn trunks(reading: &Reading, value: impl Fn(&TrunkCounts) -> u64) -> Vec<Sample> {
    reading.trunks.iter().map(|(peer, counts)| labelled([peer], value(counts))).collect()
}

fn trunk_failures(reading: &Reading) -> Vec<Sample> {
    let of_peer = |(peer, counts): (&String, &TrunkCounts)| {
        let failures = counts.failed.iter().map(|(failure, n)| {
            let [by, cause] = failure.labels();
            labelled([peer, by, cause], n)
        });
        failures.collect::<Vec<_>>()
    };
    reading.trunks.iter().flat_map(of_peer).collect()
}

fn call_refusals(reading: &Reading) -> Vec<Sample> {
    let of_peer = |(peer, counts): (&String, &TrunkCounts)| {
        counts.refused.iter().map(|(why, n)| labelled([peer.as_str(), why.name()], n)).collect::<Vec<_>>()
    };
    reading.trunks.iter().flat_map(of_peer).collect()
}

fn certificates(reading: &Reading) -> Vec<Sample> {
    // Of several that are called the same, the first to end counts.
    let mut ends = BTreeMap::<String, i64>::new();
    for certificate in &reading.certificates {
        let end = ends.entry(certificate.title()).or_insert(certificate.not_after);
        *end = certificate.not_after.min(*end);
    }
    let sample = |(title, end): (String, i64)| labelled([&title], u64::try_from(end).unwrap_or(0));
    ends.into_iter().map(sample).collect()
}

fn links(reading: &Reading) -> Vec<Sample> {
    let mut by_place = BTreeMap::<(i16, std::net::SocketAddr, LinkState), u64>::new();
    for link in &reading.links {
        *by_place.entry((link.dc, link.endpoint, link.state)).or_default() += 1;
    }
    let bounded = by_place.into_iter().take(MAX_ENDPOINTS);
    bounded
        .map(|((dc, endpoint, state), n)| {
            labelled([&dc.to_string(), &endpoint.to_string(), state.label()], n)
        })
        .collect()
}

pub(super) fn link_clients(reading: &Reading) -> Vec<Sample> {
    let mut by_dc = BTreeMap::<i16, (u32, u32)>::new();
    for link in reading.links.iter().filter(|link| link.state != LinkState::Pending) {
        let (min, max) = by_dc.entry(link.dc).or_insert((link.clients, link.clients));
        *min = link.clients.min(*min);
        *max = link.clients.max(*max);
    }
    let of_dc = |(dc, (min, max)): (i16, (u32, u32))| {
        [("min", min), ("max", max)].map(|(meter, n)| labelled([&dc.to_string(), meter], n.into()))
    };
    by_dc.into_iter().flat_map(of_dc).collect()
}
