//! The Python proxy, alexbers/mtprotoproxy: `config.py`, whose names in capital letters are its settings.

use jiff::civil::Date;
use teleferry_proto::secret::HostName;

use super::draft::{Draft, Known, Listener, OldLink, Section, is_empty};
use super::python::Module;
use super::users::{self, User};
use super::value::Value;
use super::{links, proxy_headers, site};

const HARMLESS: &[Known] = &[
    ("STATS_PRINT_PERIOD", "`teleferry ctl status` shows the numbers at any time"),
    ("PROXY_INFO_UPDATE_PERIOD", "telegram.refresh is an hour"),
    ("GET_TIME_PERIOD", "the clock is the system's; `teleferry doctor` looks at it"),
    ("GET_CERT_LEN_PERIOD", "how the cover site answers is learned again and again"),
    ("TO_CLT_BUFSIZE", "buffers are as large as they need to be"),
    ("TO_TG_BUFSIZE", "buffers are as large as they need to be"),
    ("READ_BUF_SIZE", "buffers are as large as they need to be"),
    ("CLIENT_KEEPALIVE", "dead clients are found without probes, which a web server would not send"),
    ("CLIENT_ACK_TIMEOUT", "dead clients are found by the kernel"),
    ("TG_READ_TIMEOUT", "telegram.answer_timeout and relay.idle_timeout are the like"),
    ("CLIENT_IPS_LEN", "clients' addresses are not kept"),
    ("METRICS_LISTEN_ADDR_IPV6", "numbers are served on 127.0.0.1"),
    ("METRICS_PREFIX", "metrics begin with teleferry_"),
    ("BLOCK_*", "strangers see the cover site"),
];

const LOST: &[Known] = &[
    ("USER_DATA_QUOTA", "there are no quotas: count with the metrics, and remove a secret to end its use"),
    ("METRICS_EXPORT_LINKS", "metrics hold no secrets: `teleferry link` prints links"),
];

pub(super) fn understand(module: &Module, names: &[HostName]) -> Draft {
    let mut draft = Draft::default();
    for span in &module.imports {
        draft.leave(span, "import", "nothing is executed");
    }
    let mut entries: Vec<(&str, &Value, _)> = Vec::new();
    for (name, value) in &module.assignments {
        let Some(text) = name.as_word() else { continue };
        if text.chars().any(char::is_lowercase) || !text.chars().any(char::is_alphabetic) {
            draft.leave(&name.span, text, "the old proxy reads only names in capital letters");
        } else {
            // The last one counts.
            entries.retain(|(known, ..)| *known != text);
            entries.push((text, value, name.span.clone()));
        }
    }
    settings(Section::of(entries), names, &mut draft);
    draft
}

fn settings(mut config: Section<'_>, names: &[HostName], draft: &mut Draft) {
    let users = users(&mut config, draft);
    let protocols = modes(&mut config, draft);
    let domain = match config.take("TLS_DOMAIN") {
        Some(value) => {
            draft.text("TLS_DOMAIN", value).and_then(|text| draft.domain("TLS_DOMAIN", text, &value.span))
        }
        None => Some("www.google.com".to_owned()),
    };
    let port = match config.take("PORT") {
        Some(value) => draft.port("PORT", value),
        None => Some(3256),
    };
    let (Some(domain), Some(port)) = (domain, port) else { return };
    let hosts = config.take("MY_DOMAIN").filter(|value| !is_empty(value));
    let hosts = hosts.map(|value| draft.texts("MY_DOMAIN", value)).unwrap_or_default();
    if let Some(host) = hosts.first() {
        draft.set_text("server", "public_host", host);
    }
    let ad_tag = telegram(&mut config, draft);
    let mut listener = Listener {
        name: "main".to_owned(),
        addresses: addresses(&mut config, port, draft),
        ad_tag,
        domain: protocols.contains(&"tls").then(|| domain.clone()),
        protocols: protocols.clone(),
        headers_from: proxy_headers(config.take("PROXY_PROTOCOL"), "PROXY_PROTOCOL", draft),
        ..Listener::default()
    };
    users::fill(&mut listener, &users);
    draft.listeners.push(listener);
    old_links(&users, &protocols, &domain, names, (&hosts, port), draft);
    cover(&mut config, &domain, draft);
    let limits = config.take("USER_MAX_TCP_CONNS");
    users::limit_connections(draft, "USER_MAX_TCP_CONNS", limits, None, &users);
    rest(&mut config, draft);
    if protocols.contains(&"tls") {
        draft.accept_any_name();
    }
    config.finish(draft, HARMLESS, LOST);
}

fn users(config: &mut Section<'_>, draft: &mut Draft) -> Vec<User> {
    let today = jiff::Timestamp::from_second(i64::try_from(crate::clock::unix_time()).unwrap_or(0))
        .map(|now| now.to_zoned(jiff::tz::TimeZone::UTC).date());
    let over =
        |text: &str| Some(today.as_ref().is_ok_and(|today| day(text).is_some_and(|day| day <= *today)));
    let expirations = config.take("USER_EXPIRATIONS");
    let gone =
        users::expirations(draft, "USER_EXPIRATIONS", expirations, |text| day(text).and_then(|_| over(text)));
    let Some(value) = config.take("USERS") else {
        users::none(draft, "USERS");
        return Vec::new();
    };
    let mut users = Vec::new();
    for (name, value, span) in draft.entries("USERS", value) {
        let path = format!("USERS.{name}");
        let Some(text) = draft.text(&path, value) else { continue };
        let secret = mended(text);
        if secret != text.to_ascii_lowercase() {
            draft.leave(&span, &path, "its secret is not 32 hex digits: as the old proxy does, other characters are left out and zeros put in front");
        }
        if let Some(secret) = draft.secret(&path, &secret, &value.span) {
            users.push(User { name: name.to_owned(), secret, span });
        }
    }
    users::present(users, &gone, draft)
}

/// The secret that is used in place of one that is not 32 hexadecimal digits.
fn mended(text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let digits = format!("{digits:0>32}").to_ascii_lowercase();
    digits.get(..32).unwrap_or_default().to_owned()
}

/// day/month/year
fn day(text: &str) -> Option<Date> {
    let mut parts = text.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// The kinds of client: all of them, unless MODES says; older names take some away.
fn modes(config: &mut Section<'_>, draft: &mut Draft) -> Vec<&'static str> {
    let given = config.take("MODES");
    let mut on = [given.is_none(); 3];
    if let Some(value) = given {
        for (name, value, span) in draft.entries("MODES", value) {
            match MODES.iter().position(|(old, _)| *old == name) {
                Some(at) => on[at] = draft.flag(&format!("MODES.{name}"), value).unwrap_or(false),
                None => draft.refuse(
                    &span,
                    format!("`MODES.{name}` is not known"),
                    "there are classic, secure and tls",
                ),
            }
        }
    }
    if let Some(only) = config.take("SECURE_ONLY").and_then(|value| draft.flag("SECURE_ONLY", value)) {
        on[0] = !only;
    }
    if let Some(true) = config.take("TLS_ONLY").and_then(|value| draft.flag("TLS_ONLY", value)) {
        on = [false, false, on[2]];
    }
    if on == [false; 3] {
        on[2] = true;
    }
    MODES.iter().zip(on).filter(|(_, on)| *on).map(|((_, ours), _)| *ours).collect()
}

const MODES: [(&str, &str); 3] = [("classic", "classic"), ("secure", "secure"), ("tls", "tls")];

fn addresses(config: &mut Section<'_>, port: u16, draft: &mut Draft) -> Vec<String> {
    let ip = |config: &mut Section<'_>, key, default, draft: &mut Draft| match config.take(key) {
        Some(value) if is_empty(value) => None,
        Some(value) => draft.text(key, value).map(|ip| (ip.to_owned(), value.span.clone())),
        None => Some((String::from(default), 0..0)),
    };
    let v4 = ip(config, "LISTEN_ADDR_IPV4", "0.0.0.0", draft);
    let v6 = ip(config, "LISTEN_ADDR_IPV6", "::", draft);
    let mut addresses: Vec<String> = Vec::new();
    for (ip, span) in v6.iter().chain(&v4) {
        // The socket of [::] takes IPv4 too.
        let has_all = addresses.iter().any(|known| known.starts_with("[::]:")) && ip == "0.0.0.0";
        if !has_all && let Some(address) = draft.address("LISTEN_ADDR", ip, port, span) {
            addresses.push(address);
        }
    }
    if let Some(value) = config.take("LISTEN_UNIX_SOCK").filter(|value| !is_empty(value))
        && let Some(path) = draft.text("LISTEN_UNIX_SOCK", value)
    {
        addresses.push(format!("unix:{path}"));
    }
    addresses
}

/// The way to Telegram; gives the ad tag.
fn telegram(config: &mut Section<'_>, draft: &mut Draft) -> Option<String> {
    let tag = config.take("AD_TAG");
    let ad_tag = match tag {
        Some(value) => draft.text("AD_TAG", value).and_then(|text| draft.tag("AD_TAG", text, &value.span)),
        None => None,
    };
    let middle = config.take("USE_MIDDLE_PROXY").and_then(|value| draft.flag("USE_MIDDLE_PROXY", value));
    let proxied = ["SOCKS5_HOST", "SOCKS5_PORT", "SOCKS5_USER", "SOCKS5_PASS"].map(|key| config.take(key));
    if let [Some(host), Some(port), ..] = proxied
        && !is_empty(host)
        && !is_empty(port)
    {
        draft.miss(
            &host.span,
            "SOCKS5_*",
            "there is no way to Telegram over another proxy: this one connects to Telegram itself",
        );
    }
    if !middle.unwrap_or_else(|| ad_tag.is_some()) {
        draft.set_text("telegram", "mode", "direct");
        if let (Some(tag), true) = (tag, ad_tag.is_some()) {
            draft.leave(
                &tag.span,
                "AD_TAG",
                "USE_MIDDLE_PROXY is off, and without middle proxies it is not used",
            );
        }
    } else if ad_tag.is_none() {
        draft.set_text("telegram", "mode", "middle");
    }
    if let Some(fast) = config.take("FAST_MODE").and_then(|value| draft.flag("FAST_MODE", value)) {
        draft.set("telegram", "fast_path", fast);
    }
    match config.take("PREFER_IPV6").map(|value| draft.flag("PREFER_IPV6", value)) {
        Some(Some(true)) => draft.set_text("telegram", "prefer", "ipv6"),
        Some(_) => {}
        None => draft.remark("PREFER_IPV6", "is not given, so that the old proxy preferred IPv6 where there was any; telegram.prefer is \"ipv4\"", false),
    }
    if let Some(value) = config.take("TG_CONNECT_TIMEOUT") {
        draft.seconds("TG_CONNECT_TIMEOUT", value, "telegram", "connect_timeout");
    }
    ad_tag.filter(|_| middle != Some(false))
}

fn cover(config: &mut Section<'_>, domain: &str, draft: &mut Draft) {
    let mask = config.take("MASK").is_none_or(|value| draft.flag("MASK", value).unwrap_or(true));
    let host = config.take("MASK_HOST").and_then(|value| draft.text("MASK_HOST", value)).unwrap_or(domain);
    let port = match config.take("MASK_PORT") {
        Some(value) => draft.port("MASK_PORT", value),
        None => Some(443),
    };
    if let (true, Some(port)) = (mask, port) {
        draft.set_text("cover", "target", site(host, port));
    }
}

fn rest(config: &mut Section<'_>, draft: &mut Draft) {
    if let Some(value) = config.take("CLIENT_HANDSHAKE_TIMEOUT") {
        draft.seconds("CLIENT_HANDSHAKE_TIMEOUT", value, "handshake", "timeout");
    }
    if let Some(value) = config.take("IGNORE_TIME_SKEW")
        && draft.flag("IGNORE_TIME_SKEW", value) == Some(true)
    {
        super::any_clock(draft);
    }
    if let Some(value) = config.take("REPLAY_CHECK_LEN") {
        match draft.number("REPLAY_CHECK_LEN", value, 0..=1_000_000_000) {
            Some(0) => draft.set("replay", "enabled", "false"),
            Some(len) if len > 1_000_000 => draft.set("replay", "capacity", len),
            Some(_) => draft.leave(&value.span, "REPLAY_CHECK_LEN", "more recordings are remembered here"),
            None => {}
        }
    }
    let listen = config.take("METRICS_LISTEN_ADDR_IPV4");
    let whitelist = config.take("METRICS_WHITELIST");
    let Some(value) = config.take("METRICS_PORT").filter(|value| !is_empty(value)) else { return };
    if let Some(port) = draft.port("METRICS_PORT", value) {
        draft.set_text("admin", "http", format!("127.0.0.1:{port}"));
        draft.miss(
            &value.span,
            "METRICS_PORT",
            "the numbers have other names at /metrics: docs/reference/metrics.md lists them",
        );
    }
    let elsewhere = |one: &Value| !matches!(one.as_word(), Some("127.0.0.1" | "::1"));
    if let Some(whitelist) =
        whitelist.filter(|list| list.as_list().is_none_or(|list| list.iter().any(elsewhere)))
    {
        draft.miss(
            &whitelist.span,
            "METRICS_WHITELIST",
            "numbers are served on 127.0.0.1: for other machines set admin.http and admin.token_file",
        );
    }
    if let Some(listen) = listen {
        draft.leave(&listen.span, "METRICS_LISTEN_ADDR_IPV4", "numbers are served on 127.0.0.1");
    }
}

/// The links that it prints at its start, and those with further names.
fn old_links(
    users: &[User],
    protocols: &[&str],
    domain: &str,
    names: &[HostName],
    (hosts, port): (&[&str], u16),
    draft: &mut Draft,
) {
    let hosts: Vec<_> = if hosts.is_empty() { vec![None] } else { hosts.iter().copied().map(Some).collect() };
    for user in users {
        for host in &hosts {
            for protocol in protocols {
                let secrets = match *protocol {
                    "tls" => {
                        let names = std::iter::once(domain).chain(names.iter().map(HostName::as_str));
                        names.map(|name| links::tls(&user.secret, name)).collect()
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
    // Where it has several names, our links have one.
    if hosts.len() > 1 {
        let others: Vec<_> = hosts.iter().skip(1).flatten().copied().collect();
        draft.remark(
            "MY_DOMAIN",
            format!(
                "links to {} work as before; `teleferry link` prints those to {}",
                others.join(", "),
                hosts.first().copied().flatten().unwrap_or_default()
            ),
            false,
        );
    }
}
