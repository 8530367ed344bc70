//! telemt, telemt/telemt: `config.toml`.

use teleferry_proto::secret::HostName;

use super::draft::{Draft, Known, Listener, OldLink, Section, is_empty, list};
use super::users::{self, Gone, User};
use super::value::{Kind, Value};
use super::{any_clock, links, proxy_headers, site};

const POOL: &str = "links to middle proxies are kept by other means, with few settings (telegram.links_per_dc, clients_per_link)";

const GENERAL: &[Known] = &[
    ("me_*", POOL),
    ("me2dc_*", "mode = \"auto\" goes directly where middle proxies cannot be used"),
    ("middle_proxy_pool_size", POOL),
    ("middle_proxy_warm_standby", POOL),
    ("middle_proxy_nat_probe", "the external address is found by telegram.ip_lookup where it is needed"),
    ("middle_proxy_nat_stun*", "the external address is found by telegram.ip_lookup where it is needed"),
    ("stun_*", "the external address is found by telegram.ip_lookup where it is needed"),
    ("hardswap", POOL),
    ("rpc_proxy_req_every", POOL),
    ("upstream_*", "telegram.connect_timeout and answer_timeout are the like"),
    ("proxy_secret_*", "what Telegram publishes is fetched and kept by itself (telegram.refresh)"),
    ("proxy_config_*", "what Telegram publishes is fetched and kept by itself (telegram.refresh)"),
    ("update_every", "what Telegram publishes is fetched and kept by itself (telegram.refresh)"),
    ("direct_relay_copy_buf_*", "buffers are as large as they need to be"),
    ("crypto_pending_buffer", "queues are bounded by limits.client_queue"),
    ("max_client_frame", "a client's message has at most 1 MiB"),
    ("desync_all_full", "it is about that program's own log"),
    ("beobachten*", "clients' addresses are not kept"),
    ("unknown_dc_*", "telegram.default_dc says where such clients go"),
    ("disable_colors", "log lines have colours in a terminal alone"),
    ("fast_mode_min_tls_record", "records are as long as a real server's"),
    ("ntp_*", "the clock is the system's; `teleferry doctor` looks at it"),
    ("auto_degradation_enabled", "mode = \"auto\" goes directly where middle proxies cannot be used"),
    ("degradation_*", "mode = \"auto\" goes directly where middle proxies cannot be used"),
    ("data_path", "server.state_dir is where state is kept"),
    ("rst_on_close", "strangers see the cover site, and connections end as that ends them"),
    ("prefer_ipv6", "network.prefer is in its place"),
    ("telemetry", "metrics are counted in any case"),
];

const CENSORSHIP: &[Known] = &[
    ("tls_emulation", "clients are answered as the cover site answers (cover.profile)"),
    ("tls_front_dir", "what is learned of the cover site is kept in server.state_dir"),
    ("tls_fetch*", "the cover site is asked by itself now and then"),
    ("fake_cert_len", "answers are as long as the cover site's"),
    ("server_hello_delay_*", "answers come at once"),
    ("tls_new_session_tickets", "clients would take a second record for data"),
    ("tls_full_cert_ttl_secs", "answers are as long as the cover site's"),
    ("alpn_enforce", "what a hello asks for makes no difference to clients"),
    ("mask_shape_*", "the cover site gets every byte as it was sent, and no other"),
    ("mask_relay_*", "visits of the cover site have no limit of their own"),
    ("mask_classifier_*", "the cover site gets every byte as it was sent"),
    ("mask_timing_*", "strangers are answered by the site itself, in its own time"),
];

const ACCESS_LOST: &[Known] = &[
    ("user_ad_tags", "an ad tag is a listener's: give users with other tags a listener of their own"),
    ("user_data_quota", "there are no quotas: count with the metrics, and remove a secret to end its use"),
    (
        "user_max_unique_ips*",
        "addresses of a user are not counted: rules can count connections (keys = [\"secret\"])",
    ),
    ("user_rate_limits", "there is no limit on speed"),
    (
        "cidr_rate_limits",
        "there is no limit on speed; limits.new_per_second bounds new connections of a network",
    ),
    ("user_source_deny", "rules go by address for all users alike (not_in_table, client_ip)"),
];

pub(super) fn understand(root: &Value, names: &[HostName]) -> Draft {
    let mut draft = Draft::default();
    read(root, names, &mut draft);
    draft
}

fn read(root: &Value, names: &[HostName], draft: &mut Draft) {
    let mut config = Section::of(draft.entries("the file", root));
    if let Some(include) = config.take("include") {
        draft.refuse(&include.span, "other files are not followed", "put what they say into this one");
    }
    let ad_tag = general(&mut config, draft);
    network(&mut config, draft);
    let mut server = config.section("server", draft).unwrap_or_else(|| Section::of(Vec::new()));
    let port = match server.take("port") {
        Some(value) => draft.port("server.port", value),
        None => Some(443),
    };
    let mut access = config.section("access", draft).unwrap_or_else(|| Section::of(Vec::new()));
    let users = users(&mut access, draft);
    let modes = modes(&mut config, draft);
    let domains = censorship(&mut config, draft);
    if let Some(port) = port {
        listeners(&mut server, port, draft);
        for listener in &mut draft.listeners {
            users::fill(listener, &users);
            listener.ad_tag.clone_from(&ad_tag);
            listener.protocols.clone_from(&modes);
            listener.domain = domains.names.first().filter(|_| modes.contains(&"tls")).cloned();
        }
        let host = link_host(&mut config, port, draft);
        old_links(&users, &modes, &domains, names, (host.as_deref(), port), draft);
    }
    if modes.contains(&"tls") {
        if domains.any {
            draft.accept_any_name();
        } else if domains.names.len() > 1 {
            draft.accept_names(&domains.names);
        }
    }
    rest_of_access(access, &users, draft);
    rest_of_server(server, draft);
    timeouts(&mut config, draft);
    upstreams(&mut config, draft);
    addresses_of_dcs(&mut config, draft);
    config.finish(
        draft,
        &[("show_link", "`teleferry link` prints links")],
        &[("web", "Telegram's WEB proxies are not served here")],
    );
}

/// Gives the ad tag.
fn general(config: &mut Section<'_>, draft: &mut Draft) -> Option<String> {
    // [general.links] and [general.modes] are read where they belong.
    let mut general = config.section("general", draft)?;
    if general.take("use_middle_proxy").and_then(|value| draft.flag("general.use_middle_proxy", value))
        == Some(false)
    {
        draft.set_text("telegram", "mode", "direct");
    }
    if let Some(fast) = general.take("fast_mode").and_then(|value| draft.flag("general.fast_mode", value)) {
        draft.set("telegram", "fast_path", fast);
    }
    if let Some(ip) =
        general.take("middle_proxy_nat_ip").and_then(|value| draft.text("general.middle_proxy_nat_ip", value))
    {
        draft.set("telegram", "external_ip", list([ip]));
    }
    let tag = general.take("ad_tag");
    let tag = tag.and_then(|value| Some((draft.text("general.ad_tag", value)?, value)));
    let tag = tag.and_then(|(text, value)| draft.tag("general.ad_tag", text, &value.span));
    if let Some(level) = general.take("log_level") {
        match draft.text("general.log_level", level) {
            Some("debug") => draft.set_text("log", "level", "debug"),
            Some("silent") => draft.set_text("log", "level", "error"),
            _ => {}
        }
    }
    for (name, value) in [("modes", general.take("modes")), ("links", general.take("links"))] {
        config.put(name, value);
    }
    general.finish(draft, GENERAL, &[]);
    tag
}

/// The kinds of client.
fn modes(config: &mut Section<'_>, draft: &mut Draft) -> Vec<&'static str> {
    let mut on = [("tls", true), ("secure", false), ("classic", false)];
    if let Some(mut modes) = config.section("modes", draft) {
        for (name, on) in &mut on {
            if let Some(value) = modes.take(name) {
                *on = draft.flag(&format!("general.modes.{name}"), value).unwrap_or(false);
            }
        }
        modes.finish(draft, &[], &[]);
    }
    let served: Vec<_> = on.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    if served.is_empty() {
        draft.refuse(&(0..0), "`general.modes` serves no kind of client", "switch one on");
    }
    served
}

fn network(config: &mut Section<'_>, draft: &mut Draft) {
    let Some(mut network) = config.section("network", draft) else { return };
    let v4 = network.take("ipv4").and_then(|value| draft.flag("network.ipv4", value)).unwrap_or(true);
    let v6 = network.take("ipv6").map(|value| draft.flag("network.ipv6", value).unwrap_or(false));
    let prefer = network.take("prefer").and_then(|value| draft.number("network.prefer", value, 4..=6));
    let ours = match (v4, v6, prefer) {
        (false, ..) => Some("only-ipv6"),
        (_, Some(false), _) => Some("only-ipv4"),
        (.., Some(6)) => Some("ipv6"),
        _ => None,
    };
    if let Some(ours) = ours {
        draft.set_text("telegram", "prefer", ours);
    }
    network.finish(
        draft,
        &[
            ("stun_*", "the external address is found by telegram.ip_lookup where it is needed"),
            ("http_ip_detect_urls", "the external address is found by telegram.ip_lookup where it is needed"),
            ("cache_public_ip_path", "the external address is looked up where it is needed"),
            ("multipath", "the kernel chooses the way"),
        ],
        &[("dns_overrides", "names are looked up as the system does: /etc/hosts can say otherwise")],
    );
}

fn users(access: &mut Section<'_>, draft: &mut Draft) -> Vec<User> {
    let now = crate::clock::unix_time();
    let over = |text: &str| {
        let time: jiff::Timestamp = text.parse().ok()?;
        Some(u64::try_from(time.as_second()).unwrap_or(0) <= now)
    };
    let mut gone =
        users::expirations(draft, "access.user_expirations", access.take("user_expirations"), over);
    for (name, value, _) in access
        .take("user_enabled")
        .map(|value| draft.entries("access.user_enabled", value))
        .unwrap_or_default()
    {
        if draft.flag(&format!("access.user_enabled.{name}"), value) == Some(false) {
            gone.push(Gone { name: name.to_owned(), why: "is switched off" });
        }
    }
    let Some(value) = access.take("users") else {
        users::none(draft, "[access.users]");
        return Vec::new();
    };
    let mut users = Vec::new();
    for (name, value, span) in draft.entries("access.users", value) {
        let path = format!("access.users.{name}");
        let secret = draft.text(&path, value).and_then(|text| draft.secret(&path, text, &value.span));
        users.extend(secret.map(|secret| User { name: name.to_owned(), secret, span }));
    }
    users::present(users, &gone, draft)
}

/// The host names that it takes.
struct Domains {
    /// The first is that of the site.
    names: Vec<String>,
    /// Whether any other is taken too.
    any: bool,
}

fn censorship(config: &mut Section<'_>, draft: &mut Draft) -> Domains {
    let mut section = config.section("censorship", draft).unwrap_or_else(|| Section::of(Vec::new()));
    let mut names: Vec<String> = Vec::new();
    match section.take("tls_domain") {
        Some(value) => names.extend(
            draft
                .text("censorship.tls_domain", value)
                .and_then(|text| draft.domain("censorship.tls_domain", text, &value.span)),
        ),
        None => names.push("petrovich.ru".to_owned()),
    }
    if let Some(value) = section.take("tls_domains") {
        for text in draft.texts("censorship.tls_domains", value) {
            names.extend(
                draft
                    .domain("censorship.tls_domains", text, &value.span)
                    .filter(|name| !names.contains(name)),
            );
        }
    }
    let unknown = section.take("unknown_sni_action");
    let any = match unknown.map(|value| (value, value.as_word())) {
        None | Some((_, Some("mask"))) => false,
        Some((_, Some("accept"))) => true,
        Some((value, Some("drop" | "reject_handshake"))) => {
            draft.leave(
                &value.span,
                "censorship.unknown_sni_action",
                "who names another host is a visitor of the cover site",
            );
            false
        }
        Some((value, _)) => {
            draft.refuse(
                &value.span,
                "`censorship.unknown_sni_action` is not known",
                "there are drop, mask, accept and reject_handshake",
            );
            false
        }
    };
    cover(&mut section, names.first(), draft);
    section.finish(
        draft,
        CENSORSHIP,
        &[(
            "exclusive_mask",
            "there is one cover site for all names, or cover.target = \"sni\" with cover.only_domains",
        )],
    );
    Domains { names, any }
}

fn cover(section: &mut Section<'_>, domain: Option<&String>, draft: &mut Draft) {
    let mask = section.take("mask").and_then(|value| draft.flag("censorship.mask", value)).unwrap_or(true);
    let socket =
        section.take("mask_unix_sock").and_then(|value| draft.text("censorship.mask_unix_sock", value));
    let host = section.take("mask_host").and_then(|value| draft.text("censorship.mask_host", value));
    let port = match section.take("mask_port") {
        Some(value) => draft.port("censorship.mask_port", value),
        None => Some(443),
    };
    let header = section
        .take("mask_proxy_protocol")
        .and_then(|value| draft.number("censorship.mask_proxy_protocol", value, 0..=2));
    let host = host.or_else(|| domain.map(String::as_str));
    match (mask, socket, host, port) {
        (true, Some(path), ..) => draft.set_text("cover", "target", format!("unix:{path}")),
        (true, None, Some(host), Some(port)) => draft.set_text("cover", "target", site(host, port)),
        _ => {}
    }
    if let Some(version) = header.filter(|version| *version > 0) {
        draft.set_text("cover", "proxy_protocol", format!("v{version}"));
    }
}

/// Addresses that have the same say on PROXY protocol headers are one listener.
fn listeners(server: &mut Section<'_>, port: u16, draft: &mut Draft) {
    let headers = server.take("proxy_protocol");
    let trusted = server.take("proxy_protocol_trusted_cidrs");
    let trusted = trusted.map(|value| {
        draft
            .texts("server.proxy_protocol_trusted_cidrs", value)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let from = |value: Option<&Value>, draft: &mut Draft| match &trusted {
        Some(networks) if value.is_some_and(|value| value.kind == Kind::Flag(true)) => Some(networks.clone()),
        _ => proxy_headers(value, "server.proxy_protocol", draft),
    };
    let add = |address: String, headers: Option<Vec<String>>, draft: &mut Draft| match draft
        .listeners
        .iter_mut()
        .find(|known| known.headers_from == headers)
    {
        Some(known) => known.addresses.push(address),
        None => {
            let name = if draft.listeners.is_empty() {
                "main".to_owned()
            } else {
                format!("main{}", draft.listeners.len() + 1)
            };
            draft.listeners.push(Listener {
                name,
                addresses: vec![address],
                headers_from: headers,
                ..Listener::default()
            });
        }
    };
    let socket = server
        .take("listen_unix_sock")
        .filter(|value| !is_empty(value))
        .and_then(|value| draft.text("server.listen_unix_sock", value));
    let tcp = server
        .take("listen_tcp")
        .and_then(|value| draft.flag("server.listen_tcp", value))
        .unwrap_or_else(|| socket.is_none());
    if let Some(path) = socket {
        let from = from(headers, draft);
        add(format!("unix:{path}"), from, draft);
    }
    let own = [server.take("listen_addr_ipv4"), server.take("listen_addr_ipv6")];
    if !tcp {
        return;
    }
    if let Some(list) = server.take("listeners") {
        for one in draft.list("server.listeners", list) {
            let mut one = Section::new("server.listeners", one, draft);
            let ip = one.take("ip").and_then(|ip| Some((draft.text("server.listeners.ip", ip)?, ip)));
            let port =
                one.take("port").map_or(Some(port), |value| draft.port("server.listeners.port", value));
            let headers = one.take("proxy_protocol").or(headers);
            let announced = [one.take("announce"), one.take("announce_ip")].into_iter().flatten().next();
            if let Some(host) = announced.and_then(|host| draft.text("server.listeners.announce", host)) {
                draft.remark(
                    "server.listeners.announce",
                    format!("links to {host} work as before; `teleferry link` prints server.public_host"),
                    false,
                );
            }
            one.finish(draft, &[("reuse_allow", "`teleferry ctl upgrade` takes over without a gap")], &[
                ("synlimit*", "firewall rules are not made: limits.new_per_second bounds new connections of a network"),
                ("client_mss*", "the size of segments is the kernel's: a route or a firewall rule can set it"),
                ("mss", "the size of segments is the kernel's: a route or a firewall rule can set it"),
            ]);
            let (Some((ip, written)), Some(port)) = (ip, port) else { continue };
            let from = from(headers, draft);
            if let Some(address) = draft.address("server.listeners.ip", ip, port, &written.span) {
                add(address, from, draft);
            }
        }
        return;
    }
    for ip in own {
        let Some(value) = ip.filter(|value| !is_empty(value)) else { continue };
        let from = from(headers, draft);
        let text = draft.text("server.listen_addr", value);
        if let Some(address) = text.and_then(|ip| draft.address("server.listen_addr", ip, port, &value.span))
        {
            add(address, from, draft);
        }
    }
    if own == [None, None] {
        let from = from(headers, draft);
        // It takes IPv4 too.
        add(format!("[::]:{port}"), from, draft);
    }
}

/// The host in links, when the file says.
fn link_host(config: &mut Section<'_>, port: u16, draft: &mut Draft) -> Option<String> {
    let mut links = config.section("links", draft)?;
    let host = links
        .take("public_host")
        .and_then(|value| draft.text("general.links.public_host", value))
        .map(str::to_owned);
    if let Some(host) = &host {
        draft.set_text("server", "public_host", host);
    }
    if let Some(value) = links.take("public_port")
        && draft.port("general.links.public_port", value).is_some_and(|public| public != port)
    {
        draft.miss(&value.span, "general.links.public_port", "old links go on working, but `teleferry link` prints the port that is listened on: put the other one in yourself");
    }
    links.finish(draft, &[("show", "`teleferry link` prints links")], &[]);
    host
}

fn rest_of_access(mut access: Section<'_>, users: &[User], draft: &mut Draft) {
    let each = access.take("user_max_tcp_conns_global_each");
    let each =
        each.and_then(|value| draft.number("access.user_max_tcp_conns_global_each", value, 0..=16_000_000));
    let limits = access.take("user_max_tcp_conns");
    users::limit_connections(
        draft,
        "access.user_max_tcp_conns",
        limits,
        each.filter(|each| *each > 0),
        users,
    );
    if access.take("ignore_time_skew").and_then(|value| draft.flag("access.ignore_time_skew", value))
        == Some(true)
    {
        any_clock(draft);
    }
    access.finish(
        draft,
        &[
            ("replay_check_len", "more recordings are remembered here (replay.capacity)"),
            ("replay_window_secs", "recordings are remembered for longer here (replay.max_age)"),
        ],
        ACCESS_LOST,
    );
}

fn rest_of_server(mut server: Section<'_>, draft: &mut Draft) {
    if let Some(limit) = server
        .take("max_connections")
        .and_then(|value| draft.number("server.max_connections", value, 0..=16_000_000))
        && limit > 0
    {
        draft.set("server", "max_connections", limit);
    }
    let listen = server.take("metrics_listen");
    let metrics = server.take("metrics_port");
    let port = match (listen, metrics) {
        (Some(listen), _) => {
            draft.text("server.metrics_listen", listen).and_then(|text| text.rsplit(':').next()?.parse().ok())
        }
        (None, Some(port)) => draft.port("server.metrics_port", port),
        (None, None) => None,
    };
    if let (Some(port), Some(span)) = (port, listen.or(metrics).map(|value| value.span.clone())) {
        draft.set_text("admin", "http", format!("127.0.0.1:{port}"));
        draft.miss(&span, "server.metrics_*", "the numbers have other names and are on 127.0.0.1: docs/reference/metrics.md lists them; for other machines set admin.http and admin.token_file");
    }
    server.finish(
        draft,
        &[
            ("metrics_whitelist", "numbers are served on 127.0.0.1"),
            ("listen_unix_sock_perm", "the socket's directory says who may come in"),
            ("listen_backlog", "the backlog is as long as the kernel lets it be"),
            ("accept_permit_timeout_ms", "at a limit connections wait in the kernel"),
            ("proxy_protocol_header_timeout_ms", "handshake.timeout bounds it"),
            ("listen_addr_*", "server.listeners is in its place"),
        ],
        &[
            ("api", "the API is another one, at admin.http (docs/reference/openapi.json)"),
            ("admin_api", "the API is another one, at admin.http (docs/reference/openapi.json)"),
            ("conntrack_control", "firewall rules are not made: docs/operate/install.md says what helps"),
            ("client_mss*", "the size of segments is the kernel's: a route or a firewall rule can set it"),
        ],
    );
}

fn timeouts(config: &mut Section<'_>, draft: &mut Draft) {
    let Some(mut timeouts) = config.section("timeouts", draft) else { return };
    for (old, section, key) in
        [("client_handshake", "handshake", "timeout"), ("tg_connect", "telegram", "connect_timeout")]
    {
        if let Some(value) = timeouts.take(old) {
            draft.seconds(&timeouts.path(old), value, section, key);
        }
    }
    timeouts.finish(
        draft,
        &[
            ("client_keepalive", "dead clients are found without probes, which a web server would not send"),
            ("client_ack", "dead clients are found by the kernel"),
            ("relay_*", "relay.idle_timeout is the like: twenty minutes"),
            ("me_*", POOL),
        ],
        &[],
    );
}

fn upstreams(config: &mut Section<'_>, draft: &mut Draft) {
    let Some(value) = config.take("upstreams") else { return };
    for upstream in draft.list("upstreams", value) {
        let mut one = Section::new("upstreams", upstream, draft);
        let kind = one.take("type").and_then(|value| draft.text("upstreams.type", value));
        let off = one.take("enabled").is_some_and(|value| value.kind == Kind::Flag(false));
        let bound = ["interface", "bind_addresses", "bindtodevice"]
            .into_iter()
            .filter(|key| one.take(key).is_some())
            .count()
            > 0;
        if !off && kind != Some("direct") {
            draft.miss(
                &upstream.span,
                "upstreams",
                "there is no way to Telegram over another proxy: this one connects to Telegram itself",
            );
        } else if !off && bound {
            draft.miss(
                &upstream.span,
                "upstreams",
                "the address that connections come from is the kernel's choice: a route can set it",
            );
        }
        for key in ["weight", "scopes", "url", "address", "user_id", "username", "password"] {
            one.take(key);
        }
        one.finish(draft, &[], &[]);
    }
}

fn addresses_of_dcs(config: &mut Section<'_>, draft: &mut Draft) {
    if let Some(value) = config.take("dc_overrides") {
        let mut dcs = Vec::new();
        for (id, addresses, span) in draft.entries("dc_overrides", value) {
            if !id.parse::<i16>().is_ok_and(|id| id != 0) {
                draft.refuse(&span, "this is no data centre", "ids are numbers");
            }
            let addresses: Vec<_> =
                draft.texts("dc_overrides", addresses).into_iter().filter(|one| !one.is_empty()).collect();
            if !addresses.is_empty() {
                dcs.push(format!("{id:?} = {}", list(addresses)));
            }
        }
        if !dcs.is_empty() {
            draft.set("telegram", "dc", format!("{{ {} }}", dcs.join(", ")));
        }
    }
    if let Some(dc) = config.take("default_dc").and_then(|value| draft.number("default_dc", value, 1..=5)) {
        draft.set("telegram", "default_dc", dc);
    }
}

fn old_links(
    users: &[User],
    modes: &[&str],
    domains: &Domains,
    names: &[HostName],
    (host, port): (Option<&str>, u16),
    draft: &mut Draft,
) {
    for user in users {
        for mode in modes {
            let secrets = match *mode {
                "tls" => {
                    let further = names.iter().map(HostName::as_str);
                    let all = domains.names.iter().map(String::as_str).chain(further);
                    all.map(|name| links::tls(&user.secret, name)).collect()
                }
                "secure" => vec![links::secure(&user.secret)],
                _ => vec![user.secret.clone()],
            };
            draft.links.extend(secrets.into_iter().map(|secret| OldLink {
                user: Some(user.name.clone()),
                host: host.map(str::to_owned),
                port,
                secret,
            }));
        }
    }
}
