//! mtg, 9seconds/mtg: `config.toml`. It serves fake TLS alone, and goes to data centres itself.

use std::ops::Range;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};

use super::draft::{Draft, Known, Listener, OldLink, Rule, Section, Table, is_empty, quoted};
use super::value::Value;
use super::{links, proxy_headers, site};

const HARMLESS: &[Known] = &[
    ("tcp-buffer", "buffers are as large as they need to be"),
    ("auto-update", "data centres' addresses are built in, and those of middle proxies fetched"),
    (
        "tolerate-time-skewness",
        "clocks may differ by more here (handshake.clock_skew_past and clock_skew_future), and recordings are remembered for longer than that",
    ),
    ("dc-pool", "connections to data centres are opened when a client comes"),
    ("log-time-format", "log lines have a time of their own form"),
];

/// A secret of the file.
struct Secret {
    name: Option<String>,
    key: String,
    domain: String,
}

pub(super) fn understand(root: &Value) -> Draft {
    let mut draft = Draft::default();
    let mut config = Section::of(draft.entries("the file", root));
    let secrets = secrets(&mut config, &mut draft);
    let bind = config
        .take("bind-to")
        .and_then(|value| Some((draft.text("bind-to", value)?.to_owned(), value.span.clone())));
    let Some((bind, span)) = bind else {
        draft.refuse(&(0..0), "there is no `bind-to`", "add it: mtg does not start without");
        return draft;
    };
    let address = bind.parse::<std::net::SocketAddr>().ok().filter(|address| address.port() != 0);
    let Some(address) = address else {
        draft.refuse(
            &span,
            "`bind-to` is no address with a port",
            "name an address of this machine and a port",
        );
        return draft;
    };
    let mut domains: Vec<String> = Vec::new();
    for secret in &secrets {
        if !domains.contains(&secret.domain) {
            domains.push(secret.domain.clone());
        }
    }
    let limit =
        config.take("concurrency").and_then(|value| draft.number("concurrency", value, 1..=16_000_000));
    let headers_from =
        proxy_headers(config.take("proxy-protocol-listener"), "proxy-protocol-listener", &mut draft);
    draft.listeners.push(Listener {
        name: "main".to_owned(),
        addresses: vec![address.to_string()],
        secrets: secrets.iter().map(|secret| (secret.name.clone(), secret.key.clone())).collect(),
        protocols: vec!["tls"],
        domain: domains.first().cloned(),
        max_connections: limit,
        headers_from,
        ..Listener::default()
    });
    draft.set_text("telegram", "mode", "direct");
    draft.because("As mtg does. \"auto\" serves through middle proxies, which share connections and can show an ad tag's channel.");
    let host = public_host(&mut config, &mut draft);
    draft.links.extend(secrets.iter().map(|secret| OldLink {
        user: secret.name.clone(),
        host: host.clone(),
        port: address.port(),
        secret: links::tls(&secret.key, &secret.domain),
    }));
    if domains.len() > 1 {
        draft.accept_names(&domains);
    }
    if let Some(domain) = domains.first() {
        cover(&mut config, domain, &mut draft);
    }
    telegram(&mut config, &mut draft);
    if let Some(defense) = config.section("defense", &mut draft) {
        self::defense(defense, &mut draft);
    } else {
        draft.remark(
            "defense.anti-replay",
            "was off without its section; recordings are remembered here (replay.enabled)",
            false,
        );
    }
    if let Some(network) = config.section("network", &mut draft) {
        self::network(network, &mut draft);
    }
    if let Some(stats) = config.section("stats", &mut draft) {
        self::stats(stats, &mut draft);
    }
    if config.take("debug").and_then(|value| draft.flag("debug", value)) == Some(true) {
        draft.set_text("log", "level", "debug");
    }
    config.finish(
        &mut draft,
        HARMLESS,
        &[("throttle*", "connections are not throttled by user: rules (max_connections) can limit them")],
    );
    draft
}

/// The one secret, or those of the fork that has several.
fn secrets(config: &mut Section<'_>, draft: &mut Draft) -> Vec<Secret> {
    let mut secrets = Vec::new();
    if let Some(value) = config.take("secret") {
        secrets.extend(secret(None, "secret", value, draft));
    }
    if let Some(table) = config.take("secrets") {
        for (name, value, _) in draft.entries("secrets", table) {
            secrets.extend(secret(Some(name.to_owned()), &format!("secrets.{name}"), value, draft));
        }
    }
    if secrets.is_empty() && draft.problems.is_empty() {
        draft.refuse(&(0..0), "there is no `secret`", "add it: mtg does not start without");
    }
    secrets
}

/// ee, 16 bytes and a host name, in hexadecimal or base64url.
fn secret(name: Option<String>, path: &str, value: &Value, draft: &mut Draft) -> Option<Secret> {
    let text = draft.text(path, value)?;
    let unpadded = text.trim_end_matches('=').as_bytes();
    let bytes =
        HEXLOWER_PERMISSIVE.decode(text.as_bytes()).or_else(|_| BASE64URL_NOPAD.decode(unpadded)).ok();
    let parts = bytes
        .as_deref()
        .and_then(|bytes| bytes.strip_prefix(&[0xee]))
        .and_then(<[u8]>::split_first_chunk::<16>);
    let Some((key, domain)) = parts.filter(|(_, domain)| !domain.is_empty()) else {
        draft.refuse(
            &value.span,
            format!("the value of `{path}` is no secret of mtg"),
            "it is ee, 16 bytes and a host name, in hexadecimal or base64url",
        );
        return None;
    };
    let domain = draft.domain(path, &String::from_utf8_lossy(domain), &value.span)?;
    let key = draft.secret(path, &data_encoding::HEXLOWER.encode(key), &value.span)?;
    Some(Secret { name, key, domain })
}

/// The host of links, when the file says.
fn public_host(config: &mut Section<'_>, draft: &mut Draft) -> Option<String> {
    let mut hosts = ["public-ipv4", "public-ipv6"].map(|key| {
        let value = config.take(key).filter(|value| !is_empty(value))?;
        draft.text(key, value).map(str::to_owned)
    });
    let host = hosts.iter_mut().find_map(Option::take)?;
    draft.set_text("server", "public_host", &host);
    Some(host)
}

/// The site of strangers: that of the secret's host name, unless the file says where it is. Old keys have the same meaning.
fn cover(config: &mut Section<'_>, domain: &str, draft: &mut Draft) {
    let section = config.section("domain-fronting", draft);
    let mut given = section.unwrap_or_else(|| Section::of(Vec::new()));
    let mut take = |key: &str, old: &[&str]| {
        let older = old.iter().filter_map(|old| config.take(old)).last();
        given.take(key).or(older).filter(|value| !is_empty(value))
    };
    let port = take("port", &["cloak-port", "domain-fronting-port"]);
    let ip = take("ip", &["domain-fronting-ip"]);
    let host = take("host", &["domain-fronting-host"]);
    let header = take("proxy-protocol", &["domain-fronting-proxy-protocol"]);
    given.finish(draft, &[], &[]);
    let port = port.map_or(Some(443), |port| draft.port("domain-fronting.port", port));
    let host = ip.or(host).map_or(Some(domain), |host| draft.text("domain-fronting.host", host));
    if let (Some(host), Some(port)) = (host, port) {
        draft.set_text("cover", "target", site(host, port));
    }
    if header.and_then(|header| draft.flag("domain-fronting.proxy-protocol", header)) == Some(true) {
        draft.set_text("cover", "proxy_protocol", "v2");
        draft.because("\"v1\" is there too, for a site that reads text headers alone.");
    }
}

fn telegram(config: &mut Section<'_>, draft: &mut Draft) {
    match config.take("prefer-ip") {
        Some(value) => {
            let ours = match draft.text("prefer-ip", value) {
                Some("prefer-ipv4") => "ipv4",
                Some("prefer-ipv6") => "ipv6",
                Some(only @ ("only-ipv4" | "only-ipv6")) => only,
                _ => {
                    draft.refuse(
                        &value.span,
                        "`prefer-ip` is not known",
                        "there are prefer-ipv4, prefer-ipv6, only-ipv4 and only-ipv6",
                    );
                    return;
                }
            };
            draft.set_text("telegram", "prefer", ours);
        }
        None => draft.remark(
            "prefer-ip",
            "is not given, so that mtg preferred IPv6; telegram.prefer is \"ipv4\"",
            false,
        ),
    }
    if let Some(value) = config.take("allow-fallback-on-unknown-dc")
        && draft.flag("allow-fallback-on-unknown-dc", value) == Some(false)
    {
        draft.set_text("telegram", "default_dc", "none");
    }
}

fn defense(mut defense: Section<'_>, draft: &mut Draft) {
    match defense.section("anti-replay", draft) {
        Some(mut section) => {
            if let Some(on) =
                section.take("enabled").and_then(|value| draft.flag("defense.anti-replay.enabled", value))
            {
                draft.set("replay", "enabled", on);
            }
            section.finish(
                draft,
                &[
                    ("max-size", "replay.capacity bounds it: some 40 bytes for each first flight"),
                    ("error-rate", "the memory is exact"),
                ],
                &[],
            );
        }
        None => draft.remark(
            "defense.anti-replay",
            "was off without its section; recordings are remembered here (replay.enabled)",
            false,
        ),
    }
    for (name, rule) in [("blocklist", "not_in_table"), ("allowlist", "in_table")] {
        if let Some(section) = defense.section(name, draft) {
            addresses(section, name, rule, draft);
        }
    }
    defense.finish(
        draft,
        &[
            (
                "doppelganger",
                "how the cover site answers is learned by itself, and records are as long as a real server's",
            ),
            ("time", "clocks may differ by more here (handshake.clock_skew_past and clock_skew_future)"),
            ("pending-handshakes", "limits.handshakes and limits.new_per_second are the like"),
        ],
        &[],
    );
}

/// A list of addresses. Ours has one source a table, and every rule has to be passed.
fn addresses(mut section: Section<'_>, name: &'static str, rule: &str, draft: &mut Draft) {
    let path = section.path("urls");
    let on = section
        .take("enabled")
        .and_then(|value| draft.flag(&section.path("enabled"), value))
        .unwrap_or(false);
    let refresh = section.take("update-each").and_then(|value| draft.text(&path, value)).map(str::to_owned);
    let urls: Vec<(String, Range<usize>)> = match section.take("urls") {
        Some(value) => draft
            .list(&path, value)
            .iter()
            .filter_map(|url| Some((url.as_word()?.to_owned(), url.span.clone())))
            .collect(),
        None => Vec::new(),
    };
    section.finish(draft, &[("download-concurrency", "each list is fetched by itself")], &[]);
    if !on {
        return;
    }
    if let (true, Some((_, second))) = (rule == "in_table", urls.get(1)) {
        draft.refuse(second, "several lists of those who may come in cannot be carried over: a rule here asks one table, and all rules have to be passed", "put them together into one file");
        return;
    }
    for (at, (url, _)) in urls.into_iter().enumerate() {
        let table = if at == 0 { name.to_owned() } else { format!("{name}{}", at + 1) };
        draft.rules.push(Rule {
            entries: vec![("rule", quoted(rule)), ("key", quoted("client_ip")), ("table", quoted(&table))],
            comment: None,
        });
        draft.tables.push(Table {
            name: table,
            kind: "network",
            entries: Vec::new(),
            source: Some((url, refresh.clone())),
            comment: None,
        });
    }
}

fn network(mut network: Section<'_>, draft: &mut Draft) {
    if let Some(mut timeout) = network.section("timeout", draft) {
        for (old, section, key) in [
            ("tcp", "telegram", "connect_timeout"),
            ("idle", "relay", "idle_timeout"),
            ("handshake", "handshake", "timeout"),
        ] {
            let path = timeout.path(old);
            if let Some(time) = timeout.take(old).and_then(|value| draft.text(&path, value)) {
                draft.set_text(section, key, time);
            }
        }
        timeout.finish(draft, &[("http", "telegram.http_timeout is ten seconds")], &[]);
    }
    if let Some(mut public) = network.section("public-ip", draft) {
        public.take("ipv4");
        public.take("ipv6");
        public.finish(draft, &[], &[]);
    }
    network.finish(
        draft,
        &[
            ("doh-ip", "names are looked up as the system does"),
            ("doh-hostname", "names are looked up as the system does"),
            ("dns", "names are looked up as the system does"),
            ("keep-alive", "dead clients are found without probes, which a web server would not send"),
            ("tcp-not-sent-lowat", "bytes that wait are bounded by limits.client_queue"),
        ],
        &[
            (
                "proxies",
                "there is no way to Telegram over another proxy: this one connects to Telegram itself",
            ),
            (
                "dialers",
                "there is no way to Telegram over another proxy: this one connects to Telegram itself",
            ),
            ("client-mss*", "the size of segments is the kernel's: a route or a firewall rule can set it"),
        ],
    );
}

fn stats(mut stats: Section<'_>, draft: &mut Draft) {
    if let Some(mut prometheus) = stats.section("prometheus", draft) {
        let on = prometheus
            .take("enabled")
            .and_then(|value| draft.flag("stats.prometheus.enabled", value))
            .unwrap_or(false);
        let bind = prometheus.take("bind-to");
        let address = bind.and_then(|value| draft.text("stats.prometheus.bind-to", value));
        let port = address.and_then(|address| address.rsplit(':').next()?.parse::<u16>().ok());
        prometheus.finish(
            draft,
            &[("http-path", "numbers are at /metrics"), ("metric-prefix", "metrics begin with teleferry_")],
            &[],
        );
        match (on, port, bind) {
            (true, Some(port), Some(bind)) => {
                draft.set_text("admin", "http", format!("127.0.0.1:{port}"));
                draft.miss(&bind.span, "stats.prometheus", "the numbers have other names and are on 127.0.0.1: docs/reference/metrics.md lists them; for other machines set admin.http and admin.token_file");
            }
            (true, ..) => {
                draft.remark("stats.prometheus", "has no address that could be read: set admin.http", true)
            }
            (false, ..) => {}
        }
    }
    if let Some(mut statsd) = stats.section("statsd", draft) {
        let on = statsd.take("enabled");
        if let Some(on) = on.filter(|on| !is_empty(on)) {
            draft.miss(&on.span, "stats.statsd", "numbers are fetched from admin.http (/metrics), not sent");
        }
        for key in ["address", "metric-prefix", "tag-format"] {
            statsd.take(key);
        }
        statsd.finish(draft, &[], &[]);
    }
    stats.finish(draft, &[], &[]);
}
