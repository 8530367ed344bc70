//! The Erlang proxy, seriyps/mtproto_proxy: `sys.config`, a list of applications with their settings.

use std::ops::Range;

use teleferry_proto::secret::HostName;

use super::draft::{Draft, Known, Listener, OldLink, Rule, Section, Table, list, quoted};
use super::links;
use super::value::{Kind, Value};

/// The host name in the ee links that it prints.
const DOMAIN: &str = "s3.amazonaws.com";

/// The salt that stands in its manual.
const PUBLIC_SALT: &str = "mtproto-proxy-per-sni-v1";

/// Settings of its own that do without.
const HARMLESS: &[Known] = &[
    ("num_acceptors", "one accept loop a worker is enough"),
    ("hibernate_timeout_sec", "idle clients keep no buffers in any case"),
    ("upstream_socket_buffer_size", "buffers are as large as they need to be"),
    ("downstream_socket_buffer_size", "buffers are as large as they need to be"),
    (
        "upstream_send_timeout_ms",
        "a client that takes nothing is found by limits.client_queue and limits.memory",
    ),
    ("upstream_healthchecks", "a client's queue is bounded by limits.client_queue"),
    ("downstream_backpressure", "queues are bounded by limits.client_queue and limits.memory"),
    ("mtp_full_check_crc32", "checksums are always checked; processors compute them"),
    ("reset_close_socket", "strangers see the cover site, and connections end as that ends them"),
];

pub(super) fn understand(terms: &[Value], names: &[HostName]) -> Draft {
    let mut draft = Draft::default();
    let applications = match terms {
        [one] => draft.list("the file", one),
        _ => {
            let span = terms.get(1).map_or(0..0, |second| second.span.clone());
            draft.refuse(
                &span,
                "a configuration is one list, ended by a full stop",
                "import the file that the proxy is started with",
            );
            &[]
        }
    };
    let mut found = None;
    for application in applications {
        match pair(application) {
            Some(("mtproto_proxy", settings)) => found = Some(settings),
            Some((other, _)) => {
                draft.leave(&application.span, other, "it is about Erlang and its log, not about the proxy")
            }
            None => draft.refuse(
                &application.span,
                "this is no application with its settings",
                "other files are not followed: import the file that names the ports",
            ),
        }
    }
    match found {
        Some(settings) => {
            let section = Section::of(proplist(settings, &mut draft));
            application(section, names, &mut draft);
        }
        None if draft.problems.is_empty() => {
            draft.refuse(
                &(0..0),
                "there are no settings of mtproto_proxy in this file",
                "import the sys.config that it is started with",
            );
        }
        None => {}
    }
    draft
}

/// `{Name, Value}`
fn pair(value: &Value) -> Option<(&str, &Value)> {
    match value.as_tuple()? {
        [name, value] => Some((name.as_word()?, value)),
        _ => None,
    }
}

fn proplist<'v>(value: &'v Value, draft: &mut Draft) -> Vec<(&'v str, &'v Value, Range<usize>)> {
    let mut entries: Vec<(&str, &Value, Range<usize>)> = Vec::new();
    for entry in draft.list("mtproto_proxy", value) {
        match pair(entry) {
            Some((name, _)) if entries.iter().any(|(known, ..)| *known == name) => {
                draft.refuse(&entry.span, format!("`{name}` is there twice"), "leave one of them out");
            }
            Some((name, value)) => entries.push((name, value, entry.span.clone())),
            None => draft.refuse(&entry.span, "this is no setting: settings are {name, value}", "remove it"),
        }
    }
    entries
}

fn application(mut settings: Section<'_>, names: &[HostName], draft: &mut Draft) {
    if let Some(role) = settings.take("node_role").filter(|role| role.as_word() != Some("both")) {
        draft.refuse(&role.span, "this is one half of a split proxy", "split mode has other files here, and both halves are switched together: import is for a proxy in one piece");
        return;
    }
    if let Some(node) = settings.take("back_node") {
        draft.refuse(
            &node.span,
            "with `back_node` this is one half of a split proxy",
            "split mode has other files here: import is for a proxy in one piece",
        );
    }
    let salt = salt(&mut settings, draft);
    let protocols = protocols(settings.take("allowed_protocols"), draft);
    let host = settings.take("external_ip").and_then(|ip| draft.text("external_ip", ip));
    let ip = match settings.take("listen_ip") {
        Some(ip) => draft.text("listen_ip", ip).unwrap_or("0.0.0.0"),
        None => "0.0.0.0",
    };
    let limit = settings
        .take("max_connections")
        .and_then(|value| draft.number("max_connections", value, 1..=16_000_000));
    match settings.take("ports") {
        Some(ports) => {
            for port in draft.list("ports", ports) {
                listener(port, ip, limit, &protocols, salt, draft);
            }
        }
        None => draft.refuse(
            &(0..0),
            "there are no `ports`",
            "without them the proxy uses an example that everybody knows",
        ),
    }
    if let Some(limit) = limit {
        // Ours has a limit for all listeners together, too.
        let all = limit.saturating_mul(i64::try_from(draft.listeners.len()).unwrap_or(i64::MAX));
        if all > 65_536 {
            draft.set("server", "max_connections", all.min(16_000_000));
        }
    }
    if let Some(host) = host {
        draft.set_text("server", "public_host", host);
        draft.set("telegram", "external_ip", list([host]));
    }
    old_links(names, host, salt, draft);
    telegram(&mut settings, draft);
    times(&mut settings, draft);
    replay(&mut settings, draft);
    cover(&mut settings, draft);
    let rules = settings.take("policy");
    policies(rules, draft);
    let asks_for_names =
        draft.rules.iter().flat_map(|rule| &rule.entries).any(|(_, value)| value.contains("tls_domain"));
    if protocols.contains(&"tls") && salt.is_none() && !asks_for_names {
        draft.accept_any_name();
    }
    if let Some(backend) = settings.take("metric_backend") {
        draft.set_text("admin", "http", "127.0.0.1:9180");
        draft.set("admin", "seed_metric_names", "true");
        draft.because("The numbers under the names that your dashboards know, for Prometheus at /metrics.");
        draft.miss(&backend.span, "metric_backend", "its module is not called: numbers are fetched from http://127.0.0.1:9180/metrics, under the old names too");
    }
    settings.finish(draft, HARMLESS, &[]);
}

/// The salt, when secrets are derived from names.
fn salt<'v>(settings: &mut Section<'v>, draft: &mut Draft) -> Option<&'v str> {
    let switch = settings.take("per_sni_secrets");
    let on = switch.is_some_and(|switch| switch.as_word() == Some("on"));
    if let Some(switch) = switch.filter(|switch| !matches!(switch.as_word(), Some("on" | "off"))) {
        draft.refuse(
            &switch.span,
            "`per_sni_secrets` is neither on nor off",
            "put it right as the old proxy expects it",
        );
    }
    let given = settings.take("per_sni_secret_salt");
    let salt = given.and_then(|salt| draft.text("per_sni_secret_salt", salt));
    if !on {
        if let Some(given) = given {
            draft.leave(&given.span, "per_sni_secret_salt", "per_sni_secrets is off, so that it is not used");
        }
        return None;
    }
    match salt {
        None | Some(PUBLIC_SALT) => {
            let span = given.or(switch).map_or(0..0, |value| value.span.clone());
            draft.refuse(&span, "`per_sni_secret_salt` is the one from the manual", "everybody knows it, and whoever has one link can look for the secret behind it: set a salt of your own and give out new links before you switch");
            None
        }
        Some(salt) => {
            draft.set("sni_secrets", "enabled", "true");
            draft.set_text("sni_secrets", "salt", salt);
            Some(salt)
        }
    }
}

fn protocols(value: Option<&Value>, draft: &mut Draft) -> Vec<&'static str> {
    let Some(value) = value else { return vec!["tls", "secure", "classic"] };
    let mut protocols = Vec::new();
    let allowed = draft.list("allowed_protocols", value);
    for one in allowed {
        let ours = match one.as_word() {
            Some("mtp_fake_tls") => "tls",
            Some("mtp_secure") => "secure",
            Some("mtp_abridged" | "mtp_intermediate") => "classic",
            _ => {
                draft.refuse(
                    &one.span,
                    "this is no protocol",
                    "there are mtp_fake_tls, mtp_secure, mtp_abridged and mtp_intermediate",
                );
                continue;
            }
        };
        if !protocols.contains(&ours) {
            protocols.push(ours);
        }
    }
    let has = |name| allowed.iter().any(|one| one.as_word() == Some(name));
    if has("mtp_abridged") != has("mtp_intermediate") {
        draft.leave(
            &value.span,
            "allowed_protocols",
            "plain links are served with both framings, since a link does not say which one its client takes",
        );
    }
    if protocols.is_empty() {
        draft.refuse(&value.span, "`allowed_protocols` allows nothing", "name a protocol");
    }
    protocols
}

fn listener(
    value: &Value,
    default_ip: &str,
    limit: Option<i64>,
    protocols: &[&'static str],
    salt: Option<&str>,
    draft: &mut Draft,
) {
    let mut port = Section::new("ports", value, draft);
    let name = port.take("name").and_then(|name| draft.text("ports.name", name));
    let number = port.take("port").and_then(|number| draft.port("ports.port", number));
    let ip = port.take("listen_ip").and_then(|ip| draft.text("ports.listen_ip", ip)).unwrap_or(default_ip);
    let secret = port.take("secret").and_then(|secret| Some((draft.text("ports.secret", secret)?, secret)));
    let tag = port.take("tag").and_then(|tag| Some((draft.text("ports.tag", tag)?, tag)));
    port.finish(draft, &[], &[]);
    let (Some(name), Some(number), Some((secret, written))) = (name, number, secret) else {
        draft.refuse(&value.span, "a port needs a name, a port and a secret", "add what is missing");
        return;
    };
    if !(1..=64).contains(&name.len())
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    {
        draft.refuse(
            &value.span,
            "the port's name cannot be a listener's",
            "names have up to 64 letters, digits, hyphens, underscores and dots",
        );
    }
    if secret.bytes().any(|byte| byte.is_ascii_uppercase()) {
        if salt.is_some() {
            draft.refuse(&written.span, "the secret has capital letters, from which the old proxy derived other secrets than from small ones", "write it in small letters and give out new links");
        } else {
            draft.miss(&written.span, "the secret", "with capital letters the old proxy took it for other bytes, so that its links never worked as they were written; here they do");
        }
    }
    let Some(address) = draft.address("ports.listen_ip", ip, number, &value.span) else { return };
    let Some(secret) = draft.secret("ports.secret", secret, &written.span) else { return };
    let ad_tag = tag.and_then(|(tag, written)| draft.tag("ports.tag", tag, &written.span));
    draft.listeners.push(Listener {
        name: name.to_owned(),
        addresses: vec![address],
        secrets: vec![(None, secret)],
        ad_tag,
        protocols: protocols.to_vec(),
        domain: protocols.contains(&"tls").then(|| DOMAIN.to_owned()),
        max_connections: limit,
        headers_from: None,
    });
}

/// The links that it prints at its start, and those with further names.
fn old_links(names: &[HostName], host: Option<&str>, salt: Option<&str>, draft: &mut Draft) {
    let mut links = Vec::new();
    for listener in &draft.listeners {
        let port = listener.addresses.first().and_then(|address| address.rsplit(':').next()?.parse().ok());
        let (Some(port), Some((_, secret))) = (port, listener.secrets.first()) else { continue };
        for protocol in &listener.protocols {
            let secrets = match *protocol {
                "tls" => {
                    let names = std::iter::once(DOMAIN).chain(names.iter().map(HostName::as_str));
                    let key = |name: &str| {
                        salt.map_or_else(|| secret.clone(), |salt| links::per_sni(secret, salt, name))
                    };
                    names.map(|name| links::tls(&key(name), name)).collect()
                }
                "secure" => vec![links::secure(secret)],
                _ => vec![secret.clone()],
            };
            let user = Some(listener.name.clone());
            links.extend(secrets.into_iter().map(|secret| OldLink {
                user: user.clone(),
                host: host.map(str::to_owned),
                port,
                secret,
            }));
        }
    }
    draft.links = links;
}

fn telegram(settings: &mut Section<'_>, draft: &mut Draft) {
    for (old, key) in [("proxy_secret_url", "proxy_secret_url"), ("proxy_config_url", "proxy_config_url")] {
        if let Some(url) = settings.take(old).and_then(|url| draft.text(old, url)) {
            draft.set_text("telegram", key, url);
        }
    }
    if let Some(services) = settings.take("ip_lookup_services") {
        let services = draft.texts("ip_lookup_services", services);
        draft.set("telegram", "ip_lookup", list(services));
    }
    if let Some(value) = settings.take("conf_refresh_interval") {
        draft.seconds("conf_refresh_interval", value, "telegram", "refresh");
    }
    if let Some(value) = settings.take("core_api_http_timeout_ms")
        && let Some(milliseconds) = draft.number("core_api_http_timeout_ms", value, 10..=300_000)
    {
        draft.set_text("telegram", "http_timeout", format!("{milliseconds}ms"));
    }
    for (old, key) in
        [("init_dc_connections", "links_per_dc"), ("clients_per_dc_connection", "clients_per_link")]
    {
        if let Some(number) = settings.take(old).and_then(|number| draft.number(old, number, 1..=1000)) {
            draft.set("telegram", key, number);
        }
    }
}

fn times(settings: &mut Section<'_>, draft: &mut Draft) {
    for (old, section, key) in
        [("init_timeout_sec", "handshake", "timeout"), ("ready_timeout_sec", "relay", "idle_timeout")]
    {
        if let Some(value) = settings.take(old) {
            draft.seconds(old, value, section, key);
        }
    }
    if let Some(filter) = settings.take("replay_check_server_error_filter") {
        match filter.as_word() {
            Some(word @ ("off" | "first" | "on")) => draft.set_text("relay", "filter_server_errors", word),
            _ => draft.refuse(
                &filter.span,
                "`replay_check_server_error_filter` is not off, first or on",
                "put it right as the old proxy expects it",
            ),
        }
    }
}

fn replay(settings: &mut Section<'_>, draft: &mut Draft) {
    if let Some(switch) = settings.take("replay_check_session_storage") {
        match switch.as_word() {
            Some("on") => draft.set("replay", "enabled", "true"),
            Some("off") => {
                draft.set("replay", "enabled", "false");
                draft.because("As the old proxy had it. Better: true, so that recordings are strangers.");
            }
            _ => draft.refuse(
                &switch.span,
                "`replay_check_session_storage` is neither on nor off",
                "put it right as the old proxy expects it",
            ),
        }
    }
    let Some(mut options) = settings.section("replay_check_session_storage_opts", draft) else { return };
    if let Some(items) =
        options.take("max_items").and_then(|items| draft.number("max_items", items, 1000..=1_000_000_000))
    {
        draft.set("replay", "capacity", items);
    }
    // Shorter than the clock window is not possible here: a recording would be good again.
    if let Some(minutes) =
        options.take("max_age_minutes").and_then(|age| draft.number("max_age_minutes", age, 1..=525_600))
    {
        draft.set_text("replay", "max_age", format!("{}m", minutes.max(30)));
    }
    options.finish(draft, &[("max_memory_mb", "replay.capacity bounds it: some 40 bytes for each")], &[]);
}

fn cover(settings: &mut Section<'_>, draft: &mut Draft) {
    if let Some(value) = settings.take("domain_fronting_timeout_sec") {
        draft.seconds("domain_fronting_timeout_sec", value, "cover", "connect_timeout");
    }
    let target = settings.take("domain_fronting");
    match target.and_then(Value::as_word) {
        Some("sni") => {
            draft.set_text("cover", "target", "sni");
            draft.set("cover", "only_domains", list([DOMAIN]));
            draft.because("The old proxy connected to whatever a stranger named. List the host names of your links here.");
            if let Some(target) = target {
                draft.miss(&target.span, "domain_fronting", "sni leads to listed hosts only: add the host names of your links to cover.only_domains");
            }
        }
        Some(host) if host != "off" => draft.set_text("cover", "target", host),
        None if target.is_some() => {
            let span = target.map_or(0..0, |target| target.span.clone());
            draft.refuse(&span, "`domain_fronting` is not off, sni or \"host:port\"", "put it right as the old proxy expects it");
        }
        Some(_) | None => draft.remark("domain_fronting", "is off, so that strangers see no site, which tells a probe that this is a proxy: set cover.target", true),
    }
}

/// Rules, and tables without entries: the old proxy keeps those in memory only.
fn policies(rules: Option<&Value>, draft: &mut Draft) {
    let Some(rules) = rules else { return };
    for rule in draft.list("policy", rules) {
        let understood = match rule.as_tuple() {
            Some([word, one, table]) if word.as_word() == Some("in_table") => {
                table_rule("in_table", one, table, draft)
            }
            Some([word, one, table]) if word.as_word() == Some("not_in_table") => {
                table_rule("not_in_table", one, table, draft)
            }
            Some([word, keys, limit]) if word.as_word() == Some("max_connections") => count_rule(keys, limit),
            _ => None,
        };
        match understood {
            Some(entries) => draft.rules.push(Rule { entries, comment: None }),
            None => draft.refuse(&rule.span, "this rule is not understood", "rules are {in_table, Key, Table}, {not_in_table, Key, Table} and {max_connections, [Key], Number}, with keys that are not the port's name for tables"),
        }
    }
    if !draft.tables.is_empty() {
        let names: Vec<_> = draft.tables.iter().map(|table| table.name.clone()).collect();
        draft.miss(&rules.span, "policy", format!("the old proxy holds the entries of its tables ({}) in memory only: add them with `teleferry ctl table add`, or here; a rule in_table with an empty table lets nobody in", names.join(", ")));
    }
}

type Entries = Vec<(&'static str, String)>;

fn table_rule(rule: &str, one: &Value, table: &Value, draft: &mut Draft) -> Option<Entries> {
    let key = key(one).filter(|key| key != "listener")?;
    let name = table.as_word()?;
    let kind = if key == "tls_domain" { "domain" } else { "network" };
    match draft.tables.iter().find(|known| known.name == name) {
        Some(known) if known.kind != kind => return None,
        Some(_) => {}
        None => draft.tables.push(Table {
            name: name.to_owned(),
            kind,
            entries: Vec::new(),
            source: None,
            comment: None,
        }),
    }
    Some(vec![("rule", quoted(rule)), ("key", quoted(&key)), ("table", quoted(name))])
}

fn count_rule(keys: &Value, limit: &Value) -> Option<Entries> {
    let keys = keys.as_list()?.iter().map(key).collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty())?;
    let Kind::Number(limit @ 1..=16_000_000) = limit.kind else { return None };
    Some(vec![("rule", quoted("max_connections")), ("keys", list(&keys)), ("limit", limit.to_string())])
}

/// What a rule looks at.
fn key(value: &Value) -> Option<String> {
    if let Some(word) = value.as_word() {
        let same = match word {
            "port_name" => "listener",
            "client_ipv4" | "client_ipv6" | "tls_domain" => word,
            _ => return None,
        };
        return Some(same.to_owned());
    }
    match value.as_tuple()? {
        [word, Value { kind: Kind::Number(bits), .. }] => match word.as_word()? {
            "client_ipv4_subnet" if (1..=32).contains(bits) => Some(format!("client_ipv4/{bits}")),
            "client_ipv6_subnet" if (1..=128).contains(bits) => Some(format!("client_ipv6/{bits}")),
            _ => None,
        },
        _ => None,
    }
}
